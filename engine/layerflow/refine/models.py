"""Local linear models of alpha in a picture's colours: fitted, and how far they are to be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels
from layerflow.refine.grid import filtered, smoothed

NOISE = 2e-5  # variance of a picture's colours below which they explain nothing
MURMUR = 0.01  # what a model's matte varies by from pixel to pixel where it means nothing by it
FINEST = 0.25, 0.5, 0.25  # weights of the mean that the finest detail of a grid is missing from

_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of channels


class Models(NamedTuple):
    """alpha = slope . colour + offset, around every point of a grid."""

    slope: Pixels  # [h, w, 3]
    offset: Pixels  # [h, w]
    variance: Pixels  # [h, w] of alpha
    left: Pixels  # [h, w] of it, what the model does not explain


def fitted(frames: Sequence[tuple[Pixels, Pixels]], where: NDArray[np.bool_]) -> Models:
    """The models of least squares of mattes [h, w] by pictures [h, w, 3], of all `frames`, at the points `where`.

    Each is of a point and its eight neighbours. Neighbouring models are averaged, so that they change smoothly.
    """
    colour, alpha = _mean(picture for picture, _ in frames), _mean(matte for _, matte in frames)
    covariance = _mean(picture * matte[..., None] for picture, matte in frames) - colour * alpha[..., None]
    square = [_mean(picture[..., i] * picture[..., j] for picture, _ in frames)[where] for i, j in _PAIRS]
    spread = [mean - (colour[..., i] * colour[..., j])[where] for mean, (i, j) in zip(square, _PAIRS, strict=True)]
    slope = np.zeros_like(colour)
    slope[where] = _solved(np.stack(spread), covariance[where].T).T
    variance = np.maximum(_mean(matte * matte for _, matte in frames) - alpha * alpha, 0.0)
    explained = dot(slope, covariance).clip(0.0, variance)
    trust = _trust(explained, variance - explained, 9 * len(frames))
    slope *= trust[..., None]
    return Models(*map(smoothed, (slope, alpha - dot(slope, colour), variance, variance - trust * explained)))


def borne_out(slope: Pixels, frames: Sequence[tuple[Pixels, Pixels]]) -> Pixels:
    """What to keep of slopes for detail, [h, w]: as far as mattes' finest detail follows that of the pictures.

    A plate's texture has no part in an edge that is out of focus, which the matte already has in full.
    """
    fine = [
        (dot(slope, picture - filtered(picture, FINEST)), matte - filtered(matte, FINEST)) for picture, matte in frames
    ]
    follows = _mean(said * seen for said, seen in fine) / np.maximum(_mean(said * said for said, _ in fine), 1e-9)
    heard = 1 - MURMUR**2 / np.maximum(_mean(seen * seen for _, seen in fine), 1e-9)
    kept: Pixels = follows.clip(0.0, 1.0) ** 2 * np.maximum(heard, 0.0)
    return kept.astype(np.float32, copy=False)


def dot(one: Pixels, other: Pixels) -> Pixels:
    """The sums of products over the last axis: [..., 3] and [..., 3] give [...]."""
    product: Pixels = np.einsum("...c,...c->...", one, other)
    return product


def _mean(pixels: Iterable[Pixels]) -> Pixels:
    """The mean around each point, of all of `pixels` [h, w, ...]."""
    every = [smoothed(each) for each in pixels]
    return sum(every[1:], every[0]) / np.float32(len(every))


def _trust(explained: Pixels, left: Pixels, num_points: int) -> Pixels:
    """What to keep of slopes: nothing when three colours would explain as much by chance (James and Stein 1961)."""
    trust: Pixels = (1 - 3 / (num_points - 4) * left / np.maximum(explained, np.float32(1e-9))).clip(0.0, 1.0)
    return trust


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
