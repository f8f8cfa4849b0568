"""Where the server's file is, and that nothing is believed of it that someone else could have written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import platformdirs
import pytest
from platformdirs import macos, windows

from layerflow.wire import places, running
from layerflow.wire.lock import try_lock
from layerflow.wire.private import read_private, write_private
from layerflow.wire.running import RunningServer, publish, published, withdraw

posix_only = pytest.mark.skipif(os.name != "posix", reason="owner and mode of a file are POSIX")
SERVER = RunningServer("http://127.0.0.1:8765", "s3cret", os.getpid(), 1, "0.1.0")


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    for name in ("LAYERFLOW_RUNTIME", "LAYERFLOW_SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "run"))
    return tmp_path / "run"


@posix_only
@pytest.mark.filterwarnings("ignore::platformdirs.RuntimeDirWarning")
@pytest.mark.parametrize("chosen", ["private", "missing", "open", "relative", "unset"])
def test_linux_places_are_those_of_platformdirs(monkeypatch, tmp_path, chosen):
    monkeypatch.delenv("LAYERFLOW_RUNTIME")
    for name, mode in (("private", 0o700), ("open", 0o755)):
        (tmp_path / name).mkdir(mode=mode)
    for variable in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, chosen if chosen == "relative" else str(tmp_path / chosen))
        if chosen == "unset":
            monkeypatch.delenv(variable)
    assert places.runtime_folder() == platformdirs.user_runtime_path("layerflow")
    assert places.server_folder() == platformdirs.user_state_path("layerflow") / "server"


@posix_only
@pytest.mark.parametrize("chosen", ["", "/nowhere/run"])
def test_macos_places_are_those_of_platformdirs(monkeypatch, chosen):
    monkeypatch.delenv("LAYERFLOW_RUNTIME")
    for variable in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, chosen)
    there = macos.MacOS("layerflow")
    assert places.runtime_folder("darwin") == there.user_runtime_path
    assert places.server_folder("darwin") == there.user_state_path / "server"


def test_windows_places_are_those_of_platformdirs(monkeypatch, tmp_path):
    monkeypatch.delenv("LAYERFLOW_RUNTIME")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(windows, "get_win_folder", windows.get_win_folder_from_env_vars)
    there = windows.Windows("layerflow")
    assert places.runtime_folder("win32") == there.user_runtime_path
    assert places.server_folder("win32") == there.user_state_path / "server"


def test_both_folders_can_be_chosen(monkeypatch, folder, tmp_path):
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "jobs"))
    assert places.server_file() == folder / "server.json"
    assert places.server_folder() == tmp_path / "jobs"


def test_what_is_published_is_found_and_withdrawn(folder):
    assert published() is None
    publish(SERVER)
    assert published() == SERVER
    assert [path.name for path in folder.iterdir()] == ["server.json"]
    withdraw(RunningServer("http://127.0.0.1:1", "other", os.getpid(), 1))
    assert published() == SERVER
    withdraw(SERVER)
    withdraw(SERVER)
    assert published() is None and not list(folder.iterdir())


def test_the_token_is_in_no_repr():
    assert "s3cret" not in repr(SERVER) and "s3cret" not in str(SERVER)


@posix_only
def test_nobody_else_can_read_it_even_while_it_is_written(folder, monkeypatch):
    seen = []
    replace = os.replace

    def spy(part, final):
        seen.append(stat.S_IMODE(Path(part).stat().st_mode))
        replace(part, final)

    monkeypatch.setattr(os, "replace", spy)
    before = os.umask(0)
    try:
        publish(SERVER)
    finally:
        os.umask(before)
    assert seen == [0o600] and stat.S_IMODE((folder / "server.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix_only
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_touch_is_not_believed(folder, mode):
    publish(SERVER)
    (folder / "server.json").chmod(mode)
    assert published() is None


@posix_only
def test_a_file_of_someone_else_is_not_believed(monkeypatch):
    publish(SERVER)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert published() is None


@posix_only
def test_a_link_or_a_pipe_is_not_followed(folder):
    publish(SERVER)
    file = folder / "server.json"
    file.rename(folder / "elsewhere.json")
    file.symlink_to(folder / "elsewhere.json")
    assert published() is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert published() is None  # and at once


@pytest.mark.parametrize(
    "damage",
    [
        {"url": "ftp://127.0.0.1"},
        {"url": "http://"},
        {"url": "http://127.0.0.1:99999"},
        {"url": "http://user@127.0.0.1:80"},
        {"url": "http://127.0.0.1:80/?token=1"},
        {"url": 5},
        {"token": ""},
        {"token": "two\nlines"},
        {"token": "é"},
        {"pid": 0},
        {"pid": -1},
        {"pid": 10**30},
        {"pid": "7"},
        {"api": None},
        {"version": []},
    ],
)
def test_damaged_values_are_as_if_there_were_none(damage):
    values = {"url": SERVER.url, "token": SERVER.token, "pid": SERVER.pid, "api": 1, "version": ""}
    write_private(places.server_file(), values)
    assert published() is not None
    write_private(places.server_file(), {**values, **damage})
    assert published() is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 60000, b"{}", b'{"url":' + b" " * 70000]
)
def test_a_damaged_file_is_as_if_there_were_none(folder, content):
    publish(SERVER)
    (folder / "server.json").write_bytes(content)
    assert published() is None


def test_a_newer_server_may_say_more(folder):
    publish(SERVER)
    values = json.loads((folder / "server.json").read_bytes())
    write_private(folder / "server.json", {**values, "started_at": 5})
    assert published() == SERVER


@posix_only
def test_a_dead_process_serves_nobody():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    publish(RunningServer(SERVER.url, "t", dead.pid, 1))
    assert published() is None


@posix_only
@pytest.mark.parametrize(("answer", "alive"), [(None, True), (ProcessLookupError(), False), (PermissionError(), False)])
def test_whose_process_it_is(monkeypatch, answer, alive):
    def kill(pid, number):
        assert number == 0
        if answer:
            raise answer

    publish(SERVER)
    monkeypatch.setattr(running.os, "kill", kill)
    assert (published() is not None) == alive


def test_a_write_that_fails_leaves_nothing(folder, monkeypatch):
    publish(SERVER)

    def full(part, final):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_private(folder / "server.json", {"a": 1})
    assert [path.name for path in folder.iterdir()] == ["server.json"] and published() == SERVER
    assert read_private(folder / "nothing.json") is None


def test_a_lock_is_for_one(folder):
    with try_lock(folder / "lock") as first, try_lock(folder / "lock") as second:
        assert (first, second) == (True, False)
    with try_lock(folder / "lock") as again:
        assert again


def test_a_lock_dies_with_its_process(folder):
    code = (
        "import sys; from pathlib import Path; from layerflow.wire.lock import try_lock\n"
        "with try_lock(Path(sys.argv[1])) as mine: print(mine, flush=True); sys.stdin.read()"
    )
    lock = folder / "lock"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], **pipes) as holder:
        assert holder.stdout.readline().strip() == b"True"
        with try_lock(lock) as mine:
            assert not mine
        holder.kill()
        holder.wait()
        with try_lock(lock) as mine:
            assert mine


def test_threads_keep_each_other_out(folder):
    inside, together = [], []

    def work():
        for _ in range(200):
            with try_lock(folder / "lock") as mine:
                if mine:
                    inside.append(1)
                    together.append(len(inside))
                    inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together and set(together) == {1}
