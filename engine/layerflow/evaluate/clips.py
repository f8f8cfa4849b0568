"""The held-out clips as what a model is asked to make."""

from __future__ import annotations

import numpy as np

from layerflow import color
from layerflow.assemble import Frame, model_pictures, stacked
from layerflow.layers import Pixels
from layerflow.layout import PROMPT_ORDER, Task
from layerflow.models.fitting import fit_to
from layerflow.models.load import Engine
from layerflow.pipeline import Clip
from layerflow.training.clips import ClipBatch


def clip_of(engine: Engine, task: Task, truth: ClipBatch, index: int) -> Clip:
    """Held-out clip `index` for `task`, in its bucket and the model's length: a shorter one holds its last frame.

    Its captions are the prompts and its index is the seed.
    """
    model, layout = engine.folder.manifest, engine.folder.layout(task)
    plate = given_pictures(task, truth, index)
    given, height, width = {}, model.height, model.width
    if plate is not None:
        fit = fit_to(engine.folder, width=plate.shape[2], height=plate.shape[1])
        height, width = fit.rows, fit.columns
        held = plate[np.minimum(np.arange(layout.num_frames), len(plate) - 1)]
        frames = [Frame(pixels=pixels, colorspace=color.display_space()) for pixels in held]
        given = stacked([model_pictures(frame, layout, fit) for frame in frames])
    return Clip(
        layout=layout,
        prompts=dict(zip(PROMPT_ORDER, truth.captions[index], strict=True)),
        given=given,
        seed=index,
        height=height,
        width=width,
    )


def given_pictures(task: Task, truth: ClipBatch, index: int) -> Pixels | None:
    """The straight display-referred pictures `[F, H, W, 3 | 4]` that `task` starts from."""
    if task == "generate":
        return None
    if task == "decompose":
        return np.asarray(truth.blended[index], np.float32)
    pictures = (truth.foreground, truth.alpha) if task == "background" else (truth.background,)
    return np.asarray(np.concatenate([pixels[index] for pixels in pictures], axis=-1), np.float32) / np.float32(255)
