"""A plate's detail for a matte that was made at a smaller size, by local linear models (He, Sun and Tang 2013).

Around a point alpha is about linear in the plate's colour. A model of it that is fitted at the matte's own size, to the
plate as blurred as the matte is, holds for the plate in full: blurring is linear. So a matte of 720 x 480 gets the
edges of a plate of 4096 x 2160, and its hair; a guided filter at the plate's size only follows the blur.

First what the matte lacks is added: slope times (plate - plate as blurred as the matte). Where colours explain nothing
the slope is 0 and the matte stays, noise and all, so it does not get worse. A second pass, fitted to that on a finer
grid, takes the models' own alpha as far as they explain the matte, which removes noise.

An edge that is wider than the model's pixels is in its matte in full, and what the plate has of detail there belongs
to something else. So slopes are trusted as far as two things say: that the finest detail which the matte does have
follows the plate's, and that the plate has more detail there than its layers alone (`texture`).

The models of a frame are fitted to its neighbours too. How alpha goes with colour changes slowly even where things move
fast, so no motion has to be known; there are more points to each model, and what it says changes slowly in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import enlarged, extremes, filtered, grid_of, patches, shrunk
from layerflow.refine.matte import CERTAIN, Matte, agreed
from layerflow.refine.models import borne_out, dot, fitted
from layerflow.refine.texture import Covariances, coarse, detail, of_layers, variance

BETWEEN = 2.0  # points per cell, for how a bicubic enlarging goes between cells
TAPS = 0.1, 0.8, 0.1  # of a matte's cells, once they were enlarged by bicubic and averaged again
EXPLAINED = 0.5  # share of alpha's variance left over, from which on a model's own alpha counts for nothing
SMALL = 1e-3  # variance of alpha that is not worth explaining


@dataclass(frozen=True, kw_only=True)
class Detailed:
    """A matte with the plate's detail, its own noise not yet removed."""

    alpha: Pixels  # [H, W]
    trust: Pixels  # [h, w] in [0, 1], in detail
    texture: Covariances  # [h, w, 3] of the layers' colours around each point


def refined(
    pictures: Sequence[Pixels], mattes: Sequence[Pixels], at: int, *, cell: float, grids: Sequence[float]
) -> Matte:
    """The matte of frame `at`, [H, W], of a model with pixels `cell` wide, with the detail of its picture [H, W, 3].

    The frames beside it may be of any size. The result is the mean of second passes on `grids`, each of so many points
    per cell. Where the matte is certain around a point, alpha is 0 or 1 there, exactly.
    """
    picture, soft = pictures[at], mattes[at].clip(0.0, 1.0)
    grid = grid_of(soft, 1 / cell)
    frames = [(filtered(shrunk(one, grid), TAPS), shrunk(other, grid)) for one, other in _with(at, pictures, mattes)]
    detailed = _detailed(picture, soft, frames, grid_of(soft, BETWEEN / cell))
    return agreed([_explained(picture, detailed, grid_of(soft, fine / cell)) for fine in grids])


def _detailed(
    picture: Pixels, soft: Pixels, frames: Sequence[tuple[Pixels, Pixels]], grid: tuple[int, int]
) -> Detailed:
    """`soft` [H, W] with the detail that it lacks, by models of `frames`, itself first."""
    blurred, alpha = frames[0]
    low, high = extremes(alpha)
    slope = fitted(frames, _open(low, high)).slope
    every, alone = detail(picture, blurred), (alpha, high <= CERTAIN, low >= 1 - CERTAIN)
    foreign = variance(slope, of_layers(every, *alone)) / np.maximum(variance(slope, every), 1e-9)
    trust = borne_out(slope, frames) * (1 - foreign).clip(0.0, 1.0)
    first, rest = (fine + wide for fine, wide in zip(every, coarse(blurred), strict=True))
    slope, low, high = (enlarged(each, grid) for each in (slope * trust[..., None], low, high))
    offset = -dot(slope, enlarged(blurred, grid, cubic=True))
    more = _applied(picture, soft, slope, (offset, np.ones_like(low), low, high))
    return Detailed(alpha=more, trust=trust, texture=of_layers((first, rest), *alone))


def _explained(picture: Pixels, detailed: Detailed, grid: tuple[int, int]) -> Matte:
    """A matte by models of itself on `grid`, as far as they explain it better than it may be by itself.

    They do so where detail is to be trusted, or where they leave more of it over than the texture of the layers is:
    that is noise, of which their own alpha has none, while texture is in it in full. Elsewhere they add the detail
    that is finer than their grid, which the first pass gave too little of: with slopes that were averaged, and shrunk
    by a trust that is more often too small than too great. It goes by the square of trust, so that little is added
    twice where there is little.
    """
    matte = detailed.alpha
    small, alpha = shrunk(picture, grid), shrunk(matte, grid)
    low, high = extremes(alpha)
    models = fitted([(small, alpha)], _open(low, high))
    trust, first, rest = (enlarged(each, grid) for each in (detailed.trust, *detailed.texture))
    noise = 1 - variance(models.slope, (first, rest)) / np.maximum(models.left, 1e-9)
    unexplained = models.left / ((models.variance + SMALL) * EXPLAINED)
    taken = np.maximum(trust, noise.clip(0.0, 1.0)) * (1 - unexplained).clip(0.0, 1.0)
    more = (1 - taken) * trust**2
    offset = taken * models.offset - more * dot(models.slope, small)
    slope = models.slope * (taken + more)[..., None]
    wrong = 2 * np.sqrt(np.maximum(models.left, 0.0))
    uncertainty = np.zeros(matte.shape, np.float32)
    alpha = _applied(picture, matte, slope, (offset, 1 - taken, low, high, wrong), uncertainty)
    return Matte(alpha=alpha, uncertainty=uncertainty)


def _applied(
    picture: Pixels, matte: Pixels, slope: Pixels, others: tuple[Pixels, ...], uncertainty: Pixels | None = None
) -> Pixels:
    """slope . `picture` + offset + kept * `matte` where the matte is not certain, [H, W]; and how wrong, if asked.

    `others` are offset, kept, the least and the greatest alpha around, and how wrong alpha may be; all on one grid.
    """
    out = (matte > 0.5).astype(np.float32)
    for place, patch in patches(np.dstack([slope, *others]), _open(*others[2:4]), matte.shape):
        alpha = dot(patch[..., :3], picture[place]) + patch[..., 3] + patch[..., 4] * matte[place]
        outside, inside = patch[..., 6] <= CERTAIN, patch[..., 5] >= 1 - CERTAIN
        out[place] = np.where(outside, 0.0, np.where(inside, 1.0, alpha.clip(0.0, 1.0)))
        if uncertainty is not None:
            uncertainty[place] = np.where(outside | inside, 0.0, patch[..., 7].clip(0.0, 1.0))
    return out


def _open(low: Pixels, high: Pixels) -> NDArray[np.bool_]:
    open_: NDArray[np.bool_] = (high > CERTAIN) & (low < 1 - CERTAIN)
    return open_


def _with(at: int, *clips: Sequence[Pixels]) -> list[tuple[Pixels, ...]]:
    """The frames of `clips`, frame `at` first."""
    return [tuple(clip[place] for clip in clips) for place in (at, *(n for n in range(len(clips[0])) if n != at))]
