"""How fast layers are made to put a plate back together: `python benchmarks/recomposition.py [ROUNDS [WIDTH HEIGHT]]`.

One HDR frame of known layers and an estimate of them as a model gives it: soft, clipped at 1, wrong here and there. The
solve of `layerflow.recomposition` against the same equations over the whole frame in plain NumPy, on one core, in
megapixels per second of that core's time; and how near both come to the plate, in units of a half float's last place.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import psutil
import torch
from scipy.ndimage import gaussian_filter

from layerflow import recomposition
from layerflow.layers import Pixels
from layerflow.recomposition.tile import DARK, HEADROOM, SLACK


def plain(plate: Pixels, alpha: Pixels, foreground: Pixels, background: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Alpha, foreground and background by the formulas of the package, one after the other; alpha never moves."""
    alpha = alpha.astype(np.float16).astype(np.float32)
    low = np.minimum(plate, 0)
    foreground, background = np.maximum(foreground, low), np.maximum(background, low)
    solid = alpha[..., None] > 0.5
    light, heavy = np.where(solid, background, foreground), np.where(solid, foreground, background)
    weight = np.minimum(alpha, 1 - alpha)[..., None]
    rest = 1 - weight
    error = plate - weight * light - rest * heavy
    slack = SLACK[0] * np.abs(plate) + SLACK[1]
    error -= np.clip(error, -slack, slack)
    light_variance, heavy_variance = np.maximum(light, DARK), np.maximum(heavy, DARK)
    gain = error / (weight**2 * light_variance + rest**2 * heavy_variance)
    light_top = HEADROOM * np.maximum(np.maximum(light, plate), 0)
    heavy_top = HEADROOM * np.maximum(np.maximum(heavy, plate), 0)
    some = np.maximum(weight, np.float32(2**-30))
    lowest = np.maximum(low, heavy_top - (heavy_top - plate) / some)
    highest = np.minimum(light_top, low + (plate - low) / some)
    found = light + weight * light_variance * gain
    found = np.where(weight > 0, np.clip(found, lowest, highest), found).astype(np.float16).astype(np.float32)
    rest_of_it = np.maximum((plate - weight * found) / rest, low).astype(np.float16).astype(np.float32)
    return alpha, np.where(solid, rest_of_it, found), np.where(solid, found, rest_of_it)


def frame(width: int, height: int, *, soft: bool) -> dict[str, Pixels]:
    """A plate and estimates of its layers; `soft`: no pixel is all foreground or all background."""
    rng = np.random.default_rng(6)
    across, down = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    distance = np.hypot(across[None] * width / height, down[:, None])
    alpha = rng.random((height, width), np.float32) if soft else np.clip((0.6 - distance) * 8, 0, 1)

    def picture(level: float) -> Pixels:
        detail = rng.standard_normal((height, width, 1), np.float32) * 0.3
        tint = rng.standard_normal(3, np.float32) * 0.5
        return np.exp(level + tint + detail + 3 * np.cos(9 * distance[..., None] + 20 * tint)).astype(np.float32)

    foreground, background = picture(-1.0), picture(-2.0)
    weight = alpha[..., None]
    plate = weight * foreground + (1 - weight) * background
    plate += rng.standard_normal(plate.shape, np.float32) * 0.002
    between = (alpha > 0) & (alpha < 1)
    wrong = np.clip(alpha + between * rng.normal(0, 0.03, alpha.shape), 0, 1).astype(np.float32)
    seen = [np.clip(gaussian_filter(layer, (4, 4, 0)), 0, 1) for layer in (foreground, background)]
    return {
        "plate": plate.astype(np.float16).astype(np.float32),
        "alpha": wrong,
        "foreground": seen[0],
        "background": seen[1],
    }


def cpu_seconds(call: Callable[[], object], rounds: int) -> float:
    """The least processor time of a call."""
    found = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return min(found)


def worst(plate: Pixels, alpha: Pixels, foreground: Pixels, background: Pixels) -> float:
    """The largest error of the recomposed plate, in half-float units in the last place."""
    weight = alpha[..., None].astype(np.float64)
    error = np.abs(weight * foreground + (1 - weight) * background - plate)
    return float((error / np.spacing(np.abs(plate).astype(np.float16)).astype(np.float64)).max())


def main(rounds: str = "5", width: str = "3840", height: str = "2160") -> None:
    torch.set_num_threads(1)
    print(f"load {psutil.getloadavg()[0]:.1f}")
    for name, soft in (("a subject before a background", False), ("every pixel soft", True)):
        given = frame(int(width), int(height), soft=soft)
        size = given["alpha"].size / 1e6
        out = np.zeros_like(given["plate"]), np.zeros_like(given["plate"])
        ours = cpu_seconds(lambda now=given, to=out: recomposition.solve(**now, uncertainty=0.05, out=to), int(rounds))
        theirs = cpu_seconds(lambda given=given: plain(**given), int(rounds))
        print(f"{name}: {size / ours:.1f} MP/s, plain NumPy {size / theirs:.1f} MP/s, {theirs / ours:.1f} times")
        before = worst(given["plate"], given["alpha"], given["foreground"], given["background"])
        made = recomposition.solve(**given, uncertainty=0.05)
        after = worst(given["plate"], made.alpha, made.foreground, made.background)
        moved = 100 * made.num_moved / given["alpha"].size
        print(
            f"  worst error {after:.2f} ulp, of the estimate {before:.0f} ulp; alpha moved in {moved:.1f} % of pixels"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
