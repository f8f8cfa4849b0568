"""What each task is scored on, clip by clip: the rows of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from layerflow.evaluate.prompts import Wanted, wanted
from layerflow.evaluate.rough import SHARE, rough_clamps
from layerflow.evaluate.truth import Truth, foreground_over_grey, shown, shown_recomposed
from layerflow.layers import LayerStack, Pixels
from layerflow.layout import Task
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.training.clips import ClipBatch

PROBED: tuple[Probed, ...] = ("foreground", "background")
MADE: Mapping[Task, tuple[str, ...]] = {
    "generate": ("foreground", "background", "blended"),
    "background": ("background", "blended"),
    "foreground": ("foreground", "blended"),
}  # the layers that a task makes, whose motion is looked at


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One model at work on the held-out clips. Clip `index` of a row is always asked for alike."""

    engine: Engine
    clips: ClipBatch
    steps: int | None  # the model's own
    seed: int

    def decompose(self, index: int) -> tuple[Scores, Example]:
        """The layers of a plate, and what needs no model."""
        truth, asked = Truth.of(self.clips, index), self._asked("decompose", index)
        made = make(self.engine, asked)
        scores = taken_apart_scores(made, truth) | trivial_scores(truth)
        return scores, taken_apart_example(f"clip {index}", made, truth, iou=scores.get("matte_iou"))

    def decompose_rough(self, index: int) -> tuple[Scores, Example]:
        """The layers of a plate by a rough roto, and the rough roto by itself."""
        truth, asked = Truth.of(self.clips, index), self._asked("decompose", index)
        clamps = rough_clamps(truth.alpha, self.engine.folder.layout("decompose", guided=True))
        made, rough = make(self._guided, replace(asked, clamps=clamps)), rough_matte(truth.alpha, SHARE)
        scores = taken_apart_scores(made, truth) | prefixed("rough", matte_scores(rough, truth.alpha))
        return scores, taken_apart_example(f"clip {index}", made, truth, iou=scores.get("matte_iou"), rough=rough)

    def generate(self, index: int) -> tuple[Scores, Example]:
        """A shot of words alone, for a sprite and a kind of landscape that the bundled model has seen."""
        aim = self._aims[index]
        made = make(self.engine, replace(self._asked("generate", index), prompts=aim.prompts))
        scores, example = self._made("generate", index, made, aim.prompts)
        return scores | aim.told(self._probes, shown(made.delivered)), example

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

    @cached_property
    def _guided(self) -> Engine:
        """The engine, or the same model loaded for another layout, where it has learned to go by a guide."""
        folder = self.engine.folder
        layout = folder.layout("decompose", guided=True)
        if "guide" not in layout.layers:
            return self.engine
        return load_engine(folder, LoadOptions(device=str(self.engine.device), layers=layout.layers))

    @cached_property
    def _probes(self) -> dict[Probed, Probe]:
        return {layer: bundled_probe(layer) for layer in PROBED}

    @cached_property
    def _aims(self) -> list[Wanted]:
        return wanted(len(self.clips.captions), self._probes)

    def _asked(self, task: Task, index: int) -> Asked:
        """Clip `index` for `task`; where layers are made up, each clip has noise of its own."""
        seed = self.seed if task == "decompose" else self.seed + index
        return Asked.of(task, self.clips, index, seed=seed, steps=self.steps)

    def _made(self, task: Task, index: int, made: MadeClip, prompts: Mapping[str, str]) -> tuple[Scores, Example]:
        pictures, own = _pictures(made.delivered), shown(made.own)
        true = _true_pictures(Truth.of(self.clips, index))
        scores = motion_scores({layer: pictures[layer] for layer in MADE[task]})
        scores |= prefixed("true", motion_scores({layer: true[layer] for layer in MADE[task]}))
        scores["model_recomposition_psnr"] = psnr(shown_recomposed(made.own), own["blended"])
        if "foreground" in MADE[task] and own["foreground"].shape[-1] == 4:
            matte = own["foreground"][..., 3]
            scores |= {"coverage": float(matte.mean()), "empty": float(matte.max() <= 0.5)}
        return scores, made_example(f"clip {index}", made, prompts)


ROWS: dict[str, tuple[Task, Callable[[Trial, int], tuple[Scores, Example]]]] = {
    "decompose": ("decompose", Trial.decompose),
    "decompose_rough": ("decompose", Trial.decompose_rough),
    "generate": ("generate", Trial.generate),
    "background": ("background", Trial.background),
    "foreground": ("foreground", Trial.foreground),
}


def taken_apart_scores(made: MadeClip, truth: Truth) -> Scores:
    """Those of the delivered layers, and `model_*` of the model's own."""
    return stack_scores(made.delivered, truth) | prefixed("model", stack_scores(made.own, truth))


def stack_scores(stack: LayerStack, truth: Truth) -> Scores:
    """Those of each layer, and `recomposition_psnr` of them over each other against the plate."""
    recomposition = psnr(shown_recomposed(stack), truth.blended)
    return layer_scores(shown(stack), truth) | {"recomposition_psnr": recomposition}


def _pictures(stack: LayerStack) -> dict[str, Pixels]:
    """The layers as pictures [F, H, W, 3]."""
    layers = shown(stack)
    return layers | {"foreground": foreground_over_grey(layers)}


def _true_pictures(truth: Truth) -> dict[str, Pixels]:
    return {"foreground": truth.over_grey, "background": truth.background, "blended": truth.blended}
