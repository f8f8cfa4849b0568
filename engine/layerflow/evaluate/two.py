"""Scores of clips of two foregrounds: of each, front to back, and of what of the second one the first leaves to see.

The first is the one in front: layers that are right and in the other order are wrong.
"""

from __future__ import annotations

import numpy as np

from layerflow.evaluate.layer_scores import (
    Scores,
    background_scores,
    layer_scores,
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
    """What needs no model: the plate as the background, and mattes without a look at it."""
    scores = trivial_background_scores(truth)
    for name, each in truth.fronts.items():
        scores |= trivial_matte_scores(each.alpha, f"{name}_")
    return scores


def visible_matte_scores(made: Pixels, truth: Truth) -> Scores:
    """`visible_matte_*` of a second matte [F, H, W] where the true first one covers half or less; none where nothing is
    to be seen of the second.
    """
    seen = truth.alpha <= 0.5
    there, true = made[seen], truth.fronts["second"].alpha[seen]
    if not (true > 0.5).any():
        return {}
    return prefixed("visible_matte", {"iou": iou(there > 0.5, true > 0.5), "mae": float(np.abs(there - true).mean())})


def _stack_scores(stack: LayerStack, truth: Truth) -> Scores:
    made, scores = cut_outs(stack), background_scores(shown(stack)["background"], truth)
    for name, true in truth.fronts.items():
        scores |= prefixed(name, layer_scores({"foreground": made[name]}, true))
    scores |= prefixed("second", visible_matte_scores(made["second"][..., 3], truth))
    return scores | {"recomposition_psnr": psnr(shown_recomposed(stack), truth.blended)}
