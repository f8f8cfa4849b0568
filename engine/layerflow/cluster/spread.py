"""Whole shots by the makers of a pool: a request in, frames on disk out, to the bits of one process.

Windows that know nothing of each other are sampled by whoever is free, and written in runs as soon as all of a run are
sampled. A shot whose windows go on from each other is one maker's. What a maker had in hand when it was lost goes to
another, from the states and frames that are there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from layerflow.cluster.lending import Lending
from layerflow.cluster.orders import Begun, Copy, Order, Pictures, Told
from layerflow.cluster.pool import MakerLost, Pool, Seat
from layerflow.cluster.tally import Tally
from layerflow.cluster.tasks import Task, Tasks
from layerflow.denoisers import raise_if
from layerflow.edits import stages
from layerflow.errors import LayerFlowError
from layerflow.files import atomic_path
from layerflow.parts import finish, open_shot
from layerflow.shot import OnEvent, Shot
from layerflow.shots import ShotResult, and_last, as_one
from layerflow.wire import Event, Request
from layerflow.wire.whole_paths import Move

OnPictures = Callable[[Any], None]  # of what has `pictures()`, as a Glimpse does

POLL_S = 0.05  # after which a shot that has no maker looks for one
LOOK_S = 0.25  # after which a shot of which nothing is heard looks whether it is still wanted
STOP_S = 25.0  # the longest for makers to end their step

logger = logging.getLogger("layerflow.server")


def render(
    request: Request,
    pool: Pool,
    *,
    job: str,
    overwrite: bool = False,
    resume: bool = False,
    on_event: OnEvent = lambda event: None,
    on_glimpse: OnPictures | None = None,
    wants_glimpse: Callable[[], bool] = lambda: False,
    accept: Callable[[Shot], None] = lambda shot: None,
    stopped: Callable[[], bool] = lambda: False,
    recorded: Move = str,
) -> ShotResult:
    """As `shots.render`, by the makers of `pool`; `job` is a name that no other shot has meanwhile.

    `on_glimpse` is told of pictures now and then, while `wants_glimpse` says so. Raises RequestError as well where no
    node can hold a maker, and LayerFlowError for what has lost several in a row.
    """
    *before, last = stages(request)
    accepts = [and_last(accept, last, may_exist=overwrite or resume)] * len(before) + [accept]
    results = []
    for number, (stage, accept_stage) in enumerate(zip((*before, last), accepts, strict=True)):
        started = time.monotonic()
        shot = Shot.prepare(stage, on_event, stopped, recorded=recorded)
        accept_stage(shot)
        pool.check()
        open_shot(shot, overwrite=overwrite, resume=resume)
        with Lending(shot, pool.options.files) as lending:
            spread = _Spread(shot=shot, pool=pool, job=f"{job}-{number}", lending=lending)
            spread.on_glimpse, spread.wants_glimpse = on_glimpse, wants_glimpse
            spread.go()
        results.append(replace(finish(shot), seconds=time.monotonic() - started))
    return as_one(results)


@dataclass(kw_only=True)
class _Hand:
    """A maker and what it has in hand."""

    seat: Seat
    task: Task
    told: Any  # a generator of references


@dataclass(kw_only=True)
class _Spread:
    shot: Shot
    pool: Pool
    job: str
    lending: Lending
    on_glimpse: OnPictures | None = None
    wants_glimpse: Callable[[], bool] = lambda: False
    hands: list[_Hand] = field(default_factory=list)
    used: set[Seat] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tasks = Tasks(self.shot, self.pool.capacity())
        self.tally = Tally(self.shot, self.tasks.made)
        self.tally.sampled_all(self.tasks.sampled)

    def go(self) -> None:
        """Has everything made. Raises what a maker raised, and Interrupted once all have ended their step."""
        if len(self.tasks) > 1:
            self.shot.say(Event("stage", f"spreading {len(self.shot.windows)} windows over the cluster"))
        with self.pool.in_line() as place, self._ended():
            self.pool.ask_for(len(self.tasks))
            while self.tasks or self.hands:
                raise_if(self.shot.stopped)
                self._order(place)
                self._hear()

    def _order(self, place: object) -> None:
        """Gives what waits to makers that are free."""
        if not self.tasks:
            self.pool.step_back(place)
            return
        self.pool.step_up(place)
        while self.tasks and (seat := self.pool.take(place)):
            task = self.tasks.next()
            try:
                files = self.lending.files_for(seat, self.job, task.windows)
            except MakerLost as error:
                self.pool.lose(seat)
                self._again(task, error)
                continue
            order = Order(
                job=self.job,
                verb=task.verb,
                request=self.shot.request,
                windows=task.windows,
                recorded=self.shot.recorded,
                files=files,
            )
            told = seat.actor.carry_out.options(num_returns="streaming").remote(order, seat.orders)
            self.used.add(seat)
            self.hands.append(_Hand(seat=seat, task=task, told=told))

    def _hear(self) -> None:
        """Takes what makers have told, and waits a moment where there is nothing."""
        if not self.hands:
            time.sleep(POLL_S)
            return
        self._look()
        ready, _ = ray.wait([hand.told for hand in self.hands], timeout=LOOK_S, fetch_local=False)
        for hand in [hand for hand in self.hands if any(hand.told is each for each in ready)]:
            try:
                told = next(hand.told, None)
                if told is None:
                    self._done(hand)
                else:
                    self._take(hand, ray.get(told))
            except RayTaskError as error:
                self.hands.remove(hand)
                self.pool.give_back(hand.seat)
                raise _own_error(error) from error
            except RayError as error:
                self.hands.remove(hand)
                self.pool.lose(hand.seat)
                self._again(hand.task, error)

    def _take(self, hand: _Hand, told: Told) -> None:
        if isinstance(told, Event):
            self.tally.event(hand.task.windows, told)
        elif isinstance(told, Copy):
            with atomic_path(Path(told.path)) as part:
                part.write_bytes(told.content)
        elif isinstance(told, Begun):
            self.lending.begun(told)
        elif isinstance(told, Pictures) and self.on_glimpse is not None:
            self.on_glimpse(told)

    def _done(self, hand: _Hand) -> None:
        self.hands.remove(hand)
        self.pool.give_back(hand.seat)
        self.tasks.done(hand.task)
        if hand.task.verb == "sample":
            self.tally.sampled_all(hand.task.windows)

    def _again(self, task: Task, error: Exception) -> None:
        """Has another maker do what one was lost with."""
        logger.warning("a worker was lost with %s to %s: %s", task, task.verb, str(error).splitlines()[0])
        self.tasks.again(task)

    def _look(self) -> None:
        """Has the maker with the first windows tell how they look, while somebody looks."""
        if self.on_glimpse is not None and self.wants_glimpse():
            min(self.hands, key=lambda hand: hand.task.windows.start).seat.actor.look.remote()

    @contextmanager
    def _ended(self) -> Iterator[None]:
        """After it no maker has anything of this shot in hand: they end their step, and what they made is kept."""
        try:
            yield
        except BaseException:
            self._stop()
            raise
        finally:
            for seat in self.used:
                seat.actor.rest.remote()

    def _stop(self) -> None:
        for hand in self.hands:
            hand.seat.actor.stop.remote(hand.seat.orders)
        until = time.monotonic() + STOP_S
        while self.hands:
            hand = self.hands.pop()
            try:
                for told in hand.told:
                    self._take(hand, ray.get(told, timeout=max(0.0, until - time.monotonic())))
            except RayTaskError as error:
                logger.info("a worker ended its order: %s", error.cause)
            except RayError:
                self.pool.lose(hand.seat)
                continue
            except LayerFlowError as error:  # what it tells can be kept no more than what has stopped the shot
                logger.warning("%s", error)
                self.pool.lose(hand.seat)
                continue
            self.pool.give_back(hand.seat)


def _own_error(error: RayTaskError) -> BaseException:
    """What was raised on the other machine."""
    return error.cause if isinstance(error.cause, LayerFlowError) else error
