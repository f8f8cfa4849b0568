"""Puts a folder of LayerFlow's into a host's and takes it out again: what the installers of all hosts have in common.

It is there whole or not at all, files of others in it stay, and links are followed. What the system refuses is an
OSError that names the real place, and what is left alone a ValueError with a sentence for people.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import layerflow.wire

NAME = "layerflow"  # of our folder in the host's
MARKER = "layerflow-installed.json"  # in our folder: what of it is ours


@dataclass(frozen=True)
class Outcome:
    """What has been done: where, of which version, whether anything is another now, and lines that say so."""

    folder: Path
    version: str | None
    changed: bool
    said: tuple[str, ...]


@dataclass(frozen=True)
class Installed:
    """What a folder of ours holds that is ours."""

    version: str
    files: tuple[str, ...]
    notes: Mapping[str, bool] = field(default_factory=dict)  # what a host's installer has to know later

    def as_json(self) -> bytes:
        """The content of the marker."""
        values = {"version": self.version, **self.notes, "files": list(self.files)}
        return (json.dumps(values, indent=1) + "\n").encode()


def nobodys(_folder: Path) -> None:
    """None: no folder without a marker is ours."""


@dataclass(frozen=True)
class OurFolder:
    """The folder that is ours in a host's, with links followed, be it there or not."""

    path: Path
    notes: tuple[str, ...] = ()  # that its marker has
    told_otherwise: Callable[[Path], Installed | None] = nobodys  # what is ours in a folder without a marker

    @classmethod
    def at(
        cls,
        path: Path,
        notes: tuple[str, ...] = (),
        told_otherwise: Callable[[Path], Installed | None] = nobodys,
    ) -> OurFolder:
        """The one that `path` leads to; where a swap was cut short, what was there before is back."""
        folder = cls(Path(os.path.realpath(path)), notes, told_otherwise)
        folder.tidy()
        return folder

    def is_of_others(self) -> bool:
        """Whether something is there that we have not put there."""
        return self.path.exists() and not self._is_ours(self.path) and not _is_empty_folder(self.path)

    def installed(self) -> Installed | None:
        """What is installed; None for nothing. Raises ValueError for what is somebody else's, or cannot be read."""
        if self.is_of_others():
            raise ValueError(
                f"{self.path} was not put there by layerflow install; move it away, or name another folder by --folder"
            )
        marker = self.path / MARKER
        return _read_marker(marker, self.notes) if marker.exists() else self.told_otherwise(self.path)

    def holds(self, files: Mapping[str, bytes]) -> bool:
        """Whether every one of `files` is in it as it should be."""
        return all((self.path / name).is_file() and (self.path / name).read_bytes() == files[name] for name in files)

    def swap_in(self, files: Mapping[str, bytes], before: Installed | None) -> None:
        """Makes it anew beside the old one, with what others have put there, and lets it take its place."""
        part, old = beside(self.path, "part"), beside(self.path, "old")
        try:
            with _named(self.path):
                self._make(part, files, before)
                if self.path.exists():
                    self.path.rename(old)
                part.rename(self.path)
        finally:
            self.tidy()

    def remove(self, before: Installed) -> list[str]:
        """Removes what is ours, and folders that are empty then; the files that stay, what is behind links too."""
        kept = _of_others(self.path, before.files)
        ours = [name for name in before.files if Path(os.path.realpath(self.path / name)) == self.path / name]
        for name in ours:
            (self.path / name).unlink(missing_ok=True)
        folders = {folder for name in ours for folder in PurePosixPath(name).parents}
        for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
            if folder != PurePosixPath("."):
                shutil.rmtree(self.path / folder / "__pycache__", ignore_errors=True)
                _remove_empty(self.path / folder)
        (self.path / MARKER).unlink(missing_ok=True)
        shutil.rmtree(self.path / "__pycache__", ignore_errors=True)
        _remove_empty(self.path)
        return kept

    def said_of_others(self) -> str:
        """For people, where it is somebody else's and was to be removed."""
        return f"{self.path} was not put there by layerflow install; it stays as it is"

    def said_of_kept(self, kept: Sequence[str]) -> list[str]:
        """For people, about the files that `remove` has left."""
        return [f"{self.path} stays, for it holds what is not LayerFlow's, such as {kept[0]}"] if kept else []

    def tidy(self) -> None:
        """Removes what a swap leaves aside; where it was cut short, what was there before comes back."""
        part, old = beside(self.path, "part"), beside(self.path, "old")
        if self._is_ours(old) and not self.path.exists():
            old.rename(self.path)
        shutil.rmtree(part, ignore_errors=True)
        if self.path.exists():
            shutil.rmtree(old, ignore_errors=True)

    def _is_ours(self, folder: Path) -> bool:
        return (folder / MARKER).exists() or self.told_otherwise(folder) is not None

    def _make(self, part: Path, files: Mapping[str, bytes], before: Installed | None) -> None:
        part.mkdir()
        for name, content in files.items():
            _write(part / name, content)
        for name in _of_others(self.path, before.files if before else ()):
            if (part / name).exists():
                raise ValueError(f"{self.path / name} is in the way of a file of LayerFlow; move it away")
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.path / name, part / name, follow_symlinks=False)


