"""What a run does to its node: renders by the Writes inside, says how it stands, and shows what came of it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Callable, Sequence

from layerflow.wire import Job
from layerflow.wire.run import Desk, HostError, Render
from layerflow.wire.status import DONE, FAILED, WORKING, Status
from layerflow_nuke import host, showing
from layerflow_nuke.asking import Script
from layerflow_nuke.inside import PREVIEW_READ, RUNNING, SHOWN, writer
from layerflow_nuke.paths import portable

if TYPE_CHECKING:
    import nuke

PREVIEW_NAME = "preview.jpg"
TELL_S = 5.0  # the least between two lines in a farm's log


class NodeDesk(Desk):
    """The desk of one LayerFlow node."""

    def __init__(self, group: nuke.Group, script: Script, folder: str, over: Callable[[], None]) -> None:
        """Pictures of the running job go into `folder`; `over` is called at the end."""
        self._group, self._script, self._folder, self._over = group, script, folder, over
        self.status = Status("")
        self._told_at = float("-inf")

    def render(self, what: Render, frame: int, view: str) -> None:
        """Writes one frame of an input."""
        write = host.inside(self._group, writer(what.input))
        host.set_values(write, {"file": portable(what.pattern, self._script.path)})
        host.render(self._group, writer(what.input), frame, view)

    def show(self, status: Status) -> None:
        """Says how it stands on the node and in its panel."""
        self.status = status
        host.set_values(self._group, {"status": status.text, "state": status.state, "tile_color": host.NO_COLOR})
        now = time.monotonic()
        if not host.is_interactive() and now - self._told_at >= TELL_S:
            self._told_at = now
            host.tell(f"{host.full_name(self._group)}: {status.text}")

    def preview(self, jpeg: bytes) -> None:
        """Shows how the layers look so far, for as long as the job runs."""
        path = os.path.join(self._folder, PREVIEW_NAME)
        part = path + ".part"
        try:
            os.makedirs(self._folder, exist_ok=True)
            with open(part, "wb") as file:
                file.write(jpeg)
            os.replace(part, path)
        except OSError as error:
            raise HostError(f"{path} cannot be written ({error.strerror}); see to the disk of the output") from error
        host.set_values(host.inside(self._group, PREVIEW_READ), {"file": portable(path, self._script.path)})
        host.ask_for(self._group, PREVIEW_READ)
        host.set_values(host.inside(self._group, SHOWN), {"which": RUNNING})

    def submitted(self, jobs: Sequence[str]) -> None:
        """Keeps the ids of the jobs in the script."""
        host.set_values(self._group, {"jobs": " ".join(jobs), "state": WORKING})

    def ended(self, status: Status, jobs: Sequence[Job]) -> None:
        """Shows the frames, or says what went wrong: on the node, and in one dialog."""
        self._over()
        if status.state == DONE:
            status = self._after(status)
        showing.drop_preview(self._group)
        self.status = status
        color = host.RED if status.state == FAILED else host.NO_COLOR
        host.set_values(self._group, {"status": status.text, "state": status.state, "tile_color": color})
        if status.state == FAILED and host.is_interactive():
            host.tell(f"{host.full_name(self._group)}: {status.text}")

    def _after(self, status: Status) -> Status:
        """How it stands once the frames are shown."""
        try:
            showing.show_version(self._group)
        except (HostError, ValueError) as error:
            return Status(f"failed: {error}", FAILED)
        return status


class FarmDesk(NodeDesk):
    """The desk of a node whose frames are made by a farm, later."""

    def _after(self, status: Status) -> Status:
        return replace(status, text=f"{status.text}; press Reload once the frames are there")
