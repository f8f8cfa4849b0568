"""Pictures made smaller or cut to a shape, with alpha heeded. 8-bit sRGB, straight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from layerflow import layers
from layerflow.data.clip import as_codes, straight
from layerflow.data.light import Floats, Pixels, decode, encode, to_codes


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV on one thread: pictures are small, and its threads do not live through a fork into a worker."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def fitting(height: int, width: int, max_side: int) -> tuple[int, int]:
    """Height and width of that shape with no side above `max_side`; never larger than it was."""
    scale = min(1.0, max_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(picture: Pixels, height: int, width: int) -> Pixels:
    """`picture` [h, w, 3 | 4] at another size, averaged in scene-linear light, colour weighted by alpha."""
    if picture.shape[:2] == (height, width):
        return picture
    if picture.shape[-1] == 3:
        return to_codes(encode(scaled(decode(picture), height, width)))
    return as_codes(scaled(layers.premultiply(straight(picture, linear=True)), height, width), linear=True)


def scaled(values: Floats, height: int, width: int) -> Floats:
    """`values` [h, w, C] at another size: by area where it shrinks, bilinear where it grows."""
    shrinks = height * width < values.shape[0] * values.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    result = cv2.resize(values, (width, height), interpolation=method)
    return np.asarray(result, np.float32).reshape(height, width, values.shape[-1])


def covering(height: int, width: int, shape: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture of `shape` (height, width) that is just large enough to cover `height` by `width`."""
    scale = max(height / shape[0], width / shape[1])
    return max(height, round(shape[0] * scale)), max(width, round(shape[1] * scale))
