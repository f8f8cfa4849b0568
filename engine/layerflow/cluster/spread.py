"""Whole shots by the makers of a pool: a request in, frames on disk out, to the bits of one process.

Windows that know nothing of each other are sampled by whoever is free, and written in runs as soon as all of a run are
sampled. A shot whose windows go on from each other is one maker's. What a maker had in hand when it was lost goes to
another, from the states and frames that are there.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import ray
from ray.exceptions import RayError, RayTaskError

from layerflow.cluster.lending import Lending
from layerflow.cluster.orders import Begun, Copy, Order, Pictures, Told, Verb
from layerflow.cluster.pool import MakerLost, Pool, Seat
from layerflow.cluster.tally import Tally
from layerflow.denoisers import raise_if
from layerflow.edits import stages
from layerflow.errors import LayerFlowError
from layerflow.files import atomic_path
from layerflow.parts import finish, open_shot
from layerflow.seams import goes_on
from layerflow.shot import OnEvent, Shot
from layerflow.shots import ShotResult
from layerflow.wire import Event, Request
from layerflow.wire.whole_paths import Move

OnPictures = Callable[[Any], None]  # of what has `pictures()`, as a Glimpse does

POLL_S = 0.05  # after which a shot that has no maker looks for one
LOOK_S = 0.25  # after which a shot of which nothing is heard looks whether it is still wanted
STOP_S = 25.0  # the longest for makers to end their step
MAX_LOSSES = 3  # makers that one order may lose in a row
ORDERS_EACH = 4  # to sample, for each maker, where there are windows enough
RUN = 8  # windows that are written by one order: one more is decoded for each

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

    `on_glimpse` is told of pictures now and then, while `wants_glimpse` says so.

    Raises RequestError as well where no node can hold a maker, and LayerFlowError for what has lost several in a row.
    """
    results = []
    for number, stage in enumerate(stages(request)):
        started = time.monotonic()
        shot = Shot.prepare(stage, on_event, stopped, recorded=recorded)
        accept(shot)
        pool.check()
        open_shot(shot, overwrite=overwrite, resume=resume)
        with Lending(shot, pool.options.files) as lending:
            spread = _Spread.of(shot, pool, f"{job}-{number}", lending)
            spread.on_glimpse, spread.wants_glimpse = on_glimpse, wants_glimpse
            spread.go()
        results.append(replace(finish(shot), seconds=time.monotonic() - started))
    return replace(
        results[-1],
        seconds=sum(each.seconds for each in results),
        warnings=tuple(dict.fromkeys(chain.from_iterable(each.warnings for each in results))),
    )


@dataclass(frozen=True)
class _Task:
    verb: Verb
    windows: range


@dataclass(kw_only=True)
class _Hand:
    """A maker and what it has in hand."""

    seat: Seat
    task: _Task
    told: Any  # a generator of references


@dataclass(kw_only=True)
class _Spread:
    shot: Shot
    pool: Pool
    job: str
    lending: Lending
    tally: Tally
    waiting: deque[_Task] = field(default_factory=deque)
    on_glimpse: OnPictures | None = None
    wants_glimpse: Callable[[], bool] = lambda: False
    later: list[_Task] = field(default_factory=list)  # runs to be written once they are sampled
    sampled: set[int] = field(default_factory=set)
    losses: Counter[_Task] = field(default_factory=Counter)
    hands: list[_Hand] = field(default_factory=list)
    used: set[Seat] = field(default_factory=set)

    @classmethod
    def of(cls, shot: Shot, pool: Pool, job: str, lending: Lending) -> Self:
        """What is left to do of `shot`."""
        shot.resuming = True
        missing = [window.index for window in shot.windows if window.new and not shot.has_made(window)]
        made = [window.index for window in shot.windows if window.new and window.index not in missing]
        spread = cls(shot=shot, pool=pool, job=job, lending=lending, tally=Tally(shot, made))
        spread._plan(missing)
        return spread

    def _plan(self, missing: list[int]) -> None:
        """One order for all where it cannot be split, or there is nobody to share it with."""
        if not missing:
            return
        runs = list(_runs(missing))
        if goes_on(self.shot.layout) or self.pool.capacity() < 2 or len(missing) < 2:
            self.waiting.extend(_Task("write", run) for run in [range(missing[0], missing[-1] + 1)])
            return
        self.later = [_Task("write", run[at : at + RUN]) for run in runs for at in range(0, len(run), RUN)]
        needed = sorted({window for task in self.later for window in self._needed(task)})
        self.sampled = {index for index in needed if self.shot.is_sampled(self.shot.windows[index])}
        self.tally.sampled_all(self.sampled)
        unsampled = _runs(index for index in needed if index not in self.sampled)
        self.waiting.extend(_Task("sample", part) for run in unsampled for part in self._parted(run))
        self._begin_runs()

    def _parted(self, run: range) -> Iterator[range]:
        """The windows of one order each: of several where there are many, and of few so that all end about together."""
        size = min(max(len(run) // (ORDERS_EACH * self.pool.capacity()), 1), RUN)
        return (run[at : at + size] for at in range(0, len(run), size))

    def _needed(self, task: _Task) -> range:
        """The windows whose states a run is written from: its own, and the one that its first fades in from."""
        first = self.shot.windows[task.windows.start]
        return range(first.index - (1 if first.overlap else 0), task.windows.stop)

    def _begin_runs(self) -> None:
        """Puts runs whose windows are all sampled in front, so that frames come as early as they can."""
        ready = [task for task in self.later if self.sampled.issuperset(self._needed(task))]
        self.later = [task for task in self.later if task not in ready]
        self.waiting.extendleft(reversed(ready))

    def go(self) -> None:
        """Has everything made. Raises what a maker raised, and Interrupted once all have ended their step."""
        total = len(self.waiting)
        if total > 1:
            self.shot.say(Event("stage", f"spreading {total} windows over the cluster"))
        with self.pool.in_line() as place, self._ended():
            self.pool.ask_for(len(self.waiting))
            while self.waiting or self.hands or self.later:
                raise_if(self.shot.stopped)
                self._order(place)
                self._hear()

    def _order(self, place: object) -> None:
        """Gives what waits to makers that are free."""
        if not self.waiting:
            self.pool.step_back(place)
            return
        self.pool.step_up(place)
        while self.waiting and (seat := self.pool.take(place)):
            task = self.waiting.popleft()
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
        self.losses.pop(hand.task, None)
        if hand.task.verb == "sample":
            self.sampled.update(hand.task.windows)
            self.tally.sampled_all(hand.task.windows)
            self._begin_runs()

    def _again(self, task: _Task, error: Exception) -> None:
        """Has another maker do what one was lost with."""
        self.losses[task] += 1
        if self.losses[task] >= MAX_LOSSES:
            numbers = f"{task.windows.start + 1}-{task.windows.stop}"
            raise LayerFlowError(
                f"windows {numbers} lost {MAX_LOSSES} workers of the cluster in a row; look at the logs of its nodes, "
                "then retry the job"
            ) from error
        self.waiting.appendleft(task)

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
            self.pool.give_back(hand.seat)


def _runs(numbers: Iterable[int]) -> Iterator[range]:
    """The numbers, which are in order, as runs without a gap."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield range(first, last + 1)
            first = number
        last = number
    if first is not None and last is not None:
        yield range(first, last + 1)


def _own_error(error: RayTaskError) -> BaseException:
    """What was raised on the other machine."""
    return error.cause if isinstance(error.cause, LayerFlowError) else error
