"""Who gets a maker when, and what is said where there is none: with nodes and actors that a test makes up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError

from layerflow.cluster import pool as pools
from layerflow.cluster.maker import About
from layerflow.cluster.pool import Pool, Seat
from layerflow.cluster.share import ClusterOptions, Share
from layerflow.errors import RequestError
from layerflow.versions import version_of

HERE = About(node="n", host="gpu1", process=1, version=version_of("layerflow"))


@dataclass
class Nodes:
    """A cluster whose actors come up at once unless `coming` says otherwise."""

    cores: list[float]
    coming: list[About | Exception | None] = field(default_factory=list)  # None: never
    ended: list[Any] = field(default_factory=list)
    now: float = 0.0

    def start(self, share: Share) -> Any:
        about = self.coming.pop(0) if self.coming else HERE
        actor = SimpleNamespace(about=SimpleNamespace(remote=lambda: about))
        actor.__ray_terminate__ = SimpleNamespace(remote=lambda: self.ended.append(actor))
        return actor

    def get(self, about: About | Exception) -> About:
        if isinstance(about, Exception):
            raise about
        return about


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    made = Nodes(cores=[1.0, 1.0])
    ray = SimpleNamespace(
        wait=lambda told, timeout: ([each for each in told if each is not None], []),
        get=made.get,
        kill=lambda actor: made.ended.append(actor),
    )
    monkeypatch.setattr(pools, "ray", ray)
    monkeypatch.setattr(pools, "join", lambda address: None)
    monkeypatch.setattr(pools, "alive_nodes", lambda: [{"CPU": cores} for cores in made.cores])
    monkeypatch.setattr(pools, "start", made.start)
    return made


def pool_of(nodes: Nodes, **options: Any) -> Pool:
    return Pool(ClusterOptions(share=Share(cpus=1), **options), clock=lambda: nodes.now)


def taken(pool: Pool, place: object) -> Seat:
    """A maker that is asked for, and there when it is looked for again."""
    return pool.take(place) or pool.take(place) or pytest.fail("there is no maker")


def test_who_is_first_in_line_is_served_first(nodes: Nodes) -> None:
    pool = pool_of(nodes)
    with pool.in_line() as first, pool.in_line() as second:
        assert pool.take(second) is None
        one, two = taken(pool, first), taken(pool, first)
        assert one is not two and pool.take(first) is None and pool.num_free() == -2
        pool.give_back(one)
        assert pool.take(second) is None
        pool.step_back(first)
        assert taken(pool, second) is one
        pool.step_up(first)
        pool.give_back(two)
        assert pool.take(first) is None, "it is behind the other now"
    assert pool.num_free() == 1


def test_a_maker_that_is_lost_makes_room_for_another(nodes: Nodes) -> None:
    pool = pool_of(nodes)
    with pool.in_line() as place:
        lost, kept = taken(pool, place), taken(pool, place)
        nodes.cores = [1.0]
        pool.lose(lost)
        assert nodes.ended == [lost.actor] and pool.capacity() == 1
        assert pool.take(place) is None is pool.take(place), "the node is gone too"
        nodes.cores, nodes.now = [1.0, 1.0], 10.0
        assert taken(pool, place) not in (lost, kept)


def test_a_cluster_without_nodes_is_told_at_once_though_a_maker_was_asked_for(nodes: Nodes) -> None:
    nodes.coming = [None]
    pool = pool_of(nodes)
    with pool.in_line() as place:
        assert pool.take(place) is None
        nodes.cores, nodes.now = [], 10.0
        with pytest.raises(RequestError, match=r"no node of the Ray cluster can hold a worker of 1 core"):
            pool.take(place)


def test_a_job_does_not_wait_for_ever_for_others(nodes: Nodes) -> None:
    nodes.coming = [None]
    pool = pool_of(nodes, most=1)
    with pool.in_line() as place:
        assert pool.take(place) is None
        nodes.now = pools.WAIT_S - 1
        assert pool.take(place) is None
        nodes.now = pools.WAIT_S
        with pytest.raises(RequestError, match="had no room for a worker of 1 core in 10 minutes"):
            pool.take(place)


def test_makers_that_never_come_up_are_told(nodes: Nodes) -> None:
    nodes.coming = [RayActorError()] * pools.MAX_STILLBORN
    pool = pool_of(nodes)
    with pool.in_line() as place, pytest.raises(RequestError, match="workers do not come up"):
        for _ in range(2 * pools.MAX_STILLBORN):
            pool.take(place)


def test_a_node_with_another_version_is_refused(nodes: Nodes) -> None:
    nodes.coming = [replace(HERE, version="0.0.1")]
    pool = pool_of(nodes)
    with pool.in_line() as place, pytest.raises(RequestError, match=r"node gpu1 has LayerFlow 0\.0\.1"):
        taken(pool, place)


def test_a_share_without_work_is_given_back(nodes: Nodes) -> None:
    pool = pool_of(nodes)
    with pool.in_line() as place:
        idle, busy = taken(pool, place), taken(pool, place)
        pool.give_back(idle)
    nodes.now = pools.KEEP_S - 1
    pool.tidy()
    assert not nodes.ended
    nodes.now = pools.KEEP_S
    pool.tidy()
    assert nodes.ended == [idle.actor] and busy.is_lent
