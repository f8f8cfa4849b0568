"""Puts this plug-in into a Nuke folder and takes it out again: the host `nuke` of `layerflow install`.

Nothing that Nuke loads needs this file. What the system refuses is an OSError, and what is left alone a ValueError with
a sentence for people.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import layerflow.wire

NAME = "layerflow"  # of our folder in the host's
MARKER = "layerflow-installed.json"  # in our folder: what of it is ours
LINE = b'nuke.pluginAddPath("./layerflow")  # LayerFlow'
IMPORT = b"import nuke  # LayerFlow"  # where an init.py has none of its own
# The two files outside the package, which a wheel would not bring; tests hold them against those beside it.
INIT = b"""\
if "__file__" in globals():  # Nuke may run this before it puts the folder on Python's path
    __import__("sys").path.append(str(__import__("pathlib").Path(__file__).absolute().parent))
__import__("layerflow_nuke.startup").startup.init()
"""
MENU = b"""\
__import__("layerflow_nuke.startup").startup.menu()
"""

_LITERAL = rb"""[rRuU]?(?:"[^"\r\n]*"|'[^'\r\n]*')"""
_ADDING = re.compile(rb"\bplugin(?:Add|Append)Path\s*\(\s*[\[(]?\s*(" + _LITERAL + rb"(?:\s*,\s*" + _LITERAL + rb")*)")
_OUR_LINE = re.compile(rb"""nuke\.pluginAddPath\((["'])\./layerflow/?\1\)\s*(#.*)?$""")
_IMPORTS_NUKE = re.compile(rb"import[ \t]+(?:[\w.]+[ \t]*,[ \t]*)*nuke[ \t]*(?:[,;#]|$)")


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
    made_init: bool  # whether the init.py beside it was made by us

    def as_json(self) -> bytes:
        """The content of the marker."""
        values = {"version": self.version, "made_init": self.made_init, "files": list(self.files)}
        return (json.dumps(values, indent=1) + "\n").encode()


class NukeHost:
    """Nuke, to `layerflow install`."""

    def install(self, folder: Path | None, version: str) -> Outcome:
        """This plug-in and its line in init.py; nothing is written where all is as it should be."""
        place = _Place.of(folder)
        place.folder.mkdir(parents=True, exist_ok=True)
        before, source = place.installed(), place.read_init()
        files = plugin_files()
        made_init = source is None or (before is not None and before.made_init)
        files[MARKER] = Installed(version, tuple(files), made_init).as_json()
        lined = place.with_line(source)
        changed = lined != source or not _holds(place.target, files)
        if changed:
            with place.rewriting_init(source, lined):
                place.swap_in(files, before)
        return Outcome(place.folder, version, changed, (_greeting(place, version, changed), *_next_steps(folder)))

    def uninstall(self, folder: Path | None) -> Outcome:
        """None of it any more; what others have put there stays."""
        place = _Place.of(folder)
        if place.is_of_others():
            words = f"{place.target} was not put there by layerflow install; it stays as it is"
            return Outcome(place.folder, None, False, (words,))
        before, source = place.installed(), place.read_init()
        rest = without_line(source)
        if before is None and rest == source:
            return Outcome(place.folder, None, False, (f"there is no LayerFlow in {place.folder}",))
        if before is not None and before.made_init and rest is not None and rest.strip() in (b"", b"import nuke"):
            place.init.unlink()
            rest = None
        elif rest is not None:
            with place.rewriting_init(source, rest):
                pass
        kept = place.remove(before) if before is not None else []
        said = [f"LayerFlow is gone from {place.folder}; restart Nuke"]
        said += [f"{place.target} stays, for it holds what is not LayerFlow's, such as {kept[0]}"] if kept else []
        said += [f"{place.init} still adds {place.target}; take that out of it"] if place.adds_path(rest or b"") else []
        return Outcome(place.folder, before.version if before else None, True, tuple(said))


def nuke_folder(platform: str = sys.platform) -> Path:
    """The user's Nuke folder; on Windows HOME comes before USERPROFILE, as Foundry says."""
    home = os.environ.get("HOME") or os.environ.get("USERPROFILE") if platform == "win32" else None
    return (Path(home) if home else Path.home()) / ".nuke"


