"""Finding a server and starting one: by the right command, for whoever asks, and never two."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from wire_server import standing_in

import layerflow.wire
from layerflow.wire import errors, places, starting
from layerflow.wire.client import Client
from layerflow.wire.lock import try_lock
from layerflow.wire.private import write_private
from layerflow.wire.running import publish, published

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in for the command is a script")

PATHS = [str(Path(__file__).parent), str(Path(layerflow.wire.__file__).parents[2])]

# What `layerflow serve` does, as far as a host sees it. A line of `started` is the process and what it was given.
SERVE = f"""#!{sys.executable}
import os, sys, time, threading
from pathlib import Path
started = Path(__file__).with_name("started")
python = sorted(name for name in os.environ if name.startswith("PYTHON"))
with open(started, "a") as file:
    file.write(f"{{os.getpid()}} {{os.getsid(0)}} {{' '.join(sys.argv[1:])}} {{python}}\\n")
sys.path[:0] = {PATHS!r}
from layerflow.wire.running import publish
from wire_server import standing_in
time.sleep(0.3)
with standing_in() as server:
    publish(server.address)
    time.sleep(120)
"""


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "run"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))
    monkeypatch.delenv("LAYERFLOW_COMMAND", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


@pytest.fixture
def command(folders):
    """A function that makes a command, by default one that serves, and says where it is."""
    made = []

    def make(name="layerflow", script=SERVE):
        made.append(folders / "bin" / name)
        made[-1].write_text(script)
        made[-1].chmod(0o755)
        return made[-1]

    yield make
    for process in starting._started:
        process.kill()
        process.wait()
    starting._started.clear()
    for line in started(folders):
        with_id = int(line.split()[0])
        try:
            os.kill(with_id, signal.SIGKILL)
        except ProcessLookupError:
            continue


def started(folders):
    file = folders / "bin" / "started"
    return file.read_text().splitlines() if file.exists() else []


def complain(sentence, code=1):
    return f"#!/bin/sh\n[ -n '{sentence}' ] && echo '{sentence}' >&2\nexit {code}\n"


def test_none_runs_and_none_is_to_be_started():
    with pytest.raises(errors.NotRunning, match="start one with layerflow serve"):
        Client.connect(start=False)


def test_one_that_runs_is_used(command, folders):
    command()
    with standing_in() as server:
        publish(server.address)
        assert Client.connect().list() == []
        health, listing = server.asked
        assert "Authorization" not in health[2] and listing[1] == "/v1/jobs?limit=100"
    assert not started(folders)


def test_a_server_of_another_runtime_folder_is_used_and_never_started(command, folders, monkeypatch):
    command()
    with standing_in() as server:
        publish(server.address)
        theirs = Path(os.environ["LAYERFLOW_RUNTIME"])
        monkeypatch.setenv("LAYERFLOW_RUNTIME", str(folders / "another"))
        assert Client.connect(runtime=theirs).list() == []
    with pytest.raises(errors.NotRunning, match="another"):
        Client.connect(runtime=folders / "another")
    assert not started(folders)


def test_one_is_started_and_outlives_the_host(command, folders, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere/of/the/host")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    command()
    client = Client.connect(idle_exit_s=90)
    assert client.list() == []
    [line] = started(folders)
    pid, session, *rest = line.split(" ", 4)
    assert pid == session != str(os.getsid(0))  # no signal of the host's terminal reaches it
    assert rest[:2] == ["serve", "--idle-exit"] and rest[2].startswith("90 [")
    assert "PYTHONPATH" not in line and "PYTHONHOME" not in line
    assert published().pid == int(pid)
    assert stat.S_IMODE((folders / "run" / "start.log").stat().st_mode) == 0o600


def test_one_with_more_roots_takes_the_place_of_the_one_that_runs(command, folders):
    command()
    with standing_in() as server:
        publish(server.address)
        fresh = starting.restart(["/home/me", "/mnt/the show"], 30.0, 90.0)
        assert fresh == published() != server.address
    [line] = started(folders)
    assert line.split(" ", 2)[2].startswith("serve --idle-exit 90 --replace --root /home/me --root /mnt/the show [")


def test_where_none_runs_it_is_started_with_the_roots(command, folders):
    command()
    assert starting.restart(["/mnt/show"], 30.0, 90.0) == published()


@pytest.mark.parametrize("changes", [{"url": "http://10.0.0.5:8477"}, {"certificate": "/etc/layerflow.pem"}])
def test_a_server_that_somebody_set_up_is_not_replaced(command, folders, changes):
    command()
    with standing_in() as server:
        there = replace(server.address, **changes)
        publish(there)
        with pytest.raises(errors.NotRunning, match=r"options of its own; run layerflow serve --replace"):
            starting.restart(["/mnt/show"], 30.0, 90.0)
    assert not started(folders)


def test_roots_that_cannot_be_are_told_and_nothing_is_replaced(command, folders):
    command(script="#!/bin/sh\necho layerflow: the root /mnt/show is no folder >&2; exit 1")
    with standing_in() as server:
        publish(server.address)
        with pytest.raises(errors.NotRunning, match="did not start: the root /mnt/show is no folder"):
            starting.restart(["/mnt/show"], 30.0, 90.0)
        assert Client.connect(start=False).list() == []


def test_five_hosts_at_once_start_one(command, folders):
    command()
    code = "from layerflow.wire.client import Client; print(Client.connect())"
    python_path = os.pathsep.join(PATHS)
    hosts = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": python_path}, stdout=subprocess.PIPE
        )
        for _ in range(5)
    ]
    answers = {host.communicate()[0] for host in hosts}
    assert len(answers) == 1 and b"http://127.0.0.1" in answers.pop()
    assert len(started(folders)) == 1


def test_a_server_that_dies_is_started_again_for_the_next_question(command, folders):
    command()
    client = Client.connect()
    starting._started[-1].kill()
    starting._started[-1].wait()
    assert client.list() == [] and len(started(folders)) == 2


@pytest.mark.parametrize("said", ["layerflow: the disk is full; free some space", "the disk is full; free some space"])
def test_why_it_did_not_start_is_told(command, said):
    command(script=complain(said))
    with pytest.raises(errors.NotRunning, match=r"did not start: the disk is full; free some space$"):
        Client.connect()


def test_one_that_ends_without_a_word(command):
    command(script=complain("", code=0))
    with pytest.raises(errors.NotRunning, match="without a word; layerflow serve in a terminal"):
        Client.connect()


def test_one_that_never_answers(command):
    command(script=f"#!{sys.executable}\nimport time; time.sleep(60)\n")
    began = time.monotonic()
    with pytest.raises(errors.NotRunning, match="did not answer within"):
        Client.connect(start_s=0.5)
    assert time.monotonic() - began < 30


def test_waiting_for_another_host_ends_too(folders):
    with try_lock(folders / "run" / "start.lock") as mine, pytest.raises(errors.NotRunning, match="within 0 s"):
        assert mine
        Client.connect(start_s=0.2)


@pytest.mark.parametrize("version", [2, None, "1"])
def test_another_version_of_the_api_is_told_and_nothing_started(command, folders, version):
    command()
    with standing_in(version=version) as server:
        publish(server.address)
        with pytest.raises(errors.WrongVersion, match=f"version {version} of its API and this host version 1"):
            Client.connect()
    assert not started(folders)


def test_a_stranger_at_the_port_is_no_server_and_sees_no_token(command, folders):
    command()
    with standing_in() as stranger:
        stranger.deaf.extend([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"] * 100)
        publish(stranger.address)
        client = Client.connect()
    assert client.list() == [] and len(started(folders)) == 1
    assert not any("s3cret" in str(headers) for _, _, headers in stranger.asked)


def test_the_install_that_served_last_comes_before_path(command, folders):
    command()
    other = command("other one; touch owned")
    starting.remember_install([str(other), "-m", "layerflow"])
    assert starting.find_command() == [str(other), "-m", "layerflow"]
    other.unlink()
    assert starting.find_command() == [str(folders / "bin" / "layerflow")]


@pytest.mark.parametrize("known", [[], "layerflow", [5], {}, None, ["/nowhere/layerflow"]])
def test_a_note_of_an_install_that_makes_no_sense_is_not_used(command, known):
    command()
    write_private(places.server_folder() / "install.json", {"command": known})
    assert starting.find_command()[0].endswith("bin/layerflow")


def test_a_note_that_others_may_write_is_not_used(command, folders):
    command()
    starting.remember_install([str(command("other"))])
    (folders / "server" / "install.json").chmod(0o666)
    assert starting.find_command()[0].endswith("bin/layerflow")


def test_the_chosen_command_comes_first_and_meets_no_shell(command, folders, monkeypatch):
    command()
    chosen = command("my layerflow; touch owned")
    starting.remember_install([str(command("other"))])
    monkeypatch.setenv("LAYERFLOW_COMMAND", str(chosen))
    Client.connect()
    assert not (folders / "bin" / "owned").exists() and not Path("owned").exists()
    monkeypatch.setenv("LAYERFLOW_COMMAND", "/nowhere/layerflow")
    with pytest.raises(errors.NotRunning, match="LAYERFLOW_COMMAND is '/nowhere/layerflow', which is no program"):
        starting.find_command()


def test_no_engine_at_all():
    with pytest.raises(errors.NotRunning, match="install it, or set LAYERFLOW_COMMAND"):
        Client.connect()


def test_a_command_that_cannot_run(command):
    command(script="#!/nowhere/python\n")
    with pytest.raises(errors.NotRunning, match="cannot be used"):
        Client.connect()


def test_a_runtime_folder_that_cannot_be_made(command, folders, monkeypatch):
    (folders / "file").write_text("")
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(folders / "file" / "run"))
    command()
    with pytest.raises(errors.NotRunning, match=r"cannot be used .Not a directory.*LAYERFLOW_RUNTIME"):
        Client.connect()


def test_windows_hides_it_from_the_hosts_console(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "DETACHED_PROCESS", 8, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    assert starting._detached() == {"creationflags": 520}
