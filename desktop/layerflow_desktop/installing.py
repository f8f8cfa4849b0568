"""Puts LayerFlow Studio among the system's applications and takes it out again: host `desktop` of `layerflow install`.

Nothing of the app needs this file, and it needs nothing of Qt. What the system refuses is an OSError, and what is left
alone a ValueError with a sentence for people.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from layerflow.installing import MARKER, Installed, OurFolder, Outcome, beside, is_same, rewriting
from layerflow_desktop import launchers
from layerflow_desktop.launchers import ID, MAC_PROGRAM, MIME, NAME

Run = Callable[..., subprocess.CompletedProcess[bytes]]

EXTRA = ("PySide6", "psygnal", "PyOpenColorIO")  # what `layerflow[desktop]` brings
LINK = f"{NAME}.lnk"
TIMEOUT_S = 60.0
# What update-mime-database and update-desktop-database make, and do not take away with the last file they made it of.
MADE_OF_MIME = (
    *("XMLnamespaces", "aliases", "generic-icons", "globs", "globs2", "icons", "magic", "mime.cache", "subclasses"),
    *("treemagic", "types", "version"),
)
MADE_OF_APPLICATIONS = ("mimeinfo.cache",)


class DesktopHost:
    """The system's list of applications, to `layerflow install`."""

    def __init__(self, platform: str = sys.platform, run: Run = subprocess.run) -> None:
        self._platform = platform
        self._run = run

    def install(self, folder: Path | None, version: str) -> Outcome:
        """The app among the applications; nothing is written where all is as it should be."""
        place = place_of(self._platform, folder, version)
        before = place.installed()
        changed = not place.holds()
        if changed:
            place.put(before, self._made_shortcut)
            self._tell(place)
        how = "is installed" if changed else "is up to date"
        said = (f"{NAME} {version} in {place.folder} {how}", *missing_extra(), *self._next_steps(folder, place))
        return Outcome(place.folder, version, changed, said)

    def uninstall(self, folder: Path | None) -> Outcome:
        """None of it any more; what others have put there stays, and so do projects."""
        place = place_of(self._platform, folder, "")
        if place.ours.is_of_others():
            return Outcome(place.folder, None, False, (place.ours.said_of_others(),))
        before = place.ours.installed()
        if before is None:
            return Outcome(place.folder, None, False, (f"there is no {NAME} in {place.folder}",))
        kept = place.remove(before)
        self._tell(place)
        place.sweep()
        said = (f"{NAME} is gone from {place.folder}; your projects stay", *place.ours.said_of_kept(kept))
        return Outcome(place.folder, before.version, True, said)

    def _tell(self, place: Place) -> None:
        """Has Linux read anew what it keeps of applications and types; without it, that happens at the next login."""
        if self._platform in ("win32", "darwin"):
            return
        with contextlib.suppress(OSError):
            os.utime(place.folder / "icons" / "hicolor")  # a cache of icons that is older than this is not believed
        for program, inner in (("update-desktop-database", "applications"), ("update-mime-database", "mime")):
            found = shutil.which(program)
            if found and (place.folder / inner).is_dir():
                with contextlib.suppress(OSError, subprocess.SubprocessError):
                    self._run([found, str(place.folder / inner)], capture_output=True, timeout=TIMEOUT_S, check=False)

    def _made_shortcut(self, values: Mapping[str, str]) -> bytes:
        """The content of a shortcut of these values. Raises ValueError where Windows makes none."""
        by_hand = f"make a shortcut to {values['LAYERFLOW_TARGET']} by hand"
        with tempfile.TemporaryDirectory(prefix="layerflow-") as folder:
            link = Path(folder) / f"{ID}.lnk"
            variables = {**os.environ, **values, "LAYERFLOW_LINK": str(link)}
            try:
                done = self._run(
                    launchers.powershell_command(), env=variables, capture_output=True, timeout=TIMEOUT_S, check=False
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise ValueError(f"PowerShell, which makes the shortcut, cannot be run ({error}); {by_hand}") from error
            if done.returncode or not link.is_file():
                why = " ".join(done.stderr.decode(errors="replace").split()) or "it made none"
                raise ValueError(f"PowerShell could not make the shortcut ({why[:200]}); {by_hand}")
            return link.read_bytes()

    def _next_steps(self, folder: Path | None, place: Place) -> list[str]:
        """What is to be done, and where the app is then."""
        where = {"win32": "the Start menu", "darwin": "Finder > Applications, or Spotlight"}
        read = self._platform in where or any(is_same(place.folder, known) for known in data_folders())
        steps = [] if folder is None or read else [f"have XDG_DATA_DIRS name {place.folder}"]
        if folder is not None and self._platform == "win32":
            return [f"then {place.folder / LINK}, or layerflow-desktop in a shell"]
        return [*steps, f"then {where.get(self._platform, 'the applications menu')} > {NAME}"]


@dataclass(frozen=True)
class Place:
    """Where the app goes on a system: a folder that is ours, and files beside those of others."""

    folder: Path  # as people are told
    ours: OurFolder
    inside: Mapping[str, bytes]  # path in our folder -> content
    outside: Mapping[str, bytes]  # path in `folder` -> content
    shortcut: Mapping[str, str] | None = None  # what LINK in `folder` is made of, on Windows
    program: str = ""  # path in our folder of what is to be executable

    def installed(self) -> Installed | None:
        """What is installed; None for nothing. Raises ValueError where files of others are in the way."""
        before = self.ours.installed()
        theirs = [path for path in self._outer() if os.path.lexists(path)] if before is None else []
        if theirs:
            raise ValueError(
                f"{theirs[0]} was not put there by layerflow install; move it away, or name another folder by --folder"
            )
        return before

    def holds(self) -> bool:
        """Whether all of it is there as it should be."""
        files = {self.folder / name: content for name, content in self.outside.items()}
        return (
            self.ours.holds(self.inside)
            and all(path.is_file() and path.read_bytes() == content for path, content in files.items())
            and (self.shortcut is None or (self.folder / LINK).is_file())
            and (not self.program or os.access(self.ours.path / self.program, os.X_OK))
        )

    def put(self, before: Installed | None, made: Callable[[Mapping[str, str]], bytes]) -> None:
        """Writes all of it aside, and only then has anything its name. `made` makes the content of a shortcut."""
        files = {self.folder / name: content for name, content in self.outside.items()}
        if self.shortcut is not None:
            files[self.folder / LINK] = made(self.shortcut)
        try:
            self._swap(files, before)
        except BaseException:
            self._remove_empty_folders()
            raise

    def remove(self, before: Installed) -> list[str]:
        """Removes what is ours, and folders that are empty then; the files in our folder that stay."""
        for path in self._outer():
            path.unlink(missing_ok=True)
            beside(path, "part").unlink(missing_ok=True)
        return self.ours.remove(before)

    def sweep(self) -> None:
        """Removes what the system has made of our files alone, and folders that are empty."""
        applications, mime = self.folder / "applications", self.folder / "mime"
        if self.outside and not any(applications.glob("**/*.desktop")):
            _remove_all(applications, MADE_OF_APPLICATIONS)
        if self.outside and not any((mime / "packages").glob("*.xml")):
            _remove_all(mime, (*MADE_OF_MIME, f"{MIME}.xml"))
        self._remove_empty_folders()

    def _swap(self, files: Mapping[Path, bytes], before: Installed | None) -> None:
        with contextlib.ExitStack() as stack:
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(rewriting(path, content))
            self.ours.path.parent.mkdir(parents=True, exist_ok=True)
            self.ours.swap_in(self.inside, before)
            if self.program:
                (self.ours.path / self.program).chmod(0o755)

    def _remove_empty_folders(self) -> None:
        names = (*self.outside, f"mime/{MIME}.xml") if self.outside else ()
        inner = {parent for name in names for parent in Path(name).parents} - {Path()}
        for folder in sorted(inner, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # others have something in it, or it is not there
                (self.folder / folder).rmdir()

    def _outer(self) -> list[Path]:
        return [self.folder / name for name in (*self.outside, *([LINK] if self.shortcut is not None else []))]


def place_of(platform: str, folder: Path | None, version: str) -> Place:
    """Where LayerFlow Studio of `version` goes: into `folder`, or where the system looks by itself."""
    command = launchers.own_command(platform)
    if platform == "win32":
        return _windows_place(folder, command, version)
    if platform == "darwin":
        folder = folder or Path.home() / "Applications"
        ours = OurFolder.at(folder / f"{NAME}.app")
        inside = _with_marker(launchers.mac_files(command, version), version)
        return Place(folder, ours, inside, {}, program=MAC_PROGRAM)
    folder = folder or data_home()
    return Place(folder, OurFolder.at(folder / ID), _with_marker({}, version), launchers.linux_files(command))


def data_home() -> Path:
    """The folder of this user's applications and icons, on Linux. A relative XDG_DATA_HOME counts as none."""
    chosen = Path(os.environ.get("XDG_DATA_HOME", ""))
    return chosen if chosen.is_absolute() else Path.home() / ".local" / "share"


def data_folders() -> list[Path]:
    """All that Linux reads applications from."""
    others = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [data_home(), *map(Path, filter(None, others.split(":")))]


def missing_extra() -> list[str]:
    """For people: what the window needs and this environment has not."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    words = " and ".join(missing)
    return [f'the window needs {words}, which is not here: pip install "layerflow[desktop]"'] if missing else []


def _windows_place(folder: Path | None, command: tuple[str, ...], version: str) -> Place:
    local = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    roaming = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    ours = OurFolder.at((folder or local / "layerflow") / ID)
    folder = folder or roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs"
    values = launchers.shortcut_values(command, str(ours.path / f"{ID}.ico"), version)
    return Place(folder, ours, _with_marker(launchers.windows_files(values), version), {}, values)


def _with_marker(files: Mapping[str, bytes], version: str) -> dict[str, bytes]:
    return {**files, MARKER: Installed(version, tuple(files)).as_json()}


def _remove_all(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
