"""One request on its way: it is checked, its windows are sampled, its frames are told of when they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import cast

from torch import Tensor

from layerflow.assemble import Made, takes_apart
from layerflow.delivery import Delivery
from layerflow.ending import GOES_ON_FROM, Ending, ending_of
from layerflow.errors import OutputError, RequestError
from layerflow.exr import AlphaMode
from layerflow.files import output_pattern, refused_as
from layerflow.finishing import Finishing
from layerflow.frame_windows import Window, windows
from layerflow.glimpse import Glimpse
from layerflow.guides import Guides
from layerflow.intake import (
    checked_guides,
    checked_linear,
    generated_format,
    generated_frames,
    layers_kept,
    plate_of,
    with_found_loras,
)
from layerflow.journal import Journal, now_and_then
from layerflow.kept import Kept
from layerflow.layers import made_layers
from layerflow.layout import Layout, Task
from layerflow.models.fitting import fit_to
from layerflow.models.folder import ModelFolder
from layerflow.models.load import Engine
from layerflow.models.shelf import exact_name, find_model
from layerflow.pipeline import Conditions, encode_layers, pick_sampler, sample_clip
from layerflow.plate import Plate
from layerflow.preprocess import Fit, FitKind
from layerflow.provenance import MADE_UNDER, all_of, environment_of, record_of
from layerflow.quality import QUALITIES, Quality
from layerflow.refine import Kind
from layerflow.sampler import Sampler, SamplerState
from layerflow.seams import continued, goes_on, shared_frames
from layerflow.showing import Showing
from layerflow.window import Window as Area
from layerflow.wire import Event, Request
from layerflow.wire.whole_paths import Move, whole_matte

OnEvent = Callable[[Event], None]
OnGlimpse = Callable[[Glimpse], None]


@dataclass(frozen=True, kw_only=True)
class Closer:
    """The part of a window that was looked at again."""

    area: Area  # from the plate's upper left corner
    latents: Tensor  # [f, C, h, w] of the whole sequence


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A window that is to be decoded and written."""

    window: Window
    latents: Tensor  # [f, C, h, w] of the whole sequence
    header: Mapping[str, str]  # of its frames
    above: tuple[Made, ...] = ()  # what was decoded of the foregrounds before this one
    made: Made | None = None  # what was decoded of this one, where that was needed
    closer: Closer | None = None
    is_written: bool = False  # its frames are there; the next window starts from this one


