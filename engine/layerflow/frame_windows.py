"""A shot as runs of frames that the model makes at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Window:
    """A run of frames that the model makes at once. What is too short repeats its last frame to fill it."""

    index: int
    frames: tuple[int, ...]  # what the model is shown
    new: tuple[int, ...]  # what this window writes: all up to those that the next one makes too
    overlap: int = 0  # how many of the first frames the window before makes too


def windows(frames: tuple[int, ...], size: int, overlap: int = 0) -> list[Window]:
    """Windows of `size` frames over `frames`, each sharing `overlap` with the one before; no frame is in three.

    The last one starts earlier rather than run past the end, sharing more by a multiple of `overlap`.
    """
    grain = overlap or 1
    last = max(0, -(-(len(frames) - size) // grain) * grain)
    starts = [min(start, last) for start in range(0, max(1, len(frames) - overlap), size - overlap)]
    return [
        Window(
            index=index,
            frames=_filled(frames[start : start + size], size),
            new=frames[start:stop],
            overlap=starts[index - 1] + size - start if index else 0,
        )
        for index, (start, stop) in enumerate(zip(starts, [*starts[1:], len(frames)], strict=True))
    ]


def _filled(frames: tuple[int, ...], size: int) -> tuple[int, ...]:
    return frames + frames[-1:] * (size - len(frames))
