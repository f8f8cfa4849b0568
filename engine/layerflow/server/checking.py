"""Whether every frame of a job is whole on disk: read back before the job is done, while others are still made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from layerflow import exr
from layerflow.denoisers import raise_if
from layerflow.errors import OutputError
from layerflow.shot import Shot
from layerflow.shots import ShotResult
from layerflow.wire import Event

Stamp = tuple[int, int, int]  # of a file: its number, its size, and the time of its last change


class Checks:
    """The frames of one attempt. As a block: after it nothing is read any more.

    Frames are read back while later ones are still made, one at a time. What has changed since counts for nothing.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "checks")
        self._read: dict[Path, Future[Stamp | None]] = {}
        self._waiting: list[list[Path]] = []  # files of the frames of the shot at hand, first to last
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, shot: Shot) -> None:
        """Takes note of a shot that is about to be made."""
        self._waiting = [shot.delivery.files_of(frame) for frame in shot.frames]
        self._told = 0

    def event(self, event: Event) -> None:
        """Takes one event of the shot: the frames up to the one that it tells of are written."""
        if event.kind != "frame":
            return
        for files in self._waiting[self._told : event.done]:
            self._read.update((path, self._pool.submit(_stamp_of_whole, path)) for path in files)
        self._told = event.done

    def finish(self, result: ShotResult, stopped: Callable[[], bool]) -> None:
        """Reads back what was not. Raises OutputError for a frame that is not whole, and Interrupted."""
        for path in (*result.frames, *(path for paths in result.per_layer.values() for path in paths)):
            raise_if(stopped)
            read = self._read.get(path)
            stamp = read.result() if read is not None else None
            if stamp is not None and stamp == _stamp_of(path):
                continue
            if not exr.verify_frame(path):
                raise OutputError(f"{path} cannot be read back as it was written; check the disk, then retry the job")


def _stamp_of_whole(path: Path) -> Stamp | None:
    """The stamp of a frame that can be read; None for one that cannot, or not yet."""
    before = _stamp_of(path)
    return before if before is not None and exr.verify_frame(path) else None


def _stamp_of(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
