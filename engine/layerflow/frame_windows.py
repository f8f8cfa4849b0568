"""A shot as runs of frames that the model makes at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Window:
    """A run of frames that the model makes at once. Short shots repeat their last frame to fill it."""

    index: int
    frames: tuple[int, ...]  # what the model is shown
    new: tuple[int, ...]  # what this window writes; the rest an earlier window wrote


def windows(frames: tuple[int, ...], size: int) -> list[Window]:
    """Windows of `size` frames over `frames`; the last one starts earlier rather than run past the end."""
    if len(frames) <= size:
        filled = frames + frames[-1:] * (size - len(frames))
        return [Window(index=0, frames=filled, new=frames)]
    starts = range(0, len(frames), size)
    return [
        Window(
            index=index,
            frames=frames[min(start, len(frames) - size) :][:size],
            new=frames[start : start + size],
        )
        for index, start in enumerate(starts)
    ]
