"""A held-out clip's own layers, as pictures to compare with.

All are display-referred in [0, 1], colour straight. Letters: F frame, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerflow import color, layers
from layerflow.layers import LayerStack, Pixels
from layerflow.layout import PROMPT_ORDER
from layerflow.training.clips import ClipBatch


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a clip is made of, and the words for it by layer."""

    foreground: Pixels  # [F, H, W, 3]
    alpha: Pixels  # [F, H, W]
    background: Pixels  # [F, H, W, 3]
    blended: Pixels  # [F, H, W, 3]
    prompts: Mapping[str, str]

    @classmethod
    def of(cls, clips: ClipBatch, index: int) -> Truth:
        """Clip `index` of `clips`."""
        scale = np.float32(255)
        return cls(
            foreground=clips.foreground[index] / scale,
            alpha=clips.alpha[index][..., 0] / scale,
            background=clips.background[index] / scale,
            blended=np.asarray(clips.blended[index], np.float32),
            prompts=dict(zip(PROMPT_ORDER, clips.captions[index], strict=True)),
        )

    @property
    def over_grey(self) -> Pixels:
        """The foreground as the model sees it, [F, H, W, 3]: where there is none it is mid-grey."""
        return layers.grey_from_straight(self.foreground, self.alpha)


def shown(stack: LayerStack) -> dict[str, Pixels]:
    """The layers of `stack` by name as a display has them, [F, H, W, C] in [0, 1]."""
    return {name: color.to_display(pixels, stack.colorspace).clip(0.0, 1.0) for name, pixels in stack.layers.items()}


def shown_recomposed(stack: LayerStack) -> Pixels:
    """The layers of `stack` over each other in linear light, as a display has it, [F, H, W, 3] in [0, 1]."""
    recomposed: Pixels = color.to_display(layers.recompose(stack), stack.colorspace).clip(0.0, 1.0)
    return recomposed


def foreground_over_grey(stack: Mapping[str, Pixels]) -> Pixels:
    """The foreground of shown layers over mid-grey; as it is where it has no alpha."""
    foreground = stack["foreground"]
    if foreground.shape[-1] == 3:
        return foreground
    return layers.grey_from_straight(foreground[..., :3], foreground[..., 3])
