"""What a model makes of a held-out clip: the layers that an artist gets, and those that the model itself made.

Stacks are scene-linear, at the clip's own size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from layerflow import color
from layerflow.assemble import Frame, Made, assemble, fronts, made_layer, model_pictures, stacked
from layerflow.decomposition import Decomposition
from layerflow.evaluate.clips import given_pictures
from layerflow.guides import Clamps, given_guide, hint_for
from layerflow.layers import LayerStack, PictureFormat, Pixels
from layerflow.layout import ALL_PROMPTS, Layout, Task
from layerflow.models.fitting import fit_to
from layerflow.models.load import Engine
from layerflow.pipeline import Clip, make_clip, pick_sampler
from layerflow.preprocess import Fit, FitKind
from layerflow.training.clips import ClipBatch

LINEAR = color.DEFAULT_LINEAR


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One clip to be made for a task."""

    task: Task
    prompts: Mapping[str, str]  # by layer
    given: Pixels | None  # what it starts from, [F, H, W, 3 | 4] straight and display-referred
    height: int
    width: int
    seed: int
    steps: int | None = None  # the model's own
    kind: FitKind = "bucket"
    clamps: Sequence[Clamps] | None = None  # what a guide says of each frame's alpha

    @classmethod
    def of(cls, task: Task, truth: ClipBatch, index: int, *, seed: int, steps: int | None) -> Asked:
        """Held-out clip `index` for `task`, with its captions as prompts."""
        height, width = truth.background.shape[2:4]
        return cls(
            task=task,
            prompts=dict(zip(ALL_PROMPTS, truth.captions[index], strict=False)),
            given=given_pictures(task, truth, index),
            height=height,
            width=width,
            seed=seed,
            steps=steps,
        )

    def layout(self, engine: Engine) -> Layout:
        """What that engine's model makes it by. Raises ModelError."""
        num_foregrounds = sum(name.startswith("foreground") for name in self.prompts)
        return engine.folder.layout(self.task, num_foregrounds=num_foregrounds, guided=self.clamps is not None)


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """The layers of one clip."""

    delivered: LayerStack  # with all that the engine does for an artist: refined, solved, what was given untouched
    own: LayerStack  # as the model made them; "blended" is the plate where that is given, and else the model's


def make(engine: Engine, asked: Asked) -> MadeClip:
    """The layers that the engine, loaded for that layout, makes of what is `asked`. Raises as `make_clip` does."""
    layout = asked.layout(engine)
    fit = fit_to(engine.folder, width=asked.width, height=asked.height, kind=asked.kind)
    plates = [] if asked.given is None else [Frame(pixels=each, colorspace=_DISPLAY) for each in asked.given]
    given = stacked([model_pictures(plate, layout, fit) for plate in plates]) if plates else {}
    clamps = asked.clamps
    clip = Clip(
        layout=layout,
        prompts=asked.prompts,
        given=given if clamps is None else given | given_guide(layout, clamps, fit),
        seed=asked.seed,
        height=fit.rows,
        width=fit.columns,
        hint=None if clamps is None else hint_for(layout, clamps, fit),
        drawn=engine.folder.manifest.fidelity.posterior,
    )
    sampler = pick_sampler(engine.folder.sampler(asked.task), steps=asked.steps, guidance=None, kind=None)
    with torch.inference_mode():
        made = make_clip(engine, clip, sampler)
    if asked.task == "decompose":
        return MadeClip(delivered=_taken_apart(made, plates, fit, asked), own=layer_stack(made, plates, layout, fit))
    own = _own(made, layout, fit)
    return MadeClip(delivered=layer_stack(made, plates, layout, fit) if plates else own, own=own)


def decompose(
    engine: Engine, truth: ClipBatch, index: int, *, steps: int | None, seed: int, kind: FitKind = "bucket"
) -> tuple[LayerStack, LayerStack]:
    """The layers that the engine makes of clip `index`, with its captions as prompts; and those its model made.

    `kind` says how a clip of another shape meets the model's.
    """
    asked = Asked.of("decompose", truth, index, seed=seed, steps=steps)
    made = make(engine, replace(asked, kind=kind))
    return made.delivered, made.own


def layer_stack(made: Made, plates: Sequence[Frame | None], layout: Layout, fit: Fit) -> LayerStack:
    """The layers of one clip as the model made them, `[F, 3, h, w]`; `plates` are its frames."""
    return _stack(
        [
            assemble({name: pixels[number] for name, pixels in made.items()}, plate, layout, fit, LINEAR)
            for number, plate in enumerate(plates)
        ],
        fit,
    )


def _own(made: Made, layout: Layout, fit: Fit) -> LayerStack:
    """All layers as the model has them, what was given too, each by itself."""
    stack = layer_stack(made, [None] * layout.num_frames, layout, fit)
    blended = np.stack([made_layer(picture, fit, LINEAR) for picture in made["blended"]])
    return replace(stack, layers={**stack.layers, "blended": blended})


def _taken_apart(made: Made, plates: Sequence[Frame], fit: Fit, asked: Asked) -> LayerStack:
    numbers = tuple(range(len(plates)))
    decomposition = Decomposition(
        frames=numbers,
        made=fronts(made),
        read=plates.__getitem__,
        fit=fit,
        target=LINEAR,
        kind="fast",
        guided=None if asked.clamps is None else asked.clamps.__getitem__,
    )
    return _stack([decomposition.layers(number).layers for number in numbers], fit)


def _stack(assembled: Sequence[Mapping[str, Pixels]], fit: Fit) -> LayerStack:
    return LayerStack(
        layers={name: np.stack([frame[name] for frame in assembled]) for name in assembled[0]},
        frames=tuple(range(len(assembled))),
        format=PictureFormat(width=fit.width, height=fit.height),
        colorspace=LINEAR,
    )


_DISPLAY = color.display_space()
