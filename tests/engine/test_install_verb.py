"""`layerflow install`, whatever the host: which there are, what an installer is told, and what its errors become."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import layerflow
from layerflow.cli.app import run
from layerflow.wire import starting


@dataclass
class Outcome:
    folder: Path
    version: str | None = "1.2"
    changed: bool = True
    said: tuple[str, ...] = ("it is in", "now restart")


@dataclass
class Stage:
    """A host that notes what it is asked, and raises what it is given."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None

    def install(self, folder: Path | None, version: str) -> Outcome:
        return self._answer("install", folder, version)

    def uninstall(self, folder: Path | None) -> Outcome:
        return self._answer("uninstall", folder)

    def _answer(self, *asked: Any) -> Outcome:
        self.asked.append(asked)
        if self.error:
            raise self.error
        return Outcome(asked[1] or Path("/home/me/.stage"))


@dataclass(frozen=True)
class Point:
    """An entry point."""

    name: str
    load: Callable[[], Any]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """One of two hosts; the other cannot be loaded."""
    host = Stage()

    def broken() -> Any:
        raise ImportError("no module named easel")

    points = [Point("stage", lambda: lambda: host), Point("easel", broken)]
    monkeypatch.setattr("layerflow.cli.install.entry_points", lambda group: points)
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.delenv("LAYERFLOW_COMMAND", raising=False)
    return host


def test_an_installer_is_told_the_version_and_speaks_for_itself(stage: Stage, capsys: Any) -> None:
    assert run(["install", "stage"]) == 0
    assert stage.asked == [("install", None, layerflow.__version__)]
    assert capsys.readouterr().out == "it is in\nnow restart\n"


def test_a_folder_is_absolute_whatever_it_was(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert run(["install", "stage", "--folder", "studio"]) == 0
    assert run(["install", "stage", "--uninstall", "--folder", "~/studio"]) == 0
    assert [asked[:2] for asked in stage.asked] == [
        ("install", tmp_path / "studio"),
        ("uninstall", Path("/home/me/studio")),
    ]


@pytest.mark.parametrize(("arguments", "installed"), [([], True), (["--uninstall"], False)])
def test_for_programs_the_last_line_is_one_object(
    stage: Stage, capsys: Any, arguments: list[str], installed: bool
) -> None:
    assert run(["install", "stage", "--json", *arguments]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "host": "stage",
        "folder": str(Path("/home/me/.stage")),
        "version": "1.2",
        "installed": installed,
        "changed": True,
    }


def test_hosts_start_this_engine_from_then_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(["install", "stage", "--uninstall"]) == 0
    with pytest.raises(starting.errors.NotRunning):
        starting.find_command()
    assert run(["install", "stage"]) == 0
    assert starting.find_command() == [sys.executable, "-P", "-m", "layerflow.cli"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paint"], "there is no host 'paint'; here are: easel, stage"),
        (["easel"], "the installer of easel cannot be loaded (no module named easel); install LayerFlow again"),
        (["stage", "--folder", ""], "--folder is empty; name a folder"),
        (["stage", "--folder", "~no-such-user/x"], "~no-such-user/x begins with a home that is not known; write"),
        ([], "Missing argument 'HOST'"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    stage: Stage, capsys: Any, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    assert run(["install", *arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert sentence in err and err.count("\n") == 1 and json.loads(out)["exit_code"] == 2
    assert not stage.asked and not (tmp_path / "server").exists()


def test_no_host_at_all(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("layerflow.cli.install.entry_points", lambda group: [])
    assert run(["install", "nuke"]) == 2
    assert "here are: none; install LayerFlow again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "the disk of {parent} is full; free some space"),
        (errno.EDQUOT, "your quota on the disk of {parent} is used up; free some space"),
        (errno.EACCES, "there is no permission to write {path}; ask for it"),
        (errno.EPERM, "there is no permission to write {path}; ask for it"),
        (errno.EROFS, "{path} is on a read-only disk; have it made writable"),
        (errno.ENOENT, "{path} is not there, or a link to what is not there"),
        (errno.EEXIST, "{path} is no folder, nor a link to one; move it away"),
        (errno.ENOTDIR, "part of {path} is a file and no folder"),
        (errno.EISDIR, "{path} is a folder and no file"),
        (errno.ELOOP, "the links in {path} lead in a circle"),
        (errno.EIO, "{path} could not be written (Input/output error)"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(stage: Stage, capsys: Any, code: int, sentence: str) -> None:
    path = Path("/home/me/.stage/x")
    stage.error = OSError(code, os.strerror(code), str(path))
    assert run(["install", "stage", "--json"]) == 6
    out, err = capsys.readouterr()
    assert sentence.format(path=path, parent=path.parent) in err and err.count("\n") == 1
    assert "or name another folder by --folder" in err and json.loads(out)["exit_code"] == 6


def test_what_an_installer_leaves_alone_is_its_own_sentence(stage: Stage, capsys: Any) -> None:
    stage.error = ValueError("that is somebody else's; move it away")
    assert run(["install", "stage"]) == 6
    assert capsys.readouterr().err == "layerflow: that is somebody else's; move it away\n"


def test_an_error_without_a_file_names_the_host(stage: Stage, capsys: Any) -> None:
    stage.error = OSError("something odd")
    assert run(["install", "stage"]) == 6
    assert "the folder of stage could not be written (something odd)" in capsys.readouterr().err


def test_a_file_in_use_is_told_as_windows_means_it(stage: Stage, capsys: Any) -> None:
    error = PermissionError(errno.EACCES, "used by another process", "C:/x")
    error.winerror = 32  # type: ignore[misc,attr-defined,unused-ignore]
    stage.error = error
    assert run(["install", "stage"]) == 6
    assert "C:/x is in use; end stage and run this again" in capsys.readouterr().err


def test_the_hosts_that_come_with_layerflow() -> None:
    assert {"blender", "nuke"} <= entry_points(group="layerflow.hosts").names
