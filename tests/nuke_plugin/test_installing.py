"""`layerflow install nuke`: what is where afterwards, and that nobody else's files are touched."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import layerflow
from layerflow.cli.app import run
from layerflow_nuke import installing
from layerflow_nuke.installing import IMPORT, LINE, MARKER, NukeHost, nuke_folder, without_line

ROOT = Path(__file__).parents[2]
LINE_TEXT = LINE.decode()
STARTUP = """
from layerflow_nuke.wire_path import find_wire
find_wire()
import layerflow.wire.client
def init():
    print("init", layerflow.wire.__file__)
def menu():
    print("menu")
"""
# Nuke as far as starting goes. Whether an init.py runs before its folder is on Python's path is not written anywhere.
STARTING = """
import os, sys, types
folder, is_early = sys.argv[1], sys.argv[2] == "early"
def execute(path):
    names = {"__name__": "__main__", "__file__": path} if is_early else {"__name__": "__main__"}
    with open(path) as file:
        exec(compile(file.read(), path, "exec"), names)
def add(path):
    place = os.path.normpath(os.path.join(folder, path))
    if is_early:
        execute(os.path.join(place, "init.py"))
    sys.path.insert(0, place)
    if not is_early:
        execute(os.path.join(place, "init.py"))
sys.modules["nuke"] = types.ModuleType("nuke")
sys.modules["nuke"].pluginAddPath = add
sys.path.insert(0, folder)
execute(os.path.join(folder, "init.py"))
execute(os.path.join(folder, "layerflow", "menu.py"))
"""


@pytest.fixture
def nuke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The Nuke folder of a user who has just come; it is not there yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.delenv("NUKE_PATH", raising=False)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return tmp_path / ".nuke"


def tree(folder: Path) -> dict[str, bytes | str]:
    """Every file below `folder` with its content; of a link, where it leads."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in found
    }


def install(*arguments: str) -> None:
    assert run(["install", "nuke", *arguments]) == 0


