"""Scores of clips of two foregrounds: of each, front to back, and of what of the second one the first leaves to see.

The first is the one in front: layers that are right and in the other order are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layerflow.evaluate.layer_scores import (
    Scores,
    background_scores,
    layer_scores,
    matte_scores,
    prefixed,
    trivial_background_scores,
    trivial_matte_scores,
)
from layerflow.evaluate.made import MadeClip
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.pictures import psnr
from layerflow.evaluate.truth import Truth, cut_outs, shown, shown_recomposed
from layerflow.layers import LayerStack, Pixels


def two_scores(made: MadeClip, truth: Truth) -> Scores:
    """Those of the delivered layers, and `model_*` of the model's own."""
    return _stack_scores(made.delivered, truth) | prefixed("model", _stack_scores(made.own, truth))


def trivial_two_scores(truth: Truth) -> Scores:
    """What needs no model: the plate as the background, mattes without a look at it, and `both_*`.

    That is all that is in front as either matte: what can be had without telling the one from the other.
    """
    scores = trivial_background_scores(truth)
    for name, each in truth.fronts.items():
        scores |= trivial_matte_scores(each.alpha, f"{name}_")
        scores |= prefixed(f"both_{name}", matte_scores(truth.covered, each.alpha))
    return scores


def visible_matte_scores(made: Mapping[str, Pixels], truth: Truth) -> Scores:
    """`visible_matte_*` of mattes [F, H, W], first and second: of the second as far as the first leaves it to see.

    None where there is nothing to be seen of the true one.
    """
    seen = _left_to_see(made)
    true = _left_to_see({name: each.alpha for name, each in truth.fronts.items()})
    if not (true > 0.5).any():
        return {}
    return prefixed("visible_matte", {"iou": iou(seen > 0.5, true > 0.5), "mae": float(np.abs(seen - true).mean())})


def _left_to_see(mattes: Mapping[str, Pixels]) -> Pixels:
    seen: Pixels = mattes["second"] * (np.float32(1) - mattes["first"])
    return seen


def _stack_scores(stack: LayerStack, truth: Truth) -> Scores:
    made, scores = cut_outs(stack), background_scores(shown(stack)["background"], truth)
    for name, true in truth.fronts.items():
        scores |= prefixed(name, layer_scores({"foreground": made[name]}, true))
    mattes = {name: pixels[..., 3] for name, pixels in made.items()}
    scores |= prefixed("second", visible_matte_scores(mattes, truth))
    return scores | {"recomposition_psnr": psnr(shown_recomposed(stack), truth.blended)}
