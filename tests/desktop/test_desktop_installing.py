"""`layerflow install desktop`: what it puts where on the three systems, and that nothing of it stays."""

from __future__ import annotations

import configparser
import errno
import importlib.util
import json
import os
import plistlib
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import layerflow
from layerflow.cli.app import run
from layerflow.installing import MARKER
from layerflow_desktop import installing, launchers
from layerflow_desktop.installing import LINK, DesktopHost, data_home
from layerflow_desktop.launchers import MAC_PROGRAM, desktop_entry, own_command, quoted_for_exec

PLATFORMS = ("linux", "darwin", "win32")
PROGRAM = "/opt/my env/bin/layerflow-desktop"


@dataclass
class Windows:
    """PowerShell, as far as it is asked here: makes a shortcut, or says why not."""

    asked: list[tuple[list[str], Mapping[str, str]]] = field(default_factory=list)
    error: str = ""

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        self.asked.append((command, options.get("env", {})))
        if not self.error and "env" in options:
            Path(options["env"]["LAYERFLOW_LINK"]).write_bytes(b"L\0\0\0" + bytes([len(self.asked)]))
        return subprocess.CompletedProcess(command, 1 if self.error else 0, b"", self.error.encode())


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a user for whom nothing is installed."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_DATA_HOME", "XDG_DATA_DIRS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APPDATA", str(home / "roaming"))
    monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path_factory.mktemp("server")))
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return home


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without the tools that read applications and types anew."""
    monkeypatch.setattr(installing.shutil, "which", lambda name: None)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and empty folder below `folder`."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return {
        name: path.read_bytes() if path.is_file() else b"a folder"
        for name, path in found.items()
        if path.is_file() or not any(path.iterdir())
    }


def picture(path: Path) -> tuple[str | None, tuple[int, int]]:
    """The format of a picture and its largest size, in pixels."""
    with Image.open(path) as image:
        return image.format, image.size


def entry_of(content: bytes) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(content.decode())
    return parser["Desktop Entry"]


def read_exec(value: str) -> list[str]:
    """The arguments of an Exec key, by the rules of the specification, read back slowly."""
    text, arguments, current, quoted, place = "", [], "", False, 0
    escapes = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    while place < len(value):  # first as any text of the file
        if value[place] == "\\":
            place += 1
            text += escapes[value[place]]
        else:
            text += value[place]
        place += 1
    place = 0
    while place < len(text):  # then as a command line
        if quoted and text[place] == "\\":
            place += 1
            current += text[place]
        elif text[place] == '"':
            quoted = not quoted
        elif text[place] == " " and not quoted:
            arguments, current = [*arguments, current], ""
        else:
            current += text[place]
        place += 1
    assert not quoted
    return [argument.replace("%%", "%") for argument in (*arguments, current)]


def test_on_linux_it_is_among_the_applications(home: Path, bare: None) -> None:
    outcome = DesktopHost("linux").install(None, "1.2")
    assert outcome.folder == data_home() == home / ".local/share"
    assert (outcome.version, outcome.changed) == ("1.2", True)
    assert outcome.said == (
        f"LayerFlow Studio 1.2 in {home}/.local/share is installed",
        "then the applications menu > LayerFlow Studio",
    )
    found = tree(outcome.folder)
    entry = entry_of(found["applications/layerflow-studio.desktop"])
    assert entry["Name"] == "LayerFlow Studio" and entry["Terminal"] == "false" and entry["Type"] == "Application"
    assert entry["MimeType"] == "application/x-layerflow-studio;" and entry["Icon"] == "layerflow-studio"
    assert entry["Categories"] == "AudioVideo;Video;Graphics;"
    assert read_exec(entry["Exec"]) == [*own_command("linux"), "%f"] and Path(own_command("linux")[0]).is_absolute()
    for size in launchers.PNG_SIZES:
        icon = outcome.folder / f"icons/hicolor/{size}x{size}/apps/layerflow-studio.png"
        assert picture(icon) == ("PNG", (size, size))
    assert b"<svg" in found["icons/hicolor/scalable/apps/layerflow-studio.svg"]
    kind = ElementTree.fromstring(found["mime/packages/layerflow-studio.xml"])[0]
    assert kind.get("type") == "application/x-layerflow-studio"
    assert kind.find("{*}glob").get("pattern") == "*.lfstudio"  # type: ignore[union-attr]
    assert json.loads(found[f"layerflow-studio/{MARKER}"]) == {"version": "1.2", "files": []}
    assert len(found) == len(launchers.PNG_SIZES) + 4


@pytest.mark.parametrize(
    "argument", [PROGRAM, "/a/b", '/o"dd/$HOME/`x`/\\y', "/100%/%f", "/träume/🎬", "/a\tb\nc", "/it's; rm -rf ~ | &"]
)
def test_whatever_is_in_a_path_it_stays_one_argument(argument: str) -> None:
    entry = entry_of(desktop_entry([argument, "-m", "x"]))
    assert read_exec(entry["Exec"]) == [argument, "-m", "x", "%f"]
    assert "\n" not in quoted_for_exec(argument)


def test_quoting_on_paper() -> None:
    assert quoted_for_exec("/a b") == '"/a b"'
    assert quoted_for_exec('"$%\\') == r'"\\"\\$%%\\\\"'


def test_the_checker_of_freedesktop_agrees(tmp_path: Path) -> None:
    path = tmp_path / "layerflow-studio.desktop"
    path.write_bytes(desktop_entry([PROGRAM]))
    checker = shutil.which("desktop-file-validate")  # apt-get install desktop-file-utils; without it, what is above
    if checker:
        done = subprocess.run([checker, str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "error" not in done.stdout and "warning" not in done.stdout


def test_on_macos_it_is_a_bundle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "own_command", lambda platform: (PROGRAM,))
    outcome = DesktopHost("darwin").install(None, "1.2")
    bundle = home / "Applications/LayerFlow Studio.app"
    values = plistlib.loads((bundle / "Contents/Info.plist").read_bytes())
    assert outcome.folder == bundle.parent and outcome.said[-1].startswith("then Finder > Applications")
    assert values["CFBundleDocumentTypes"][0]["CFBundleTypeExtensions"] == ["lfstudio"]
    assert values["CFBundleShortVersionString"] == "1.2" and values["CFBundlePackageType"] == "APPL"
    program = bundle / "Contents/MacOS" / values["CFBundleExecutable"]
    assert program == bundle / MAC_PROGRAM and program.stat().st_mode & stat.S_IXUSR
    assert program.read_text() == f"#!/bin/sh\nexec '{PROGRAM}' \"$@\"\n"
    icon = bundle / "Contents/Resources" / f"{values['CFBundleIconFile']}.icns"
    assert picture(icon)[0] == "ICNS"


def test_the_launcher_of_macos_hands_its_arguments_on(tmp_path: Path) -> None:
    program = tmp_path / "it's $(here) 🎬" / "layerflow-desktop"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
    program.chmod(0o755)
    script = launchers.mac_files([str(program)], "1")[MAC_PROGRAM]
    (tmp_path / "launcher").write_bytes(script)
    done = subprocess.run(["/bin/sh", tmp_path / "launcher", "a b.lfstudio", ""], capture_output=True, check=True)
    assert done.stdout.decode() == f"{program}|a b.lfstudio||"


def test_on_windows_powershell_gets_values_and_no_code(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nasty = 'C:\\it\'s "$(calc)"; `calc` 🎬\\layerflow-desktop.exe'
    monkeypatch.setattr(launchers, "own_command", lambda platform: (nasty,))
    monkeypatch.setenv("SYSTEMROOT", "D:\\Windows")
    windows = Windows()
    outcome = DesktopHost("win32", windows).install(None, "1.2")
    programs = home / "roaming/Microsoft/Windows/Start Menu/Programs"
    assert outcome.folder == programs and (programs / LINK).read_bytes() == b"L\0\0\0\1"
    ((command, variables),) = windows.asked
    assert command[:4] == [
        "D:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        "-NoProfile",
        "-NonInteractive",
        "-Command",
    ]
    assert command[4:] == [launchers.SHORTCUT_SCRIPT] and '"' not in command[4] and "calc" not in command[4]
    assert variables["LAYERFLOW_TARGET"] == nasty and variables["LAYERFLOW_ARGUMENTS"] == ""
    assert variables["LAYERFLOW_LINK"].endswith(".lnk") and not Path(variables["LAYERFLOW_LINK"]).exists()
    ours = home / "local/layerflow/layerflow-studio"
    assert variables["LAYERFLOW_ICON"] == f"{ours / 'layerflow-studio.ico'},0"
    assert picture(ours / "layerflow-studio.ico")[0] == "ICO"
    assert set(tree(ours)) == {"layerflow-studio.ico", "shortcut.json", MARKER}


def test_where_powershell_fails_nothing_is_there(home: Path) -> None:
    windows = Windows(error="access\ndenied")
    with pytest.raises(ValueError, match=r"could not make the shortcut \(access denied\); make a shortcut to"):
        DesktopHost("win32", windows).install(None, "1")
    assert tree(home) == {}

    def missing(*_: Any, **__: Any) -> subprocess.CompletedProcess[bytes]:
        raise FileNotFoundError(errno.ENOENT, "No such file", "powershell.exe")

    with pytest.raises(ValueError, match="PowerShell, which makes the shortcut, cannot be run"):
        DesktopHost("win32", missing).install(None, "1")
    assert tree(home) == {}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("named", [False, True])
def test_twice_changes_nothing_and_out_leaves_nothing(platform: str, named: bool, home: Path, tmp_path: Path) -> None:
    host, folder = DesktopHost(platform, Windows()), tmp_path / "studio" if named else None
    first = host.install(folder, "1.2")
    there = tree(first.folder)
    second = host.install(folder, "1.2")
    assert first.changed and not second.changed and "is up to date" in second.said[0]
    assert tree(first.folder) == there
    gone = host.uninstall(folder)
    assert (gone.changed, gone.version, gone.folder) == (True, "1.2", first.folder)
    assert gone.said == (f"LayerFlow Studio is gone from {first.folder}; your projects stay",)
    assert not any(path.is_file() for path in (*tmp_path.rglob("*"), *home.rglob("*")))
    assert not any(first.folder.iterdir())
    again = host.uninstall(folder)
    assert not again.changed and again.version is None
    assert again.said == (f"there is no LayerFlow Studio in {first.folder}",)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_another_version_or_environment_is_taken_over(
    platform: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = DesktopHost(platform, Windows())
    host.install(tmp_path / "d", "1")
    assert host.install(tmp_path / "d", "2").changed and not host.install(tmp_path / "d", "2").changed
    monkeypatch.setattr(launchers, "own_command", lambda platform: (PROGRAM,))
    assert host.install(tmp_path / "d", "2").changed and not host.install(tmp_path / "d", "2").changed
    assert any(PROGRAM.encode() in content for content in tree(tmp_path / "d").values())
    assert host.uninstall(tmp_path / "d").version == "2"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_somebody_took_away_comes_back(platform: str, tmp_path: Path) -> None:
    host, folder = DesktopHost(platform, Windows()), tmp_path / "d"
    host.install(folder, "1")
    names = [name for name in tree(folder) if not name.endswith(MARKER)]
    for name in names:
        (folder / name).unlink()
        assert host.install(folder, "1").changed and (folder / name).is_file()
    if platform == "darwin":
        (folder / "LayerFlow Studio.app" / MAC_PROGRAM).chmod(0o644)
        assert host.install(folder, "1").changed and os.access(folder / "LayerFlow Studio.app" / MAC_PROGRAM, os.X_OK)


THEIRS = {
    "linux": ("applications/layerflow-studio.desktop", "icons/hicolor/64x64/apps/layerflow-studio.png"),
    "darwin": ("LayerFlow Studio.app/Contents/Info.plist",),
    "win32": (LINK, "layerflow-studio/notes.txt"),
}


@pytest.mark.parametrize(("platform", "name"), [(each, name) for each in PLATFORMS for name in THEIRS[each]])
def test_what_others_have_under_our_name_stays(platform: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("theirs")
    with pytest.raises(ValueError, match="was not put there by layerflow install; move it away, or name"):
        DesktopHost(platform, Windows()).install(tmp_path, "1")
    assert not DesktopHost(platform, Windows()).uninstall(tmp_path).changed
    assert tree(tmp_path) == {name: b"theirs"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_others_have_beside_ours_stays(platform: str, bare: None, tmp_path: Path) -> None:
    theirs = ("applications/other.desktop", "mime/packages/other.xml", "mime/globs", "applications/mimeinfo.cache")
    for name in theirs:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("theirs")
    host = DesktopHost(platform, Windows())
    host.install(tmp_path, "1")
    ours = next(tmp_path.glob(f"*/{MARKER}")).parent
    (ours / "notes.txt").write_text("theirs")
    outcome = host.uninstall(tmp_path)
    assert f"{ours} stays, for it holds what is not LayerFlow's, such as notes.txt" in outcome.said
    assert tree(tmp_path) == dict.fromkeys((*theirs, f"{ours.name}/notes.txt"), b"theirs")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_where_the_disk_is_full_nothing_is_there(
    platform: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        DesktopHost(platform, Windows()).install(tmp_path / "d", "1")
    assert str(tmp_path / "d") in caught.value.filename and ".part" not in caught.value.filename
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    before = DesktopHost(platform, Windows())
    assert before.install(tmp_path / "d", "1").changed
    there, calls[:] = tree(tmp_path), []
    with pytest.raises(OSError, match="No space"):
        before.install(tmp_path / "d", "2")
    assert tree(tmp_path) == there


def test_the_tools_that_are_there_are_run_and_leave_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of this machine, where it has them."""
    host = DesktopHost("linux")
    host.install(tmp_path, "1")
    if shutil.which("update-mime-database"):
        assert "application/x-layerflow-studio:*.lfstudio" in (tmp_path / "mime/globs").read_text()
    if shutil.which("update-desktop-database"):
        assert "layerflow-studio.desktop" in (tmp_path / "applications/mimeinfo.cache").read_text()
    host.uninstall(tmp_path)
    assert tree(tmp_path) == {}


