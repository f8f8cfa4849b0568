"""A user's space: a folder of files under names that mean the same on every machine, and nothing outside it.

A name is a path from the space on, `posix-ws7/shots/dog/plate.1001.exr`: the machine that the file is of, and its path
there.
Requests and answers write it behind `space:`, so that no client learns where the server keeps anything.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from layerflow.errors import RequestError
from layerflow.files import refused_as
from layerflow.server.errors import FileNotThereError, OutsideError
from layerflow.server.roots import Roots
from layerflow.wire import Request, checks
from layerflow.wire.space_names import SPACE, local_path
from layerflow.wire.whole_paths import with_moved_paths

MAX_NAME = 2000  # bytes
MAX_PART = 200  # bytes; what is kept beside a file while it comes has a longer name

_MACHINE = re.compile("(?:posix|windows)-[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Space:
    """The files of a user, in `folder`, which is whole and resolved."""

    owner: str
    folder: Path
    limit_bytes: int = 0  # of all files
    limit_jobs: int = 0  # that may wait

    @classmethod
    def below(cls, spaces: Path, owner: str, **limits: int) -> Space:
        """That of `owner`, where all spaces are in one folder."""
        return cls(owner, (spaces / owner).resolve(), **limits)

    @property
    def roots(self) -> Roots:
        """Where the user's jobs may read and write."""
        return Roots(folders=(self.folder,))

    def path_of(self, name: str) -> Path:
        """The file of that name, which need not be there. RequestError; OutsideError where links lead out."""
        with refused_as(RequestError):
            check_file_name(name)
        path = self.folder / name
        try:
            self.roots.confine("the file", str(path))
        except OutsideError as error:
            raise OutsideError(f"{name} leads out of your space; use another name", name, ()) from error
        return path

    def name_of(self, path: str) -> str:
        """The name of a file of the space. Raises FileNotThereError for any other."""
        if not Path(path).is_relative_to(self.folder):
            raise FileNotThereError(f"{Path(path).name} is in no space that this server has now; make it again")
        return Path(path).relative_to(self.folder).as_posix()

    def recorded(self, path: str) -> str:
        """What the machine that a path of the space is of calls it, for headers that are read there."""
        return local_path(self.name_of(path))

    def placed(self, request: Request) -> Request:
        """The request with the paths that its `space:` names stand for. Raises RequestError and OutsideError."""
        return with_moved_paths(request, self._place)

    def told(self, value: Any) -> Any:
        """What was written down of jobs, with names in place of the space's paths."""
        if isinstance(value, str):
            return self._paths.sub(SPACE, value) if os.sep == "/" else self._told_by_parts(value)
        if isinstance(value, Mapping):
            return {name: self.told(each) for name, each in value.items()}
        return [self.told(each) for each in value] if isinstance(value, list | tuple) else value

    def _place(self, path: str) -> str:
        if not path.startswith(SPACE):
            raise OutsideError(
                f"{path} is no file of your space; upload it, then call it {SPACE} and its name there", path, ()
            )
        return str(self.path_of(path.removeprefix(SPACE)))

    def _told_by_parts(self, text: str) -> str:
        """As on a system whose paths have backslashes; they end at a quote, a comma or a blank."""
        return re.sub(f"{self._paths.pattern}([^\\s\"',;]*)", lambda found: SPACE + found[1].replace(os.sep, "/"), text)

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        end = re.escape(os.sep)
        return re.compile(f"{re.escape(str(self.folder))}(?:{end}|(?![A-Za-z0-9_-]))")


def check_file_name(name: str) -> None:
    """Raises ValueError unless `name` is that of a file or folder of a space."""
    checks.check_printable("the name", name)
    if len(name.encode()) > MAX_NAME:
        raise ValueError(f"the name has more than {MAX_NAME} bytes; choose a shorter path")
    if not unicodedata.is_normalized("NFC", name):
        raise ValueError(f"the name {name!r} is not in Unicode's form NFC; compose its letters")
    machine, *parts = name.split("/")
    if not _MACHINE.fullmatch(machine):
        raise ValueError(f"the name {name[:100]!r} begins with no machine; write one like posix-ws7/shots/a.exr")
    for part in parts:
        if part in ("", ".", "..") or "\\" in part or len(part.encode()) > MAX_PART:
            raise ValueError(f"the name has the part {part[:100]!r}, which is none of a plain path; rename it")
        if part.startswith(".") and part.endswith(".part"):
            raise ValueError(f"the name has the part {part!r}, as files have that are still coming; rename it")
