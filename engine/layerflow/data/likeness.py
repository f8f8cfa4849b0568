"""Small pictures that tell near duplicates: the same photograph in two sizes, mirrored, or a little brighter."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from layerflow.data.light import Pixels

SIDE = 12
ALIKE = 0.96  # correlation from which on two pictures count as one


def likeness(layers: Sequence[Pixels]) -> str:
    """Hex of a SIDE x SIDE sRGB picture of the middle frame of `layers` [F, H, W, 3 | 4], top first, over mid grey."""
    picture = np.full((*layers[0].shape[1:3], 3), 127.5, np.float32)
    for pictures in reversed(layers):
        frame = pictures[len(pictures) // 2].astype(np.float32)
        alpha = frame[..., 3:] / 255 if frame.shape[-1] == 4 else 1.0
        picture = picture + (frame[..., :3] - picture) * alpha
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.rint(small).clip(0, 255).astype(np.uint8).tobytes().hex()


def clusters(likenesses: Sequence[str], *, alike: float = ALIKE) -> list[int]:
    """A number per picture, the same for those that are alike (mirrored too), and for those alike to these."""
    parent = list(range(len(likenesses)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    pictures = np.stack([_picture(each) for each in likenesses]) if likenesses else np.zeros((0, SIDE, SIDE, 3))
    rows, mirrored = _unit_rows(pictures), _unit_rows(pictures[:, :, ::-1])
    for place in range(len(likenesses)):  # row by row: all pairs at once would not fit for a large folder
        score = np.maximum(rows[:place] @ rows[place], mirrored[:place] @ rows[place])
        for other in np.flatnonzero(score > alike):
            parent[root(place)] = root(int(other))
    return [root(place) for place in range(len(likenesses))]


def _picture(text: str) -> NDArray[np.float64]:
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(SIDE, SIDE, 3).astype(np.float64)


def _unit_rows(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = pictures.reshape(len(pictures), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)
    return unit
