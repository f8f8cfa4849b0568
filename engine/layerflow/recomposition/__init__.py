"""Layers that put a plate back together exactly, from layers that nearly do.

For every pixel, in scene-linear light, `a F + (1 - a) B = P` holds for the half floats that an EXR keeps: the error is
at most one rounding of a number between 0 and P (2^-11 |P|, for the smallest 2^-25), so within the last place of P as
a half float. Where alpha is 0 the background is the plate's pixel, where it is 1 the foreground is.

*Closest colours.* Of all F and B that satisfy the equation, channel by channel, the ones with the least
(F - F0)^2 / s_F + (B - B0)^2 / s_B. With a Lagrange multiplier, the estimate's error e = P - a F0 - (1 - a) B0 and
D = a^2 s_F + (1 - a)^2 s_B:

    F = F0 + a s_F e / D,    B = B0 + (1 - a) s_B e / D

The variances s are the estimates' own colours, no less than 1/256. A model makes its estimate in display light, where
an error is about as great in the dark as in the bright; through a display curve, whose slope grows with the colour to
the power .58, its variance in linear light grows about as the colour itself. So a highlight that the model did not see
goes into the brighter layer, and detail into the layer that is seen more: as a goes to 0, F goes to F0 and B to P.

*Range.* A colour is admissible from min(0, P), no darker than the plate itself, to four times what its estimate or the
plate holds. Only where the closest colours leave that range alpha moves, as little as cures it, by its uncertainty at
most, never past the alpha at which the estimates explain the plate best. With colours counted from the limit (F' = F0 -
limit and so on) and the odds t = a / (1 - a), the terms in a^2 F' cancel and F is on the right side of its limit when

    P' t^2 + (P' - B') t + F' s_B / s_F >= 0

so it is on the wrong side just between the two roots, which are the alphas to go to; for B, likewise with 1 - a. What
alpha could not cure the colours take: along the line of solutions the cost is convex, so the cheapest admissible colour
is the closest one, clamped. There always is one, as both layers may be P itself.

*Rounding.* Alpha is rounded first, then the layer of smaller weight; the other is solved against these two as they now
are, and what its rounding leaves open is the error. An error that small in the estimate counts as none, so that layers
which were solved come out as they went in. All this is of straight layers: a file of premultiplied ones rounds a F once
more, and comes within two last places.

*Residual.* What is left is light that no half float holds: a plate beyond 65504. It is a layer to be added, and not
there when it is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from layerflow.layers import HALF_MAX, Pixels
from layerflow.recomposition.alpha import moved
from layerflow.recomposition.peeled import Peeled, peeled, plate_behind
from layerflow.recomposition.tile import Tile, half
from layerflow.recomposition.types import Recomposed, energy

__all__ = ["Peeled", "Recomposed", "peeled", "plate_behind", "solve"]

Places = NDArray[np.intp]

TILE = 8192  # pixels; measured: half as many take a sixth longer, three times as many gain little


def solve(
    plate: Pixels,
    alpha: Pixels,
    foreground: Pixels,
    background: Pixels,
    *,
    uncertainty: Pixels | float = 0.0,
    out: tuple[Pixels, Pixels] | None = None,
) -> Recomposed:
    """Layers closest to the estimate that put `plate` [H, W, 3] back together; scene-linear, finite, straight.

    `alpha` [H, W] may be wrong by `uncertainty`, [H, W] or one number for all; it is clipped to [0, 1]. The estimates
    `foreground` and `background` [H, W, 3] may be of any sign and size. The layers are written to `out`, contiguous
    float32 apart from all that is given, or to new arrays. Raises ValueError when shapes differ.
    """
    shape = plate.shape
    made = out or (np.empty(shape, np.float32), np.empty(shape, np.float32))
    _check(plate, alpha, foreground, background, np.shape(uncertainty), made)
    given = Run(*map(_flat, (plate, alpha, foreground, background)))
    weight = np.empty(shape[:2], np.float32)
    result = Run(given.plate, weight.reshape(-1), made[0].reshape(-1), made[1].reshape(-1))
    outside = _solve_all(given, result)
    wrong = given.at(outside)._replace(alpha=result.alpha[outside])
    near = np.broadcast_to(np.asarray(uncertainty, np.float32), shape[:2]).reshape(-1)[outside]
    num_moved = _mend(wrong, near, outside, result)
    residual = _residual(result)
    return Recomposed(
        alpha=weight,
        foreground=made[0],
        background=made[1],
        residual=None if residual is None else residual.reshape(shape),
        residual_energy=0.0 if residual is None else energy(residual) / energy(plate),
        num_moved=num_moved,
    )


class Run(NamedTuple):
    """Consecutive pixels of a plate and of its layers, flat: colours [3 n], alpha [n]."""

    plate: Pixels
    alpha: Pixels
    foreground: Pixels
    background: Pixels

    def part(self, start: int, stop: int) -> Run:
        """A view of the pixels from `start` to before `stop`."""
        own = slice(start, stop), slice(3 * start, 3 * stop)
        return Run(self.plate[own[1]], self.alpha[own[0]], self.foreground[own[1]], self.background[own[1]])

    def at(self, where: Places) -> Run:
        """A copy of the pixels `where` [m]."""
        rows = _rows(where)
        return Run(self.plate[rows], self.alpha[where], self.foreground[rows], self.background[rows])

    def put(self, where: Places, layers: Run) -> None:
        """Takes the layers of the pixels `where` [m]."""
        rows = _rows(where)
        self.alpha[where], self.foreground[rows], self.background[rows] = layers[1:]


def _rows(where: Places) -> Places:
    rows: Places = (where[:, None] * 3 + np.arange(3)).reshape(-1)
    return rows


def _flat(values: Pixels) -> Pixels:
    return np.ascontiguousarray(values, np.float32).reshape(-1)


def _check(
    plate: Pixels,
    alpha: Pixels,
    foreground: Pixels,
    background: Pixels,
    uncertainty: tuple[int, ...],
    out: tuple[Pixels, Pixels],
) -> None:
    shape = plate.shape
    if len(shape) != 3 or shape[2] != 3 or foreground.shape != shape or background.shape != shape:
        raise ValueError(f"colours must be [H, W, 3] alike, got {shape}, {foreground.shape} and {background.shape}")
    if alpha.shape != shape[:2] or uncertainty not in ((), shape[:2]):
        raise ValueError(f"alpha and its uncertainty must be {shape[:2]}, got {alpha.shape} and {uncertainty}")
    for array in out:
        if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(f"out must be contiguous float32 {shape}, got {array.dtype} {array.shape}")
        if any(np.may_share_memory(array, other) for other in (plate, alpha, foreground, background)):
            raise ValueError("out must be apart from what is given, which is read again where alpha may move")


def _solve_all(given: Run, result: Run) -> Places:
    """Writes the closest layers; the pixels [m] where these are out of range."""
    places: list[Places] = [np.empty(0, np.intp)]
    for tile, start, stop in _tiles(given.alpha.size):
        part, done = given.part(start, stop), result.part(start, stop)
        done.alpha[:] = half(part.alpha.clip(0.0, 1.0))
        tile.load(part.plate, done.alpha, part.foreground, part.background)
        if tile.is_hard:
            tile.keep()
        else:
            tile.fit()
            outside = tile.settle()
            places.append(start + np.flatnonzero(outside[0::3] | outside[1::3] | outside[2::3]))
        tile.store(done.foreground, done.background)
    return np.concatenate(places)


def _mend(wrong: Run, uncertainty: Pixels, outside: Places, result: Run) -> int:
    """Solves the pixels `outside` with an alpha that helps and colours within range; how many alphas moved."""
    num_moved = 0
    for tile, start, stop in _tiles(outside.size):
        part = wrong.part(start, stop)
        tile.load(*part)
        tile.fit()
        light = moved(tile, uncertainty[start:stop])
        alpha = half(np.where(part.alpha > 0.5, 1 - light, light))
        tile.load(part.plate, alpha, part.foreground, part.background)
        tile.fit()
        tile.limit()
        tile.settle()
        tile.store(part.foreground, part.background)
        result.put(outside[start:stop], part._replace(alpha=alpha))
        num_moved += int((alpha != part.alpha).sum())
    return num_moved


def _tiles(num_pixels: int) -> Iterator[tuple[Tile, int, int]]:
    """Scratch for each run of pixels, and its first and last but one."""
    tile = Tile(min(TILE, num_pixels))
    for start in range(0, num_pixels, TILE):
        stop = min(start + TILE, num_pixels)
        if stop - start != len(tile):
            tile = Tile(stop - start)
        yield tile, start, stop


def _residual(result: Run) -> Pixels | None:
    beyond = HALF_MAX + 16  # from here on 65504 is not the nearest
    plate = result.plate
    if plate.size == 0 or (plate.max() < beyond and plate.min() > -beyond):
        return None
    where = np.flatnonzero(np.abs(plate) >= beyond)
    weight = result.alpha[where // 3]
    left = plate[where] - weight * result.foreground[where] - (1 - weight) * result.background[where]
    residual = np.zeros_like(plate)
    residual[where] = half(np.clip(left, -HALF_MAX, HALF_MAX))
    return residual
