"""What each task is scored on, clip by clip: the rows of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from layerflow.evaluate.examples import Example, made_example, taken_apart_example
from layerflow.evaluate.layer_scores import (
    Scores,
    layer_scores,
    matte_scores,
    motion_scores,
    picture_scores,
    prefixed,
    rough_matte,
    trivial_scores,
)
from layerflow.evaluate.made import Asked, MadeClip, make
from layerflow.evaluate.pictures import psnr
from layerflow.evaluate.probe import Probe, Probed, bundled_probe
from layerflow.evaluate.prompts import Wanted, together, wanted
from layerflow.evaluate.rough import SHARE, rough_clamps
from layerflow.evaluate.truth import Truth, cut_outs, pictures, shown, shown_recomposed, true_pictures
from layerflow.evaluate.two import trivial_two_scores, two_scores
from layerflow.layers import LayerStack, Pixels
from layerflow.layout import Layout, Task
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.training.clips import ClipBatch

PROBED: tuple[Probed, ...] = ("foreground", "background")
GIVEN: Mapping[Task, str] = {"background": "foreground", "foreground": "background"}  # what a task does not make


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One model at work on the held-out clips. Clip `index` of a row is always asked for alike."""

    engine: Engine
    clips: ClipBatch  # of as many foregrounds as the row is about
    steps: int | None  # the model's own
    seed: int
    _loaded: dict[tuple[str, ...], Engine] = field(default_factory=dict, repr=False)  # by layers

    def decompose(self, index: int) -> tuple[Scores, Example]:
        """The layers of a plate, and what needs no model."""
        truth, asked = Truth.of(self.clips, index), self._asked("decompose", index)
        made = make(self.engine, asked)
        scores = taken_apart_scores(made, truth) | trivial_scores(truth)
        return scores, taken_apart_example(f"clip {index}", made, truth, iou=scores.get("matte_iou"))

    def decompose_rough(self, index: int) -> tuple[Scores, Example]:
        """The layers of a plate by a rough roto, and the rough roto by itself."""
        truth, asked = Truth.of(self.clips, index), self._asked("decompose", index)
        layout, rough = self.engine.folder.layout("decompose", guided=True), rough_matte(truth.alpha, SHARE)
        made = make(self._for(layout), replace(asked, clamps=rough_clamps(truth.alpha, layout)))
        scores = taken_apart_scores(made, truth) | prefixed("rough", matte_scores(rough, truth.alpha))
        return scores, taken_apart_example(f"clip {index}", made, truth, iou=scores.get("matte_iou"), rough=rough)

    def decompose_two(self, index: int) -> tuple[Scores, Example]:
        """The layers of a plate with one foreground behind another, in one pass, and what needs no model."""
        truth, asked = Truth.of(self.clips, index), self._asked("decompose", index)
        made = make(self._for(asked.layout(self.engine)), asked)
        scores = two_scores(made, truth) | trivial_two_scores(truth)
        overlap = (scores["first_matte_iou"] + scores["second_matte_iou"]) / 2
        return scores, taken_apart_example(f"clip {index}", made, truth, iou=overlap)

    def generate(self, index: int) -> tuple[Scores, Example]:
        """A shot of words alone, for a sprite and a kind of landscape that the bundled model has seen."""
        aim = self._aims[index]
        made = make(self.engine, replace(self._asked("generate", index), prompts=aim.prompts))
        scores, example = self._made("generate", index, made, aim.prompts)
        return scores | aim.told(self._probes, shown(made.delivered)), example

    def generate_two(self, index: int) -> tuple[Scores, Example]:
        """A shot of words alone with what two clips should show, one foreground behind the other."""
        first, second = self._aims[index : index + 2]
        prompts = together(first, second)
        asked = replace(self._asked("generate", index), prompts=prompts)
        made = make(self._for(asked.layout(self.engine)), asked)
        scores, example = self._made("generate", index, made, prompts)
        there = cut_outs(made.delivered) | {"background": shown(made.delivered)["background"]}
        return scores | self._told("first", first, there) | self._told("second", second, there), example

    def background(self, index: int) -> tuple[Scores, Example]:
        """What is behind a given foreground; the true one is one of many that would do."""
        asked, truth = self._asked("background", index), Truth.of(self.clips, index)
        made = make(self.engine, asked)
        scores, example = self._made("background", index, made, asked.prompts)
        grey = np.full_like(truth.background, 0.5)
        return (
            scores
            | picture_scores("background", shown(made.delivered)["background"], truth.background)
            | {"grey_background_psnr": psnr(grey, truth.background)}
        ), example

    def foreground(self, index: int) -> tuple[Scores, Example]:
        """What is in front of a given background."""
        asked = self._asked("foreground", index)
        return self._made("foreground", index, make(self.engine, asked), asked.prompts)

    def _for(self, layout: Layout) -> Engine:
        """The engine, or the same model loaded for another layout, where it is one that it has learned further."""
        if all(layout.layers != each.layers for _, each in self.engine.folder.manifest.further):
            return self.engine
        if layout.layers not in self._loaded:
            options = LoadOptions(device=str(self.engine.device), layers=layout.layers)
            self._loaded[layout.layers] = load_engine(self.engine.folder, options)
        return self._loaded[layout.layers]

    def _told(self, name: str, aim: Wanted, there: Mapping[str, Pixels]) -> Scores:
        """Whether the foreground of that name, and the background, show what they should."""
        told = aim.told(self._probes, {"foreground": there[name], "background": there["background"]})
        return {key.replace("foreground", name): value for key, value in told.items()}

    @cached_property
    def _probes(self) -> dict[Probed, Probe]:
        return {layer: bundled_probe(layer) for layer in PROBED}

    @cached_property
    def _aims(self) -> list[Wanted]:
        return wanted(len(self.clips.captions) + 1, self._probes)

    def _asked(self, task: Task, index: int) -> Asked:
        """Clip `index` for `task`; where layers are made up, each clip has noise of its own."""
        seed = self.seed if task == "decompose" else self.seed + index
        return Asked.of(task, self.clips, index, seed=seed, steps=self.steps)

    def _made(self, task: Task, index: int, made: MadeClip, prompts: Mapping[str, str]) -> tuple[Scores, Example]:
        layers, true = pictures(made.delivered), true_pictures(Truth.of(self.clips, index))
        for each in (layers, true):
            each.pop(GIVEN.get(task, ""), None)
        scores = motion_scores(layers) | prefixed("true", motion_scores(true))
        scores["model_recomposition_psnr"] = psnr(shown_recomposed(made.own), shown(made.own)["blended"])
        for name, foreground in cut_outs(made.own).items():
            if name in layers and foreground.shape[-1] == 4:
                scores |= coverage_scores("" if name == "foreground" else f"{name}_", foreground[..., 3])
        return scores, made_example(f"clip {index}", made, prompts, true if task in GIVEN else None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of an evaluation."""

    task: Task
    score: Callable[[Trial, int], tuple[Scores, Example]]
    num_foregrounds: int = 1  # of the clips, and at once


ROWS: dict[str, Row] = {
    "decompose": Row(task="decompose", score=Trial.decompose),
    "decompose_rough": Row(task="decompose", score=Trial.decompose_rough),
    "decompose_two": Row(task="decompose", score=Trial.decompose_two, num_foregrounds=2),
    "generate": Row(task="generate", score=Trial.generate),
    "generate_two": Row(task="generate", score=Trial.generate_two, num_foregrounds=2),
    "background": Row(task="background", score=Trial.background),
    "foreground": Row(task="foreground", score=Trial.foreground),
}


def taken_apart_scores(made: MadeClip, truth: Truth) -> Scores:
    """Those of the delivered layers, and `model_*` of the model's own."""
    return stack_scores(made.delivered, truth) | prefixed("model", stack_scores(made.own, truth))


def stack_scores(stack: LayerStack, truth: Truth) -> Scores:
    """Those of each layer, and `recomposition_psnr` of them over each other against the plate."""
    recomposition = psnr(shown_recomposed(stack), truth.blended)
    return layer_scores(shown(stack), truth) | {"recomposition_psnr": recomposition}


def coverage_scores(whose: str, matte: Pixels) -> Scores:
    """How much of the picture a made matte [F, H, W] covers, and whether it is there at all."""
    return {f"{whose}coverage": float(matte.mean()), f"{whose}empty": float(matte.max() <= 0.5)}
