"""Checkpoints of a training: written aside and renamed, the last few kept, the newest whole one found again."""

from __future__ import annotations

import contextlib
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from layerflow.errors import ModelError
from layerflow.files import atomic_path, make_folder
from layerflow.models.folder import reason_of

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{8})\.pt")
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError)


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Those of the training in `folder`."""

    folder: Path
    keep: int = 3
    warn: Callable[[str], None] = lambda sentence: None

    def write(self, step: int, state: Mapping[str, Any]) -> Path:
        """Writes the state after so many steps, and drops all but the last few. Raises OutputError."""
        path = self.folder / FOLDER / f"step-{step:08d}.pt"
        make_folder(path.parent)
        with atomic_path(path) as part:
            torch.save(dict(state), part)
        for old in self.found()[self.keep :]:
            with contextlib.suppress(OSError):
                old.unlink()
        return path

    def found(self) -> list[Path]:
        """All that are there under a final name, the newest first."""
        place = self.folder / FOLDER
        names = [path for path in place.glob("step-*.pt") if _NAME.fullmatch(path.name)] if place.is_dir() else []
        return sorted(names, reverse=True)

    def newest(self) -> dict[str, Any]:
        """The newest whole one; `warn` names each damaged one that is passed over. Raises ModelError without any."""
        damaged = []
        for path in self.found():
            try:
                return read_checkpoint(path)
            except ModelError as error:
                damaged.append(path)
                self.warn(f"{error}; going on from the one before")
        if damaged:
            raise ModelError(f"every checkpoint in {self.folder} is damaged; train anew, without --resume")
        raise ModelError(f"there is no checkpoint in {self.folder} to go on from; train without --resume")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What the checkpoint `path` holds, every byte of it checked. Raises ModelError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"{broken} has other bytes than were written")
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except _DAMAGE as error:
        raise ModelError(f"the checkpoint {path} is damaged ({reason_of(error)})") from error
    return state


def refuse_over(folder: Path) -> None:
    """Raises ModelError where a training has left checkpoints, which another one would mix with its own."""
    if found := Checkpoints(folder=folder).found():
        raise ModelError(f"{found[0].parent} holds a training already; give --resume to go on, or another -o")
