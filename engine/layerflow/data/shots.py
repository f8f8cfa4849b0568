"""A movie cut into short clips: no cut inside, none longer than wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from layerflow.data.footage import Footage, pick_times
from layerflow.data.intake import Taking, kept_rate
from layerflow.data.light import Floats, Pixels
from layerflow.data.pictures import fitting, one_thread, resized

CUT = 0.45  # Bhattacharyya distance of the colours of two frames that follow each other, from which on it is a cut


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive frames of one shot."""

    first: int  # frame of the footage, from 0
    frames: Pixels  # [F, H, W, 3]
    fps: str


def pieces(footage: Footage, taking: Taking, num_frames: int, max_pieces: int) -> Iterator[Piece]:
    """At most `max_pieces` of `num_frames` frames each; what is left at the end of a shot is dropped.

    A still, or a movie shorter than that, is one piece. Raises PlateError.
    """
    times = pick_times(footage.num_frames, footage.fps, taking.rate, footage.num_frames)
    wanted = min(num_frames, len(times))
    size = fitting(footage.height, footage.width, taking.max_side)
    held: list[Pixels] = []
    first, made = times[0], 0
    for time in times:
        with one_thread():
            frame = resized(footage.read(time)[..., :3], *size)
        if held and cv2.compareHist(_colours(held[-1]), _colours(frame), cv2.HISTCMP_BHATTACHARYYA) > CUT:
            held = []
        first = first if held else time
        held.append(frame)
        if len(held) == wanted:
            yield Piece(first=first, frames=np.stack(held), fps=kept_rate(footage, taking))
            held, made = [], made + 1
        if made == max_pieces:
            return


def _colours(frame: Pixels) -> Floats:
    histogram = cv2.calcHist([frame], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return np.asarray(histogram / frame[..., 0].size, np.float32)
