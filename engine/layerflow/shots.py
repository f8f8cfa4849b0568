"""Whole shots: a request in, frames on disk out. Windows of the model's length, one after another, resumable.

`pipeline.py` makes the layers of one window; here the plate is read, the windows are laid, and the frames are written.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import Tensor

from layerflow import exr, preview
from layerflow.assemble import Frame, assemble, given_layers, model_pictures, share_clipped, stacked
from layerflow.denoisers import interruptible
from layerflow.errors import PlateError, RequestError
from layerflow.files import FramePattern, output_pattern, prepare_output
from layerflow.journal import Journal
from layerflow.layers import LayerStack, PictureFormat
from layerflow.models.folder import ModelFolder, find_model
from layerflow.models.load import Engine, load_engine
from layerflow.pipeline import Clip, dropped_words, make_clip, pick_sampler
from layerflow.plate import Plate, open_plate
from layerflow.preprocess import Fit
from layerflow.sampler import Sampler, SamplerState
from layerflow.wire import Event, Request

OnEvent = Callable[[Event], None]
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "OpenImageIO", "OpenEXR")
NOT_IN_HEADER = ("output", "preview", "per_layer")  # what a request says besides the pixels of a frame
BYTES_PER_CHANNEL = 2


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


@dataclass(frozen=True, kw_only=True)
class Window:
    """A run of frames that the model makes at once. Short shots repeat their last frame to fill it."""

    index: int
    frames: tuple[int, ...]  # what the model is shown
    new: tuple[int, ...]  # what this window writes; the rest an earlier window wrote


def windows(frames: tuple[int, ...], size: int) -> list[Window]:
    """Windows of `size` frames over `frames`; the last one starts earlier rather than run past the end."""
    if len(frames) <= size:
        filled = frames + frames[-1:] * (size - len(frames))
        return [Window(index=0, frames=filled, new=frames)]
    starts = range(0, len(frames), size)
    return [
        Window(
            index=index,
            frames=frames[min(start, len(frames) - size) :][:size],
            new=frames[start : start + size],
        )
        for index, start in enumerate(starts)
    ]


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
    shot = _Shot.prepare(request, on_event)
    shot.open_output(overwrite=overwrite, resume=resume)
    shot.say(Event("stage", f"loading model {shot.folder.manifest.name}"))
    engine = load_engine(
        shot.folder,
        device=request.device,
        precision=request.precision,
        memory=request.memory,
        backend=request.backend,
    )
    with interruptible(engine.transformer, stopped):
        for window in windows(shot.frames, shot.layout.num_frames):
            shot.make_window(engine, window)
    movie, sheet = shot.write_preview() if request.preview else (None, None)
    shot.journal.close()
    return ShotResult(
        frames=tuple(shot.pattern.path(frame) for frame in shot.frames),
        per_layer={
            name: tuple(pattern.path(frame) for frame in shot.frames) for name, pattern in shot.layer_patterns.items()
        },
        preview_movie=movie,
        contact_sheet=sheet,
        seconds=time.monotonic() - started,
        warnings=tuple(shot.warnings),
        seed=request.seed,
        model=shot.folder.manifest.name,
        backend=engine.backend,
    )


def rerun(
    exr_path: str, *, output: str | None = None, overwrite: bool = False, on_event: OnEvent = lambda event: None
) -> ShotResult:
    """Makes the shot of the frame `exr_path` again from its header: on the same machine, the same bits.

    Raises PlateError for a frame without our header and RequestError when the model here is not the one that made it.
    """
    path = Path(exr_path)
    header = exr.read_header(path)
    if "layerflow:request" not in header:
        raise PlateError(f"{path} was not written by LayerFlow: its header has no request; give a frame that was")
    try:
        request = Request.from_dict(json.loads(header["layerflow:request"]))
    except ValueError as error:
        raise PlateError(f"the request in {path} cannot be read ({error}); it is of another version") from error
    here = find_model(request.model).sha256
    if here != header.get("layerflow:modelSha256"):
        raise RequestError(f"model {request.model} here is not the one that made {path}; install that version of it")
    return render(replace(request, output=output or _own_pattern(path, header)), overwrite=overwrite, on_event=on_event)


def _own_pattern(path: Path, header: Mapping[str, str]) -> str:
    digits = f"{int(header['layerflow:frame']):0{len(path.stem) - len(path.stem.rstrip('0123456789'))}d}"
    prefix = path.stem.removesuffix(digits)
    return str(path.with_name(f"{prefix}%0{len(digits)}d{path.suffix}"))


@dataclass(kw_only=True)
class _Shot:
    """One request on its way to disk."""

    request: Request
    folder: ModelFolder
    plate: Plate | None
    format: PictureFormat
    frames: tuple[int, ...]
    pattern: FramePattern
    on_event: OnEvent
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def prepare(cls, request: Request, on_event: OnEvent) -> _Shot:
        """The checked shot: model, plate and output pattern are usable. Nothing is written."""
        folder = find_model(request.model)
        folder.layout(request.task)  # type: ignore[arg-type]  # refuses a task the model was not made for
        pattern = output_pattern(request.output)
        if request.task == "generate":
            plate, form, frames = None, *_generated_format(request, folder)
        else:
            plate = open_plate(
                str(request.plate),
                first_frame=request.first_frame,
                last_frame=request.last_frame,
                colorspace=request.colorspace,
                fps=request.fps,
            )
            form, frames = plate.format, plate.frames
            request = replace(
                request,
                plate=str(Path(str(request.plate)).absolute()),
                first_frame=frames[0],
                last_frame=frames[-1],
            )
        shot = cls(
            request=request,
            folder=folder,
            plate=plate,
            format=form,
            frames=frames,
            pattern=pattern,
            on_event=on_event,
        )
        shot._check_plate()
        return shot

    @cached_property
    def layout(self):  # type: ignore[no-untyped-def]
        return self.folder.layout(self.request.task)  # type: ignore[arg-type]

    @cached_property
    def fit(self) -> Fit:
        """How the plate meets the model's picture."""
        model = self.folder.manifest
        return Fit(
            width=self.format.width,
            height=self.format.height,
            columns=model.width,
            rows=model.height,
            kind=self.request.fit,  # type: ignore[arg-type]
            aspect=self.format.pixel_aspect,
        )

    @cached_property
    def sampler(self) -> Sampler:
        """The model's sampler with the request's changes."""
        request = self.request
        return pick_sampler(
            self.folder.manifest.sampler, steps=request.steps, guidance=request.guidance, kind=request.sampler
        )

    @cached_property
    def record(self) -> dict[str, str]:
        """What decides the pixels of every frame, as header strings."""
        request = {name: value for name, value in self.request.to_dict().items() if name not in NOT_IN_HEADER}
        return {
            "layerflow:request": json.dumps(request, sort_keys=True, ensure_ascii=False),
            "layerflow:seed": str(self.request.seed),
            "layerflow:model": self.folder.manifest.name,
            "layerflow:modelSha256": self.folder.sha256,
        }

    @cached_property
    def journal(self) -> Journal:
        return Journal.beside(self.pattern, self.record)

    @cached_property
    def layer_patterns(self) -> dict[str, FramePattern]:
        """Where each layer's own sequence goes; none unless the request asks for them."""
        names = ("foreground", "background", "blended") if self.request.per_layer else ()
        return {name: self.pattern.for_layer(name) for name in names}

    def say(self, event: Event) -> None:
        """Passes an event on, and keeps its warning for the result; the same warning only once."""
        if event.kind == "warning":
            if event.message in self.warnings:
                return
            self.warnings.append(event.message)
        self.on_event(event)

    def _check_plate(self) -> None:
        needs_alpha = "alpha" in given_layers(self.layout)
        if self.plate is not None and needs_alpha and not self.plate.has_alpha:
            raise PlateError(
                f"{self.request.task} needs a foreground with an alpha channel and {self.request.plate} has none; "
                "give RGBA frames, or decompose the plate first"
            )

    def open_output(self, *, overwrite: bool, resume: bool) -> None:
        """Proves that the frames can be written, and opens the journal."""
        paths = [pattern.path(f) for pattern in (self.pattern, *self.layer_patterns.values()) for f in self.frames]
        channels = 10 + (12 if self.layer_patterns else 0)
        size = self.format.width * self.format.height * channels * BYTES_PER_CHANNEL * len(self.frames)
        prepare_output(paths, num_bytes=size, may_exist=overwrite or resume)
        self.journal.open(resume=resume)

    def make_window(self, engine: Engine, window: Window) -> None:
        """Makes and writes the new frames of `window`, unless they are all there already."""
        if all(self._is_written(frame) for frame in window.new):
            self._count_frames(window)
            return
        clip = self._clip(window)
        for name, tail in dropped_words(engine, clip).items():
            self.say(Event("warning", f"the {name} prompt is too long; the model does not see: {tail}"))
        made = make_clip(
            engine,
            clip,
            self.sampler,
            state=self.journal.load(window.index),
            on_state=lambda state: self._keep(window, state),
        )
        header = self.record | self._environment(engine)
        for frame in window.new:
            self._write(frame, {name: pixels[window.frames.index(frame)] for name, pixels in made.items()}, header)
        self._count_frames(window)
        self.journal.drop(window.index)

    def _clip(self, window: Window) -> Clip:
        model, request = self.folder.manifest, self.request
        given: dict[str, Tensor] = {}
        if self.plate is not None:
            given = stacked([model_pictures(self._read(frame), self.layout, self.fit) for frame in window.frames])
        prompts = {name: getattr(request, name) for name in ("foreground", "background", "blended")}
        return Clip(
            layout=self.layout,
            prompts=prompts,
            given=given,
            seed=request.seed,
            height=model.height,
            width=model.width,
        )

    def _read(self, frame: int) -> Frame:
        assert self.plate is not None
        read = Frame(pixels=self.plate.read(frame), colorspace=self.plate.colorspace)
        for note in self.plate.notes:
            self.say(Event("warning", note))
        if clipped := share_clipped(read):
            self.say(
                Event("warning", f"{clipped:.1%} of frame {frame} is beyond display white; the model sees it clipped")
            )
        return read

    def _keep(self, window: Window, state: SamplerState) -> None:
        self.journal.save(window.index, state)
        total = self.sampler.num_steps * len(windows(self.frames, self.layout.num_frames))
        self.say(Event("step", done=window.index * self.sampler.num_steps + state.step, total=total))

    def _write(self, number: int, made: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
        frame = None if self.plate is None else self._read(number)
        layers = assemble(made, frame, self.layout, self.fit, self.request.output_colorspace)
        stack = LayerStack(
            layers={name: np.asarray(pixels[None], np.float32) for name, pixels in layers.items()},
            frames=(number,),
            format=self._format_at(number),
            colorspace=self.request.output_colorspace,
        )
        alpha = self.request.alpha
        for name, pattern in self.layer_patterns.items():
            exr.write_layer_frame(pattern.path(number), stack, 0, name, header=header, alpha=alpha)  # type: ignore[arg-type]
        notes = exr.write_frame(self.pattern.path(number), stack, 0, header=header, alpha=alpha)  # type: ignore[arg-type]
        for note in notes:
            self.say(Event("warning", note))

    def _format_at(self, number: int) -> PictureFormat:
        start = self.format.timecode
        if start is None:
            return self.format
        from layerflow import timecode

        return replace(self.format, timecode=timecode.advance(start, number - self.frames[0], self.format.fps))

    def _is_written(self, frame: int) -> bool:
        patterns = (self.pattern, *self.layer_patterns.values())
        return all(self.journal.has_written(pattern.path(frame)) for pattern in patterns)

    def _count_frames(self, window: Window) -> None:
        done = self.frames.index(window.new[-1]) + 1
        self.say(Event("frame", str(self.pattern.path(window.new[-1])), done=done, total=len(self.frames)))

    def _environment(self, engine: Engine) -> dict[str, str]:
        libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
        return {
            "layerflow:version": version("layerflow"),
            "layerflow:backend": engine.backend,
            "layerflow:precision": str(engine.dtype).removeprefix("torch."),
            "layerflow:device": str(engine.device),
            "layerflow:libraries": libraries,
            "layerflow:python": platform.python_version(),
        }

    def write_preview(self) -> tuple[Path, Path]:
        """A movie and a contact sheet of the frames on disk, read back one at a time."""
        self.say(Event("stage", "making the preview"))
        stem = self.pattern.prefix.rstrip("._- ") or "shot"
        movie, sheet = (self.pattern.folder / f"{stem}.{ending}" for ending in ("preview.mp4", "contact-sheet.png"))
        preview.write_movie(movie, self._stacks(self.frames), self.format.fps)
        preview.write_contact_sheet(sheet, self._stacks(preview.pick_frames(self.frames)))
        return movie, sheet

    def _stacks(self, frames: tuple[int, ...]) -> Iterator[LayerStack]:
        return (exr.read_stack([self.pattern.path(frame)]) for frame in frames)


def _generated_format(request: Request, folder: ModelFolder) -> tuple[PictureFormat, tuple[int, ...]]:
    model = folder.manifest
    layout = folder.layout("generate")
    form = PictureFormat(
        width=request.width or model.width,
        height=request.height or model.height,
        fps=Fraction(request.fps or model.fps).limit_denominator(1001),
    )
    first = request.first_frame if request.first_frame is not None else 1
    return form, tuple(range(first, first + (request.num_frames or layout.num_frames)))
