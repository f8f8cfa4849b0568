"""Scores of the layers of one clip, held against the true ones; and of answers that need no model.

Every score is of pictures as a display has them. What has nothing to be measured on, such as a hole that no frame
has, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from layerflow.evaluate.mattes import MatteScore, iou
from layerflow.evaluate.motion import motion
from layerflow.evaluate.pictures import gmsd, psnr, psnr_where, ssim
from layerflow.evaluate.truth import Truth, over_grey
from layerflow.layers import Pixels

Scores = dict[str, float]

BLOB = (0.52, 0.36)  # radii of an ellipse in the middle, in heights: measured, see `benchmarks/probe.py blob`


def layer_scores(shown: Mapping[str, Pixels], truth: Truth) -> Scores:
    """`matte_*`, `foreground_*` and `background_*` of the layers that are there."""
    scores: Scores = {}
    if "foreground" in shown:
        if shown["foreground"].shape[-1] == 4:
            scores |= matte_scores(shown["foreground"][..., 3], truth.alpha)
        scores |= picture_scores("foreground", over_grey(shown["foreground"]), truth.over_grey)
    if "background" in shown:
        scores |= background_scores(shown["background"], truth)
    return scores


def matte_scores(made: Pixels, truth: Pixels) -> Scores:
    """`matte_iou` at 0.5, `matte_mae`, and `mse`, `grad`, `conn` and `dtssd` of mattes [F, H, W] in [0, 1]."""
    score = MatteScore()
    for pair in zip(made, truth, strict=True):
        score.add(*pair)
    means = score.means()
    scores = {
        "iou": iou(made > 0.5, truth > 0.5),
        "mae": means["sad"] / truth[0].size,
        "mse": means["mse"],
        "grad": means["gradient"],
        "conn": means["connectivity"],
    }
    if "dtssd" in means:
        scores["dtssd"] = means["dtssd"]
    return prefixed("matte", scores)


def picture_scores(layer: str, made: Pixels, truth: Pixels) -> Scores:
    """`psnr`, `ssim` and `gmsd` of pictures [F, H, W, 3], named after their layer."""
    return prefixed(layer, {"psnr": psnr(made, truth), "ssim": ssim(made, truth), "gmsd": gmsd(made, truth)})


def background_scores(made: Pixels, truth: Truth) -> Scores:
    """The background's, and its PSNR in the hole, where alpha is above 0.5, and outside of it."""
    parts = {
        "psnr_hole": psnr_where(made, truth.background, truth.hole),
        "psnr_outside": psnr_where(made, truth.background, ~truth.hole),
    }
    found = {name: value for name, value in parts.items() if value is not None}
    return picture_scores("background", made, truth.background) | prefixed("background", found)


def trivial_scores(truth: Truth) -> Scores:
    """What needs no model: the plate as the background, and mattes without a look at it."""
    return trivial_background_scores(truth) | trivial_matte_scores(truth.alpha)


def trivial_background_scores(truth: Truth) -> Scores:
    """Those of the plate as the background."""
    return prefixed("plate", background_scores(truth.blended, truth))


def trivial_matte_scores(alpha: Pixels, whose: str = "") -> Scores:
    """Those of a blob in the middle, all white and all black as the matte; `whose` begins its names."""
    blob = np.ascontiguousarray(np.broadcast_to(centre_blob(*alpha.shape[1:]), alpha.shape))
    return {f"blob_{whose}{name}": value for name, value in matte_scores(blob, alpha).items()} | {
        f"whole_{whose}matte_iou": iou(np.ones_like(alpha) > 0.5, alpha > 0.5),
        f"empty_{whose}matte_mae": float(alpha.mean()),
    }


def centre_blob(height: int, width: int, radii: tuple[float, float] = BLOB) -> Pixels:
    """A matte [H, W] that is 1 in an ellipse about the middle, of `radii` (across, down) in heights, and else 0."""
    y, x = np.mgrid[:height, :width] + 0.5
    across, down = (x - width / 2) / (radii[0] * height), (y - height / 2) / (radii[1] * height)
    inside: Pixels = (across**2 + down**2 <= 1).astype(np.float32)
    return inside


def motion_scores(pictures: Mapping[str, Pixels]) -> Scores:
    """`LAYER_flow`, `LAYER_change` and `LAYER_warped` of pictures [F, H, W, 3] by layer; see `motion`."""
    return {f"{layer}_{name}": value for layer, each in pictures.items() for name, value in motion(each).items()}


def rough_matte(matte: Pixels, share: float) -> Pixels:
    """`matte` [..., H, W] grown by `share` of its height on all sides, as a hurried hand might draw it."""
    radius = max(1, round(share * matte.shape[-2]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    frames = matte.reshape(-1, *matte.shape[-2:])
    grown: Pixels = np.stack([cv2.dilate(frame, disc) for frame in frames]).astype(np.float32)
    return grown.reshape(matte.shape)


def prefixed(prefix: str, scores: Mapping[str, float]) -> Scores:
    """The same `scores`, their names after `prefix` and an underscore."""
    return {f"{prefix}_{name}": value for name, value in scores.items()}