def refused(capsys: Any, *arguments: str, code: int = 6) -> str:
    """The sentence that the command ends with."""
    assert run(["install", "nuke", *arguments]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return str(err)


def start_nuke(folder: Path, how: str) -> list[str]:
    """What the plug-in in `folder` says as Nuke starts, with a start-up of the tests."""
    (folder / "layerflow" / "layerflow_nuke" / "startup.py").write_text(STARTUP)
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", STARTING, str(folder), how]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_files_beside_the_package_are_what_is_installed() -> None:
    assert (ROOT / "nuke_plugin" / "init.py").read_bytes() == installing.INIT
    assert (ROOT / "nuke_plugin" / "menu.py").read_bytes() == installing.MENU


def test_what_is_installed(nuke: Path, capsys: Any) -> None:
    install()
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"LayerFlow {layerflow.__version__} in {nuke / 'layerflow'} is installed"
    assert out[1:] == ["restart Nuke, then Nodes menu > LayerFlow"]
    found = tree(nuke)
    assert found.pop("init.py") == b"import nuke\n\n" + LINE + b"\n"
    marker = json.loads(found.pop(f"layerflow/{MARKER}"))
    assert marker["version"] == layerflow.__version__
    assert [f"layerflow/{name}" for name in marker["files"]] == sorted(found)
    assert found.pop("layerflow/init.py") == installing.INIT and found.pop("layerflow/menu.py") == installing.MENU
    for prefix, source in (("layerflow_nuke", ROOT / "nuke_plugin"), ("vendor/layerflow", ROOT / "engine")):
        for name in [name for name in found if name.startswith(f"layerflow/{prefix}")]:
            inner = name.removeprefix("layerflow/").removeprefix("vendor/")
            assert found.pop(name) == (source / inner).read_bytes()
    assert not found
    vendored = {name for name in marker["files"] if name.startswith("vendor")}
    wire = {f"vendor/layerflow/wire/{path.name}" for path in (ROOT / "engine/layerflow/wire").glob("*.py")}
    assert vendored == wire | {"vendor/layerflow/__init__.py"}
    assert "layerflow_nuke/wire_path.py" in marker["files"] and "layerflow_nuke/installing.py" not in marker["files"]


@pytest.mark.parametrize("how", ["early", "late"])
def test_nuke_starts_with_it(nuke: Path, how: str) -> None:
    install()
    wire = nuke / "layerflow" / "vendor" / "layerflow" / "wire" / "__init__.py"
    assert start_nuke(nuke, how) == [f"init {wire}", "menu"]


def test_again_is_the_same_to_the_byte(nuke: Path, capsys: Any) -> None:
    install()
    before = tree(nuke)
    times = {path: path.stat().st_mtime_ns for path in nuke.rglob("*")}
    install("--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "host": "nuke",
        "folder": str(nuke),
        "version": layerflow.__version__,
        "installed": True,
        "changed": False,
    }
    install()
    assert "is up to date" in capsys.readouterr().out
    assert tree(nuke) == before and {path: path.stat().st_mtime_ns for path in nuke.rglob("*")} == times


def test_what_is_amiss_is_put_right(nuke: Path, capsys: Any) -> None:
    install()
    before = tree(nuke)
    (nuke / "layerflow" / "menu.py").unlink()
    (nuke / "layerflow" / "layerflow_nuke" / "__init__.py").write_text("broken")
    install()
    assert tree(nuke) == before and "up to date" not in capsys.readouterr().out
    (nuke / "init.py").unlink()
    install()
    assert tree(nuke) == before


def test_another_version_takes_its_place(nuke: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    install()
    files = installing.plugin_files()
    gone = "layerflow_nuke/wire_path.py"
    others = {name: content for name, content in files.items() if name != gone} | {"layerflow_nuke/fresh.py": b"new"}
    monkeypatch.setattr(installing, "plugin_files", lambda: dict(others))
    monkeypatch.setattr(layerflow, "__version__", "9.9")
    (nuke / "layerflow" / "layerflow_nuke" / "__pycache__").mkdir()
    (nuke / "layerflow" / "layerflow_nuke" / "__pycache__" / "old.pyc").touch()
    install()
    assert "LayerFlow 9.9" in capsys.readouterr().out
    found = tree(nuke / "layerflow")
    assert json.loads(found.pop(MARKER))["version"] == "9.9" and found == others
    assert sorted(path.name for path in nuke.iterdir()) == ["init.py", "layerflow"]


def test_out_again(nuke: Path, capsys: Any) -> None:
    install()
    start_nuke(nuke, "late")  # leaves what Python compiles
    (nuke / "layerflow" / "layerflow_nuke" / "startup.py").unlink()
    install("--uninstall", "--json")
    assert list(nuke.iterdir()) == []
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["installed"] is False and answer["changed"] is True and answer["version"] == layerflow.__version__
    install("--uninstall", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["changed"] is False and answer["version"] is None
    install("--uninstall")
    assert capsys.readouterr().out == f"there is no LayerFlow in {nuke}\n"


def test_out_of_a_folder_that_is_not_there(nuke: Path, capsys: Any) -> None:
    install("--uninstall")
    assert "there is no LayerFlow" in capsys.readouterr().out and not nuke.exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"import nuke\nx = 1\n", b"import nuke\nx = 1\n%b\n"),
        (b"import nuke\r\nx = 1\r\n", b"import nuke\r\nx = 1\r\n%b\r\n"),
        (b"import nuke\rx = 1\r", b"import nuke\rx = 1\r%b\r"),
        (b"import os, nuke  # both\nx = 1", b"import os, nuke  # both\nx = 1\n%b\n"),
        (b"import nuke\r\nx = 1", b"import nuke\r\nx = 1\r\n%b\r\n"),
        (b"\xef\xbb\xbf# caf\xc3\xa9\nimport nuke\n", b"\xef\xbb\xbf# caf\xc3\xa9\nimport nuke\n%b\n"),
        (b"# -*- coding: latin-1 -*-\nimport nuke  # \xe9\n", b"# -*- coding: latin-1 -*-\nimport nuke  # \xe9\n%b\n"),
        (b"x = 1\r\n", b"x = 1\r\n" + IMPORT + b"\r\n%b\r\n"),
        (b"import nuke as n\n", b"import nuke as n\n" + IMPORT + b"\n%b\n"),
        (b"", IMPORT + b"\n%b\n"),
        (
            b'import nuke\n# nuke.pluginAddPath("./layerflow")\n',
            b'import nuke\n# nuke.pluginAddPath("./layerflow")\n%b\n',
        ),
        (
            b'import nuke\nnuke.pluginAddPath("./layerflow2")\n',
            b'import nuke\nnuke.pluginAddPath("./layerflow2")\n%b\n',
        ),
        (b'import nuke\nnuke.pluginAddPath(j("/s", "layerflow"))\n',) * 2,
    ],
)
def test_an_init_that_is_there_gets_one_line(nuke: Path, before: bytes, after: bytes) -> None:
    nuke.mkdir()
    (nuke / "init.py").write_bytes(before)
    (nuke / "init.py").chmod(0o640)
    install()
    wanted = after.replace(b"%b", LINE) if b"%b" in after else after + LINE + b"\n"
    assert (nuke / "init.py").read_bytes() == wanted
    assert (nuke / "init.py").stat().st_mode & 0o777 == 0o640
    install()
    assert (nuke / "init.py").read_bytes() == wanted
    install("--uninstall")
    left = (nuke / "init.py").read_bytes()
    assert left.rstrip().removesuffix(IMPORT).rstrip() == before.rstrip()  # and the ending of its last line
    assert sorted(path.name for path in nuke.iterdir()) == ["init.py"]


