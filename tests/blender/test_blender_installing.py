"""`layerflow install blender`: the extension and its zip, where they go, and what Blender itself says of them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from blender_process import ROOT, VERSIONS, python_of

import layerflow
from layerflow.cli.app import run
from layerflow.installing import MARKER
from layerflow_blender import installing
from layerflow_blender.installing import BlenderHost, blenders_path, extension_files, find_blenders, zip_bytes

PACKAGE = ROOT / "blender_addon" / "layerflow_blender"
MANIFEST = tomllib.loads((PACKAGE / "blender_manifest.toml").read_text(encoding="utf-8"))
ENABLING = """
import json, sys, bpy
import addon_utils
errors = []
addon_utils.enable("bl_ext.user_default.layerflow", default_set=True, handle_error=errors.append)
enabled = addon_utils.check("bl_ext.user_default.layerflow")[1]
module, wire = sys.modules["bl_ext.user_default.layerflow"], sys.modules["layerflow.wire"]
print(json.dumps([enabled, list(map(repr, errors)), module.__file__, wire.__file__, bpy.app.version_string]))
"""


@pytest.fixture
def blenders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a user's Blenders 4.2, 4.5 and 5.0, which have been started and no more."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("BLENDER_USER_RESOURCES", "BLENDER_USER_EXTENSIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    monkeypatch.setenv("LAYERFLOW_HOSTS", str(tmp_path / "zips"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for version in ("4.2", "4.5", "5.0"):
        (blenders_path() / version / "config").mkdir(parents=True)
    return blenders_path()


@pytest.fixture
def zip_path(tmp_path: Path) -> Path:
    return tmp_path / "zips" / f"layerflow-blender-{layerflow.__version__}.zip"


def ours(blender: Path) -> Path:
    """Our folder in that of a Blender."""
    return blender / "extensions" / "user_default" / "layerflow"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def install(*arguments: str) -> None:
    assert run(["install", "blender", *arguments]) == 0


def refused(capsys: Any, *arguments: str) -> str:
    """The sentence that the command ends with."""
    capsys.readouterr()
    assert run(["install", "blender", *arguments]) == 6
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return str(err)


def answered(capsys: Any, *arguments: str) -> dict[str, Any]:
    """What the command says to programs."""
    capsys.readouterr()
    install("--json", *arguments)
    return dict(json.loads(capsys.readouterr().out))


def test_the_manifest_says_what_is_so() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert MANIFEST["version"] == project["version"] == layerflow.__version__
    assert MANIFEST["license"] == [f"SPDX:{project['license']}"]
    assert MANIFEST["id"] == installing.NAME and MANIFEST["schema_version"] == "1.0.0" and "website" not in MANIFEST
    assert MANIFEST["blender_version_min"] == ".".join(map(str, (*installing.OLDEST, 0)))
    assert set(MANIFEST["permissions"]) == {"network", "files"}
    for words in (MANIFEST["tagline"], *MANIFEST["permissions"].values()):
        assert len(words) <= 64 and words[-1].isalnum()
    assert "/installing.py" in MANIFEST["build"]["paths_exclude_pattern"]


def test_what_the_extension_is_of() -> None:
    files = extension_files()
    assert list(files) == sorted(files)
    assert files.pop("LICENSE") == (ROOT / "LICENSE").read_bytes()
    wire = {f"vendor/layerflow/wire/{path.name}" for path in (ROOT / "engine/layerflow/wire").glob("*.py")}
    assert {name for name in files if name.startswith("vendor")} == wire | {"vendor/layerflow/__init__.py"}
    for name in [name for name in files if name.startswith("vendor")]:
        assert files.pop(name) == (ROOT / "engine" / name.removeprefix("vendor/")).read_bytes()
    assert set(files) == {path.name for path in PACKAGE.glob("*.py")} - {"installing.py"} | {"blender_manifest.toml"}
    assert all(content == (PACKAGE / name).read_bytes() for name, content in files.items())


def test_an_install_without_its_licence_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "distributions", lambda name: [])
    assert extension_files()["LICENSE"] == (ROOT / "LICENSE").read_bytes()  # of the checkout
    monkeypatch.setattr(installing, "__file__", "/nowhere/at/all/installing.py")
    with pytest.raises(ValueError, match="LICENSE, which is to go with the extension, is missing; install LayerFlow"):
        extension_files()


def test_it_goes_into_every_blender_from_4_5_on(blenders: Path, zip_path: Path, capsys: Any) -> None:
    install()
    out = capsys.readouterr().out.splitlines()
    for blender, line in zip((blenders / "4.5", blenders / "5.0"), out, strict=False):
        assert line == f"LayerFlow {layerflow.__version__} for Blender {blender.name} in {ours(blender)} is installed"
        found = tree(ours(blender))
        marker = json.loads(found.pop(MARKER))
        assert found == extension_files()
        assert marker == {"version": layerflow.__version__, "files": sorted(found)}
    assert out[2] == f"{zip_path} is for other machines: Edit > Preferences > Get Extensions > Install from Disk"
    assert "tick LayerFlow in Blender's Edit > Preferences > Add-ons" in out[3] and "sidebar (N) > LayerFlow" in out[4]
    assert len(out) == 5 and [path.name for path in (blenders / "4.2").iterdir()] == ["config"]


def test_the_zip_is_the_same_to_the_byte_for_the_same_files(blenders: Path, zip_path: Path) -> None:
    install()
    with zipfile.ZipFile(zip_path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == extension_files()
        assert archive.namelist() == sorted(archive.namelist())
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    shuffled = dict(reversed(extension_files().items()))
    assert zip_bytes(shuffled) == zip_path.read_bytes()
    assert [path.name for path in zip_path.parent.iterdir()] == [zip_path.name]


def test_again_writes_nothing(blenders: Path, zip_path: Path, capsys: Any) -> None:
    assert answered(capsys)["changed"] is True
    paths = [path for folder in (blenders, zip_path.parent) for path in folder.rglob("*")]
    times = {path: path.stat().st_mtime_ns for path in paths}
    assert answered(capsys) == {
        "host": "blender",
        "folder": str(blenders),
        "version": layerflow.__version__,
        "installed": True,
        "changed": False,
    }
    install()
    assert capsys.readouterr().out.count("is up to date") == 2
    assert {path: path.stat().st_mtime_ns for path in paths} == times


def test_what_is_amiss_is_put_right(blenders: Path, zip_path: Path, capsys: Any) -> None:
    install()
    before = tree(blenders) | tree(zip_path.parent)
    (ours(blenders / "5.0") / "__init__.py").write_text("broken")
    zip_path.write_bytes(b"broken")
    capsys.readouterr()
    install()
    assert tree(blenders) | tree(zip_path.parent) == before
    out = capsys.readouterr().out
    assert out.count("is up to date") == 1 and out.count("is installed") == 1
    zip_path.unlink()
    assert answered(capsys)["changed"] is True and zip_path.is_file()


def test_another_version_takes_its_place(blenders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    files = {name: content for name, content in extension_files().items() if name != "LICENSE"} | {"fresh.py": b"new"}
    monkeypatch.setattr(installing, "extension_files", lambda: dict(files))
    monkeypatch.setattr(layerflow, "__version__", "9.9")
    (ours(blenders / "4.5") / "__pycache__").mkdir()
    (ours(blenders / "4.5") / "__pycache__" / "old.pyc").touch()
    install()
    found = tree(ours(blenders / "4.5"))
    assert json.loads(found.pop(MARKER))["version"] == "9.9" and found == files
    assert [path.name for path in ours(blenders / "4.5").parent.iterdir()] == ["layerflow"]


def test_out_again(blenders: Path, zip_path: Path, capsys: Any) -> None:
    install()
    (zip_path.parent / "layerflow-blender-0.0.1.zip").touch()
    (zip_path.parent / "mine.zip").touch()
    (ours(blenders / "5.0") / "vendor" / "layerflow" / "__pycache__").mkdir()
    answer = answered(capsys, "--uninstall")
    assert answer["installed"] is False and answer["changed"] is True and answer["version"] == layerflow.__version__
    assert not tree(blenders) and not ours(blenders / "4.5").exists() and not ours(blenders / "5.0").exists()
    assert (blenders / "4.5" / "config").is_dir() and list(tree(zip_path.parent)) == ["mine.zip"]
    again = answered(capsys, "--uninstall")
    assert again["changed"] is False and again["version"] is None and again["folder"] == str(blenders)
    install("--uninstall")
    assert capsys.readouterr().out == f"there is no LayerFlow in {blenders}\n"


def test_out_again_is_told_place_by_place(blenders: Path, zip_path: Path, capsys: Any) -> None:
    install()
    (ours(blenders / "5.0") / "mine.py").write_text("mine")
    capsys.readouterr()
    install("--uninstall")
    assert capsys.readouterr().out.splitlines() == [
        f"LayerFlow is gone from {blenders / '4.5'}; restart Blender",
        f"LayerFlow is gone from {blenders / '5.0'}; restart Blender",
        f"{ours(blenders / '5.0')} stays, for it holds what is not LayerFlow's, such as mine.py",
        f"{zip_path} is gone",
    ]
    assert tree(blenders) == {"5.0/extensions/user_default/layerflow/mine.py": b"mine"}


def test_without_a_blender_there_is_the_zip(
    blenders: Path, zip_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "nothing"))
    for version in ("4.5", "5.0"):
        (blenders / version / "config").rmdir()
        (blenders / version).rmdir()
    sentence = refused(capsys)
    assert f"there is no user folder of Blender 4.5 or newer in {blenders_path()}; start Blender once" in sentence
    assert (
        "--folder" in sentence and f"{zip_path} by Edit > Preferences > Get Extensions > Install from Disk" in sentence
    )
    assert zipfile.is_zipfile(zip_path)


def test_which_folders_are_blenders(tmp_path: Path) -> None:
    for name in ("4.2", "4.5", "4.10", "5.0", "10.0", "4.5.1", "v5.0", "5", "extensions"):
        (tmp_path / name).mkdir()
    (tmp_path / "6.0").touch()
    assert [path.name for path in find_blenders(tmp_path)] == ["4.5", "4.10", "5.0", "10.0"]
    assert find_blenders(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"HOME": "/home/me", "XDG_CONFIG_HOME": ""}, "/home/me/.config/blender"),
        ("linux", {"HOME": "/home/me", "XDG_CONFIG_HOME": "/etc/me"}, "/etc/me/blender"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Application Support/Blender"),
        ("win32", {"APPDATA": "C:/Users/me/Roaming"}, "C:/Users/me/Roaming/Blender Foundation/Blender"),
        ("win32", {"APPDATA": "", "HOME": "/c/me"}, "/c/me/AppData/Roaming/Blender Foundation/Blender"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="homes are told by other variables there")
def test_where_blender_keeps_them(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], folder: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert blenders_path(platform) == Path(folder)


def test_the_environment_says_where(
    blenders: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(tmp_path / "resources"))
    assert answered(capsys)["folder"] == str(tmp_path / "resources")
    assert (ours(tmp_path / "resources") / MARKER).is_file()
    monkeypatch.setenv("BLENDER_USER_EXTENSIONS", str(tmp_path / "extensions"))
    assert answered(capsys)["folder"] == str(tmp_path / "extensions")
    assert (tmp_path / "extensions" / "user_default" / "layerflow" / MARKER).is_file()
    assert not tree(blenders)
    install("--uninstall")
    assert not tree(tmp_path / "extensions") and tree(tmp_path / "resources")


def test_where_the_zip_goes_by_itself(blenders: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAYERFLOW_HOSTS")
    monkeypatch.setattr(installing, "user_data_path", lambda name: tmp_path / "data" / name)
    install()
    assert list(tree(tmp_path / "data")) == [f"layerflow/hosts/layerflow-blender-{layerflow.__version__}.zip"]


def test_a_folder_that_was_named(blenders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    portable = tmp_path / "blender-4.5-linux" / "portable"
    assert answered(capsys, "--folder", str(portable))["folder"] == str(portable)
    assert (ours(portable) / MARKER).is_file() and not tree(blenders)
    install("--folder", str(portable))
    assert f"have BLENDER_USER_RESOURCES name {portable}, unless it is the folder `portable`" in capsys.readouterr().out
    install("--folder", str(blenders / "4.5"))
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(portable))
    install("--folder", str(portable))
    assert "BLENDER_USER_RESOURCES" not in capsys.readouterr().out
    install("--folder", str(portable), "--uninstall")
    assert not tree(portable) and tree(blenders / "4.5") and not tree(blenders / "5.0")


@pytest.mark.parametrize(
    ("inner", "sentence"),
    [
        ("4.2", "is of a Blender before 4.5, which LayerFlow needs; name a newer one's"),
        ("", "holds the folders of several Blenders; name one of them, such as {blenders}/5.0"),
        ("4.5/extensions", "is inside the folder of a Blender; name that one, {blenders}/4.5"),
        ("4.5/extensions/user_default", "is inside the folder of a Blender; name that one, {blenders}/4.5"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--uninstall",)])
def test_a_folder_that_is_not_a_blenders(
    blenders: Path, capsys: Any, inner: str, sentence: str, arguments: tuple[str, ...]
) -> None:
    told = refused(capsys, "--folder", str(blenders / inner), *arguments)
    assert f"{blenders / inner} {sentence.format(blenders=blenders)}".replace("/", os.sep) in told.replace("/", os.sep)
    assert not tree(blenders)


@pytest.mark.parametrize("manifest", [None, b'id = "other"\n', b"id = ", b"\xff", b"[layerflow]\n"])
def test_a_folder_of_that_name_that_is_not_ours(blenders: Path, capsys: Any, manifest: bytes | None) -> None:
    theirs = ours(blenders / "5.0")
    theirs.mkdir(parents=True)
    (theirs / "mine.py").write_text("mine")
    if manifest is not None:
        (theirs / "blender_manifest.toml").write_bytes(manifest)
    before = tree(blenders)
    assert f"{theirs} was not put there by layerflow install; move it away" in refused(capsys)
    assert tree(blenders) == before  # not into 4.5 either
    install("--uninstall")
    assert f"{theirs} was not put there by layerflow install; it stays as it is" in capsys.readouterr().out
    assert tree(blenders) == before


def test_what_blender_has_put_there_is_ours(blenders: Path, zip_path: Path, capsys: Any) -> None:
    install()
    for name in (MARKER, "asking.py"):
        (ours(blenders / "5.0") / name).unlink()  # as Install from Disk leaves it, of an older version
    (ours(blenders / "5.0") / "older.py").touch()
    assert answered(capsys)["changed"] is True
    assert tree(ours(blenders / "5.0")) == tree(ours(blenders / "4.5"))
    (ours(blenders / "5.0") / MARKER).unlink()
    answered(capsys, "--uninstall", "--folder", str(blenders / "5.0"))
    assert not ours(blenders / "5.0").exists()


def test_a_swap_of_what_blender_has_put_there_may_be_cut_short(blenders: Path) -> None:
    install()
    (ours(blenders / "5.0") / MARKER).unlink()
    before = tree(blenders)
    ours(blenders / "5.0").rename(ours(blenders / "5.0").with_name(".layerflow.old"))
    assert installing.find_places(blenders / "5.0")
    assert tree(blenders) == before


def test_a_checkout_is_never_written_over(blenders: Path, tmp_path: Path, capsys: Any) -> None:
    checkout = tmp_path / "layerflow_blender"
    checkout.mkdir()
    (checkout / "blender_manifest.toml").write_bytes((PACKAGE / "blender_manifest.toml").read_bytes())
    ours(blenders / "5.0").parent.mkdir(parents=True)
    ours(blenders / "5.0").symlink_to(checkout)
    assert f"{checkout} was not put there by layerflow install; move it away" in refused(capsys)
    ours(blenders / "5.0").unlink()
    checkout.rename(ours(blenders / "5.0"))
    (ours(blenders / "5.0") / ".git").mkdir()
    assert "was not put there by layerflow install; move it away" in refused(capsys)
    assert list(tree(ours(blenders / "5.0"))) == ["blender_manifest.toml"]


def test_links_are_followed_and_stay(blenders: Path, tmp_path: Path, zip_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "zips").symlink_to(tmp_path / "dotfiles")
    (blenders / "4.5" / "extensions").symlink_to(tmp_path / "dotfiles")
    (tmp_path / "dotfiles" / "user_default").mkdir()
    (tmp_path / "dotfiles" / "user_default" / "layerflow").symlink_to(tmp_path / "flow")
    install()
    install()
    assert (tmp_path / "flow" / MARKER).is_file() and (blenders / "4.5" / "extensions").is_symlink()
    assert sorted(path.name for path in (tmp_path / "dotfiles").iterdir()) == [zip_path.name, "user_default"]


def test_a_damaged_marker_stops_it_before_anything_is_done(blenders: Path, zip_path: Path, capsys: Any) -> None:
    install()
    (ours(blenders / "5.0") / MARKER).write_bytes(b'{"version": "1", "files": ["../../dear.txt"]}')
    before = tree(blenders)
    assert "is damaged, so nothing was done; move" in refused(capsys)
    assert "is damaged, so nothing was done; move" in refused(capsys, "--uninstall")
    assert tree(blenders) == before and zip_path.is_file()


def refuse_from(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Has the disk be full as the `number`-th file is written."""
    calls: list[int] = []

    def refusing(handle: int) -> None:
        calls.append(handle)
        if len(calls) >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refusing)


