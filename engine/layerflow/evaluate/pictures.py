"""How far pictures are from the true ones: PSNR, SSIM and GMSD, all of display-referred values in [0, 1].

SSIM is Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", with its Gaussian
window of 11 pixels and constants, by channel and where the window fits. GMSD is Xue et al. 2014, "Gradient magnitude
similarity deviation", of luma: 0 for equal pictures, and unlike PSNR it looks at edges and their places, not at levels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.difference import Difference
from layerflow.layers import Pixels

MOST_DB = 100.0
WINDOW, SIGMA = 11, 1.5  # pixels, of SSIM's Gaussian
STEADY = (0.01**2, 0.03**2)  # SSIM's constants for values up to 1
EDGE_STEADY = 170 / 255**2  # GMSD's constant for values up to 1
LUMA = (0.299, 0.587, 0.114)

_PREWITT = np.array([[1, 0, -1]] * 3, np.float32) / 3

Mask = NDArray[np.bool_]


def psnr_where(made: Pixels, truth: Pixels, where: Mask) -> float | None:
    """As `psnr`, of the pixels `where` [...] of pictures [..., C]; None where there are none."""
    return psnr(made[where], truth[where]) if where.any() else None


def psnr(made: Pixels, truth: Pixels) -> float:
    """Peak signal-to-noise ratio in dB, at most 100, of values of any shape."""
    difference = Difference()
    difference.add(made, truth)
    return MOST_DB if difference.psnr_db is None else min(MOST_DB, difference.psnr_db)


def ssim(made: Pixels, truth: Pixels) -> float:
    """Structural similarity of pictures `[F, H, W, C]`, their mean; 1 for equal ones."""
    return float(np.mean([_ssim(*pair) for pair in zip(made, truth, strict=True)]))


def gmsd(made: Pixels, truth: Pixels) -> float:
    """Gradient magnitude similarity deviation of pictures `[F, H, W, 3]`, their mean; 0 for equal ones."""
    return float(np.mean([_gmsd(*pair) for pair in zip(made, truth, strict=True)]))


def _ssim(made: Pixels, truth: Pixels) -> float:  # [H, W, C]
    x, y = made.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    shared = _window(x * y) - mean_x * mean_y
    level, spread = STEADY
    likeness = (2 * mean_x * mean_y + level) * (2 * shared + spread)
    return float((likeness / ((mean_x**2 + mean_y**2 + level) * (var_x + var_y + spread))).mean())


def _window(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean about each pixel that is far enough from the sides; about all of them in a small picture."""
    smooth = cv2.GaussianBlur(plane, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT)
    reach = WINDOW // 2
    inside = smooth[reach:-reach, reach:-reach] if min(plane.shape[:2]) > WINDOW else smooth
    return np.asarray(inside, np.float64)


def _gmsd(made: Pixels, truth: Pixels) -> float:  # [H, W, 3]
    one, other = _edges(made), _edges(truth)
    likeness = (2 * one * other + EDGE_STEADY) / (one**2 + other**2 + EDGE_STEADY)
    return float(likeness.std())


def _edges(picture: Pixels) -> NDArray[np.float32]:
    """Gradient magnitude of luma at half the size, as GMSD takes it."""
    luma = np.asarray(picture @ np.array(LUMA, np.float32), np.float32)
    half = cv2.blur(luma, (2, 2))[::2, ::2]
    across, down = (cv2.filter2D(half, cv2.CV_32F, kernel) for kernel in (_PREWITT, _PREWITT.T))
    return np.asarray(np.hypot(across, down), np.float32)
