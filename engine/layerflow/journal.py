"""What an unfinished shot leaves beside its frames, so that it can go on after Ctrl-C, a crash or a power cut.

`.dog.layerflow/` beside `dog.%04d.exr` holds the request, size and time of every file of the plate, the memory plan
and backend, and the sampler's state after its last step. It is removed when the shot is done.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from layerflow.errors import OutputError, PlateError
from layerflow.exr import read_header, verify_frame
from layerflow.files import FramePattern, atomic_path, make_folder
from layerflow.models.plans import PLANS
from layerflow.sampler import SamplerState

PLATE_FILES, MEMORY, BACKEND = "plate_files", "memory", "backend"  # entries of request.json, no frame's record
ENVIRONMENT = "environment"  # of a state: what a part of a shot was made on

KEEP_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Journal:
    """The state folder of one shot. `record` is what the request and the model say of its pixels."""

    folder: Path
    record: Mapping[str, str]
    plate_files: Mapping[str, list[int]] = field(default_factory=dict)  # path -> size in bytes, time of change in ns
    owner: str = ""  # whose hand this is, where several processes write into the folder at the same time

    @classmethod
    def beside(cls, pattern: FramePattern, record: Mapping[str, str], plate_files: Iterable[Path] = ()) -> Journal:
        """The journal of the sequence `pattern`, made of a plate that these files hold as they are now."""
        stamps = {str(path.absolute()): _stamp(path) for path in plate_files}
        return cls(folder=cls.folder_of(pattern), record=record, plate_files=stamps)

    @staticmethod
    def folder_of(pattern: FramePattern) -> Path:
        """Where the journal of the sequence `pattern` lies."""
        return pattern.folder / f".{pattern.prefix or 'shot.'}layerflow"  # dog_%04d.exr beside it is another shot

    def open(self, *, resume: bool) -> bool:
        """Whether an unfinished shot was taken up; without `resume`, what was left of one is removed.

        Raises OutputError when the unfinished shot was another request, or of a plate that has changed since.
        Nothing is written before the first `save`.
        """
        if resume and self.is_there():
            return True
        self.close()
        return False

    def is_there(self) -> bool:
        """Whether this shot was begun and is not done. Raises OutputError as `open` does; nothing is removed."""
        left = self._left()
        if left is None:
            return False
        before = left.pop(PLATE_FILES, {})
        for entry in (MEMORY, BACKEND):
            left.pop(entry, None)
        if differing := _differences(left, self.record):
            raise OutputError(
                f"the unfinished shot in {self.folder.parent} was made with another {', '.join(differing)}; "
                "repeat its options, or pass --overwrite to start anew"
            )
        if changed := _changed(before, self.plate_files):
            raise OutputError(
                f"{changed} has changed since the shot in {self.folder.parent} was stopped; "
                "put the old file back, or pass --overwrite to start anew"
            )
        return True

    def begin(self, *, memory: str | None = None, backend: str = "") -> None:
        """Writes down what the shot is before anything is made of it here, and what it was begun under and with
        elsewhere. Raises OutputError.
        """
        make_folder(self.folder)
        if memory:
            self._write_down({MEMORY: memory, BACKEND: backend})
        elif self._left() is None:
            self._write_down({})

    def save(
        self,
        window: int,
        state: SamplerState,
        *,
        depth: int = 0,
        plans: Sequence[str],
        backend: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Keeps the state of window number `window`, of its foreground number `depth`; an older one is replaced in one
        go. Raises OutputError.

        `plans` are the memory plans that its steps were made under, in order; `backend` made the last one. A journal
        that has an owner keeps the `environment` as well.
        """
        make_folder(self.folder)
        if (self.memory(), self.backend()) != (plans[-1], backend):
            self._write_down({MEMORY: plans[-1], BACKEND: backend})
        metadata = {MEMORY: ",".join(plans)}
        if self.owner:
            metadata[ENVIRONMENT] = json.dumps(dict(environment or {}), sort_keys=True)
        with atomic_path(self._file(window, depth), owner=self.owner) as part:
            part.write_bytes(save(state.tensors(), metadata=metadata))

    def load(self, window: int, depth: int = 0) -> SamplerState | None:
        """The kept state of window number `window`, or None. A damaged one counts as none: the window starts again."""
        try:
            return SamplerState.from_tensors(load_file(self._file(window, depth)))
        except (OSError, SafetensorError, KeyError):
            return None

    def plans(self, window: int, depth: int = 0) -> tuple[str, ...]:
        """The memory plans that the kept steps of window number `window` were made under; none without a state."""
        metadata = self._metadata(window, depth)
        return () if metadata is None else tuple(metadata.get(MEMORY, "").split(","))

    def environment(self, window: int, depth: int = 0) -> dict[str, str]:
        """What a part of the shot said that it made the kept steps on; nothing of a state that no part made."""
        return dict(json.loads((self._metadata(window, depth) or {}).get(ENVIRONMENT, "{}")))

    def memory(self) -> str | None:
        """The memory plan that the last kept step was made under, or None."""
        memory = (self._left() or {}).get(MEMORY)
        return memory if memory in [plan.name for plan in PLANS] else None

    def backend(self) -> str:
        """The backend that made the last kept step; empty where none is kept."""
        return str((self._left() or {}).get(BACKEND, ""))

    def drop(self, window: int) -> None:
        """Forgets the state of a window whose frames are written, unless this is one of several hands."""
        if self.owner:
            return  # another part may start from it
        for path in self.states(window):
            path.unlink(missing_ok=True)

    def states(self, window: int) -> list[Path]:
        """The files that hold what is kept of window number `window`."""
        return sorted(self.folder.glob(f"{_name(window)}[-.]*"))

    def close(self) -> None:
        """Removes the journal: the shot is done, or starts anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has_written(self, path: Path) -> bool:
        """Whether `path` is a whole frame of this very shot, so that it need not be made again."""
        return path.is_file() and verify_frame(path) and self._made(path)

    def is_own(self, path: Path) -> bool:
        """Whether `path` was begun as a frame of this very shot, by its header alone; it need not be whole."""
        try:
            return path.is_file() and self._made(path)
        except PlateError:
            return False

    def is_foreign(self, path: Path) -> bool:
        """Whether `path` is a whole frame of something else, which going on with this shot would replace."""
        return path.is_file() and verify_frame(path) and not self._made(path)

    def _made(self, path: Path) -> bool:
        header = read_header(path)
        return all(header.get(key) == value for key, value in self.record.items())

    def _write_down(self, entries: Mapping[str, str]) -> None:
        with atomic_path(self._request, owner=self.owner) as part:
            values = {**self.record, PLATE_FILES: self.plate_files, **entries}
            part.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")

    def _metadata(self, window: int, depth: int) -> dict[str, str] | None:
        try:
            with safe_open(self._file(window, depth), framework="pt") as file:
                return dict(file.metadata() or {})
        except (OSError, SafetensorError):
            return None

    def _left(self) -> dict[str, Any] | None:
        """What request.json says of an unfinished shot; None when there is none, or it cannot be read."""
        try:
            left = json.loads(self._request.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return left if isinstance(left, dict) else None

    @property
    def _request(self) -> Path:
        return self.folder / "request.json"

    def _file(self, window: int, depth: int) -> Path:
        return self.folder / f"{_name(window)}{f'-{depth}' if depth else ''}.safetensors"


def _name(window: int) -> str:
    return f"window-{window:04d}"


@contextlib.contextmanager
def now_and_then(
    save: Callable[[SamplerState], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[SamplerState], None]]:
    """Yields what is to be called with every state: `save` gets the first, one a second, and the last however it ends.

    A step of a small model takes no longer than writing its state down for good.
    """
    saved_at, waiting = -math.inf, list[SamplerState]()

    def keep(state: SamplerState) -> None:
        nonlocal saved_at
        waiting[:] = [state]
        if clock() - saved_at >= KEEP_EVERY_S:
            save(waiting.pop())
            saved_at = clock()

    try:
        yield keep
    finally:
        for state in waiting:
            save(state)


def _stamp(path: Path) -> list[int]:
    """Size in bytes and time of the last change in ns."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _changed(before: object, now: Mapping[str, list[int]]) -> str | None:
    """The first file of a plate that is not as it was, or None."""
    before = before if isinstance(before, dict) else {}
    return next((path for path in (*now, *before) if before.get(path) != now.get(path)), None)


def _differences(left: Mapping[str, str], right: Mapping[str, str]) -> list[str]:
    """What two records disagree about, by name."""
    one, other = _lines(left), _lines(right)
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _lines(record: Mapping[str, str]) -> dict[str, object]:
    """The values of a record by name, those of its request one by one."""
    lines: dict[str, object] = {key.removeprefix("layerflow:"): value for key, value in record.items()}
    with contextlib.suppress(ValueError, TypeError):
        lines |= json.loads(str(lines.pop("request", "{}")))
    return lines
