"""What a run does to its scene: renders inputs, says how it stands, and brings the layers in."""

from __future__ import annotations

from collections.abc import Sequence

from layerflow.wire import Job
from layerflow.wire.run import Desk, Gone, HostError, Render
from layerflow.wire.status import DONE, FAILED, WORKING, Status

from . import host, placing
from .entries import Entry, Keeper

LINEAR = "the Sequencer blends in linear light now"


class SceneDesk(Desk):
    """The desk of one entry of the queue."""

    def __init__(self, keeper: Keeper, entry: Entry) -> None:
        self._keeper, self._entry = keeper, entry

    def render(self, what: Render, frame: int, view: str) -> None:
        """Writes one frame of an input, once Blender is free for it."""
        host.wait_for_peace()
        ticket, strip = self._entry.ticket, self._entry.strips[what.input]
        path = placing.frame_path(what.pattern, frame)
        is_plate = what.input == "plate"
        try:
            scene = host.find_scene(ticket.scene)
        except Gone as error:
            raise HostError(f"there is no scene {ticket.scene} any more; press Generate again") from error
        alpha = ticket.request.task == "background" if is_plate else (ticket.request.guide or "").endswith(":A")
        host.render_frame(scene, strip, frame, path, alpha=alpha, raw=not is_plate)

    def show(self, status: Status) -> None:
        """Says how it stands in the panel."""
        self._entry.status = status
        host.redraw()

    def preview(self, jpeg: bytes) -> None:
        """Shows how a layer looks so far."""
        self._keeper.picture(self._entry, jpeg)
        host.redraw()

    def submitted(self, jobs: Sequence[str]) -> None:
        """Keeps the ids of the jobs on disk."""
        self._keeper.note(self._entry, jobs=tuple(jobs))

    def ended(self, status: Status, jobs: Sequence[Job]) -> None:
        """Brings the layers in, or says what went wrong and keeps the line."""
        if status.state == DONE:
            host.wait_for_peace()
            status = self._placed(status, jobs)
        elif status.state == WORKING:  # it could not be watched
            self._entry.status = status
            return host.redraw()
        self._keeper.settle(self._entry, status)
        host.redraw()

    def _placed(self, status: Status, jobs: Sequence[Job]) -> Status:
        """How it stands once the layers are in the timeline, or could not be brought in."""
        ticket = self._entry.ticket
        try:
            scene = host.find_scene(ticket.scene)
            for job in jobs:
                placing.place(scene, ticket, placing.layers_of(job))
        except Gone:
            return Status(f"there is no scene {ticket.scene} any more; Bring In puts the layers into this one", FAILED)
        except HostError as error:
            return Status(str(error), FAILED)
        said = status.text
        if host.wants_linear_light() and placing.blend_in_linear_light(scene):
            said += f"; {LINEAR}"
        host.remember(f"LayerFlow {ticket.name}")
        return Status(said, DONE)
