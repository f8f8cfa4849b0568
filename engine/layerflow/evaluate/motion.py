"""How much a layer moves, and how steady it is while it does.

Dynamic degree is the mean length of the optical flow (Farnebäck 2003, OpenCV's) in percent of the picture's height per
frame. Frame consistency is what is left of the change between frames when each is brought back along the flow: 0 for a
still and for a picture that only moves, larger for one that flickers or melts. VBench (Huang et al. 2024) asks the
same of RAFT and DINO; see `vbench`.

Pictures are [F, H, W, 3], display-referred in [0, 1].
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.layers import Pixels

Flow = NDArray[np.float32]  # [H, W, 2], pixels right and down

WINSIZE, LEVELS = 9, 3  # pixels of OpenCV's window, and of its pyramid


def motion(pictures: Pixels) -> dict[str, float]:
    """`flow` in percent of the height, `change` (mean absolute difference) and `warped` (what flow leaves of it).

    Means of neighbouring frames; all 0 for a single frame.
    """
    measured = [_measured(earlier, later) for earlier, later in itertools.pairwise(pictures)]
    names = ("flow", "change", "warped")
    means = np.mean(measured, axis=0) if measured else np.zeros(len(names))
    return {name: float(value) for name, value in zip(names, means, strict=True)}


def _measured(earlier: Pixels, later: Pixels) -> tuple[float, float, float]:
    flow = flow_between(earlier, later)
    length = float(np.hypot(flow[..., 0], flow[..., 1]).mean()) / len(earlier) * 100
    seen, back = _brought_back(later, flow)
    left = float(np.abs(back - earlier)[seen].mean()) if seen.any() else 0.0
    return length, float(np.abs(later - earlier).mean()), left


def flow_between(earlier: Pixels, later: Pixels) -> Flow:
    """Where each pixel of `earlier` [H, W, 3] is in `later`, by how far it went."""
    grey = [cv2.cvtColor(np.ascontiguousarray(_bytes(each)), cv2.COLOR_RGB2GRAY) for each in (earlier, later)]
    start = np.zeros((*earlier.shape[:2], 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(grey[0], grey[1], start, 0.5, LEVELS, WINSIZE, 5, 5, 1.1, 0)
    return np.asarray(flow, np.float32)


def _brought_back(later: Pixels, flow: Flow) -> tuple[NDArray[np.bool_], Pixels]:
    """`later` moved back along `flow`, and where that is within the picture."""
    rows, columns = later.shape[:2]
    right, down = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    right, down = right + flow[..., 0], down + flow[..., 1]
    seen = (right >= 0) & (right <= columns - 1) & (down >= 0) & (down <= rows - 1)
    back = cv2.remap(later.astype(np.float32), right, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen, np.asarray(back, np.float32)


def _bytes(picture: Pixels) -> NDArray[np.uint8]:
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