def plugin_files() -> dict[str, bytes]:
    """What goes into our folder, path in it -> content: the package, the wire, and what Nuke runs at its start."""
    package, wire = Path(__file__).parent, Path(layerflow.wire.__path__[0])
    files = {"init.py": INIT, "menu.py": MENU}
    for path in package.rglob("*"):
        inner = path.relative_to(package)
        is_by_the_way = any(part == "__pycache__" or part.startswith(".") for part in inner.parts)
        if path.is_file() and not is_by_the_way and path != Path(__file__):
            files[f"layerflow_nuke/{inner.as_posix()}"] = path.read_bytes()
    for path in (wire.parent / "__init__.py", *wire.glob("*.py")):
        files[f"vendor/layerflow/{path.relative_to(wire.parent).as_posix()}"] = path.read_bytes()
    return dict(sorted(files.items()))


def without_line(source: bytes | None) -> bytes | None:
    """An init.py without the line that was added, nor the import that came with it if nothing else needs that."""
    if source is None:
        return None
    lines = [line for line in source.splitlines(keepends=True) if not _OUR_LINE.match(line.rstrip())]
    others = [line for line in lines if line.rstrip() != IMPORT]
    return b"".join(lines if any(b"nuke" in line for line in others) else others)


@dataclass(frozen=True)
class _Place:
    """A Nuke folder, and in it, with links followed, our folder and the init.py that is to add it."""

    folder: Path
    target: Path
    init: Path

    @classmethod
    def of(cls, folder: Path | None) -> _Place:
        folder = folder or nuke_folder()
        target, init = (Path(os.path.realpath(folder / name)) for name in (NAME, "init.py"))
        _tidy(target)
        with contextlib.suppress(OSError):
            _beside(init, "part").unlink()
        return cls(folder, target, init)

    def is_of_others(self) -> bool:
        """Whether something is there that we have not put there."""
        return self.target.exists() and not (self.target / MARKER).exists() and not _is_empty_folder(self.target)

    def installed(self) -> Installed | None:
        """What is installed; None for nothing. Raises ValueError for what is somebody else's, or cannot be read."""
        if self.is_of_others():
            raise ValueError(
                f"{self.target} was not put there by layerflow install; move it away, or name another folder by "
                "--folder"
            )
        marker = self.target / MARKER
        return _read_marker(marker) if marker.exists() else None

    def read_init(self) -> bytes | None:
        """The init.py of the Nuke folder; None where there is none."""
        try:
            source = self.init.read_bytes()
        except FileNotFoundError:
            return None
        if b"\0" in source:
            raise ValueError(f"{self.init} is no Python that Nuke can read; save it as UTF-8 and run this again")
        return source

    def adds_path(self, source: bytes) -> bool:
        """Whether that init.py adds our folder already, by whichever of its names."""
        code = re.sub(rb"#[^\r\n]*", b"", source)
        named = [text for call in _ADDING.findall(code) for text in re.findall(_LITERAL, call)]
        paths = (text.decode("utf-8", "replace").lstrip("rRuU")[1:-1].replace("\\", "/") for text in named)
        return any(_is_same(self.folder / path, self.target) for path in paths)

    def with_line(self, source: bytes | None) -> bytes:
        """That init.py with our line, in its own line endings."""
        if source is None:
            return b"import nuke\n\n" + LINE + b"\n"
        if self.adds_path(source):
            return source
        ending = next((mark for mark in (b"\r\n", b"\n", b"\r") if mark in source), b"\n")
        lines = [] if any(map(_IMPORTS_NUKE.match, source.splitlines())) else [IMPORT]
        gap = b"" if not source or source.endswith((b"\n", b"\r")) else ending
        return source + gap + b"".join(line + ending for line in (*lines, LINE))

    @contextlib.contextmanager
    def rewriting_init(self, source: bytes | None, content: bytes) -> Iterator[None]:
        """Writes the init.py aside, and gives it its name when the block ends well."""
        if content == source:
            yield
            return
        if source is not None and not os.access(self.init, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.init))
        part = _beside(self.init, "part")
        try:
            with _named(self.init):
                part.unlink(missing_ok=True)
                _write(part, content)
                if source is not None:
                    shutil.copymode(self.init, part)
            yield
            with _named(self.init):
                part.replace(self.init)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def swap_in(self, files: Mapping[str, bytes], before: Installed | None) -> None:
        """Makes our folder anew beside the old one, with what others have put there, and lets it take its place."""
        part, old = _beside(self.target, "part"), _beside(self.target, "old")
        try:
            with _named(self.target):
                self._make(part, files, before)
                if self.target.exists():
                    self.target.rename(old)
                part.rename(self.target)
        finally:
            _tidy(self.target)

    def _make(self, part: Path, files: Mapping[str, bytes], before: Installed | None) -> None:
        part.mkdir()
        for name, content in files.items():
            _write(part / name, content)
        for name in _of_others(self.target, before.files if before else ()):
            if (part / name).exists():
                raise ValueError(f"{self.target / name} is in the way of a file of LayerFlow; move it away")
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.target / name, part / name, follow_symlinks=False)

    def remove(self, before: Installed) -> list[str]:
        """Removes what is ours, and folders that are empty then; the files that stay, what is behind links too."""
        kept = _of_others(self.target, before.files)
        ours = [name for name in before.files if Path(os.path.realpath(self.target / name)) == self.target / name]
        for name in ours:
            (self.target / name).unlink(missing_ok=True)
        folders = {folder for name in ours for folder in PurePosixPath(name).parents}
        for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
            if folder != PurePosixPath("."):
                shutil.rmtree(self.target / folder / "__pycache__", ignore_errors=True)
                _remove_empty(self.target / folder)
        (self.target / MARKER).unlink()
        shutil.rmtree(self.target / "__pycache__", ignore_errors=True)
        _remove_empty(self.target)
        return kept