@pytest.mark.parametrize(
    "line",
    [
        "nuke.pluginAddPath('./layerflow')",
        'nuke.pluginAddPath( "layerflow/" )',
        "    nuke.pluginAppendPath(r'.\\layerflow')",
        "nuke.pluginAddPath(['./gizmos', './layerflow'], addToSysPath=True)",
        "nuke.pluginAddPath(\n    './layerflow'\n)",
        "nuke.pluginAddPath('{nuke}/layerflow')",
        LINE_TEXT,
    ],
)
def test_an_init_that_adds_it_already_stays(nuke: Path, line: str) -> None:
    nuke.mkdir()
    source = f"import nuke\nif True:\n  {line.format(nuke=nuke.as_posix())}\n"
    (nuke / "init.py").write_text(source)
    install()
    assert (nuke / "init.py").read_text() == source


def test_a_line_of_the_users_own_is_told_of(nuke: Path, capsys: Any) -> None:
    install()
    with (nuke / "init.py").open("a") as file:
        file.write("if nuke.GUI:\n    nuke.pluginAddPath('./layerflow')\n")
    install("--uninstall")
    assert (nuke / "init.py").read_text() == "import nuke\n\nif nuke.GUI:\n    nuke.pluginAddPath('./layerflow')\n"
    assert f"{nuke / 'init.py'} still adds {nuke / 'layerflow'}; take that out of it" in capsys.readouterr().out


def test_what_was_written_into_our_init_since_stays(nuke: Path) -> None:
    install()
    with (nuke / "init.py").open("a") as file:
        file.write('nuke.pluginAddPath("./gizmos")\n')
    install()
    install("--uninstall")
    assert (nuke / "init.py").read_text() == 'import nuke\n\nnuke.pluginAddPath("./gizmos")\n'


def test_our_import_stays_for_those_who_use_it() -> None:
    assert without_line(IMPORT + b"\n" + LINE + b"\nnuke.GUI\n") == IMPORT + b"\nnuke.GUI\n"
    assert without_line(b"x\n" + IMPORT + b"\n" + LINE + b"\n") == b"x\n"


def test_an_init_is_never_half_written(nuke: Path, tmp_path: Path) -> None:
    nuke.mkdir()
    (nuke / "init.py").write_text("import nuke\n")
    (tmp_path / "as it was").hardlink_to(nuke / "init.py")
    install()
    assert (tmp_path / "as it was").read_text() == "import nuke\n"  # another file has its name now


def test_an_init_in_utf_16_is_left_alone(nuke: Path, capsys: Any) -> None:
    nuke.mkdir()
    (nuke / "init.py").write_bytes("import nuke\n".encode("utf-16"))
    before = tree(nuke)
    assert "save it as UTF-8 and run this again" in refused(capsys)
    assert tree(nuke) == before


