"""The way of every verb that renders: options become a Request, the Request becomes frames, the frames are reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from layerflow.cli.carried import carried
from layerflow.cli.jobs_report import report_jobs
from layerflow.cli.progress import progress
from layerflow.cli.report import report_shot
from layerflow.cli.stop import stop_on_signal
from layerflow.errors import Interrupted, RequestError
from layerflow.files import refused_as
from layerflow.wire import Event, Request, parse_frames

if TYPE_CHECKING:
    from layerflow.processes import Processes
    from layerflow.shots import ShotResult


def render_shot(task: str, *, overwrite: bool, resume: bool, queue: bool, as_json: bool, **options: Any) -> None:
    """Make one shot and say where it is, or queue it. `options` are Request fields, and `frames` as text."""
    request = build_request(task, **options)
    if queue:
        if _are_several():
            raise RequestError("each of the server's jobs is made by one process; start LayerFlow itself for --queue")
        if resume:
            raise RequestError("the server resumes its own jobs; layerflow jobs retry goes on with one that stopped")
        queue_shot(request, overwrite=overwrite, as_json=as_json)
        return
    from layerflow import shots

    run_shot(partial(shots.render, request, overwrite=overwrite, resume=resume), as_json=as_json)


def queue_shot(request: Request, *, overwrite: bool, as_json: bool) -> None:
    """Submit `request` to the server, which is started when none runs, and show the job it became."""
    from layerflow.server.install import remember_own_install
    from layerflow.wire.client import Client

    remember_own_install()  # the one to start when none runs
    with refused_as(RequestError), carried("the same command") as carry:
        job = Client.connect().submit(request, label="cli", overwrite=overwrite, **carry)
    report_jobs([job], as_json)


def run_shot(make: Callable[..., ShotResult], *, as_json: bool) -> None:
    """Call `make` with what shows its progress and what stops it, and say where the shot is.

    Of several processes that torchrun started, the main one does that and the others help it.
    """
    if not _are_several():
        _run_in_main(make, None, as_json)
        return
    from layerflow.models.servants import serve
    from layerflow.processes import joined

    with joined() as processes:
        if processes.is_main:
            _run_in_main(make, processes, as_json)
        else:
            serve(processes)


def _are_several() -> bool:
    """Whether torchrun or accelerate started this process and others with it."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def _run_in_main(make: Callable[..., ShotResult], processes: Processes | None, as_json: bool) -> None:
    from layerflow.models.engines import Engines

    with stop_on_signal(raises=processes is None) as stop, progress() as show:

        def on_event(event: Event) -> None:
            if event.kind in ("step", "frame"):
                stop.keep_work()
            show(event)

        try:
            result = make(on_event=on_event, stopped=stop.asked, engines=Engines(processes=processes))
        except KeyboardInterrupt as interrupt:
            raise Interrupted("stopped; the same command with --resume goes on from here") from interrupt
    report_shot(result, as_json)


def build_request(task: str, *, frames: str | None = None, **fields: Any) -> Request:
    """The request those options make. Raises `RequestError` with the sentence of the rule they break."""
    with refused_as(RequestError):
        if frames is not None:
            fields["first_frame"], fields["last_frame"] = parse_frames(frames)
        return Request(task, **fields)
