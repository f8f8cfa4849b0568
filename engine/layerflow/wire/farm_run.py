"""One press of "Submit to farm" in a host: inputs are rendered as for Generate, and then there are jobs for a farm."""

from __future__ import annotations

from typing import List, Mapping, Sequence, Tuple

from layerflow.wire.client import Client
from layerflow.wire.errors import ServerError
from layerflow.wire.farm import USUAL, Farm, as_text, farm_command, hand_over, write_bundle
from layerflow.wire.jobs import Job
from layerflow.wire.request import Request
from layerflow.wire.run import Desk, InMain, Run, Shot
from layerflow.wire.status import CANCELLED, DONE, Status, counted


class FarmRun(Run):
    """Like a Run, for which the engine's server is asked nothing: a farm makes the shots."""

    def __init__(self, desk: Desk, in_main: InMain, shots: Sequence[Shot], farms: Mapping[str, Farm]) -> None:
        """Every one of `shots` becomes a job for the farm of its view."""
        super().__init__(desk, in_main, Client.connect, shots)
        self._farms = farms

    def _after_rendering(self) -> Tuple[Status, List[Job]]:
        try:
            told = [self._submitted(shot.request, self._farms[shot.view]) for shot in self._shots]
        except ServerError:
            if not self._cancelled.is_set():
                raise
            return Status("cancelled; a job that was whole is still there", CANCELLED), []
        return Status("; ".join(told), DONE), []

    def _submitted(self, request: Request, farm: Farm) -> str:
        """What there is for the farm, and what the farm said of it or the command that hands it over."""
        self._show(Status("writing the job for the farm"), at_once=True)
        bundle = write_bundle(request, farm, self._cancelled.is_set)
        what = "{} in {}".format(counted(bundle.windows, "window"), counted(bundle.tasks, "task"))
        if not farm.hands_over:
            return "{}, ready for the farm: {}".format(what, as_text(farm_command(USUAL, bundle.folder)))
        self._show(Status("handing the job to the farm"), at_once=True)
        said = hand_over(bundle, farm, self._cancelled.is_set)
        return "{}, handed to the farm{}".format(what, ": " + said if said else "")
