"""A plate's detail for a matte that was made at a smaller size, by local linear models (He, Sun and Tang 2013).

Around a point alpha is about linear in the plate's colour. A model of it that is fitted at the matte's own size, to the
plate as blurred as the matte is, holds for the plate in full: blurring is linear. So a matte of 720 x 480 gets the
edges of a plate of 4096 x 2160, and its hair; a guided filter at the plate's size only follows the blur.

First what the matte lacks is added: slope times (plate - blurred plate). Where colours explain nothing the slope is 0
and the matte stays, noise and all, so it does not get worse. A second pass, fitted to that on a finer grid, takes the
models' own alpha as far as they explain the matte, which removes noise.

The models of a frame are fitted to its neighbours too. How alpha goes with colour changes slowly even where things move
fast, so no motion has to be known; there are more points to each model, and what it says changes slowly in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import extremes, filtered, grid_of, patches, shrunk, smoothed
from layerflow.refine.matte import CERTAIN, Matte

COARSE, FINE = 0.7, 1.5  # grid cells per cell of the model; coarser than it, so that the two are blurred alike
TAP = 0.1  # of the matte's blur on the coarse grid beyond that grid's own: by bicubic enlarging, and a model's softness
NOISE = 2e-5  # variance of a picture's colours below which they explain nothing
EXPLAINED = 0.5  # share of alpha's variance left over, from which on a model's own alpha counts for nothing
MURMUR = 0.015  # what a model's matte varies by from pixel to pixel where it means nothing by it
SMALL = 1e-3  # variance of alpha that is not worth explaining

_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of channels


class Models(NamedTuple):
    """alpha = slope . colour + offset, around every point of a grid."""

    slope: Pixels  # [h, w, 3]
    offset: Pixels  # [h, w]
    variance: Pixels  # [h, w] of alpha
    left: Pixels  # [h, w] of it, what the model does not explain


def refined(pictures: Sequence[Pixels], mattes: Sequence[Pixels], at: int, cell: float) -> Matte:
    """The matte of frame `at`, [H, W], of a model with pixels `cell` wide, with the detail of its picture [H, W, 3].

    The frames beside it may be of any size. Where the matte is certain around a point, alpha is 0 or 1 there, exactly.
    """
    picture, soft = pictures[at], mattes[at].clip(0.0, 1.0)
    grid = grid_of(soft, COARSE / cell)
    seen = [(shrunk(one, grid), shrunk(other, grid)) for one, other in _with(at, pictures, mattes)]
    taps = TAP, 1 - 2 * TAP, TAP
    alike = [(filtered(small, taps), alpha) for small, alpha in seen]
    detail = _passed(picture, soft, seen[0][0], alike, explained=0.0).alpha
    grid = grid_of(soft, FINE / cell)
    small = shrunk(picture, grid)
    return _passed(picture, detail, small, [(small, shrunk(detail, grid))], explained=EXPLAINED)


def fitted(frames: Sequence[tuple[Pixels, Pixels]], where: NDArray[np.bool_], *, for_detail: bool) -> Models:
    """The models of least squares of mattes [h, w] by pictures [h, w, 3], of all `frames`, at the points `where`.

    Each is of a point and its eight neighbours. Neighbouring models are averaged, so that they change smoothly. Models
    `for_detail` have to be borne out by the finest detail that the mattes have.
    """
    colour, alpha = _mean(picture for picture, _ in frames), _mean(matte for _, matte in frames)
    covariance = _mean(picture * matte[..., None] for picture, matte in frames) - colour * alpha[..., None]
    square = [_mean(picture[..., i] * picture[..., j] for picture, _ in frames)[where] for i, j in _PAIRS]
    spread = [mean - (colour[..., i] * colour[..., j])[where] for mean, (i, j) in zip(square, _PAIRS, strict=True)]
    slope = np.zeros_like(colour)
    slope[where] = _solved(np.stack(spread), covariance[where].T).T
    variance = np.maximum(_mean(matte * matte for _, matte in frames) - alpha * alpha, 0.0)
    explained = _dot(slope, covariance).clip(0.0, variance)
    trust = _trust(explained, variance - explained, 9 * len(frames))
    slope *= trust[..., None]
    if for_detail:
        borne_out = _borne_out(slope, frames)
        slope, trust = slope * borne_out[..., None], trust * borne_out
    return Models(*map(smoothed, (slope, alpha - _dot(slope, colour), variance, variance - trust * explained)))


def _passed(
    picture: Pixels, matte: Pixels, small: Pixels, frames: Sequence[tuple[Pixels, Pixels]], *, explained: float
) -> Matte:
    """`matte` [H, W] by models of `frames`, itself first; its own errors are kept but for what the models explain."""
    alpha = frames[0][1]
    low, high = extremes(alpha)
    open_ = (high > CERTAIN) & (low < 1 - CERTAIN)
    models = fitted(frames, open_, for_detail=not explained)
    kept = (models.left / ((models.variance + SMALL) * explained)).clip(0.0, 1.0) if explained else np.ones_like(alpha)
    offset = (1 - kept) * models.offset - kept * _dot(models.slope, small)
    weights = np.dstack([models.slope, offset, kept, np.sqrt(np.maximum(models.left, 0.0)), low, high])
    out = Matte(alpha=(matte > 0.5).astype(np.float32), uncertainty=np.zeros(matte.shape, np.float32))
    for place, patch in patches(weights, open_, matte.shape):
        alpha = _dot(patch[..., :3], picture[place]) + patch[..., 3] + patch[..., 4] * matte[place]
        outside, inside = patch[..., 7] <= CERTAIN, patch[..., 6] >= 1 - CERTAIN
        out.alpha[place] = np.where(outside, 0.0, np.where(inside, 1.0, alpha.clip(0.0, 1.0)))
        out.uncertainty[place] = np.where(outside | inside, 0.0, (2 * patch[..., 5]).clip(0.0, 1.0))
    return out


def _with(at: int, *clips: Sequence[Pixels]) -> list[tuple[Pixels, ...]]:
    """The frames of `clips`, frame `at` first."""
    return [tuple(clip[place] for clip in clips) for place in (at, *(n for n in range(len(clips[0])) if n != at))]


def _mean(pixels: Iterable[Pixels]) -> Pixels:
    """The mean around each point, of all of `pixels` [h, w, ...]."""
    every = [smoothed(each) for each in pixels]
    return sum(every[1:], every[0]) / np.float32(len(every))


def _trust(explained: Pixels, left: Pixels, num_points: int) -> Pixels:
    """What to keep of slopes: nothing when three colours would explain as much by chance (James and Stein 1961)."""
    trust: Pixels = (1 - 3 / (num_points - 4) * left / np.maximum(explained, np.float32(1e-9))).clip(0.0, 1.0)
    return trust


def _borne_out(slope: Pixels, frames: Sequence[tuple[Pixels, Pixels]]) -> Pixels:
    """What to keep of slopes for detail: as much as the finest detail of the mattes follows that of the pictures.

    A plate's texture has no part in an edge that is out of focus, which the matte already has in full.
    """
    fine = [(_dot(slope, picture - smoothed(picture)), matte - smoothed(matte)) for picture, matte in frames]
    follows = _mean(said * seen for said, seen in fine) / np.maximum(_mean(said * said for said, _ in fine), 1e-9)
    heard = 1 - MURMUR**2 / np.maximum(_mean(seen * seen for _, seen in fine), 1e-9)
    kept: Pixels = follows.clip(0.0, 1.0) ** 2 * np.maximum(heard, 0.0)
    return kept.astype(np.float32, copy=False)


def _dot(one: Pixels, other: Pixels) -> Pixels:  # [..., 3], [..., 3] -> [...]
    product: Pixels = np.einsum("...c,...c->...", one, other)
    return product


def _solved(spread: Pixels, covariance: Pixels) -> Pixels:  # [6, n], [3, n] -> [3, n]
    """The slopes, by Cramer's rule."""
    rr, rg, rb, gg, gb, bb = spread.astype(np.float64)
    rr, gg, bb = rr + NOISE, gg + NOISE, bb + NOISE
    red = np.stack([gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg])
    green = np.stack([red[1], rr * bb - rb * rb, rb * rg - rr * gb])
    blue = np.stack([red[2], green[2], rr * gg - rg * rg])
    scaled = np.stack([(row * covariance).sum(axis=0) for row in (red, green, blue)])
    slope: Pixels = (scaled / (rr * red[0] + rg * red[1] + rb * red[2])).astype(np.float32)
    return slope
