"""Which tracks are things: duplicates and what is no object are left out, each for a reason that is said."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from layerflow.data.segmenting import Masks, Track

_GROUND = ("ground", "grass", "floor", "wall", "ceiling", "road", "street", "field", "sand", "snow")
STUFF = frozenset((*_GROUND, "sky", "cloud", "clouds", "water", "sea", "background"))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a thing is, in shares."""

    min_area: float = 0.004  # of the picture, in the mean of the frames it is in
    max_area: float = 0.6
    min_frames: float = 0.7  # of the frames
    max_border: float = 0.3  # of the picture's border that it touches
    min_whole: float = 0.5  # of its area, that its largest part has
    min_steady: float = 0.4  # overlap (IoU) of its masks in two frames that follow each other, in the median
    same: float = 0.7  # IoU from which on two tracks are one thing


def things(tracks: Sequence[Track], limits: Limits | None = None) -> tuple[list[Track], list[str]]:
    """The tracks that are things, surest first and each once, and why the others are left out."""
    limits = limits or Limits()
    kept: list[Track] = []
    reasons: list[str] = []
    for track in sorted(tracks, key=lambda track: -track.score):
        why = refusal(track, limits)
        if not why and any(overlap(track.masks, other.masks) > limits.same for other in kept):
            why = "the same thing as a surer one"
        if why:
            reasons.append(why)
        else:
            kept.append(track)
    return kept, reasons


def refusal(track: Track, limits: Limits) -> str:
    """Why `track` is no thing, or nothing."""
    there = track.masks.any(axis=(1, 2))
    if there.mean() < limits.min_frames:
        return f"in {there.mean():.0%} of the frames only"
    masks = track.masks[there]
    area = float(masks.mean())
    if not limits.min_area <= area <= limits.max_area:
        return f"{area:.1%} of the picture"
    if set(track.label.lower().split()) & STUFF:
        return f"{track.label} is no thing"
    if _border(masks) > limits.max_border:
        return f"runs along {_border(masks):.0%} of the border"
    if _whole(masks) < limits.min_whole:
        return "in many pieces"
    steady = [overlap(one, other) for one, other in itertools.pairwise(masks)]
    if steady and float(np.median(steady)) < limits.min_steady:
        return "another place in every frame"
    return ""


def overlap(one: Masks, other: Masks) -> float:
    """Intersection over union."""
    either = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / either) if either else 0.0


def _border(masks: Masks) -> float:
    edges = [masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]]
    return float(np.concatenate([edge.reshape(-1) for edge in edges]).mean())


def _whole(masks: Masks) -> float:
    shares = []
    for mask in masks:
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        areas = stats[1:count, cv2.CC_STAT_AREA]
        shares.append(float(areas.max() / areas.sum()))
    return float(np.median(shares))
