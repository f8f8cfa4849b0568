"""Made-up sprites: lumps, limbs and holes in any colour, so that a model learns what is in front, not what it knows.

A model that has only seen named things takes new ones for background. These have no name: only an outline, a filling
that differs from what is behind it, and at times a movement of their own.
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from layerflow.training.render import Floats, Pixels, procedural_photo

WAVES = 7  # of an outline, around
MAX_LUMPS = 4
MAX_LIMBS = 6
SOFT = 0.03  # of the half side, over which an outline fades


def draw_shape(rng: np.random.Generator, num_frames: int, size: int, photos: Pixels | None = None) -> Pixels:
    """A straight RGBA loop [F, size, size, 4] of one made-up thing, at times of a part of `photos` [P, h, w, 3]."""
    wobble = rng.uniform(0, 0.5) if rng.random() < 0.5 else 0.0
    phases = 2 * np.pi * np.arange(num_frames) / num_frames if wobble else np.zeros(num_frames)
    alpha = _outline(rng, phases, wobble, size)
    colour = _shaded(_filling(rng, size, photos), alpha, rng)
    loop: Pixels = np.rint(255 * np.concatenate([colour, alpha[..., None]], axis=-1)).astype(np.uint8)
    return loop


def _outline(rng: np.random.Generator, phases: NDArray[np.float64], wobble: float, size: int) -> Floats:  # [F, s, s]
    """How opaque the thing is, in [0, 1]: the union of lumps and limbs, without its holes."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    body, centre = np.full((len(phases), size, size), -1.0, np.float32), np.zeros(2)
    for number in range(rng.integers(1, MAX_LUMPS + 1)):
        radius = rng.uniform(0.35, 0.8) if number == 0 else rng.uniform(0.15, 0.4)
        body = np.maximum(body, _lump(rng, x - centre[0], y - centre[1], radius, phases, wobble))
        centre = rng.uniform(-0.5, 0.5, 2)
    for _ in range(rng.integers(0, MAX_LIMBS + 1) if rng.random() < 0.6 else 0):
        body = np.maximum(body, _limb(rng, x, y, phases, wobble))
    if rng.random() < 0.15:
        hole = _lump(rng, x - centre[0] * 0.5, y - centre[1] * 0.5, rng.uniform(0.1, 0.25), phases, wobble)
        body = np.minimum(body, -hole)
    soft = SOFT * (rng.uniform(1, 6) if rng.random() < 0.2 else 1.0)
    alpha: Floats = np.clip(body / soft + 0.5, 0.0, 1.0)
    alpha *= rng.uniform(0.5, 1.0) if rng.random() < 0.05 else 1.0
    return alpha


def _lump(
    rng: np.random.Generator, x: Floats, y: Floats, radius: float, phases: NDArray[np.float64], wobble: float
) -> Floats:
    """Signed distance, about, to a closed outline of a few waves around a stretched circle; above 0 within."""
    wave = np.arange(1, WAVES + 1)
    height = rng.normal(0, 1, WAVES) * rng.uniform(0.05, 0.35) / wave**0.7
    shift = rng.uniform(0, 2 * np.pi, WAVES)
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.5, 1.0)
    u, v = np.cos(turn) * x + np.sin(turn) * y, (np.cos(turn) * y - np.sin(turn) * x) / stretch
    angle = np.arctan2(v, u)
    moved = shift + wobble * np.sin(phases[:, None] + shift)  # [F, waves]
    table = np.linspace(-np.pi, np.pi, 256)
    outlines = 1 + np.einsum("w,fwt->ft", height, np.cos(wave[:, None] * table + moved[..., None]))
    around = np.stack([np.interp(angle, table, outline) for outline in outlines]).astype(np.float32)
    lump: Floats = (radius * np.maximum(around, 0.1) - np.hypot(u, v)) * np.float32(stretch**0.5)
    return lump


def _limb(rng: np.random.Generator, x: Floats, y: Floats, phases: NDArray[np.float64], wobble: float) -> Floats:
    """Signed distance to a straight limb with a round end, which swings."""
    start, angle, length = rng.uniform(-0.4, 0.4, 2), rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.9)
    thick, swing = rng.uniform(0.04, 0.16), rng.uniform(0, 2 * np.pi)
    limbs = []
    for phase in phases:
        turned = angle + wobble * np.sin(phase + swing)
        along = (x - start[0]) * np.cos(turned) + (y - start[1]) * np.sin(turned)
        nearest = np.clip(along, 0, length)
        away = np.hypot(x - start[0] - nearest * np.cos(turned), y - start[1] - nearest * np.sin(turned))
        limbs.append(thick * (1 - 0.5 * nearest / length) - away)
    return np.stack(limbs).astype(np.float32)


def _filling(rng: np.random.Generator, size: int, photos: Pixels | None) -> Floats:  # [s, s, 3] in [0, 1]
    """What the thing is made of: one colour, stripes or patches of a few, a gradient, or a part of a photo."""
    draw = rng.random()
    if photos is not None and draw < 0.25:
        return _part(photos[rng.integers(len(photos))], rng, size)
    if draw < 0.5:
        return _part(procedural_photo(rng), rng, size)
    colours = np.array([_vivid(rng) for _ in range(rng.integers(1, 5))], np.float32)
    cells = rng.integers(2, 7, 2) if draw < 0.75 else (int(rng.integers(2, 9)), 1)
    patches = rng.integers(len(colours), size=tuple(cells))
    rows, columns = (np.arange(size) * cell // size for cell in patches.shape)
    filled: Floats = colours[patches[rows][:, columns]]
    return filled.swapaxes(0, 1) if rng.random() < 0.5 else filled


def _part(photo: Pixels, rng: np.random.Generator, size: int) -> Floats:
    top, left = rng.integers(photo.shape[0] - size + 1), rng.integers(photo.shape[1] - size + 1)
    part: Floats = photo[top : top + size, left : left + size].astype(np.float32) / np.float32(255)
    return part[..., rng.permutation(3)] if rng.random() < 0.5 else part


def _vivid(rng: np.random.Generator) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 1), rng.uniform(0.05, 1))


def _shaded(filling: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:  # [F, s, s, 3]
    """The filling in light from one side; at times with a dark or bright rim, as drawings have."""
    size = len(filling)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    light = (1 + strength * (x * np.cos(angle) + y * np.sin(angle))).astype(np.float32)
    shaded: Floats = np.broadcast_to(filling * light[..., None], (*alpha.shape, 3))
    if rng.random() < 0.2:
        rim = np.clip(4 * alpha * (1 - alpha), 0, 1)[..., None]
        shaded = np.asarray(shaded + rim * (float(rng.random() < 0.3) - shaded), np.float32)
    lit: Floats = np.clip(shaded, 0.0, 1.0)
    return lit
