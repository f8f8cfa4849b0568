"""`layerflow serve` before it serves: who is let in, where jobs may go, and what is refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layerflow.cli.app import run
from layerflow.cli.serve import is_loopback
from layerflow.server import serving
from layerflow.server.folder import ServerFolder
from layerflow.server.settings import Limits, Settings
from layerflow.wire.running import RunningServer


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Settings]:
    """What servers were told, which were ready at once and did nothing."""
    found: list[Settings] = []

    def serve(folder: ServerFolder, settings: Settings, on_ready: Callable[[RunningServer], None]) -> None:
        found.append(settings)
        on_ready(RunningServer("http://127.0.0.1:1", "t", 1, 1))

    monkeypatch.setattr(serving, "serve", serve)
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.delenv("LAYERFLOW_ROOTS", raising=False)
    return found


def test_only_this_machine_by_default(told: list[Settings]) -> None:
    assert run(["serve"]) == 0
    roots = (Path.home().resolve(), Path(tempfile.gettempdir()).resolve())
    assert told == [Settings(host="127.0.0.1", names=("127.0.0.1",), roots=roots)]


def test_every_option_counts(told: list[Settings], tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    options: dict[str, Any] = {"--port": 9, "--idle-exit": 2.5, "--max-waiting": 3, "--max-frames": 4}
    arguments = [str(word) for pair in options.items() for word in pair]
    assert run(["serve", *arguments, "--root", str(tmp_path), "--root", str(tmp_path / "b")]) == 0
    limits = Limits(waiting_jobs=3, frames=4)
    roots = (tmp_path.resolve(), (tmp_path / "b").resolve())
    assert told == [Settings(port=9, names=("127.0.0.1",), idle_exit_s=2.5, limits=limits, roots=roots)]


def test_roots_come_from_the_environment_and_without_links(
    told: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("LAYERFLOW_ROOTS", os.pathsep.join([str(tmp_path / "link"), str(tmp_path)]))
    assert run(["serve"]) == 0
    assert told[0].roots == ((tmp_path / "real").resolve(), tmp_path.resolve())


def test_roots_are_remembered_for_the_servers_that_hosts_start(told: list[Settings], tmp_path: Path) -> None:
    for name in ("plates", "shots"):
        (tmp_path / name).mkdir()
    assert run(["serve", "--root", str(tmp_path / "plates"), "--root", str(tmp_path / "shots")]) == 0
    assert run(["serve"]) == 0
    (tmp_path / "shots").rename(tmp_path / "away")
    assert run(["serve"]) == 0
    plates, shots = (tmp_path.resolve() / name for name in ("plates", "shots"))
    assert [settings.roots for settings in told] == [(plates, shots), (plates, shots), (plates,)]


@pytest.mark.parametrize("text", ["", "[]", '{"roots": 3}', '{"roots": [3, "here"]}'])
def test_a_damaged_memory_is_none(told: list[Settings], tmp_path: Path, text: str) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "roots.json").write_text(text)
    (tmp_path / "server" / "roots.json").chmod(0o600)
    assert run(["serve"]) == 0
    assert told[0].roots[0] == Path.home().resolve()


def test_other_machines_take_three_flags(told: list[Settings], tmp_path: Path) -> None:
    tls = ["--tls-cert", str(tmp_path / "c.pem"), "--tls-key", str(tmp_path / "k.pem")]
    assert run(["serve", "--host", "192.0.2.7", "--allow-remote", *tls]) == 0
    assert run(["serve", "--host", "0.0.0.0", "--allow-remote", "--name", "farm", *tls]) == 0
    assert [settings.names for settings in told] == [("192.0.2.7",), ("farm",)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 lets other machines in; add --allow-remote if that is meant"),
        (["--host", "render-7"], "render-7 lets other machines in; add --allow-remote if that is meant"),
        (["--host", "::", "--allow-remote"], "the token would cross the network in the clear; give --tls-cert"),
        (["--tls-cert", "c.pem"], "TLS takes a certificate and its key; give both --tls-cert and --tls-key"),
        (
            ["--host", "::", "--allow-remote", "--tls-cert", "c.pem", "--tls-key", "k.pem"],
            ":: is no name to call; give --name with the one that other machines use",
        ),
        (["--root", "/no/such/folder"], "the root /no/such/folder is no folder; make it or choose another --root"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--idle-exit", "0"], "0.0 is not in the range"),
    ],
)
def test_what_would_let_others_in_by_mistake_is_refused(
    told: list[Settings], capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(["serve", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not told


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_the_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "localhost.evil.com", "127.0.0.1.nip.io", ""])
def test_nothing_else_is(host: str) -> None:
    assert not is_loopback(host)