def test_an_init_that_may_not_be_written(nuke: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nuke.mkdir()
    (nuke / "init.py").write_text("import nuke\n")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert f"there is no permission to write {nuke / 'init.py'}; ask for it" in refused(capsys)
    assert list(tree(nuke)) == ["init.py"]


def test_links_are_followed_and_stay(nuke: Path, tmp_path: Path) -> None:
    for folder in ("dotfiles/nuke", "shared", "plugins"):
        (tmp_path / folder).mkdir(parents=True)
    nuke.symlink_to(tmp_path / "dotfiles" / "nuke")
    (nuke / "init.py").symlink_to(tmp_path / "shared" / "init.py")  # which is not there yet
    (nuke / "layerflow").symlink_to(tmp_path / "plugins" / "flow")
    install()
    install()
    assert nuke.is_symlink() and (nuke / "init.py").is_symlink() and (nuke / "layerflow").is_symlink()
    assert LINE in (tmp_path / "shared" / "init.py").read_bytes()
    assert (tmp_path / "plugins" / "flow" / MARKER).is_file()
    assert [path.name for path in (tmp_path / "plugins").iterdir()] == ["flow"]
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["init.py"]


def test_a_folder_of_that_name_that_is_not_ours(nuke: Path, capsys: Any) -> None:
    (nuke / "layerflow").mkdir(parents=True)
    (nuke / "layerflow" / "mine.py").write_text("mine")
    (nuke / "init.py").write_text(LINE_TEXT)
    before = tree(nuke)
    assert f"{nuke / 'layerflow'} was not put there by layerflow install; move it away" in refused(capsys)
    install("--uninstall")
    assert "it stays as it is" in capsys.readouterr().out
    assert tree(nuke) == before


def test_an_empty_folder_of_that_name_is_nobodys(nuke: Path) -> None:
    (nuke / "layerflow").mkdir(parents=True)
    install()
    assert sorted(path.name for path in nuke.iterdir()) == ["init.py", "layerflow"]


def test_files_of_others_in_our_folder_stay(nuke: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    install()
    others = nuke / "layerflow" / "vendor" / "others"
    others.mkdir()
    (others / "mine.py").write_text("mine")
    (others / "link").symlink_to("nowhere")
    monkeypatch.setattr(layerflow, "__version__", "9.9")
    install()
    theirs = {"layerflow/vendor/others/mine.py": b"mine", "layerflow/vendor/others/link": "nowhere"}
    assert theirs.items() <= tree(nuke).items()
    install("--uninstall")
    assert tree(nuke) == theirs
    assert "layerflow stays, for it holds what is not LayerFlow's, such as vendor/others/" in capsys.readouterr().out


def test_a_file_of_others_is_never_written_over(nuke: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    install()
    (nuke / "layerflow" / "layerflow_nuke" / "fresh.py").write_text("mine")
    before = tree(nuke)
    files = installing.plugin_files() | {"layerflow_nuke/fresh.py": b"ours"}
    monkeypatch.setattr(installing, "plugin_files", lambda: files)
    assert "fresh.py is in the way of a file of LayerFlow; move it away" in refused(capsys)
    assert tree(nuke) == before


def test_nothing_is_removed_through_a_link(nuke: Path, tmp_path: Path) -> None:
    install()
    (nuke / "layerflow" / "layerflow_nuke").rename(tmp_path / "checkout")
    (nuke / "layerflow" / "layerflow_nuke").symlink_to(tmp_path / "checkout")
    before = tree(tmp_path / "checkout")
    install("--uninstall")
    assert tree(tmp_path / "checkout") == before and before
    assert list(tree(nuke)) == ["layerflow/layerflow_nuke"]


@pytest.mark.parametrize(
    "marker",
    [
        b"",
        b"[]",
        b'{"version": "1", "made_init": true}',
        b'{"version": "1", "made_init": true, "files": ["../../dear.txt"]}',
        b'{"version": "1", "made_init": true, "files": ["/etc/passwd"]}',
        b'{"version": "1", "made_init": true, "files": [""]}',
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--uninstall",)])
def test_a_damaged_marker_is_believed_in_nothing(
    nuke: Path, capsys: Any, marker: bytes, arguments: tuple[str, ...]
) -> None:
    install()
    (nuke / "layerflow" / MARKER).write_bytes(marker)
    (nuke.parent / "dear.txt").touch()
    before = tree(nuke.parent)
    assert f"{MARKER} is damaged, so nothing was done; move" in refused(capsys, *arguments)
    assert tree(nuke.parent) == before


def refuse_from(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, code: int) -> None:
    """Has the `number`-th call of a function fail as the system would."""
    function, calls = getattr(owner, name), []

    def refusing(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == number:
            raise OSError(code, os.strerror(code))
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, refusing)


@pytest.mark.parametrize("number", [2, 3, 9])  # the first is of what hosts are told of this install
def test_a_full_disk_changes_nothing(nuke: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, number: int) -> None:
    nuke.mkdir()
    (nuke / "init.py").write_text("import nuke\n")
    before = tree(nuke)
    refuse_from(monkeypatch, os, "fsync", number, errno.ENOSPC)
    assert f"the disk of {nuke} is full; free some space" in refused(capsys)
    assert tree(nuke) == before and [path.name for path in nuke.iterdir()] == ["init.py"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_swap_that_fails_leaves_the_old_one(
    nuke: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, number: int
) -> None:
    install()
    before = tree(nuke)
    monkeypatch.setattr(layerflow, "__version__", "9.9")
    with monkeypatch.context() as patch:
        refuse_from(patch, Path, "rename", number, errno.EACCES)
        assert f"there is no permission to write {nuke / 'layerflow'}" in refused(capsys)
    assert tree(nuke) == before
    install()
    assert "9.9" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--uninstall",)])
def test_a_swap_that_was_cut_short_is_mended(nuke: Path, arguments: tuple[str, ...]) -> None:
    install()
    (nuke / "layerflow" / "mine.py").touch()
    before = tree(nuke)
    (nuke / "layerflow").rename(nuke / ".layerflow.old")
    (nuke / ".layerflow.part").mkdir()
    (nuke / ".layerflow.part" / "half").touch()
    (nuke / ".init.py.part").touch()
    install()
    assert tree(nuke) == before
    install("--uninstall")
    assert list(tree(nuke)) == ["layerflow/mine.py"]


def test_a_file_where_the_folder_should_be(nuke: Path, capsys: Any) -> None:
    nuke.touch()
    assert str(nuke) in refused(capsys) and nuke.read_bytes() == b""


def test_a_link_to_nowhere(nuke: Path, capsys: Any) -> None:
    nuke.symlink_to("/nowhere/at/all")
    assert f"{nuke} is no folder, nor a link to one; move it away" in refused(capsys)


def test_a_folder_that_was_named(nuke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    studio = tmp_path / "studio"
    install("--folder", str(studio))
    assert (studio / "layerflow" / MARKER).is_file() and not nuke.exists()
    assert f"have NUKE_PATH name {studio}\n" in capsys.readouterr().out
    monkeypatch.setenv("NUKE_PATH", os.pathsep.join(["/elsewhere", str(studio)]))
    install("--folder", str(studio))
    install("--folder", str(nuke))
    assert "NUKE_PATH" not in capsys.readouterr().out
    install("--uninstall", "--folder", str(studio))
    assert not list(studio.iterdir()) and (nuke / "layerflow").is_dir()


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("win32", {"HOME": "H:/me", "USERPROFILE": "C:/Users/me"}, "H:/me/.nuke"),
        ("win32", {"HOME": "", "USERPROFILE": "C:/Users/me"}, "C:/Users/me/.nuke"),
        ("linux", {"HOME": "/home/me", "USERPROFILE": "C:/Users/me"}, "/home/me/.nuke"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/.nuke"),
    ],
)
def test_where_nuke_looks(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], folder: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert nuke_folder(platform) == Path(folder)


def test_an_installer_needs_no_engine(nuke: Path) -> None:
    outcome = NukeHost().install(None, "1.0")
    assert outcome.changed and not NukeHost().install(None, "1.0").changed
    assert NukeHost().uninstall(None).version == "1.0"
