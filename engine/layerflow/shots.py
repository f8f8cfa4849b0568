"""Whole shots: a request in, frames on disk out. Windows of the model's length, one after another, resumable.

`pipeline.py` makes the layers of one window, `shot.py` takes one request through it, `overlap.py` one window after the
other; here are the doors.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from layerflow.edits import stages
from layerflow.ending import check_same_ending
from layerflow.errors import RequestError
from layerflow.files import output_pattern, refused_as
from layerflow.frame_windows import Window
from layerflow.intake import check_same_guides, check_same_loras, check_same_plate
from layerflow.models.engines import Engines
from layerflow.models.load import Engine, LoadOptions
from layerflow.models.memory import is_out_of_memory
from layerflow.models.plans import Plan, plan_below
from layerflow.models.shelf import find_model
from layerflow.overlap import make_windows
from layerflow.provenance import own_pattern, read_backends, read_plans, read_provenance
from layerflow.shot import OnEvent, OnGlimpse, Shot, layout_for
from layerflow.wire import Event, Request
from layerflow.wire.whole_paths import Move

Make = Callable[[Shot, Engine, deque[Window]], None]


@dataclass(frozen=True, kw_only=True)
class ShotResult:
    """Where a shot's files are and what made them."""

    frames: tuple[Path, ...]
    per_layer: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    preview_movie: Path | None = None
    contact_sheet: Path | None = None
    seconds: float
    warnings: tuple[str, ...] = ()
    seed: int
    model: str
    backend: str


def render(
    request: Request,
    *,
    overwrite: bool = False,
    resume: bool = False,
    on_event: OnEvent = lambda event: None,
    on_glimpse: OnGlimpse | None = None,
    accept: Callable[[Shot], None] = lambda shot: None,
    stopped: Callable[[], bool] = lambda: False,
    engines: Engines | None = None,
    recorded: Move = str,
) -> ShotResult:
    """Makes the shot that `request` asks for, with a model of `engines` where several shots share them.

    An edit may be two shots: the plate taken apart, and the layer that is made anew. Both go the way of one.
    `accept` may refuse the shot by raising, before anything is written. After every step `on_glimpse` may look at the
    layers as they are by then. Raises a LayerFlowError in one sentence, and Interrupted when `stopped` turned true;
    after that, or after a crash, the same request with `resume` goes on to the same bits as an undisturbed run. Nothing
    is written under a final name before the plate, the model and the output folder have been checked. Headers call
    the request's paths what `recorded` makes of them.
    """
    *before, last = stages(request)
    options: dict[str, Any] = {
        "overwrite": overwrite,
        "resume": resume,
        "on_event": on_event,
        "on_glimpse": on_glimpse,
        "stopped": stopped,
        "engines": engines or Engines(),
        "recorded": recorded,
    }
    with_last = and_last(accept, last, may_exist=overwrite or resume)
    made = [_render(stage, accept=with_last, **options) for stage in before]
    return as_one([*made, _render(last, accept=accept, **options)])


def and_last(accept: Callable[[Shot], None], last: Request, *, may_exist: bool) -> Callable[[Shot], None]:
    """An `accept` for the shots before `last`: it refuses as well what that could not be made of or written to."""

    def accept_both(shot: Shot) -> None:
        accept(shot)
        find_model(last.model, last.task)
        replace(shot.delivery, pattern=output_pattern(last.output)).prepare(sources=(), may_exist=may_exist)

    return accept_both


def as_one(results: Sequence[ShotResult]) -> ShotResult:
    """The last of `results`, with the time and the warnings of all."""
    return replace(
        results[-1],
        seconds=sum(each.seconds for each in results),
        warnings=tuple(chain.from_iterable(each.warnings for each in results)),
    )


def _render(
    request: Request,
    *,
    plans: tuple[str, ...] = (),
    backends: tuple[str, ...] = (),
    overwrite: bool,
    resume: bool,
    on_event: OnEvent,
    on_glimpse: OnGlimpse | None = None,
    accept: Callable[[Shot], None] = lambda shot: None,
    stopped: Callable[[], bool],
    engines: Engines | None = None,
    recorded: Move = str,
) -> ShotResult:
    """As `render`. `plans` and `backends` are what a frame of the shot was once made under and by."""
    started = time.monotonic()
    shot = Shot.prepare(request, on_event, stopped, recorded=recorded)
    accept(shot)
    shot.on_glimpse = on_glimpse
    shot.open_output(overwrite=overwrite, resume=resume)
    shot.say(Event("stage", f"loading model {shot.folder.manifest.name}"))
    if plans[1:]:
        shot.warn(
            f"memory ran out when the frame was made under memory plan {plans[0]}; it is made again under {plans[-1]} "
            "alone and may differ a little"
        )
    if backends[1:]:
        shot.warn(
            f"backend {backends[0]} gave way to {backends[-1]} when the frame was made; it is made again by "
            f"{backends[-1]} alone and may differ a little"
        )
    backend = go_through(
        shot,
        engines or Engines(),
        [window for window in shot.windows if window.new],
        begun_under="".join(plans[-1:]),
        begun_with="".join(backends[-1:]),
    )
    shot.showing.warn_of_clipping()
    return replace(finished(shot, backend), seconds=time.monotonic() - started)


