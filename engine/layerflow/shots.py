"""Whole shots: a request in, frames on disk out. Windows of the model's length, one after another, resumable.

`pipeline.py` makes the layers of one window, `shot.py` takes one request through it; here are the doors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch

from layerflow.denoisers import interruptible
from layerflow.errors import RequestError
from layerflow.files import refused_as
from layerflow.intake import check_same_loras, check_same_plate
from layerflow.layout import Task
from layerflow.models.folder import find_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.provenance import own_pattern, read_provenance
from layerflow.shot import OnEvent, Shot
from layerflow.wire import Event, Request


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
    stopped: Callable[[], bool] = lambda: False,
) -> ShotResult:
    """Makes the shot that `request` asks for.

    Raises a LayerFlowError in one sentence, and Interrupted when `stopped` turned true; after that, or after a crash,
    the same request with `resume` goes on to the same bits as an undisturbed run. Nothing is written under a final
    name before the plate, the model and the output folder have been checked.
    """
    started = time.monotonic()
    shot = Shot.prepare(request, on_event, stopped)
    shot.open_output(overwrite=overwrite, resume=resume)
    shot.say(Event("stage", f"loading model {shot.folder.manifest.name}"))
    with _enough_memory():
        engine = load_engine(shot.folder, LoadOptions.of(request))
        with interruptible(engine.transformer, stopped):
            for window in shot.windows:
                shot.make_window(engine, window)
    shot.warn_of_clipping()
    movie, sheet = None, None
    if request.preview:
        shot.say(Event("stage", "making the preview"))
        movie, sheet = shot.delivery.write_preview()
    shot.journal.close()
    return ShotResult(
        frames=shot.delivery.paths,
        per_layer=shot.delivery.layer_paths,
        preview_movie=movie,
        contact_sheet=sheet,
        seconds=time.monotonic() - started,
        warnings=tuple(shot.warnings),
        seed=request.seed,
        model=shot.folder.manifest.name,
        backend=engine.backend,
    )


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Turns what runs out of memory into a RequestError; what was done is kept."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        on_cpu = "DefaultCPUAllocator" in str(error)  # torch has no exception of its own for it there
        if not (on_cpu or isinstance(error, (MemoryError, torch.OutOfMemoryError))):
            raise
        raise RequestError(
            "there is not enough memory for this shot; close other programs, or choose another --device, "
            "--memory low or a smaller plate"
        ) from error


def rerun(
    exr_path: str,
    *,
    output: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    on_event: OnEvent = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
) -> ShotResult:
    """Makes the shot of the frame `exr_path` again from its header: on the same machine, the same bits.

    Raises as `render` does, PlateError for a frame without our header or whose plate has changed, and RequestError when
    the model or a LoRA here is not the one that made it.
    """
    path = Path(exr_path)
    request, model_sha256 = read_provenance(path)
    model = find_model(request.model, request.task)
    if model.sha256 != model_sha256:
        raise RequestError(f"model {request.model} here is not the one that made {path}; install that version of it")
    check_same_loras(path, request)
    check_same_plate(path, request, model.layout(cast(Task, request.task)))
    with refused_as(RequestError):
        request = replace(request, output=output or own_pattern(path))
    return render(request, overwrite=overwrite, resume=resume, on_event=on_event, stopped=stopped)
