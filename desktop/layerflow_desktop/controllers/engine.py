"""The engine's server: started with the app, found again when it went away, asked what it has."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from psygnal import Signal

from layerflow.wire import remote, starting
from layerflow.wire.client import IDLE_EXIT_S, START_S, Client
from layerflow.wire.errors import NotRunning, ServerError
from layerflow.wire.remote import RemoteServer
from layerflow_desktop.controllers.background import Background, Post
from layerflow_desktop.controllers.doctor import Doctor, Finding

State = Literal["starting", "ready", "away"]

CHECK_S = 2.0  # between two looks at a server that was well
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # between two tries to start one
JOIN_S = 2.0  # the longest that closing waits for a thread


@dataclass(frozen=True)
class Model:
    """A model that the engine has."""

    name: str
    tasks: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)  # all that the engine tells of it


@dataclass(frozen=True)
class Device:
    """What jobs are made on."""

    name: str  # as a request names it: cuda:0
    product: str = ""
    memory_gib: float = 0.0


@dataclass(frozen=True)
class _Heard:
    state: State
    text: str
    models: tuple[Model, ...] = ()
    devices: tuple[Device, ...] = ()


class Engine:
    """The server, as the app sees it. What is here belongs to the interface's thread, but for `client`."""

    changed = Signal()

    def __init__(
        self,
        background: Background,
        post: Post,
        connect: Callable[..., Client] = Client.connect,
        check_s: float = CHECK_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.post = post
        self._background, self._connect = background, connect
        self._check_s, self._first_pause_s = check_s, first_pause_s
        self._heard = _Heard("starting", "The engine is starting.")
        self._doctor = Doctor()
        self._closed, self._asked, self._ready = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="layerflow engine", daemon=True)

    @property
    def state(self) -> State:
        """How the engine is."""
        return self._heard.state

    @property
    def text(self) -> str:
        """The same in one sentence."""
        return self._heard.text

    @property
    def models(self) -> tuple[Model, ...]:
        """The models it has; none until it is ready for the first time."""
        return self._heard.models

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices it makes jobs on; none until it is ready for the first time."""
        return self._heard.devices

    def open(self) -> None:
        """Looks for the server, and starts one where none runs, in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Ends what runs here. The server goes on with its jobs, and ends by itself once nobody asks it anything."""
        self._closed.set()
        self._asked.set()
        self._doctor.close()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        self._ready.set()  # whoever waits for it need not wait any more

    def client(self, start: bool = True) -> Client:
        """A client for the thread that asks; starts a server where none runs, which takes seconds. ServerError."""
        return self._connect(start=start)

    def wait_ready(self, timeout_s: float) -> bool:
        """Whether the server answered when it was last asked; waits a while for that. For threads."""
        return self._ready.wait(timeout_s)

    def check(self) -> None:
        """Has the server looked at now, and `changed` told whatever comes of it. For any thread."""
        self._ready.clear()
        self._asked.set()

    def doctor(self, then: Callable[[tuple[Finding, ...]], None], failed: Callable[[str], None]) -> None:
        """Has the engine look through its install, then `then` told what it found, or `failed` one sentence."""
        self._background.run(lambda: self._doctor.examine(engine_command()), then, failed)

    def allow(self, roots: Sequence[str], then: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Has jobs use those folders and no others from now on, then `then` called, or `failed` told one sentence.

        The server is replaced by one that remembers them, which takes seconds. Jobs that run go on there.
        """

        def restart() -> None:
            engine_command()
            starting.restart(roots, START_S, IDLE_EXIT_S)
            self.check()

        self._background.run(restart, lambda _: then(), failed)

    def _watch(self) -> None:
        pause_s, before = self._first_pause_s, self._heard
        while not self._closed.is_set():
            was_asked = self._asked.is_set()
            self._asked.clear()
            is_there = self._is_still_there(before)  # also where it was asked for: that it is gone is told at once
            if was_asked or not is_there:
                before = self._hear(before)
                self._tell(before)
            if before.state == "ready":
                pause_s = self._first_pause_s
                self._asked.wait(self._check_s)
            else:
                self._closed.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _is_still_there(self, before: _Heard) -> bool:
        if before.state != "ready":
            return False
        try:
            self._connect(start=False)
        except ServerError:
            self._ready.clear()
            self._tell(_Heard("starting", "The engine went away and is being started again.", before.models))
            return False
        return True

    def _hear(self, before: _Heard) -> _Heard:
        """What the server says of itself now; it is started where none runs."""
        elsewhere = remote.connected()
        try:
            if elsewhere is None:
                engine_command()
            client = self._connect(start=True)
            models = tuple(map(_model, client.models()))
            devices = tuple(map(_device, client.devices()))
        except (ServerError, OSError) as error:
            self._ready.clear()
            return _Heard("away", f"The engine is away: {error}", before.models, before.devices)
        self._ready.set()
        return _Heard("ready", _ready_text(models, devices, elsewhere), models, devices)

    def _tell(self, heard: _Heard) -> None:
        def take() -> None:
            if not self._closed.is_set():
                self._heard = heard
                self.changed.emit()

        self.post(take)


def engine_command() -> list[str]:
    """The command line of the engine: where none is known, that of the Python we are in. Raises NotRunning, OSError."""
    try:
        return starting.find_command()
    except NotRunning:
        if os.environ.get(starting.COMMAND) or importlib.util.find_spec("layerflow.cli") is None:
            raise
    command = [sys.executable, "-P", "-m", "layerflow.cli"]
    starting.remember_install(command)
    return command


def _ready_text(models: tuple[Model, ...], devices: tuple[Device, ...], elsewhere: RemoteServer | None) -> str:
    where = ", ".join(device.product or device.name for device in devices) or "this machine"
    if elsewhere is not None:
        where += f" at {urlsplit(elsewhere.url).hostname}"
    if not models:
        return f"The engine is ready on {where}, but has no model; see what is missing under Help."
    return f"The engine is ready on {where}."


def _model(values: Mapping[str, Any]) -> Model:
    tasks = values.get("tasks")
    return Model(str(values.get("name", "")), tuple(map(str, tasks)) if isinstance(tasks, list) else (), values)


def _device(values: Mapping[str, Any]) -> Device:
    size = values.get("memory_bytes")
    gib = size / 1024**3 if isinstance(size, int) else 0.0
    return Device(str(values.get("name", "")), str(values.get("product", "")), gib)
