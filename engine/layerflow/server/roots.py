"""The folders that jobs may read and write in. What a path leads to counts, not what it looks like."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath

from layerflow.errors import RequestError
from layerflow.server.errors import OutsideError

MAX_PATH = 4096  # characters

# Names that Windows gives to devices, in every folder and with any ending.
DEVICES = {"aux", "con", "conin$", "conout$", "nul", "prn"}
DEVICES |= {f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³"}


@dataclass(frozen=True, kw_only=True)
class Roots:
    """`folders` are whole and resolved."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Collection[Path]) -> Roots:
        """Those of `folders`, links resolved."""
        return cls(folders=tuple(dict.fromkeys(folder.resolve() for folder in folders)))

    def confine(self, name: str, text: str) -> Path:
        """Where `text`, which a request calls `name`, leads to when all links are followed.

        It need not be there: a frame pattern is a name like any other. Raises RequestError for a path that is not
        whole, and OutsideError for one that leads out of every root.
        """
        check_whole(name, Path(text), self.folders)
        try:
            real = Path(text).resolve()
        except (OSError, RuntimeError) as error:  # links that lead in a circle
            raise RequestError(f"{name} cannot be looked up, {text}; check its links and its permissions") from error
        if not any(real.is_relative_to(folder) for folder in self.folders):
            folders = ", ".join(map(str, self.folders)) or "none"
            raise OutsideError(
                f"{name} {text} lies outside the folders that jobs may use, which are {folders}; move it into one of "
                "them, or run layerflow serve --replace --root once with all that you use",
                text,
                self.folders,
            )
        return real


def check_whole(name: str, path: PurePath, roots: Collection[PurePath] = ()) -> None:
    """Raises RequestError unless `path` says by itself what it means. Looks at the name alone, never at a disk.

    On Windows that keeps us from other machines, where the system would sign in before anyone could say no: a share
    has to be one of those that `roots` lie on.
    """
    if len(str(path)) > MAX_PATH:
        raise RequestError(f"{name} has more than {MAX_PATH} characters; choose a shorter path")
    if not path.is_absolute():
        raise RequestError(f"{name} must be a whole path for the server, got {str(path)!r}; write it from the root on")
    if ".." in path.parts:
        raise RequestError(f"{name} has .. in it, {str(path)!r}; write the path without")
    if isinstance(path, PureWindowsPath):
        _check_windows(name, path, roots)


def _check_windows(name: str, path: PureWindowsPath, roots: Collection[PurePath]) -> None:
    drive = path.drive.lower()
    is_letter = len(drive) == 2 and drive[0].isascii() and drive[0].isalpha()
    if not is_letter and drive not in {root.drive.lower() for root in roots}:
        raise OutsideError(
            f"{name} lies on {path.drive}, where no job may go; use a folder the server was started with",
            str(path),
            roots,
        )
    for part in path.parts[1:]:
        if ":" in part or part != part.rstrip(" .") or part.partition(".")[0].rstrip().lower() in DEVICES:
            raise RequestError(f"{name} has the part {part!r}, which names no plain file; rename it")
