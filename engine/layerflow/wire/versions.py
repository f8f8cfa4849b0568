"""Where a host's frames go, and which versions of them there are: paths as text.

A pattern is a path with one %04d or #### for the frame, as a Request takes it.
"""

from __future__ import annotations

import ntpath
import os
import re
from dataclasses import dataclass
from typing import Callable, Collection, Iterable, List, Optional, Tuple

from layerflow.wire.checks import find_frame_field

_VERSION = re.compile(r"(?<=[_./\\-])v([0-9]+)(?![0-9A-Za-z])")
_NOBODYS, _MARK = 918273645, "\0"
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Frames:
    """A sequence of frames on disk: the text around the frame number."""

    folder: str
    before: str
    after: str
    padding: int  # digits at least

    @classmethod
    def of(cls, pattern: str) -> "Frames":
        """The sequence that `pattern` names. ValueError unless it has one frame field, in the file name."""
        folder, name = os.path.split(pattern)
        start, end, padding = find_frame_field(folder, name)
        return cls(folder, name[:start], name[end:], padding)

    @property
    def stem(self) -> str:
        """The name without frame number, and without what stands before that."""
        return self.before.rstrip("._-")

    def path(self, frame: int) -> str:
        """The file of a frame."""
        return os.path.join(self.folder, f"{self.before}{frame:0{self.padding}d}{self.after}")

    def on_disk(self) -> List[int]:
        """Frame numbers of the files that are there and hold something, in order."""
        found = []
        for name in _names(self.folder):
            digits = name[len(self.before) : len(name) - len(self.after)]
            fits = name.startswith(self.before) and name.endswith(self.after) and digits.isascii() and digits.isdigit()
            if fits and self.path(int(digits)).endswith(name) and os.path.getsize(os.path.join(self.folder, name)):
                found.append(int(digits))
        return sorted(found)

    def missing(self, frames: Iterable[int]) -> Tuple[int, ...]:
        """Those of `frames` that are not there."""
        there = set(self.on_disk())
        return tuple(frame for frame in frames if frame not in there)


def version_of(pattern: str) -> Optional[int]:
    """The number behind the last "v" of a pattern like shot_v003.%04d.exr; None without one."""
    found = _VERSION.findall(pattern)
    return int(found[-1]) if found else None


def with_version(pattern: str) -> str:
    """The pattern, with _v001 before the frame number if it has no version yet. ValueError without a frame field."""
    if version_of(pattern) is not None:
        return pattern
    folder, name = os.path.split(pattern)
    start, _, _ = find_frame_field(folder, name)
    stem = name[:start].rstrip("._-")
    return os.path.join(folder, f"{stem}_v001{name[len(stem) : start] or '.'}{name[start:]}")


def at_version(pattern: str, version: int) -> str:
    """The pattern at another version: every number that equals its own, in folders too, as a version up does."""
    own = version_of(pattern)

    def changed(match: "re.Match[str]") -> str:
        digits = match.group(1)
        return f"v{version:0{len(digits)}d}" if int(digits) == own else match.group(0)

    return _VERSION.sub(changed, pattern)


@dataclass(frozen=True)
class Versions:
    """All versions of one output: a path with a marker wherever the version's number goes.

    The number is told apart from other numbers in the path, such as the version of the script that it lies beside, by
    working the path out with a number that nobody has.
    """

    marked: str
    padding: int = 3

    @classmethod
    def of(cls, text: str, worked_out: Callable[[str], str]) -> "Versions":
        """Those of the text of an output knob, which `worked_out` makes a path. ValueError where it is no pattern."""
        text = with_version(text)
        digits = _VERSION.findall(text)[-1]
        return cls(worked_out(at_version(text, _NOBODYS)).replace(f"v{_NOBODYS}", f"v{_MARK}"), len(digits))

    def pattern(self, version: int) -> str:
        """The frames of a version."""
        return self.marked.replace(_MARK, f"{version:0{self.padding}d}")

    def has(self, pattern: str) -> bool:
        """Whether these frames are one of the versions."""
        return re.fullmatch("[0-9]+".join(map(re.escape, self.marked.split(_MARK))), pattern) is not None

    def on_disk(self) -> List[int]:
        """Those of which there are frames, in order."""
        return [version for version in self._begun() if Frames.of(self.pattern(version)).on_disk()]

    def next(self) -> int:
        """The version after the highest that was begun; 1 where none was."""
        return max([0, *(version for version in self._begun() if _is_begun(self.pattern(version)))]) + 1

    def free(self, version: int, taken: Collection[str]) -> int:
        """The first version from `version` on whose frames are not among those that `taken` names."""
        while self.pattern(version) in taken:
            version += 1
        return version

    def inputs_folder(self) -> str:
        """The folder beside the frames for what is rendered for the engine, the same for every version."""
        folder, name = os.path.split(self.marked)
        stem = re.sub("[._-]*v" + _MARK + ".*", "", name) or "layerflow"
        while _MARK in folder:  # a folder for each version: inputs lie beside all of them
            folder = os.path.dirname(folder)
        return os.path.join(folder, f"{stem}_inputs")

    def _begun(self) -> List[int]:
        """Versions that the name of something on disk suggests."""
        folder, lead = os.path.split(self.marked[: self.marked.index(_MARK)])
        matches = (re.match(r"\.?" + re.escape(lead) + r"([0-9]{1,8})(?![0-9])", name) for name in _names(folder))
        return sorted({int(match.group(1)) for match in matches if match})


def _is_begun(pattern: str) -> bool:
    """Whether frames of this version are there, the engine's record of a shot that is being made, or a farm's job."""
    frames = Frames.of(pattern)
    record = os.path.join(frames.folder, f".{frames.stem}.layerflow")
    return bool(frames.on_disk()) or os.path.isdir(record) or os.path.isfile(shot_file(pattern))


def shot_file(pattern: str) -> str:
    """The file beside the frames that holds the request of a shot which a farm makes."""
    frames = Frames.of(pattern)
    return os.path.join(frames.folder, f"{frames.stem}.json")


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:  # not there yet
        return []


def check_here(path: str, windows: bool = os.name == "nt") -> None:
    """ValueError for a path of another operating system, or one that does not say where it begins."""
    if not windows and (_DRIVE.match(path) or path.startswith("\\\\")):
        raise ValueError(f"the path {path} is one of Windows and this is another system; choose a folder of this one")
    if windows and path.startswith("/") and not path.startswith("//"):
        raise ValueError(f"the path {path} is not one of Windows; choose a folder of this system")
    if not (ntpath if windows else os.path).isabs(path):
        raise ValueError(f"the output {path!r} has no folder to begin with; save the file first, or give a whole path")