def package_files(module: Path) -> dict[str, bytes]:
    """The package of `module`, path in it -> content: all files but that one, hidden ones and what Python compiles."""
    package, files = module.parent, {}
    for path in package.rglob("*"):
        inner = path.relative_to(package)
        is_by_the_way = any(part == "__pycache__" or part.startswith(".") for part in inner.parts)
        if path.is_file() and not is_by_the_way and path != module:
            files[inner.as_posix()] = path.read_bytes()
    return files


def wire_files() -> dict[str, bytes]:
    """What a host speaks to the engine by, path in our folder -> content."""
    wire = Path(layerflow.wire.__path__[0])
    paths = (wire.parent / "__init__.py", *wire.glob("*.py"))
    return {f"vendor/layerflow/{path.relative_to(wire.parent).as_posix()}": path.read_bytes() for path in paths}


def files_in(folder: Path) -> list[str]:
    """Files and links in `folder`, but for what Python has compiled, which belongs to nobody."""
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = [path.relative_to(folder) for path in found if "__pycache__" not in path.relative_to(folder).parts]
    return [name.as_posix() for name in names]


@contextlib.contextmanager
def rewriting(path: Path, content: bytes) -> Iterator[None]:
    """Writes a file aside, and gives it its name when the block ends well; it keeps the permissions of the old one."""
    part = beside(path, "part")
    try:
        with _named(path):
            part.unlink(missing_ok=True)
            _write(part, content)
            if path.exists():
                shutil.copymode(path, part)
        yield
        with _named(path):
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def beside(path: Path, suffix: str) -> Path:
    """What is made aside before it is called `path`, or was called so until now."""
    return path.with_name(f".{path.name}.{suffix}")


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one place."""
    return os.path.normcase(os.path.realpath(path)) == os.path.normcase(os.path.realpath(other))


def _read_marker(marker: Path, notes: Iterable[str]) -> Installed:
    """Raises ValueError for one that cannot be, such as one that names files elsewhere."""
    try:
        values = json.loads(marker.read_bytes())
        noted = {name: bool(values[name]) for name in notes}
        found = Installed(str(values["version"]), tuple(map(str, values["files"])), noted)
        inside = all(_is_inside(PurePosixPath(name)) for name in found.files)
    except (ValueError, KeyError, TypeError):
        inside = False
    if not inside:
        raise ValueError(f"{marker} is damaged, so nothing was done; move {marker.parent} away and run this again")
    return found


def _is_inside(name: PurePosixPath) -> bool:
    return bool(name.parts) and not name.is_absolute() and not {"..", ":", "\\"} & {*name.parts, *str(name)}


def _of_others(folder: Path, ours: Iterable[str]) -> list[str]:
    known = {*ours, MARKER}
    return [name for name in files_in(folder) if name not in known]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Has what the system refuses name `path`, and not a file aside that nobody has heard of."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _write(path: Path, content: bytes) -> None:
    """A new file, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _remove_empty(folder: Path) -> None:
    if _is_empty_folder(folder):
        folder.rmdir()
