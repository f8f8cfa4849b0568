"""Rough mattes, as somebody in a hurry draws them: what a model that takes a guide learns to start from."""

from __future__ import annotations

import cv2
import numpy as np

from layerflow.training.render import Pixels

GROWN, SHRUNK, SHIFTED, BLURRED = 0.09, 0.03, 0.03, 0.04  # the most, of the picture's height
HELD = 0.3  # share of mattes whose outline is kept for two frames, as one that is drawn on every other is
PLAIN = 0.4  # share that are the hard outline, grown by some pixels: what a roto tool makes of a matte
BOXES = 0.08  # share of the others that are the box around the thing, or the ellipse in it


def rough_matte(alpha: Pixels, rng: np.random.Generator) -> Pixels:
    """A rough matte [F, H, W] of the true one [F, H, W]: grown or shrunk, moved and blurred, in every frame alike."""
    height = alpha.shape[1]
    if rng.random() < PLAIN:
        return _grown(np.where(alpha > 127, 255, 0).astype(np.uint8), rng.uniform(0.01, 0.08) * height)
    held = alpha[np.arange(len(alpha)) // 2 * 2] if rng.random() < HELD else alpha
    if rng.random() < BOXES:
        round_ = rng.random() < 0.5
        rough = np.stack([_around(frame, round_=bool(round_)) for frame in held])
    else:
        grow = rng.random() < 0.8
        radius = rng.uniform(0, (GROWN if grow else SHRUNK) * height)
        hard = np.where(held > 127, 255, 0).astype(np.uint8) if rng.random() < 0.7 else held
        rough = _grown(hard, radius if grow else -radius)
    shift = rng.uniform(-SHIFTED, SHIFTED, 2) * height * (rng.random() < 0.3)
    rough = np.roll(rough, [round(step) for step in shift], axis=(1, 2))
    blur = rng.uniform(0, BLURRED) * height
    if rng.random() < 0.5 or blur < 0.3:
        return rough
    return np.stack([cv2.GaussianBlur(frame, (0, 0), blur) for frame in rough])


def _grown(matte: Pixels, radius: float) -> Pixels:
    """Every frame [F, H, W] grown by so many pixels, or shrunk by as many where they are below 0."""
    side = 2 * round(abs(radius)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.stack([(cv2.dilate if radius > 0 else cv2.erode)(frame, kernel) for frame in matte])


def _around(frame: Pixels, *, round_: bool) -> Pixels:
    """The box [H, W] around what is opaque in `frame`, or the ellipse in that box; empty where nothing is."""
    drawn = np.zeros_like(frame)
    rows, columns = np.flatnonzero((frame > 127).any(axis=1)), np.flatnonzero((frame > 127).any(axis=0))
    if not len(rows):
        return drawn
    box = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if not round_:
        box[:] = 255
        return drawn
    y, x = np.mgrid[-1 : 1 : box.shape[0] * 1j, -1 : 1 : box.shape[1] * 1j]
    box[x * x + y * y <= 1.3] = 255
    return drawn
