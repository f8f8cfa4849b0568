"""A plate's detail for a matte that was made at a smaller size, by local linear models (He, Sun and Tang 2013).

Around a point alpha is about linear in the plate's colour. A model of it that is fitted at the matte's own size, to the
plate as blurred as the matte is, holds for the plate in full: blurring is linear. So a matte of 720 x 480 gets the
edges of a plate of 4096 x 2160, and its hair; a guided filter at the plate's size only follows the blur.

First what the matte lacks is added: slope times (plate - blurred plate). Where colours explain nothing the slope is 0
and the matte stays, noise and all, so it does not get worse. A second pass, fitted to that on a finer grid, takes the
models' own alpha as far as they explain the matte, which removes noise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import extremes, filtered, grid_of, mean, shrunk, strips
from layerflow.refine.matte import CERTAIN, Matte

COARSE, FINE = 0.7, 2.0  # grid cells per cell of the model; coarser than it, so that the two are blurred alike
TAP = 0.1  # of the matte's blur on the coarse grid beyond that grid's own: by bicubic enlarging, and a model's softness
NOISE = 2e-5  # variance of a picture's colours below which they explain nothing
EXPLAINED = 0.6  # share of alpha's variance left over, from which on a model's own alpha counts for nothing
SMALL = 1e-4  # variance of alpha that is not worth explaining

_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of channels


class Models(NamedTuple):
    """alpha = slope . colour + offset, around every point of a grid."""

    slope: Pixels  # [h, w, 3]
    offset: Pixels  # [h, w]
    variance: Pixels  # [h, w] of alpha
    left: Pixels  # [h, w] of it, what the model does not explain


def refined(picture: Pixels, soft: Pixels, cell: float) -> Matte:
    """The matte `soft` [H, W] of a model with pixels `cell` wide, with the detail of `picture` [H, W, 3].

    Where `soft` is certain around a point, alpha is 0 or 1 there, exactly.
    """
    detail = _passed(picture, soft.clip(0.0, 1.0), COARSE / cell, radius=1, tap=TAP, explained=0.0)
    return _passed(picture, detail.alpha, FINE / cell, radius=2, tap=0.0, explained=EXPLAINED)


def fitted(picture: Pixels, matte: Pixels, where: NDArray[np.bool_], radius: int) -> Models:
    """The models of least squares of `matte` [h, w] by `picture` [h, w, 3] within `radius`, at the points `where`.

    Neighbouring models are averaged, so that they change smoothly.
    """
    colour, alpha = mean(picture, radius), mean(matte, radius)
    covariance = mean(picture * matte[..., None], radius) - colour * alpha[..., None]
    spread = np.stack(
        [(mean(picture[..., i] * picture[..., j], radius) - colour[..., i] * colour[..., j])[where] for i, j in _PAIRS]
    )
    slope = np.zeros_like(picture)
    slope[where] = _solved(spread, covariance[where].T).T
    variance = np.maximum(mean(matte * matte, radius) - alpha * alpha, 0.0)
    explained = _dot(slope, covariance).clip(0.0, variance)
    trust = _trust(explained, variance - explained, (2 * radius + 1) ** 2)
    slope *= trust[..., None]
    left = variance - trust * explained
    return Models(mean(slope, 1), mean(alpha - _dot(slope, colour), 1), mean(variance, 1), mean(left, 1))


def _passed(picture: Pixels, matte: Pixels, scale: float, *, radius: int, tap: float, explained: float) -> Matte:
    """`matte` [H, W] by models on the grid of `scale`; its own errors are kept but for what the models explain."""
    grid = grid_of(matte, scale)
    small, alpha = shrunk(picture, grid), shrunk(matte, grid)
    low, high = extremes(alpha)
    models = fitted(filtered(small, (tap, 1 - 2 * tap, tap)), alpha, (high > CERTAIN) & (low < 1 - CERTAIN), radius)
    kept = (models.left / ((models.variance + SMALL) * explained)).clip(0.0, 1.0) if explained else np.ones_like(alpha)
    offset = (1 - kept) * models.offset - kept * _dot(models.slope, small)
    weights = np.dstack([models.slope, offset, kept, np.sqrt(np.maximum(models.left, 0.0)), low, high])
    out = Matte(alpha=np.empty_like(matte), uncertainty=np.empty_like(matte))
    for rows, strip in strips(weights, matte.shape):
        alpha = _dot(strip[..., :3], picture[rows]) + strip[..., 3] + strip[..., 4] * matte[rows]
        outside, inside = strip[..., 7] <= CERTAIN, strip[..., 6] >= 1 - CERTAIN
        out.alpha[rows] = np.where(outside, 0.0, np.where(inside, 1.0, alpha.clip(0.0, 1.0)))
        out.uncertainty[rows] = np.where(outside | inside, 0.0, (2 * strip[..., 5]).clip(0.0, 1.0))
    return out


def _trust(explained: Pixels, left: Pixels, num_points: int) -> Pixels:
    """What to keep of slopes: nothing when three colours would explain as much by chance (James and Stein 1961)."""
    trust: Pixels = (1 - 3 / (num_points - 4) * left / np.maximum(explained, np.float32(1e-9))).clip(0.0, 1.0)
    return trust


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
