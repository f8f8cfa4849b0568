"""Finding the server that runs, and starting one where none does: one, however many hosts ask at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence
from urllib.parse import urlsplit

from layerflow.wire import errors, places
from layerflow.wire.lock import try_lock
from layerflow.wire.private import read_private, write_private
from layerflow.wire.running import API, RunningServer, published
from layerflow.wire.transport import Question, Server, ask

COMMAND = "LAYERFLOW_COMMAND"

_HEALTH_S = 3.0  # the longest a healthy server takes to say so
_POLL_S = 0.1
_HOST_VARIABLES = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP")  # of the host's Python, not of the engine's
_SLOW = "the LayerFlow server did not answer within {:.0f} s of its start; layerflow serve says what keeps it"
_OWN_NAMES = ("127.0.0.1", "::1", "localhost")
_started: List[subprocess.Popen[bytes]] = []  # kept, so that Python can take notice of their end


def remember_install(command: Sequence[str]) -> None:
    """Writes down the command line that hosts start this install by; `serve` is put behind it. Raises OSError."""
    write_private(_install_file(), {"command": list(command)})


def find(runtime: Optional[Path] = None) -> RunningServer:
    """The server that runs, of a runtime folder (default: this user's own).

    Raises NotRunning, or WrongVersion where it speaks another API.
    """
    server = published(runtime)
    if server is None:
        where = "" if runtime is None else " from {}".format(runtime)
        raise errors.NotRunning("no LayerFlow server is running{}; start one with layerflow serve".format(where))
    check_version(server)
    return server


def check_version(server: Server) -> None:
    """Raises ServerError unless a LayerFlow server answers there, and speaks our API."""
    health = ask(server, Question("GET", "/v1/health", with_token=False), _HEALTH_S).json()
    if health.get("api") != API:
        raise errors.WrongVersion(
            "the LayerFlow server speaks version {} of its API and this host version {}; install the same "
            "LayerFlow on both sides".format(health.get("api"), API)
        )


def find_or_start(timeout_s: float, idle_exit_s: float) -> RunningServer:
    """The server that runs, or one that is started for the purpose and ends by itself when idle for `idle_exit_s`.

    Raises NotRunning with the reason, and WrongVersion.
    """
    deadline = time.monotonic() + timeout_s
    lock = places.runtime_folder() / "start.lock"
    while True:
        server = _found()
        if server is not None:
            return server
        with _may_use(lock), try_lock(lock) as alone:
            if alone:
                return _found() or _start(deadline, idle_exit_s)
        if time.monotonic() > deadline:
            raise errors.NotRunning(_SLOW.format(timeout_s))
        time.sleep(_POLL_S)


def restart(roots: Sequence[str], timeout_s: float, idle_exit_s: float) -> RunningServer:
    """A server whose jobs may use `roots` and nothing else, in the place of the one that runs; its jobs go on there.

    The server remembers them. One that lets other machines in was set up by hand, and is left alone. Raises NotRunning
    with the reason, and then the one before may still run.
    """
    deadline = time.monotonic() + timeout_s
    lock = places.runtime_folder() / "start.lock"
    options = [part for root in roots for part in ("--root", root)]
    while True:
        with _may_use(lock), try_lock(lock) as alone:
            if alone:
                before = published()
                _check_is_hosts_own(before)
                return _start(deadline, idle_exit_s, ["--replace", *options], before)
        if time.monotonic() > deadline:
            raise errors.NotRunning(_SLOW.format(timeout_s))
        time.sleep(_POLL_S)


def _check_is_hosts_own(server: Optional[RunningServer]) -> None:
    """Raises NotRunning for a server that a host's would be no substitute for."""
    if server is not None and (server.certificate or urlsplit(server.url).hostname not in _OWN_NAMES):
        raise errors.NotRunning(
            "the LayerFlow server at {} was started with options of its own; run layerflow serve --replace with these "
            "and every --root that is needed".format(server.url)
        )


def _found() -> Optional[RunningServer]:
    try:
        return find()
    except errors.WrongVersion:
        raise
    except errors.ServerError:
        return None


def _start(
    deadline: float, idle_exit_s: float, options: Sequence[str] = (), before: Optional[RunningServer] = None
) -> RunningServer:
    """The server that was started; `before` is the one that ran until now."""
    began = time.monotonic()
    log = places.runtime_folder() / "start.log"
    process = _launch([*find_command(), "serve", "--idle-exit", "{:g}".format(idle_exit_s), *options], log)
    while True:
        ended = process.poll() is not None  # first, so that one that ended is asked for once more
        server = _found()
        if server is not None and server != before:
            return server
        if ended:
            raise errors.NotRunning("the LayerFlow server did not start: {}".format(_last_line(log)))
        if time.monotonic() > deadline:
            raise errors.NotRunning(_SLOW.format(time.monotonic() - began))
        time.sleep(_POLL_S)


def _launch(command: List[str], log: Path) -> subprocess.Popen[bytes]:
    """The process of a server that outlives this one. What it says goes to `log`."""
    with _may_use(log), open(_private_log(log), "wb") as output, _may_use(Path(command[0])):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables_for_others(), **_detached()
        )
    _started.append(process)
    return process


def variables_for_others() -> Dict[str, str]:
    """This process's environment without what is meant for its own Python alone: for a program that brings another."""
    return {name: value for name, value in os.environ.items() if name not in _HOST_VARIABLES}


def no_console() -> int:
    """The `creationflags` of a program of the command line: what keeps Windows from opening a terminal for it."""
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW
    return 0


def _detached() -> Dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def find_command() -> List[str]:
    """The command line of the engine: LAYERFLOW_COMMAND, the install that served last, or `layerflow` on PATH."""
    chosen = os.environ.get(COMMAND)
    if chosen:
        if shutil.which(chosen) is None:
            raise errors.NotRunning(
                "{} is {!r}, which is no program; set it to the path of layerflow".format(COMMAND, chosen)
            )
        return [chosen]
    known = (read_private(_install_file()) or {}).get("command")
    if isinstance(known, list) and known and all(isinstance(part, str) for part in known) and os.path.isfile(known[0]):
        return list(known)
    found = shutil.which("layerflow")
    if found is None or not os.path.isabs(found):  # Windows looks into the current folder too
        raise errors.NotRunning(
            "LayerFlow's engine is not found; install it, or set {} to the path of layerflow".format(COMMAND)
        )
    return [found]


def _install_file() -> Path:
    return places.server_folder() / "install.json"


def _private_log(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    return os.open(str(path), flags, 0o600)


@contextlib.contextmanager
def _may_use(path: Path) -> Iterator[None]:
    """Turns the system's word that a file cannot be used into a NotRunning."""
    try:
        yield
    except OSError as error:
        raise errors.NotRunning(
            "{} cannot be used ({}); see to its permissions, or set {} and {} to others".format(
                path, error.strerror or error, places.RUNTIME_FOLDER, COMMAND
            )
        ) from error


def _last_line(log: Path) -> str:
    try:
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
    except OSError:
        lines = []
    said = [line.strip() for line in lines if line.strip()]
    if not said:
        return "it ended without a word; layerflow serve in a terminal says more"
    name = "layerflow: "  # how the command begins a sentence
    return (said[-1][len(name) :] if said[-1].startswith(name) else said[-1])[:500]
