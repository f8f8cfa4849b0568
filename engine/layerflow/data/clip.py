"""One layered clip, as the trainer sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerflow import layers
from layerflow.data.light import Floats, Pixels, shown, taken, unit

Captions = tuple[str, ...]  # one per foreground, then background and blended


@dataclass(frozen=True, kw_only=True)
class LayeredClip:
    """Foregrounds over a background. Colours are straight and sRGB-encoded; `blended` is float32 and not rounded."""

    foregrounds: tuple[Pixels, ...]  # each [F, H, W, 4], top first
    background: Pixels  # [F, H, W, 3]
    blended: Floats  # [F, H, W, 3] in [0, 1]
    captions: Captions

    def __post_init__(self) -> None:
        if len(self.captions) != len(self.foregrounds) + 2:
            raise ValueError(
                f"a clip of {len(self.foregrounds)} foregrounds has {len(self.foregrounds) + 2} captions, "
                f"got {len(self.captions)}"
            )

    @property
    def num_layers(self) -> int:
        """Pictures of a frame in `tensors`."""
        return 2 * len(self.foregrounds) + 2

    def tensors(self, out: Floats | None = None) -> Floats:
        """Float32 [G, F, H, W, 3] in [-1, 1]: foreground over mid grey and its alpha, of each; background; blended.

        In `out`, when it is given.
        """
        signed = np.empty((self.num_layers, *self.background.shape), np.float32) if out is None else out
        for place, foreground in enumerate(self.foregrounds):
            alpha = unit(foreground[..., 3])
            signed[2 * place] = layers.grey_from_straight(unit(foreground[..., :3]), alpha)
            signed[2 * place + 1] = alpha[..., None]
        signed[-2] = unit(self.background)
        signed[-1] = self.blended
        signed *= np.float32(2)
        signed -= np.float32(1)
        return signed

    def held(self, frame: int) -> LayeredClip:
        """This clip with one frame throughout."""
        places = np.full(len(self.background), frame)
        return LayeredClip(
            foregrounds=tuple(foreground[places] for foreground in self.foregrounds),
            background=self.background[places],
            blended=self.blended[places],
            captions=self.captions,
        )


def layered(foregrounds: Sequence[Pixels], background: Pixels, captions: Captions, *, linear: bool) -> LayeredClip:
    """The clip of these layers, its blended picture the `over` of them: in scene-linear light, or in sRGB values."""
    return LayeredClip(
        foregrounds=tuple(foregrounds),
        background=background,
        blended=blend(foregrounds, background, linear=linear),
        captions=captions,
    )


def blend(foregrounds: Sequence[Pixels], background: Pixels, *, linear: bool) -> Floats:
    """sRGB values in [0, 1] of straight `foregrounds` [..., 4], top first, over `background` [..., 3]."""
    if not foregrounds:
        return unit(background)
    picture = taken(background, linear=linear)
    for foreground in reversed(foregrounds):
        picture = layers.over(straight(foreground, linear=linear), picture)
    nothing = ~np.logical_or.reduce([foreground[..., 3] > 0 for foreground in foregrounds])
    values = shown(picture, linear=linear)
    values[nothing] = unit(background[nothing])  # not through the tables and back
    return values


def straight(foreground: Pixels, *, linear: bool) -> Floats:
    """Straight float32 RGBA of `foreground` [..., 4]: colour as light or as sRGB values, alpha in [0, 1]."""
    return layers.with_alpha(taken(foreground[..., :3], linear=linear), unit(foreground[..., 3]))


def as_codes(rgba: Floats, *, linear: bool) -> Pixels:
    """8-bit straight sRGB RGBA of premultiplied `rgba` [..., 4], its colour light or sRGB values; the way back."""
    free = layers.unpremultiply(np.clip(rgba, 0, None))
    values = layers.with_alpha(shown(free[..., :3], linear=linear), np.clip(rgba[..., 3], 0, 1))
    values[rgba[..., 3] < 0.5 / 255] = 0.0
    codes: Pixels = np.rint(values * np.float32(255)).astype(np.uint8)
    return codes
