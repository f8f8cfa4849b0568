"""A server's life, in processes of its own: found, alone, let go of in order, and back with everything it had."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import server_process as real
import trustme
from server_process import SERVE, own_folder, serving

from layerflow.server import serving as module
from layerflow.server.activity import Activity
from layerflow.server.folder import ServerFolder
from layerflow.server.settings import Settings
from layerflow.server.store import Store
from layerflow.server.survey import SurveyError
from layerflow.wire import Request, starting
from layerflow.wire.client import Client
from layerflow.wire.errors import Busy, NotRunning, ServerError
from layerflow.wire.places import server_file
from layerflow.wire.running import RunningServer, published

home = real.home


def shot(home: Path, name: str, **changes: Any) -> Request:
    """A small shot of the bundled model."""
    values = {"foreground": "a red dog", "background": "the garden", "num_frames": 8, "steps": 6, **changes}
    return Request("generate", output=str(home / name / "dog.%04d.exr"), **values)


def eventually(true: Any, timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextlib.contextmanager
def in_a_thread(monkeypatch: pytest.MonkeyPatch, settings: Settings, find: Any = None) -> Any:
    """A server of this process that finds no devices; what it is told by, and its thread."""

    def nothing(wanted: Any) -> Any:
        while wanted():
            time.sleep(0.01)
        raise SurveyError("not wanted any more")

    monkeypatch.setattr(module, "survey", find or nothing)
    ready, stop, told = threading.Event(), threading.Event(), []

    def say(server: RunningServer) -> None:
        told.append(server)
        ready.set()

    run = partial(module.serve, ServerFolder.own(), settings, on_ready=say, stop=stop)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield told[0], thread
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_it_is_found_alone_and_gone_without_a_trace(home: Path) -> None:
    with serving() as served:
        assert stat.S_IMODE(server_file().stat().st_mode) == 0o600
        assert stat.S_IMODE(own_folder().path.stat().st_mode) == 0o700
        assert Client.connect(start=False).list() == []
        second = subprocess.run(SERVE, capture_output=True, text=True)
        assert second.returncode == 2
        told = (
            f"a LayerFlow server runs already at {served.server.url}; layerflow jobs list shows what it does, and "
            "--replace ends it"
        )
        assert second.stderr.splitlines()[-1] == f"layerflow: {told}"
        assert json.loads(second.stdout.splitlines()[-1])["error"] == told
        assert published() == served.server
        assert served.end() == 0
    assert not server_file().exists()
    assert {path.name for path in own_folder().path.iterdir()} == {
        "jobs.sqlite3",
        "logs",
        "server.lock",
        "install.json",
    }
    with pytest.raises(NotRunning):
        Client.connect(start=False)


def test_the_token_is_nowhere_but_in_its_file(home: Path) -> None:
    with serving() as served:
        token = served.server.token
        served.client.submit(shot(home, "a"))
        with pytest.raises(ServerError):
            served.client.get("0" * 32)
        eventually(lambda: served.workers())
        for process in (psutil.Process(served.process.pid), *served.workers()):
            assert token not in " ".join(process.cmdline())
            assert token not in "".join(process.environ().values())
        served.end()
        holders = [path for path in home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
        assert holders == []  # its file is gone with the server
    with serving() as served:
        assert served.server.token != token


def test_a_server_replaces_the_one_that_runs(home: Path) -> None:
    with serving() as first:
        job = first.client.submit(shot(home, "a")).id
        with serving("--replace") as second:
            assert first.process.wait(10) == 0 and published() == second.server != first.server
            assert second.client.get(job).id == job
            assert second.end() == 0
    with serving("--replace") as alone:  # where there is nothing to replace
        assert alone.end() == 0


def test_a_host_starts_the_install_that_served_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as served:
        assert served.end() == 0
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.delenv("LAYERFLOW_COMMAND", raising=False)
    client = Client.connect(start=True, idle_exit_s=600)
    server = published()
    assert server is not None
    process = psutil.Process(server.pid)
    try:
        assert process.cmdline()[-3:] == ["serve", "--idle-exit", "600"]
        assert client.list() == []
    finally:
        process.terminate()
        assert starting._started.pop().wait(60) == 0


def test_idle_for_long_enough_it_ends(home: Path) -> None:
    with serving("--idle-exit", "1") as served:
        assert served.process.wait(30) == 0
    assert not server_file().exists()
    assert "nothing to do for 1 s" in own_folder().log.read_text()


def test_with_a_job_to_make_it_does_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_a_thread(monkeypatch, Settings(port=0, idle_exit_s=0.2, roots=(home,))) as (server, thread):
        job = Client(server).submit(shot(home, "a"))
        time.sleep(1.5)
        assert thread.is_alive()
        Client(server).pause(job.id)
        thread.join(30)
        assert not thread.is_alive()


def test_whoever_listens_is_somebody() -> None:
    seconds = [0.0]
    release = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await release.wait()

    async def listen() -> None:
        activity = Activity(app, lambda: seconds[0])
        seconds[0] = 3.0
        assert activity.quiet_s == 3.0
        stream = asyncio.create_task(activity({}, None, None))
        await asyncio.sleep(0)
        seconds[0] = 50.0
        assert activity.quiet_s == 0.0
        release.set()
        await stream
        assert activity.quiet_s == 0.0
        seconds[0] = 52.0
        assert activity.quiet_s == 2.0

    asyncio.run(listen())


def test_a_taken_port_is_a_sentence_and_the_usual_one_gives_way(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with in_a_thread(monkeypatch, Settings(port=0, roots=(home,))) as (server, _):
        port = server.url.rpartition(":")[2]
        monkeypatch.setenv("LAYERFLOW_SERVER", str(home / "other"))
        second = subprocess.run([*SERVE, "--port", port], capture_output=True, text=True)
        assert second.returncode == 2 and f"nothing can listen at 127.0.0.1 port {port}" in second.stderr
        monkeypatch.setattr("layerflow.server.listening.PORT", int(port))
        with in_a_thread(monkeypatch, Settings(roots=(home,))) as (other, _):
            assert other.url != server.url and Client(other).list() == []


def test_tls_is_for_whoever_has_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("farm.example")
    certificate, key = home / "cert.pem", home / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    settings = Settings(port=0, names=("127.0.0.1",), roots=(home,), certificate=certificate, key=key)
    with in_a_thread(monkeypatch, settings) as (server, _):
        assert server.url.startswith("https://127.0.0.1:") and published() == server
        assert Client(server).submit(shot(home, "a")).state == "queued"
        for other in (RunningServer(server.url, server.token, server.pid, 1), _trusting(home, server)):
            with pytest.raises(NotRunning):
                Client(other).list()


def _trusting(home: Path, server: RunningServer) -> RunningServer:
    """The same server, for whom another certificate is expected."""
    trustme.CA().cert_pem.write_to_path(home / "other.pem")
    return RunningServer(server.url, server.token, server.pid, 1, "", str(home / "other.pem"))


@pytest.mark.parametrize("text", ["", "not a certificate"])
def test_a_bad_certificate_is_a_sentence(home: Path, text: str) -> None:
    bad = home / "bad.pem"
    bad.write_text(text)
    answer = subprocess.run(
        [*SERVE, "--port", "0", "--tls-cert", str(bad), "--tls-key", str(bad)], capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert f"the certificate {bad} and its key cannot be used; give two PEM files of one pair" in answer.stderr
    assert not server_file().exists()


def test_a_folder_that_cannot_be_made_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").touch()
    monkeypatch.setenv("LAYERFLOW_SERVER", str(home / "file" / "server"))
    answer = subprocess.run(SERVE, capture_output=True, text=True)
    assert answer.returncode == 6 and "is a file, not a folder; choose another" in answer.stderr


def test_an_engine_that_cannot_be_loaded_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SURVEY_AGAIN_S", 0.05)
    tried: list[int] = []

    def fails(wanted: Any) -> Any:
        tried.append(1)
        raise SurveyError("the engine cannot be loaded here; layerflow doctor says why")

    with in_a_thread(monkeypatch, Settings(port=0, roots=(home,)), fails) as (server, _):
        eventually(lambda: len(tried) > 2)
        assert Client(server).list() == []
        with pytest.raises(Busy, match="layerflow doctor says why"):
            Client(server).devices()
    assert "the engine cannot be loaded here" in own_folder().log.read_text()


@pytest.mark.long
def test_a_drained_job_goes_on_when_a_server_runs_again(home: Path) -> None:
    with serving() as served:
        client = served.client
        whole = client.submit(shot(home, "whole", steps=60))
        assert client.wait(whole.id, timeout_s=120).state == "done"
        job = client.submit(shot(home, "halved", steps=60)).id
        eventually(lambda: client.get(job).progress.done >= 10)
        assert served.end() == 0
    left = Store(own_folder().queue)
    assert left.get(job).state == "queued" and "the server stopped" in left.get(job).message
    left.database.close()
    with serving() as again:
        assert again.client.wait(job, timeout_s=120).state == "done"
        assert again.client.get(job).attempts == 2
        assert again.end() == 0
    for frame in range(1, 9):
        halved, undisturbed = (home / name / f"dog.{frame:04d}.exr" for name in ("halved", "whole"))
        assert halved.read_bytes() == undisturbed.read_bytes()
    assert {path.suffix for path in (home / "halved").iterdir()} == {".exr"}


def test_the_server_loads_neither_torch_nor_pictures() -> None:
    code = "import layerflow.server.serving, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "diffusers", "transformers", "OpenImageIO", "av"} & set(loaded)
