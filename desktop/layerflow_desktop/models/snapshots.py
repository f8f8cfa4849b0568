"""Projects as they were a moment ago, one file for each running app: what is left of an app that was killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from layerflow_desktop.models.document import Document
from layerflow_desktop.models.files import studio_folder, write_whole
from layerflow_desktop.models.project_file import VERSION, ProjectError

_NAME = re.compile(r"(\d{1,10})-(\d{1,16})\.json")
_SAME_S = 5.0  # what a clock that is set right may move a process's start by


@dataclass(frozen=True)
class Owner:
    """A process: its number, and when it got it. The name of its snapshot says both."""

    pid: int
    born_at_ms: int  # since 1970

    @classmethod
    def this(cls) -> Owner:
        """The process that asks."""
        return cls(os.getpid(), int(psutil.Process().create_time() * 1000))

    @property
    def file_name(self) -> str:
        """What its snapshot is called."""
        return f"{self.pid}-{self.born_at_ms}.json"

    def is_alive(self) -> bool:
        """Whether it still runs; another process may have its number since."""
        try:
            process = psutil.Process(self.pid)
            is_it = abs(process.create_time() - self.born_at_ms / 1000) < _SAME_S
            return bool(is_it and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # someone's: better to leave it alone
            return True


@dataclass(frozen=True)
class Snapshot:
    """A project that was not saved."""

    path: Path
    project: str  # its file; empty where it has none yet
    document: Document
    at_s: float  # since 1970


def recovery_folder() -> Path:
    """Where snapshots are."""
    return studio_folder() / "recovery"


def write_snapshot(folder: Path, owner: Owner, project: str, document: Document) -> None:
    """Puts the project in the place of the owner's last snapshot. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {"version": VERSION, "pid": owner.pid, "project": project, "document": document.model_dump(mode="json")}
    write_whole(folder / owner.file_name, json.dumps(values, ensure_ascii=False))


def remove_snapshot(folder: Path, owner: Owner) -> None:
    """Leaves nothing of the owner to recover. Raises OSError."""
    (folder / owner.file_name).unlink(missing_ok=True)


def left_behind(folder: Path) -> tuple[Snapshot, ...]:
    """Snapshots of apps that are gone, and newer than the project's file; the latest first."""
    found = [_read(path) for path in _of_the_dead(folder)]
    worth = [snapshot for snapshot in found if snapshot is not None and _is_newer(snapshot)]
    return tuple(sorted(worth, key=lambda snapshot: snapshot.at_s, reverse=True))


def take_over(snapshot: Snapshot, owner: Owner) -> Document:
    """The project of a snapshot, which becomes the owner's own, for it alone. Raises ProjectError."""
    try:
        snapshot.path.replace(snapshot.path.with_name(owner.file_name))  # of two apps that try, one succeeds
    except OSError as error:
        raise ProjectError("the project is no longer there to recover; another window may have taken it") from error
    return snapshot.document


def discard(snapshot: Snapshot) -> None:
    """Leaves it unrecovered, for good. Raises OSError."""
    snapshot.path.unlink(missing_ok=True)


def _of_the_dead(folder: Path) -> list[Path]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:  # nothing was ever written
        return []
    matches = [match for match in map(_NAME.fullmatch, names) if match]
    return [folder / match[0] for match in matches if not Owner(int(match[1]), int(match[2])).is_alive()]


def _read(path: Path) -> Snapshot | None:
    """None for a file that says nothing, or is of a newer version."""
    try:
        at_s = path.stat().st_mtime
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if values["version"] != VERSION:
            return None
        return Snapshot(path, str(values["project"]), Document.model_validate(values["document"]), at_s)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError):
        return None


def _is_newer(snapshot: Snapshot) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return not snapshot.project or Path(snapshot.project).stat().st_mtime < snapshot.at_s
    return True  # the project's file is gone: this is all there is
