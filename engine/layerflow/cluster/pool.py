"""The makers of a server: as many as there is work for and the nodes can hold, and none when there is no work.

Where each is, is Ray's own choice. A maker that is gone is forgotten; another is asked for as long as there is work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from layerflow.cluster.actor import start
from layerflow.cluster.joining import alive_nodes, join
from layerflow.cluster.maker import About
from layerflow.cluster.share import ClusterOptions, no_room, room_for, share_of, usual_share
from layerflow.errors import LayerFlowError, RequestError
from layerflow.versions import version_of

LOOK_EVERY_S = 2.0  # at the nodes
KEEP_S = 300.0  # a maker that has nothing to do
WAIT_S = 600.0  # for a first maker, where others have the cluster or it has to grow
MAX_STILLBORN = 3  # makers in a row that never came up
ASK_S = 60.0  # the longest for a maker that is there to answer a short question

logger = logging.getLogger("layerflow.server")


class MakerLost(LayerFlowError):  # noqa: N818 - a loss, as ProcessLost
    """A maker is gone, with its node or alone."""


@dataclass(eq=False, kw_only=True)
class Seat:
    """A maker as the pool knows it."""

    actor: Any
    coming: Any  # what it says of itself, once it is there
    about: About | None = None
    is_lent: bool = False
    since: float = 0.0  # it was asked for, or last given back
    shares: dict[str, bool] = field(default_factory=dict)  # by job, whether it sees its folders
    orders: int = 0  # how many it had

    def asked(self, question: Any) -> Any:
        """The answer to a short question. Raises MakerLost."""
        try:
            return ray.get(question, timeout=ASK_S)
        except GetTimeoutError as error:
            raise MakerLost("a worker does not answer any more") from error
        except RayTaskError:
            raise
        except RayError as error:
            raise MakerLost("a worker is gone") from error


class Pool:
    """Lends makers to the shots in line, to those in front first. Raises RequestError where there is no cluster."""

    def __init__(self, options: ClusterOptions, clock: Callable[[], float] = time.monotonic) -> None:
        join(options.address)
        self._options, self._clock = options, clock
        self._lock = threading.RLock()
        self._seats: list[Seat] = []
        self._line: list[object] = []
        self._nodes: list[Mapping[str, float]] = []
        self._looked_at, self._stillborn = float("-inf"), 0
        self.share = options.share or usual_share(self.nodes())

    @property
    def options(self) -> ClusterOptions:
        """How the cluster is used."""
        return self._options

    def nodes(self) -> list[Mapping[str, float]]:
        """The resources of each node that is alive."""
        with self._lock:
            if self._clock() - self._looked_at >= LOOK_EVERY_S:
                self._nodes = alive_nodes()
                self._looked_at = self._clock()
            return self._nodes

    def capacity(self) -> int:
        """How many makers there could be now."""
        return self._options.most or room_for(self.share, self.nodes())

    def check(self) -> None:
        """Raises RequestError where no node can hold a maker, and none can be added."""
        share_of(replace(self._options, share=self.share), self.nodes())

    def num_free(self) -> int:
        """How many more shots could begin: each needs one maker at least."""
        with self._lock:
            return self.capacity() - sum(seat.is_lent for seat in self._seats) - len(self._line)

    @contextmanager
    def in_line(self) -> Iterator[object]:
        """Within it, a shot has a place in the line, which it shows to `take`."""
        place = object()
        with self._lock:
            self._line.append(place)
        try:
            yield place
        finally:
            self.step_back(place)

    def step_back(self, place: object) -> None:
        """Lets those behind go first, for a shot that has nothing to order just now; `step_up` undoes it."""
        with self._lock:
            if place in self._line:
                self._line.remove(place)

    def step_up(self, place: object) -> None:
        """Puts a shot that stepped back to the end of the line."""
        with self._lock:
            if place not in self._line:
                self._line.append(place)

    def ask_for(self, count: int) -> None:
        """Asks for so many makers beforehand, as far as the nodes can hold them."""
        with self._lock:
            while len(self._seats) < min(count, self.capacity()):
                self._seats.append(self._new())

    def take(self, place: object) -> Seat | None:
        """A maker for the shot that is first in line; None while there is none for it.

        Raises RequestError where there never will be one.
        """
        with self._lock:
            if self._line and self._line[0] is not place:
                return None
            self._welcome()
            seat = next((each for each in self._seats if each.about and not each.is_lent), None)
            if seat is None:
                self._ask_for_one()
                return None
            seat.is_lent, seat.orders = True, seat.orders + 1
            return seat

    def give_back(self, seat: Seat) -> None:
        """Takes back a maker that has done its work."""
        with self._lock:
            seat.is_lent, seat.since = False, self._clock()

    def lose(self, seat: Seat) -> None:
        """Forgets a maker that is gone, or is no good any more."""
        with self._lock:
            if seat in self._seats:
                self._seats.remove(seat)
            self._looked_at = float("-inf")
        ray.kill(seat.actor)

    def tidy(self) -> None:
        """Has makers that had nothing to do for long give their share back, and their models with it."""
        with self._lock:
            idle = [seat for seat in self._seats if seat.about and not seat.is_lent]
            for seat in idle:
                if self._clock() - seat.since >= KEEP_S:
                    self._seats.remove(seat)
                    seat.actor.__ray_terminate__.remote()

    def _ask_for_one(self) -> None:
        if not self.capacity():
            raise no_room(self.share, self.nodes())
        coming = [seat for seat in self._seats if not seat.about]
        if coming:
            self._check_patience(coming[0])
        if len(coming) < max(len(self._line), 1) and len(self._seats) < self.capacity():
            self._seats.append(self._new())

    def _check_patience(self, seat: Seat) -> None:
        if self._clock() - seat.since < WAIT_S or any(each.about for each in self._seats):
            return
        self.lose(seat)
        raise RequestError(
            f"the Ray cluster had no room for a worker of {self.share} in {WAIT_S / 60:g} minutes; ray status says who "
            "has it, then retry the job"
        )

    def _new(self) -> Seat:
        actor = start(self.share)
        return Seat(actor=actor, coming=actor.about.remote(), since=self._clock())

    def _welcome(self) -> None:
        """Takes notice of makers that have come up since, or never will."""
        for seat in [each for each in self._seats if not each.about]:
            ready, _ = ray.wait([seat.coming], timeout=0)
            if not ready:
                continue
            try:
                about = ray.get(seat.coming)
            except RayError as error:
                self._bury(seat, error)
                continue
            if about.version != version_of("layerflow"):
                self.lose(seat)
                raise RequestError(
                    f"node {about.host} has LayerFlow {about.version} and this server {version_of('layerflow')}; "
                    "install the same version on every node"
                )
            seat.about, seat.since, self._stillborn = about, self._clock(), 0
            logger.info("worker %d on %s of the cluster is ready", about.process, about.host)

    def _bury(self, seat: Seat, error: RayError) -> None:
        self.lose(seat)
        self._stillborn += 1
        logger.warning("a worker of the cluster did not come up: %s", str(error).strip().splitlines()[-1:])
        if self._stillborn >= MAX_STILLBORN:
            self._stillborn = 0
            raise RequestError(
                "workers do not come up on the Ray cluster; install the same LayerFlow with its extra cluster on every "
                "node, and look at the worker's log"
            ) from error
