"""What an unfinished shot leaves beside its frames, so that it can go on after Ctrl-C, a crash or a power cut.

`.<name>.layerflow/` holds the request and the sampler's state after its last step. It is removed when the shot is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from layerflow.errors import OutputError
from layerflow.exr import read_header, verify_frame
from layerflow.files import FramePattern, atomic_path
from layerflow.sampler import SamplerState


@dataclass(frozen=True, kw_only=True)
class Journal:
    """The state folder of one shot. `record` is everything that decides the shot's pixels."""

    folder: Path
    record: Mapping[str, str]

    @classmethod
    def beside(cls, pattern: FramePattern, record: Mapping[str, str]) -> Journal:
        """The journal of the sequence `pattern`."""
        return cls(folder=pattern.folder / f".{pattern.stem}.layerflow", record=record)

    def open(self, *, resume: bool) -> None:
        """Starts anew, or takes up an unfinished shot. Raises OutputError when that one was another request."""
        file = self.folder / "request.json"
        if resume and file.is_file():
            left = json.loads(file.read_text(encoding="utf-8"))
            if differing := sorted(key for key in {*left, *self.record} if left.get(key) != self.record.get(key)):
                raise OutputError(
                    f"the unfinished shot in {self.folder.parent} was made with another {', '.join(differing)}; "
                    "repeat its options, or pass --overwrite to start anew"
                )
            return
        self.close()
        self.folder.mkdir(parents=True)
        with atomic_path(file) as part:
            part.write_text(json.dumps(dict(self.record), indent=1, sort_keys=True), encoding="utf-8")

    def save(self, window: int, state: SamplerState) -> None:
        """Keeps the state of window number `window`; an older one is replaced in one go."""
        with atomic_path(self._file(window)) as part:
            part.write_bytes(save(state.tensors()))

    def load(self, window: int) -> SamplerState | None:
        """The kept state of window number `window`, or None. A damaged one counts as none: the window starts again."""
        try:
            return SamplerState.from_tensors(load_file(self._file(window)))
        except (FileNotFoundError, SafetensorError):
            return None

    def drop(self, window: int) -> None:
        """Forgets the state of a window whose frames are written."""
        self._file(window).unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the journal: the shot is done, or starts anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has_written(self, path: Path) -> bool:
        """Whether `path` is a whole frame of this very shot, so that it need not be made again."""
        if not path.is_file() or not verify_frame(path):
            return False
        header = read_header(path)
        return all(header.get(key) == value for key, value in self.record.items())

    def _file(self, window: int) -> Path:
        return self.folder / f"window-{window:04d}.safetensors"