def test_which_tools_are_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    windows = Windows()
    monkeypatch.setattr(installing.shutil, "which", lambda name: f"/usr/bin/{name}")
    DesktopHost("linux", windows).install(tmp_path, "1")
    asked = [command for command, _ in windows.asked]
    assert asked == [
        ["/usr/bin/update-desktop-database", str(tmp_path / "applications")],
        ["/usr/bin/update-mime-database", str(tmp_path / "mime")],
    ]
    DesktopHost("linux", windows).install(tmp_path, "1")
    assert len(windows.asked) == 2  # nothing has changed


def test_a_tool_that_hangs_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hanging(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(installing.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert DesktopHost("linux", hanging).install(tmp_path, "1").changed


def test_a_folder_that_linux_does_not_read_is_said(monkeypatch: pytest.MonkeyPatch, bare: None, tmp_path: Path) -> None:
    said = DesktopHost("linux").install(tmp_path, "1").said
    assert said[1] == f"have XDG_DATA_DIRS name {tmp_path}"
    monkeypatch.setenv("XDG_DATA_DIRS", f"/usr/share:{tmp_path}")
    assert len(DesktopHost("linux").install(tmp_path, "1").said) == 2
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert data_home() == Path.home() / ".local/share"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_home() == tmp_path


def test_what_the_window_lacks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the extra is not installed the app is put there all the same."""
    found: Callable[[str], Any] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "PySide6" else found(name))
    said = DesktopHost("linux").install(tmp_path, "1").said
    assert said[1] == 'the window needs PySide6, which is not here: pip install "layerflow[desktop]"'


def test_the_installer_loads_without_qt() -> None:
    code = "import sys; sys.modules['PySide6'] = None; import layerflow_desktop.installing as i; print(i.DesktopHost())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_command_is_this_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "Scripts"
    folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(folder / "python.exe"))
    monkeypatch.setattr(launchers.sysconfig, "get_path", lambda *_: str(folder))
    assert own_command("win32") == (str(folder / "python.exe"), "-m", "layerflow_desktop")
    (folder / "pythonw.exe").touch()
    assert own_command("win32") == (str(folder / "pythonw.exe"), "-m", "layerflow_desktop")
    (folder / "layerflow-desktop.exe").touch()
    assert own_command("win32") == (str(folder / "layerflow-desktop.exe"),)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point of the host."""
    points = [SimpleNamespace(name="desktop", load=lambda: lambda: DesktopHost("linux"))]
    monkeypatch.setattr("layerflow.cli.install.entry_points", lambda group: points)


def test_by_the_command_in_and_out(command: None, capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    assert run(["install", "desktop", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"LayerFlow Studio {layerflow.__version__} in {folder} is installed\n")
    assert run(["install", "desktop", "--folder", str(folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["host"], answer["changed"], answer["version"]) == ("desktop", False, layerflow.__version__)
    assert run(["install", "desktop", "--folder", str(folder), "--uninstall"]) == 0
    assert not any(folder.iterdir())


def test_what_the_system_refuses_is_a_sentence(command: None, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "applications").write_text("a file")
    assert run(["install", "desktop", "--folder", str(tmp_path)]) == 6
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"{tmp_path / 'applications'}" in err and "move it away" in err
    assert tree(tmp_path) == {"applications": b"a file"}
