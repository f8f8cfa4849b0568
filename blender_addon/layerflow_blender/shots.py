"""All that this Blender has asked for and waits for: Generate, Regenerate, Cancel, and finding it again."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from layerflow.wire.asking import new_seed
from layerflow.wire.client import Client
from layerflow.wire.errors import ServerError
from layerflow.wire.run import HostError, Run, Shot
from layerflow.wire.status import DONE, FAILED, WORKING, Status

from . import host, planning, settings
from .asking import left_of
from .desk import SceneDesk
from .entries import Entry
from .history import History
from .pictures import Pictures
from .planning import Plan
from .tickets import Tickets

ASKING = Status("asking the engine")
JOIN_S = 2.0  # the longest that the add-on waits for a thread when it is switched off


class Shots:
    """The queue of this Blender: an entry for every press of Generate and strip, in their order."""

    def __init__(self) -> None:
        folder = host.own_folder()
        self.entries: dict[str, Entry] = {}
        self.tickets = Tickets(folder / "tickets")
        self.history = History(folder / "prompts.json")
        self.pictures = Pictures()
        self.main = host.MainThread(self.is_working)
        self.models: list[str] = []  # names, once an engine has told them
        self.engine = ""  # what was last heard of it, in a sentence

    def is_working(self) -> bool:
        """Whether any entry is being worked on."""
        return any(entry.is_running for entry in self.entries.values())

    def suggest(self, name: str, typed: str) -> list[str]:
        """What is offered while a setting is typed."""
        return self.models if name == "model" else self.history.suggested(name, typed)

    # What artists press.

    def generate(self, scene: bpy.types.Scene) -> list[Entry]:
        """Asks for the layers of every selected strip, or of none, and returns at once.

        A ValueError says what is missing or wrong, and then nothing has happened. What cannot be remembered on disk is
        an OSError.
        """
        values = settings.values_of(scene)
        if not values["lock_seed"]:
            values["seed"] = new_seed()
        plans = planning.plans(scene, values, self._taken())
        settings.of_scene(scene).seed = values["seed"]
        self.history.note(values)
        return [self._begin(plan, values["preview_layer"]) for plan in plans]

    def regenerate(self, scene: bpy.types.Scene, strip: bpy.types.Strip) -> Entry:
        """Asks again for what a strip of ours came from, as its next version. ValueError, OSError."""
        plan = planning.plan_again(scene, strip, self._taken())
        return self._begin(plan, settings.values_of(scene)["preview_layer"])

    def cancel(self, key: str) -> None:
        """Ends a job. ValueError where it is over."""
        entry = self._entry(key)
        if entry.run is None or entry.run.is_over:
            raise ValueError("there is nothing to cancel; that job is over")
        entry.run.cancel()

    def retry(self, key: str) -> None:
        """Puts a job that failed or was cancelled back in the queue, where it goes on from its last saved step."""
        entry = self._entry(key)
        if not entry.ticket.jobs:
            raise ValueError("the engine was never asked for that one; press Generate")
        self._follow(entry, retries=True)

    def bring_in(self, key: str, scene: bpy.types.Scene) -> None:
        """Has the layers of a job come into `scene` of the open file, wherever it was asked for."""
        entry = self._entry(key)
        self.note(entry, scene=scene.name, blend=bpy.data.filepath)
        self._go_on(entry)

    def dismiss(self, key: str) -> None:
        """Takes a line out of the queue; a job that goes on is cancelled."""
        entry = self._entry(key)
        if entry.run is not None and not entry.run.is_over:
            entry.run.cancel()
            entry.run.leave()
        self.pictures.drop(key)
        self.tickets.drop(key)
        del self.entries[key]

    def look_for_engine(self) -> None:
        """Asks the engine who it is and which models it has, in a thread of its own; starts one where none runs."""
        connect = _connector()
        self.engine = "asking the engine"

        def ask() -> None:
            try:
                self.models = _names(connect().models())
                self.engine = f"the engine answers; its models: {', '.join(self.models)}"
            except ServerError as error:
                self.engine = str(error)

        threading.Thread(target=ask, name="LayerFlow engine", daemon=True).start()

    # What happens by itself.

    def attach(self) -> None:
        """Goes on with the jobs of the file that is open."""
        for ticket in self.tickets.all():
            if ticket.key in self.entries or not _is_same_file(ticket.blend, bpy.data.filepath):
                continue
            entry = self.entries[ticket.key] = Entry(ticket, Status(ticket.message, ticket.state))
            if not ticket.blend:
                entry.status = Status("of a file that was never saved; Bring In puts its layers into this one", FAILED)
            elif ticket.state == WORKING:
                self._try_to_go_on(entry)

    def watch_again(self) -> int:
        """Follows the jobs again that could not be watched; how many."""
        lost = [entry for entry in self.entries.values() if entry.status.state == WORKING and not entry.is_running]
        for entry in lost:
            self._try_to_go_on(entry)
        return len(lost)

    def file_saved(self) -> None:
        """Notes under which name the file is found from now on."""
        for entry in self.entries.values():
            if not entry.is_placed and entry.ticket.blend != bpy.data.filepath:
                try:
                    self.note(entry, blend=bpy.data.filepath)
                except HostError as error:
                    entry.status = replace(entry.status, text=f"{entry.status.text}; {error}")

    def leave(self) -> None:
        """Leaves every job to the queue: another file comes."""
        for entry in self.entries.values():
            if entry.run is not None:
                entry.run.leave()
        self.entries.clear()

    def close(self) -> None:
        """Leaves everything, and no thread or timer behind."""
        runs = [entry.run for entry in self.entries.values() if entry.run is not None]
        self.leave()
        self.main.stop()
        for run in runs:
            if run.thread.ident is not None:
                run.thread.join(JOIN_S)
        self.pictures.close()

    # For the desks.

    def note(self, entry: Entry, **values: Any) -> None:
        """Keeps something of an entry on disk. Raises HostError."""
        try:
            entry.ticket = self.tickets.change(entry.ticket, **values)
        except OSError as error:
            raise HostError(f"{error.filename} cannot be written ({error.strerror}); see to that disk") from error

    def settle(self, entry: Entry, status: Status) -> None:
        """Takes the end of an entry: what is in the timeline is forgotten on disk, all else is kept."""
        self.pictures.drop(entry.ticket.key)
        entry.status = status
        entry.is_placed = status.state == DONE
        if entry.is_placed:
            self.tickets.drop(entry.ticket.key)
            return
        try:
            self.note(entry, state=status.state, message=status.text)
        except HostError as error:
            entry.status = replace(status, text=f"{status.text}; {error}")

    def picture(self, entry: Entry, jpeg: bytes) -> None:
        """Shows how the layers of an entry look so far. Raises HostError."""
        try:
            self.pictures.show(entry.ticket.key, jpeg)
        except OSError as error:
            raise HostError(f"the preview cannot be kept ({error.strerror})") from error

    def _begin(self, plan: Plan, preview_layer: str) -> Entry:
        _connector()  # before anything is kept
        entry = Entry(plan.ticket, ASKING, strips=dict(plan.strips))
        self.tickets.save(entry.ticket)
        self.entries[entry.ticket.key] = entry
        self._ask(entry, preview_layer)
        return entry

    def _try_to_go_on(self, entry: Entry) -> None:
        """Goes on with it, or has its line say why not: nobody has pressed anything."""
        try:
            self._go_on(entry)
        except (HostError, ValueError) as error:
            entry.status = Status(f"the job cannot be watched: {error}; then press Reload")

    def _go_on(self, entry: Entry) -> None:
        """Follows its jobs; asks for them where that was cut short, which makes no second one."""
        ticket = entry.ticket
        if ticket.jobs:
            self._follow(entry)
        elif any(left_of(render).frames for render in ticket.renders):
            self.settle(entry, Status("Blender ended before the inputs were rendered; press Generate again", FAILED))
        else:
            self._ask(entry, "off")

    def _ask(self, entry: Entry, preview_layer: str) -> None:
        ticket = entry.ticket
        left = tuple(map(left_of, ticket.renders))
        shot = Shot(ticket.scene, ticket.request, left, ticket.key)
        self._start(entry, shots=[shot], label=ticket.label, preview_layer=preview_layer)

    def _follow(self, entry: Entry, retries: bool = False) -> None:
        entry.status = ASKING
        self.note(entry, state=WORKING, message="")
        self._start(entry, jobs=entry.ticket.jobs, retries=retries, preview_layer="blended")

    def _start(self, entry: Entry, **options: Any) -> None:
        def in_main(call: Callable[[], Any]) -> Any:
            return self.main.pump.call(call, lambda: run.has_left)

        run = entry.run = Run(SceneDesk(self, entry), in_main, self._learning(_connector()), **options)
        entry.run.thread.start()
        self.main.start()

    def _learning(self, connect: Callable[[], Client]) -> Callable[[], Client]:
        """The same, and the models that it has are offered from then on."""

        def connected() -> Client:
            client = connect()
            if not self.models:
                with contextlib.suppress(ServerError):  # a job needs no list of models
                    self.models = _names(client.models())
            return client

        return connected

    def _entry(self, key: str) -> Entry:
        entry = self.entries.get(key)
        if entry is None:
            raise ValueError("that line is not in the queue any more")
        return entry

    def _taken(self) -> list[str]:
        return [entry.ticket.request.output for entry in self.entries.values()]


def _connector() -> Callable[[], Client]:
    """How a run finds its engine. ValueError for a server that is none."""
    server = str(getattr(host.preferences(), "server", "")).strip()
    if not server:
        return Client.connect
    folder = bpy.path.abspath(server)
    if not os.path.isabs(folder):
        raise ValueError(f"the server {server!r} is no folder; leave it empty in the preferences, or choose its folder")
    return lambda: Client.connect(start=False, runtime=Path(folder))


def _names(models: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(str(model.get("name", "")) for model in models)


def _is_same_file(one: str, other: str) -> bool:
    if not (one and other):
        return one == other
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


_open: list[Shots] = []  # the one there is while the add-on is enabled


def open_shots() -> Shots:
    """The queue, made when the add-on is enabled."""
    shots = Shots()
    _open.append(shots)
    return shots


def close_shots() -> None:
    """Closes it again."""
    while _open:
        _open.pop().close()


def the_shots() -> Shots:
    """The queue. ValueError where the add-on is being switched off."""
    if not _open:
        raise ValueError("LayerFlow is switched off; tick it in the preferences")
    return _open[-1]


def entries_in_order(shots: Shots) -> Sequence[Entry]:
    """The lines of the queue, the newest first."""
    return list(reversed(shots.entries.values()))
