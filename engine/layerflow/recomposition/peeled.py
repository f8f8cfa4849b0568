"""Several foregrounds, one behind the other: each was solved over what is behind it, which the next one takes apart.

With P_1 the plate, A_k F_k + (1 - A_k) P_{k+1} = P_k, and the last P is the background. A layer is known as halves hold
it only when the one behind it is, so the heavier side of each equation takes what rounding left: where A_k is less than
a half, P_{k+1} is handed on unrounded, and where it is more, F_k is solved once more, from behind to front, over what
the layers behind it come to. Either way an error gets smaller on its way to the front, and one rounding of a number no
larger than the plate is all that is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerflow.layers import HALF_MAX, Pixels
from layerflow.recomposition.tile import half
from layerflow.recomposition.types import Recomposed, energy

_BEYOND = HALF_MAX / 2  # what is behind a layer may be twice as bright as the plate
_SLACK = 2**-11 * 1.01


@dataclass(frozen=True, kw_only=True)
class Peeled:
    """Layers of one frame, top first, straight, every number a half float."""

    alphas: tuple[Pixels, ...]  # [H, W] in [0, 1]
    foregrounds: tuple[Pixels, ...]  # [H, W, 3]
    background: Pixels  # [H, W, 3]
    residual: Pixels | None  # [H, W, 3] to be added, where light is beyond half floats
    residual_energy: float  # sum of its squares over the plate's


def plate_behind(plate: Pixels, solved: Recomposed) -> Pixels:
    """What is behind the foreground of `solved`, [H, W, 3], no darker than `plate`: the plate of the next one."""
    weight, darkest = solved.alpha[..., None], np.minimum(plate, 0)
    open_ = ((weight < 0.5) | (solved.foreground <= darkest)) & (weight < 1)  # at its limit a colour takes nothing more
    left = plate - weight * solved.foreground
    np.divide(left, 1 - weight, out=left, where=open_)
    return np.where(open_, np.maximum(left, darkest), solved.background)


def peeled(plate: Pixels, solved: Sequence[Recomposed]) -> Peeled:
    """All layers of a `plate` [H, W, 3] of what was `solved` from front to back, each over its `plate_behind`."""
    plates = [plate]
    for front in solved[:-1]:
        plates.append(plate_behind(plates[-1], front))
    *fronts, last = solved
    foregrounds = [last.foreground]
    residual = last.residual
    if fronts:
        behind = _over(last.alpha, last.foreground, last.background)
        for seen, front in zip(reversed(plates[:-1]), reversed(fronts), strict=True):
            foregrounds.insert(0, _heavy_again(seen, front, behind))
            behind = _over(front.alpha, foregrounds[0], behind)
        residual = _residual(plate, behind)
    return Peeled(
        alphas=tuple(each.alpha for each in solved),
        foregrounds=tuple(foregrounds),
        background=last.background,
        residual=residual,
        residual_energy=0.0 if residual is None else energy(residual) / energy(plate),
    )


def _over(alpha: Pixels, foreground: Pixels, background: Pixels) -> Pixels:
    weight = alpha[..., None]
    return weight * foreground + (1 - weight) * background


def _heavy_again(plate: Pixels, front: Recomposed, behind: Pixels) -> Pixels:
    """The foreground where it weighs more: what `behind` leaves of the plate, no darker than the plate itself."""
    weight = front.alpha[..., None]
    left = plate - (1 - weight) * behind
    colour = np.clip(left / np.maximum(weight, 0.5), np.minimum(plate, 0), HALF_MAX).astype(np.float32)
    return np.where(weight < 0.5, front.foreground, half(colour))


def _residual(plate: Pixels, recomposed: Pixels) -> Pixels | None:
    if plate.size == 0 or np.abs(plate).max() < _BEYOND:
        return None
    left = plate - recomposed
    beyond = (np.abs(plate) >= _BEYOND) & (np.abs(left) > np.abs(plate) * np.float32(_SLACK))
    if not beyond.any():
        return None
    return half(np.where(beyond, left.clip(-HALF_MAX, HALF_MAX), 0).astype(np.float32))
