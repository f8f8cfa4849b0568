"""Puts this plug-in into a Nuke folder and takes it out again: the host `nuke` of `layerflow install`.

Nothing that Nuke loads needs this file. What the system refuses is an OSError, and what is left alone a ValueError with
a sentence for people.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layerflow.installing import (
    MARKER,
    NAME,
    Installed,
    OurFolder,
    Outcome,
    beside,
    is_same,
    package_files,
    rewriting,
    wire_files,
)

MADE_INIT = "made_init"  # in the marker: whether the init.py beside our folder was made by us
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


class NukeHost:
    """Nuke, to `layerflow install`."""

    def install(self, folder: Path | None, version: str) -> Outcome:
        """This plug-in and its line in init.py; nothing is written where all is as it should be."""
        place = _Place.of(folder)
        place.folder.mkdir(parents=True, exist_ok=True)
        before, source = place.ours.installed(), place.read_init()
        files = plugin_files()
        made_init = source is None or _made_init(before)
        files[MARKER] = Installed(version, tuple(files), {MADE_INIT: made_init}).as_json()
        lined = place.with_line(source)
        changed = lined != source or not place.ours.holds(files)
        if changed:
            with place.rewriting_init(source, lined):
                place.ours.swap_in(files, before)
        return Outcome(place.folder, version, changed, (_greeting(place, version, changed), *_next_steps(folder)))

    def uninstall(self, folder: Path | None) -> Outcome:
        """None of it any more; what others have put there stays."""
        place = _Place.of(folder)
        if place.ours.is_of_others():
            return Outcome(place.folder, None, False, (place.ours.said_of_others(),))
        before, source = place.ours.installed(), place.read_init()
        rest = without_line(source)
        if before is None and rest == source:
            return Outcome(place.folder, None, False, (f"there is no LayerFlow in {place.folder}",))
        if _made_init(before) and rest is not None and rest.strip() in (b"", b"import nuke"):
            place.init.unlink()
            rest = None
        elif rest is not None:
            with place.rewriting_init(source, rest):
                pass
        kept = place.ours.remove(before) if before is not None else []
        said = [f"LayerFlow is gone from {place.folder}; restart Nuke"]
        said += place.ours.said_of_kept(kept)
        said += (
            [f"{place.init} still adds {place.ours.path}; take that out of it"] if place.adds_path(rest or b"") else []
        )
        return Outcome(place.folder, before.version if before else None, True, tuple(said))


def nuke_folder(platform: str = sys.platform) -> Path:
    """The user's Nuke folder; on Windows HOME comes before USERPROFILE, as Foundry says."""
    home = os.environ.get("HOME") or os.environ.get("USERPROFILE") if platform == "win32" else None
    return (Path(home) if home else Path.home()) / ".nuke"


def plugin_files() -> dict[str, bytes]:
    """What goes into our folder, path in it -> content: the package, the wire, and what Nuke runs at its start."""
    package = {f"layerflow_nuke/{name}": content for name, content in package_files(Path(__file__)).items()}
    files = {"init.py": INIT, "menu.py": MENU, **package, **wire_files()}
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
    ours: OurFolder
    init: Path

    @classmethod
    def of(cls, folder: Path | None) -> _Place:
        folder = folder or nuke_folder()
        ours, init = OurFolder.at(folder / NAME, (MADE_INIT,)), Path(os.path.realpath(folder / "init.py"))
        with contextlib.suppress(OSError):
            beside(init, "part").unlink()
        return cls(folder, ours, init)

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
        return any(is_same(self.folder / path, self.ours.path) for path in paths)

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
        with rewriting(self.init, content):
            yield


def _made_init(before: Installed | None) -> bool:
    return before is not None and before.notes[MADE_INIT]


def _greeting(place: _Place, version: str, changed: bool) -> str:
    return f"LayerFlow {version} in {place.ours.path} " + ("is installed" if changed else "is up to date")


def _next_steps(folder: Path | None) -> list[str]:
    """What is to be done; a folder that was named is read by Nuke only where NUKE_PATH names it too."""
    known = [nuke_folder(), *map(Path, filter(None, os.environ.get("NUKE_PATH", "").split(os.pathsep)))]
    is_read = folder is None or any(is_same(folder, other) for other in known)
    return ([] if is_read else [f"have NUKE_PATH name {folder}"]) + ["restart Nuke, then Nodes menu > LayerFlow"]