def test_a_full_disk_leaves_what_was_there(blenders: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    install()
    before = tree(blenders)
    monkeypatch.setattr(layerflow, "__version__", "9.9")
    refuse_from(monkeypatch, 5)  # after what hosts are told of this install, and the zip
    repository = ours(blenders / "4.5").parent
    assert f"the disk of {repository} is full; free some space" in refused(capsys)
    assert tree(blenders) == before and [path.name for path in repository.iterdir()] == ["layerflow"]


def test_a_zip_that_cannot_be_written(
    blenders: Path, zip_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "zips").touch()
    assert f"{tmp_path / 'zips'} could not be written (" in refused(capsys)
    (tmp_path / "zips").unlink()
    refuse_from(monkeypatch, 2)
    sentence = refused(capsys)
    assert f"{zip_path} could not be written (No space left on device)" in sentence and "LAYERFLOW_HOSTS" in sentence
    assert not tree(blenders) and not tree(zip_path.parent)


def test_an_installer_needs_no_engine(blenders: Path) -> None:
    code = "import layerflow_blender.installing, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "bpy", "click"} & set(loaded)
    outcome = BlenderHost().install(None, "1.0")
    assert outcome.changed and not BlenderHost().install(None, "1.0").changed
    assert BlenderHost().uninstall(None).version == "1.0"


def ask_blender(version: str, *arguments: str | Path) -> str:
    """What the command line that Blender brings for extensions says."""
    python = python_of(version)
    site = next((python.parents[1]).glob("[Ll]ib/**/site-packages/bpy"))
    command = site / version / "scripts" / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    done = subprocess.run([python, "-I", command, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.blender
@pytest.mark.parametrize("version", VERSIONS)
def test_blender_finds_both_valid(blenders: Path, zip_path: Path, version: str) -> None:
    install()
    for path in (zip_path, ours(blenders / "4.5")):
        assert "Success" in ask_blender(version, "validate", path)


@pytest.mark.blender
@pytest.mark.parametrize("version", VERSIONS)
def test_blender_and_this_take_over_from_each_other(
    blenders: Path, zip_path: Path, tmp_path: Path, capsys: Any, version: str
) -> None:
    install()
    repository = ours(blenders / "4.5").parent
    ask_blender(version, "install-files", f"--local-dir={repository}", "--blender-version=4.5.0", zip_path)
    assert tree(repository / "layerflow") == extension_files()
    assert answered(capsys)["changed"] is True and (repository / "layerflow" / MARKER).is_file()


@pytest.mark.blender
@pytest.mark.parametrize("version", VERSIONS)
def test_blender_enables_it(
    blenders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, version: str
) -> None:
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(tmp_path / "resources"))
    install()
    command = [python_of(version), "-I", "-c", ENABLING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    enabled, errors, module, wire, said = json.loads(
        next(line for line in done.stdout.splitlines() if line.startswith("["))
    )
    assert enabled and not errors and said.startswith(version)
    there = ours(tmp_path / "resources")
    assert Path(module) == there / "__init__.py" and Path(wire).is_relative_to(there / "vendor")
    assert answered(capsys)["changed"] is False  # what Python has compiled does not count
    install("--uninstall")
    assert not there.exists()
