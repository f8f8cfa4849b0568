"""The process of one share of a node: it keeps the model that it loaded, and makes what it is ordered to.

A Ray actor, and for its tests a plain object. Its methods are called by several threads, but one order is carried out
at a time.
"""

from __future__ import annotations

import atexit
import gc
import math
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

from layerflow.cluster.mirror import Mirror, stamp_of
from layerflow.cluster.orders import Begun, Copy, Files, Order, Pictures, Told
from layerflow.glimpse import Glimpse
from layerflow.models.engines import Engines
from layerflow.parts import open_shot, sample_part, write_part
from layerflow.shot import Shot
from layerflow.versions import version_of
from layerflow.wire import Event

LOOKS_S = 5.0  # after somebody asked for pictures
PICTURE_EVERY_S = 1.0
PICTURE_SHARE = 0.05  # of the time, at most
SCRATCH = "layerflow-maker-"  # and the number of the process


@dataclass(frozen=True, kw_only=True)
class About:
    """Who a maker is."""

    node: str  # Ray's id of it
    host: str
    process: int
    version: str  # of LayerFlow


class Maker:
    """Makes one order after another. `fetch` gets the bytes of a parcel."""

    def __init__(self, node: str, fetch: Callable[[Any], bytes]) -> None:
        self._node, self._fetch = node, fetch
        self._engines = Engines(keep_s=math.inf)  # as long as it is there itself
        self._stopped = -1  # the number of an order
        self._looked_at = self._pictured_until = float("-inf")
        self._scratch = Path(tempfile.gettempdir()) / f"{SCRATCH}{os.getpid()}"
        _sweep(self._scratch.parent)
        atexit.register(self.leave)

    def about(self) -> About:
        """Who it is, once it is there."""
        return About(node=self._node, host=platform.node(), process=os.getpid(), version=version_of("layerflow"))

    def sees(self, mark: str, text: str, files: Mapping[str, tuple[int, int]]) -> bool:
        """Whether the file `mark` is here with that text, and every one of `files` with its size and time."""
        try:
            return Path(mark).read_text(encoding="utf-8") == text and all(
                stamp_of(Path(path)) == tuple(stamp) for path, stamp in files.items()
            )
        except OSError:
            return False

    def carry_out(self, order: Order, number: int) -> Iterator[Told]:
        """What is to be told of an order while it is carried out. Raises as `parts` does."""
        told: SimpleQueue[Told | _End] = SimpleQueue()
        work = threading.Thread(target=self._work, args=(order, number, told.put), name="order", daemon=True)
        work.start()
        while not isinstance(each := told.get(), _End):
            yield each
        work.join()
        if each.error is not None:
            raise each.error

    def stop(self, number: int) -> None:
        """Has the order with that number end at its next step."""
        self._stopped = number

    def look(self) -> None:
        """Has the order at hand tell how its layers look, for some seconds."""
        self._looked_at = time.monotonic()

    def rest(self) -> None:
        """Gives back what a job has left behind; to be called after it."""
        gc.collect()  # a model's hooks and modules refer to each other in circles

    def leave(self) -> None:
        """Removes what it has written of shots whose folders are not shared."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _work(self, order: Order, number: int, tell: Callable[[Told | _End], None]) -> None:
        error: BaseException | None = None
        try:
            self._make(order, lambda: self._stopped == number, tell)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where the order came from
            error = raised
        tell(_End(error))

    def _make(self, order: Order, stopped: Callable[[], bool], tell: Callable[[Told], None]) -> None:
        carrier = Shared() if order.files is None else Carrier(self._mirror(order, order.files), tell)
        shot = carrier.prepare(order, stopped)
        shot.on_glimpse = lambda glimpse: self._show(glimpse, tell)

        def on_event(event: Event) -> None:
            carrier.before(shot, event)
            tell(carrier.event(event))

        if order.verb == "sample":
            sample_part(shot, order.windows, on_event, self._engines)
        else:
            write_part(shot, order.windows, on_event, self._engines)
        carrier.after(shot, order)

    def _mirror(self, order: Order, files: Files) -> Mirror:
        mirror = Mirror(self._scratch / order.job)
        for other in self._scratch.glob("*"):
            if other != mirror.root:
                shutil.rmtree(other, ignore_errors=True)
        for path, parcel in mirror.missing(files.parcels).items():
            mirror.put(path, self._fetch(parcel.content), parcel.modified_ns)
        return mirror

    def _show(self, glimpse: Glimpse, tell: Callable[[Told], None]) -> None:
        began = time.monotonic()
        if began < self._pictured_until or began - self._looked_at > LOOKS_S:
            return
        tell(Pictures(layers=glimpse.pictures()))
        took = time.monotonic() - began
        self._pictured_until = began + max(PICTURE_EVERY_S, took / PICTURE_SHARE)


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class Shared:
    """How a shot is reached whose folders this node shares."""

    def prepare(self, order: Order, stopped: Callable[[], bool]) -> Shot:
        """The checked shot, whose journal is open."""
        return Shot.prepare(order.request, lambda event: None, stopped, recorded=order.recorded)

    def before(self, shot: Shot, event: Event) -> None:
        """To be called before an event is told."""

    def event(self, event: Event) -> Event:
        """The event as it is to be told."""
        return event

    def after(self, shot: Shot, order: Order) -> None:
        """To be called when the order is carried out."""


class Carrier(Shared):
    """How a shot is reached whose folders this node does not share: by copies, and what is made of them is told."""

    def __init__(self, mirror: Mirror, tell: Callable[[Told], None]) -> None:
        self._mirror, self._tell = mirror, tell
        self._begun: Begun | None = None

    def prepare(self, order: Order, stopped: Callable[[], bool]) -> Shot:
        """The checked shot among the copies, its journal as the order has it."""
        assert order.files is not None
        origin, recorded = self._mirror.origin, order.recorded
        request = self._mirror.moved(order.request)
        shot = Shot.prepare(request, lambda event: None, stopped, recorded=lambda path: recorded(origin(path)))
        shot.journal.begin(memory=order.files.memory, backend=order.files.backend)  # or the states count for nothing
        open_shot(shot, overwrite=False, resume=True)
        self._begun = Begun(memory=shot.journal.memory(), backend=shot.journal.backend())
        return shot

    def before(self, shot: Shot, event: Event) -> None:
        """Tells of the frames that an event says are written, and of the state that another node could go on from."""
        if event.kind != "frame":
            return
        self._tell_begun(shot)
        last = shot.frames[event.done - 1]
        window = next(each for each in shot.windows if last in each.new)
        self._copy(path for frame in window.new for path in shot.delivery.files_of(frame))
        self._copy(shot.journal.states(window.index))

    def event(self, event: Event) -> Event:
        """By the paths that the copies are of."""
        if event.kind != "frame":
            return event
        return Event(event.kind, self._mirror.origin(event.message), done=event.done, total=event.total)

    def after(self, shot: Shot, order: Order) -> None:
        """Tells of the states that were made."""
        self._tell_begun(shot)
        if order.verb == "sample":
            for window in order.windows:
                self._copy(shot.journal.states(window))

    def _copy(self, paths: Any) -> None:
        for path in paths:
            self._tell(Copy(path=self._mirror.origin(str(path)), content=path.read_bytes()))

    def _tell_begun(self, shot: Shot) -> None:
        begun = Begun(memory=shot.journal.memory(), backend=shot.journal.backend())
        if begun != self._begun:
            self._begun = begun
            self._tell(begun)


def _sweep(folder: Path) -> None:
    """Removes what makers left that are gone."""
    for left in folder.glob(f"{SCRATCH}*"):
        number = left.name.removeprefix(SCRATCH)
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