def finished(shot: Shot, backend: str) -> ShotResult:
    """What came of a shot whose frames are all there, with its preview made. Its journal is closed."""
    movie, sheet = None, None
    if shot.request.preview:
        shot.say(Event("stage", "making the preview"))
        movie, sheet = shot.delivery.write_preview()
    shot.journal.close()
    return ShotResult(
        frames=shot.delivery.paths,
        per_layer=shot.delivery.layer_paths,
        preview_movie=movie,
        contact_sheet=sheet,
        seconds=0.0,
        warnings=tuple(shot.warnings),
        seed=shot.request.seed,
        model=shot.folder.manifest.name,
        backend=backend,
    )


def go_through(
    shot: Shot,
    engines: Engines,
    windows: Iterable[Window],
    *,
    begun_under: str = "",
    begun_with: str = "",
    make: Make = make_windows,
) -> str:
    """Has `make` make the windows, under the next lower memory plan where memory runs out; the backend's name.

    A shot that goes on keeps to the plan and the backend of its last step: others may change the pixels a little.
    Raises RequestError when memory runs out under the lowest plan too; what was done is kept.
    """
    options = LoadOptions.of(shot.request)
    if shot.folder.manifest.all_layers:
        options = replace(options, layers=shot.layout.layers)
    if memory := shot.journal.memory() or begun_under:
        options = replace(options, memory=memory)
    options = _going_on(options, shot.journal.backend() or begun_with)
    plan, sentence = engines.choose_plan(shot.folder, options)
    shot.say(Event("stage", sentence))
    waiting = deque(windows)
    while (backend := _made_under(plan, shot, engines, options, waiting, make)) is None:
        plan = _step_down(plan, shot)
        options = _going_on(options, shot.journal.backend() or options.backend)
    return backend


def _going_on(options: LoadOptions, backend: str) -> LoadOptions:
    """`options` for a shot that was begun with `backend`, which may be none, and goes on without it where it has to."""
    return replace(options, backend="auto", begun_with=backend) if backend not in ("", "auto") else options


def _made_under(
    plan: Plan, shot: Shot, engines: Engines, options: LoadOptions, waiting: deque[Window], make: Make
) -> str | None:
    """Makes the `waiting` windows and takes each from the row when it is done; None when memory runs out."""
    try:
        with engines.lent(shot.folder, options, plan, warn=shot.warn) as engine:
            with engine.heeding(shot.stopped):
                make(shot, engine, waiting)
            backend = engine.backend
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        if plan_below(plan) is None:
            raise RequestError(
                "there is not enough memory for this shot; close other programs, or choose another --device or a "
                "smaller plate"
            ) from error
        return None
    return backend


def _step_down(plan: Plan, shot: Shot) -> Plan:
    """The plan below `plan`, what was loaded under `plan` let go of."""
    lower = plan_below(plan)
    assert lower is not None
    gc.collect()  # hooks and modules refer to each other in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    looks = "" if shot.folder.manifest.codec == "linear" else ", and what follows may look a little different"
    shot.warn(f"memory ran out under memory plan {plan.name}; the shot goes on under {lower.name}{looks}")
    return lower


def rerun(
    exr_path: str,
    *,
    output: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    on_event: OnEvent = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
    engines: Engines | None = None,
) -> ShotResult:
    """Makes the shot of the frame `exr_path` again from its header, under its memory plan and by its backend: on the
    same machine, the same bits.

    Raises as `render` does, PlateError for a frame without our header or whose plate has changed, and RequestError when
    the model or a LoRA here is not the one that made it.
    """
    path = Path(exr_path)
    request, model_sha256 = read_provenance(path)
    model = find_model(request.model, request.task)
    if model.sha256 != model_sha256:
        raise RequestError(f"model {request.model} here is not the one that made {path}; install that version of it")
    check_same_loras(path, request)
    layout = layout_for(request, model)
    check_same_plate(path, request, layout)
    check_same_ending(path, request, layout)
    check_same_guides(path, request, layout)
    with refused_as(RequestError):
        request = replace(request, output=output or own_pattern(path))
    return _render(
        request,
        plans=read_plans(path),
        backends=read_backends(path),
        overwrite=overwrite,
        resume=resume,
        on_event=on_event,
        stopped=stopped,
        engines=engines,
    )
