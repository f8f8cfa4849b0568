"""A piece of plain video taken apart into layers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from layerflow import layers
from layerflow.data.clip import as_codes
from layerflow.data.filters import Limits, things
from layerflow.data.light import Floats, Pixels, decode
from layerflow.data.pictures import one_thread
from layerflow.data.segmenting import Masks, Tools, Track, union

GROWN = 0.02  # of the longer side: how far around a mask a thing's soft edge and its shade are painted over
SOFT = 1.0  # pixels, the standard deviation of a mask's edge


def layers_of(
    frames: Pixels, tools: Tools, max_foregrounds: int, limits: Limits | None = None
) -> tuple[list[Pixels], Pixels, list[Track]] | str:
    """Foregrounds [F, H, W, 4], nearest first, the background [F, H, W, 3] and the tracks; or why there are none.

    Laid over each other in scene-linear light the layers are `frames`, but where a soft edge would need light below 0
    or above white.
    """
    found, reasons = things(tools.segmenter.tracks(frames), limits)
    if not found:
        return f"no thing was found ({'; '.join(reasons[:3]) or 'nothing moves by itself'})"
    chosen = nearest_first(found[:max_foregrounds])
    background = tools.inpainter.filled(frames, grown(union(chosen)))
    with one_thread():
        mattes = [_soft(track.masks) for track in chosen]
        foregrounds = _coloured(frames, mattes, background)
    return foregrounds, background, chosen


def nearest_first(tracks: Sequence[Track]) -> list[Track]:
    """`tracks` by where they meet the ground: what reaches further down the picture is nearer to the camera."""

    def foot(track: Track) -> float:
        rows = [np.flatnonzero(mask.any(axis=1)) for mask in track.masks if mask.any()]
        return float(np.median([found[-1] for found in rows]))

    return sorted(tracks, key=foot, reverse=True)


def grown(masks: Masks) -> Masks:
    """`masks` with some of what is around them."""
    reach = 2 * round(GROWN * max(masks.shape[1:])) + 3
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return np.stack([cv2.dilate(mask.astype(np.uint8), kernel) for mask in masks]) > 0


def _soft(masks: Masks) -> Floats:
    return np.stack([cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT) for mask in masks])


def _coloured(frames: Pixels, mattes: Sequence[Floats], background: Pixels) -> list[Pixels]:
    """The straight colours that give `frames` again over what lies below, each matte in its turn from the lowest.

    What a nearer thing hides of a farther one has the nearer one's colours, where the masks overlap at all.
    """
    plate, below = decode(frames), decode(background)
    found: list[Pixels] = []
    for number in reversed(range(len(mattes))):
        alpha = mattes[number][..., None]
        premultiplied = np.clip(plate - below * (1 - alpha), 0, alpha)
        foreground = as_codes(np.concatenate([premultiplied, alpha], axis=-1), linear=True)
        below = layers.over_premultiplied(np.concatenate([premultiplied, alpha], axis=-1), below)
        found.insert(0, foreground)
    return found