def _greeting(place: _Place, version: str, changed: bool) -> str:
    return f"LayerFlow {version} in {place.target} " + ("is installed" if changed else "is up to date")


def _next_steps(folder: Path | None) -> list[str]:
    """What is to be done; a folder that was named is read by Nuke only where NUKE_PATH names it too."""
    known = [nuke_folder(), *map(Path, filter(None, os.environ.get("NUKE_PATH", "").split(os.pathsep)))]
    is_read = folder is None or any(_is_same(folder, other) for other in known)
    return ([] if is_read else [f"have NUKE_PATH name {folder}"]) + ["restart Nuke, then Nodes menu > LayerFlow"]


def _is_same(path: Path, other: Path) -> bool:
    return os.path.normcase(os.path.realpath(path)) == os.path.normcase(os.path.realpath(other))


def _read_marker(marker: Path) -> Installed:
    """Raises ValueError for one that cannot be, such as one that names files elsewhere."""
    try:
        values = json.loads(marker.read_bytes())
        found = Installed(str(values["version"]), tuple(map(str, values["files"])), bool(values["made_init"]))
        inside = all(_is_inside(PurePosixPath(name)) for name in found.files)
    except (ValueError, KeyError, TypeError):
        inside = False
    if not inside:
        raise ValueError(f"{marker} is damaged, so nothing was done; move {marker.parent} away and run this again")
    return found


def _is_inside(name: PurePosixPath) -> bool:
    return bool(name.parts) and not name.is_absolute() and not {"..", ":", "\\"} & {*name.parts, *str(name)}


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether every one of `files` is in `folder` as it should be."""
    return all((folder / name).is_file() and (folder / name).read_bytes() == files[name] for name in files)


def _of_others(folder: Path, ours: Iterable[str]) -> list[str]:
    """Files and links in `folder` that are not `ours`; what Python has compiled belongs to nobody."""
    known = {*ours, MARKER}
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = [path.relative_to(folder) for path in found if "__pycache__" not in path.relative_to(folder).parts]
    return [name.as_posix() for name in names if name.as_posix() not in known]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Has what the system refuses name `path`, and not a file aside that nobody has heard of."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}.{suffix}")


def _tidy(target: Path) -> None:
    """Removes what a swap leaves aside; where it was cut short, what was there before comes back."""
    part, old = _beside(target, "part"), _beside(target, "old")
    if (old / MARKER).exists() and not target.exists():
        old.rename(target)
    shutil.rmtree(part, ignore_errors=True)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)


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