@dataclass(kw_only=True)
class Shot:
    """One checked request, and what it said on its way."""

    request: Request
    folder: ModelFolder
    layout: Layout
    plate: Plate | None
    guides: Guides | None
    kept: Kept | None
    ending: Ending | None  # of the shot that this one goes on from
    delivery: Delivery
    on_event: OnEvent
    stopped: Callable[[], bool] = lambda: False
    on_glimpse: OnGlimpse | None = None
    recorded: Move = str  # what headers call a path, where this machine knows it by another name
    resuming: bool = False  # whole frames of this very shot are left as they are
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def prepare(cls, request: Request, on_event: OnEvent, stopped: Callable[[], bool], *, recorded: Move = str) -> Shot:
        """The checked shot: model, plate and output pattern are usable. Nothing is written."""
        folder = find_model(request.model, request.task)
        # Refuses a task that the model was not made for.
        layout = layout_for(request, folder)
        request = replace(request, model=exact_name(request.model, folder))
        request = with_found_loras(request, folder)
        pattern = output_pattern(request.output)
        plate = guides = kept = None
        ending = ending_of(request, layout)
        if ending:
            form, frames = ending.format, ending.frames
            request = replace(request, plate=str(Path(str(request.plate)).absolute()), first_frame=frames[0])
            pattern = ending.checked_apart(pattern)
        elif request.task == "generate":
            form, frames = generated_format(request, folder), generated_frames(request, layout.num_frames)
        else:
            kept = layers_kept(request, layout)
            plate = plate_of(request, layout, kept)
            form, frames = plate.format, plate.frames
            guides = checked_guides(request, layout, plate)
            if request.closeup and not takes_apart(layout):
                raise RequestError(f"closeup needs a matte, and model {request.model} makes none; leave it out")
            there = str(Path(str(request.plate)).absolute())
            with refused_as(RequestError):
                request = replace(request, plate=there, first_frame=frames[0], last_frame=frames[-1])
                request = replace(request, guide=whole_matte(request.guide), holdout=whole_matte(request.holdout))
        delivery = Delivery(
            pattern=pattern,
            frames=frames,
            format=form,
            colorspace=checked_linear(request.output_colorspace),
            alpha=cast(AlphaMode, request.alpha),
            layers=(*(kept.order if kept else made_layers(len(request.foregrounds) or 1)), "blended"),
            per_layer=request.per_layer,
            preview=request.preview,
            data_windows=plate.data_windows if plate else {},
        )
        return cls(
            request=request,
            folder=folder,
            layout=layout,
            plate=plate,
            guides=guides,
            kept=kept,
            ending=ending,
            delivery=delivery,
            on_event=on_event,
            stopped=stopped,
            recorded=recorded,
        )

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames to make, in the plate's numbering."""
        return self.delivery.frames

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of every frame, in order."""
        return tuple(path for frame in self.frames for path in self.delivery.files_of(frame))

    @cached_property
    def windows(self) -> list[Window]:
        """The frames in runs of the model's length, each overlapping the one before, or the shot that goes on."""
        before = self.ending.tail if self.ending else ()
        found = windows((*before, *self.frames), self.layout.num_frames, shared_frames(self.layout))
        return [replace(each, new=tuple(frame for frame in each.new if frame not in before)) for each in found]

    @cached_property
    def fit(self) -> Fit:
        """How the plate meets the model's picture."""
        form, kind = self.delivery.format, cast(FitKind, self.request.fit)
        width, height = form.working_window[2:]
        return fit_to(self.folder, width=width, height=height, aspect=form.pixel_aspect, kind=kind)

    @cached_property
    def showing(self) -> Showing:
        """What the model is shown of the shot."""
        return Showing(
            request=self.request,
            folder=self.folder,
            layout=self.layout,
            plate=self.plate,
            guides=self.guides,
            fit=self.fit,
            warn=self.warn,
            stopped=self.stopped,
        )

    @property
    def quality(self) -> Quality:
        """How much work is left out."""
        return QUALITIES[self.request.quality]

    @cached_property
    def sampler(self) -> Sampler:
        """The model's sampler with the request's changes."""
        request = self.request
        own = self.folder.sampler(cast(Task, request.task), faithful=request.faithful)
        return pick_sampler(
            own, steps=request.steps, guidance=request.guidance, kind=request.sampler, quality=self.quality
        )

    @cached_property
    def record(self) -> dict[str, str]:
        """What decides the pixels of every frame, as header strings."""
        ending = {GOES_ON_FROM: self.ending.sha256()} if self.ending else {}
        return record_of(self.request, self.folder, recorded=self.recorded) | ending

    @cached_property
    def journal(self) -> Journal:
        """What is kept of the shot until it is done."""
        return Journal.beside(self.delivery.pattern, self.record, self.sources)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that it is made of."""
        return tuple(path for source in (self.plate, self.guides, self.ending) if source for path in source.files)

    def say(self, event: Event) -> None:
        """Passes an event on, and keeps its warning for the result; the same warning only once."""
        if event.kind == "warning":
            if event.message in self.warnings:
                return
            self.warnings.append(event.message)
        self.on_event(event)

    def warn(self, *sentences: str) -> None:
        """Says what the artist should know."""
        for sentence in sentences:
            self.say(Event("warning", sentence))

    def open_output(self, *, overwrite: bool, resume: bool) -> None:
        """Proves that the frames can be written, and takes up what an unfinished shot left. Raises OutputError."""
        self.delivery.prepare(sources=self.sources, may_exist=overwrite or resume)
        self.resuming = resume
        if self.journal.open(resume=resume) or not resume:
            return
        if foreign := next(filter(self.journal.is_foreign, self.files), None):
            raise OutputError(
                f"{foreign} was made with other options or by another program; "
                "repeat its options, pass --overwrite or choose another output"
            )

    def has_made(self, window: Window) -> bool:
        """Whether resuming finds all new frames of `window` there."""
        return self.resuming and all(self._is_written(frame) for frame in window.new)

    @property
    def num_foregrounds(self) -> int:
        """How many times the model makes what is in front, one behind the other: of one foreground or more at once."""
        return (len(self.request.foregrounds) or 1) // self.layout.num_foregrounds

    @property
    def num_passes(self) -> int:
        """How often the model works on a window."""
        return self.num_foregrounds + self.request.closeup

    def lead_in(self, window: Window) -> list[Window]:
        """The windows before `window` that have to be gone through again, first to last: it starts from the last one.

        Of one that was sampled the journal keeps the latents until the next one is done.
        """
        first = window.index
        while self.windows[first].overlap:
            first -= 1
            if not goes_on(self.layout) or self._is_sampled(first):
                break
        return self.windows[first : window.index]

    def is_sampled(self, window: Window) -> bool:
        """Whether the journal has the last state of `window`, of each of its foregrounds."""
        return all(self._is_sampled(window.index, depth) for depth in range(self.num_foregrounds))

    def sample(
        self,
        engine: Engine,
        window: Window,
        conditions: Conditions,
        *,
        above: tuple[Made, ...] = (),
        closer: bool = False,
        after_step: Callable[[SamplerState], None],
    ) -> Sampled:
        """The latents of `window`, behind what was made `above`, from the step on whose state is kept.

        Those of a `closer` look are kept apart.
        """
        depth = len(above) + closer
        plans = self._plans(engine, window, depth)
        before = [self.journal.environment(window.index, each) for each in range(depth + 1)]
        kept = self.journal.load(window.index, depth)

        def save(state: SamplerState) -> None:
            self.journal.save(
                window.index,
                state,
                depth=depth,
                plans=plans,
                backend=engine.backend.split(", ")[-1],
                environment=all_of(*before, environment_of(engine)),
            )

        with now_and_then(save) as keep:

            def on_state(state: SamplerState) -> None:
                self._after_step(window, depth, state, keep)
                after_step(state)

            latents = sample_clip(
                engine, conditions, self.sampler, reuse=self.quality.reuse, state=kept, on_state=on_state
            )
        header = self.record | all_of(*before, environment_of(engine)) | {MADE_UNDER: ", ".join(plans)}
        return Sampled(window=window, latents=latents, header=header, above=above)

    def continuing(self, engine: Engine, conditions: Conditions, window: Window, before: Sampled | None) -> Conditions:
        """What `window` is sampled under, knowing what was made `before` if that is the window it goes on from."""
        if self.ending and window.index == 0:
            clips = self.ending.clips(self.layout, self.fit)
            latents = encode_layers(engine, self.showing.clip(clips))
            return replace(conditions, known=continued(self.layout, latents, self.ending.shared))
        is_next = before is not None and before.window.index == window.index - 1
        if not (before and is_next and window.overlap and goes_on(self.layout)):
            return conditions
        return replace(conditions, known=continued(self.layout, before.latents, window.overlap))

    def finishing(self, stopped: Callable[[], bool]) -> Finishing:
        """What writes the frames, on another thread."""
        plate = self.plate and self.plate.reopened()
        guides, kept = self.guides and self.guides.reopened(), self.kept and self.kept.reopened()
        return Finishing(
            plate=plate,
            guides=guides,
            kept=kept,
            layout=self.layout,
            fit=self.fit,
            delivery=self.delivery,
            refine=cast(Kind, self.request.refine),
            stopped=stopped,
        )

    def is_done(self, window: Window) -> None:
        """To be called when the new frames of `window` are on disk."""
        self.journal.drop(window.index - 1)  # the next one starts from this one's
        done = self.frames.index(window.new[-1]) + 1
        path = self.delivery.pattern.path(window.new[-1])
        self.say(Event("frame", str(path), done=done, total=len(self.frames)))

    def _plans(self, engine: Engine, window: Window, depth: int) -> tuple[str, ...]:
        """The memory plans that have a hand in `window`: those of its kept steps, and the one at hand."""
        kept = [self.journal.plans(window.index, each) for each in range(depth + 1)]
        return tuple(dict.fromkeys((*chain.from_iterable(kept), engine.plan.name)))

    def _after_step(
        self, window: Window, depth: int, state: SamplerState, keep: Callable[[SamplerState], None]
    ) -> None:
        reuse = self.quality.reuse
        steps, passes = self.sampler.num_steps, self.num_passes
        if reuse is None or reuse.begins_anew(state.step) or state.step == steps:
            keep(state)
        done = (window.index * passes + depth) * steps + state.step
        self.say(Event("step", done=done, total=steps * passes * len(self.windows)))

    def _is_sampled(self, index: int, depth: int = 0) -> bool:
        state = self.journal.load(index, depth)
        return state is not None and state.step == self.sampler.num_steps

    def _is_written(self, frame: int) -> bool:
        return all(self.journal.has_written(path) for path in self.delivery.files_of(frame))


def layout_for(request: Request, folder: ModelFolder) -> Layout:
    """The layout that the model makes `request` by. Raises ModelError when it was not made for the task."""
    return folder.layout(
        cast(Task, request.task),
        faithful=request.faithful,
        num_foregrounds=len(request.foregrounds) or 1,
        guided=request.guide is not None,
    )
