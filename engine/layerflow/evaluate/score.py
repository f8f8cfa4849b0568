"""How well a model takes apart clips whose layers are known.

Scored is what an artist gets: the assembled layers, straight alpha, in linear light; compared display-referred, as the
held-out clips were made. PSNR is per clip, then averaged.

Shapes: F frame, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from layerflow import color, layers
from layerflow.assemble import Frame, Made, assemble, model_pictures, stacked
from layerflow.decomposition import Decomposition
from layerflow.difference import Difference
from layerflow.errors import ModelError
from layerflow.layers import LayerStack, PictureFormat, Pixels
from layerflow.layout import Layout
from layerflow.models.fitting import fit_to
from layerflow.models.load import Engine, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import Clip, make_clip, pick_sampler
from layerflow.preprocess import Fit, FitKind
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips
from layerflow.wire import Event

LINEAR = color.DEFAULT_LINEAR


def evaluate_model(
    model: str,
    *,
    num_clips: int = 64,
    steps: int | None = None,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, float]:
    """Mean scores of decomposition on the held-out clips, and those of the trivial answers.

    `model_background_psnr` is the background as the model made it, before the plate is shown outside the matte.
    `matte_iou` and `alpha_mae` judge the matte at 0.5 and as it is; `background_psnr`, `recomposition_psnr` and
    `foreground_psnr` (over mid-grey) are in dB; `plate_as_background_psnr` is what the plate itself scores as a
    background, `whole_frame_iou` a matte that is white everywhere. Raises ModelError, also for a model of clips of
    another length.
    """
    folder, truth = find_model(model, "decompose"), heldout_clips(num_clips)
    length, own = truth.blended.shape[1], folder.layout("decompose").num_frames
    if own != length:
        raise ModelError(f"held-out clips have {length} frames and model {model} makes {own}; score one of {length}")
    engine = load_engine(folder)
    scores = []
    for index in range(num_clips):
        made, bare = decompose(engine, truth, index, steps=steps, seed=seed)
        score = score_clip(made, truth, index)
        scores.append(score | {"model_background_psnr": score_clip(bare, truth, index)["background_psnr"]})
        on_event(Event("step", done=index + 1, total=num_clips))
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def decompose(
    engine: Engine, truth: ClipBatch, index: int, *, steps: int | None, seed: int, kind: FitKind = "bucket"
) -> tuple[LayerStack, LayerStack]:
    """The layers that the engine makes of clip `index`, with its captions as prompts; and those its model made.

    `kind` says how a clip of another shape meets the model's.
    """
    layout = engine.folder.layout("decompose")
    plates = [Frame(pixels=_float(picture), colorspace=color.display_space()) for picture in truth.blended[index]]
    height, width = plates[0].pixels.shape[:2]
    fit = fit_to(engine.folder, width=width, height=height, kind=kind)
    prompts = dict(zip(("foreground", "background", "blended"), truth.captions[index], strict=True))
    clip = Clip(
        layout=layout,
        prompts=prompts,
        given=stacked([model_pictures(plate, layout, fit) for plate in plates]),
        seed=seed,
        height=fit.rows,
        width=fit.columns,
        drawn=engine.folder.manifest.fidelity.posterior,
    )
    sampler = pick_sampler(engine.folder.sampler("decompose"), steps=steps, guidance=None, kind=None)
    with torch.inference_mode():
        made = make_clip(engine, clip, sampler)
    numbers = tuple(range(len(plates)))
    decomposition = Decomposition(
        frames=numbers, made=[made], read=plates.__getitem__, fit=fit, target=LINEAR, kind="fast"
    )
    delivered = [decomposition.layers(number).layers for number in numbers]
    return _stack(delivered, fit), layer_stack(made, plates, layout, fit)


def layer_stack(made: Made, plates: Sequence[Frame | None], layout: Layout, fit: Fit) -> LayerStack:
    """The layers of one clip as the model made them, `[F, 3, h, w]`; `plates` are its frames."""
    return _stack(
        [
            assemble({name: pixels[number] for name, pixels in made.items()}, plate, layout, fit, LINEAR)
            for number, plate in enumerate(plates)
        ],
        fit,
    )


def _stack(assembled: Sequence[Mapping[str, Pixels]], fit: Fit) -> LayerStack:
    return LayerStack(
        layers={name: np.stack([frame[name] for frame in assembled]) for name in assembled[0]},
        frames=tuple(range(len(assembled))),
        format=PictureFormat(width=fit.width, height=fit.height),
        colorspace=LINEAR,
    )


def score_clip(stack: LayerStack, truth: ClipBatch, index: int) -> dict[str, float]:
    """The scores of one decomposed clip."""
    alpha, background = truth.alpha[index][..., 0] / 255.0, truth.background[index] / 255.0
    blended, straight = truth.blended[index], truth.foreground[index] / 255.0
    made = {name: color.to_display(pixels, LINEAR).clip(0.0, 1.0) for name, pixels in stack.layers.items()}
    matte = made["foreground"][..., 3]
    recomposed = color.to_display(layers.recompose(stack), LINEAR).clip(0.0, 1.0)
    grey = layers.grey_from_straight(_float(straight), _float(alpha))
    return {
        "matte_iou": iou(matte > 0.5, alpha > 0.5),
        "alpha_mae": float(np.abs(matte - alpha).mean()),
        "foreground_psnr": psnr(layers.grey_from_straight(made["foreground"][..., :3], matte), grey),
        "background_psnr": psnr(made["background"], background),
        "recomposition_psnr": psnr(recomposed, blended),
        "plate_as_background_psnr": psnr(blended, background),
        "whole_frame_iou": iou(np.ones_like(alpha, bool), alpha > 0.5),
    }


def iou(made: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two boolean mattes; 1 when both are empty."""
    union = np.logical_or(made, truth).sum()
    return float(np.logical_and(made, truth).sum() / union) if union else 1.0


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for values in [0, 1], at most 100."""
    difference = Difference()
    difference.add(made, truth)
    return min(100.0, 100.0 if difference.psnr_db is None else difference.psnr_db)


def _float(values: np.ndarray) -> Pixels:
    return np.asarray(values, np.float32)
