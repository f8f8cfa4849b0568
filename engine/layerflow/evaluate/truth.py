"""A held-out clip's own layers, as pictures to compare with.

All are display-referred in [0, 1], colour straight. Letters: F frame, H W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from layerflow import color, layers
from layerflow.evaluate.pictures import Mask
from layerflow.layers import LayerStack, Pixels
from layerflow.layout import ALL_PROMPTS
from layerflow.training.clips import ClipBatch

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a clip is made of, and the words for it by layer."""

    foreground: Pixels  # [F, H, W, 3]
    alpha: Pixels  # [F, H, W]
    background: Pixels  # [F, H, W, 3]
    blended: Pixels  # [F, H, W, 3]
    prompts: Mapping[str, str]
    second: Pixels | None = None  # [F, H, W, 4], a foreground behind the other, whole

    @classmethod
    def of(cls, clips: ClipBatch, index: int) -> Truth:
        """Clip `index` of `clips`."""
        scale = np.float32(255)
        return cls(
            foreground=clips.foreground[index] / scale,
            alpha=clips.alpha[index][..., 0] / scale,
            background=clips.background[index] / scale,
            blended=np.asarray(clips.blended[index], np.float32),
            prompts=dict(zip(ALL_PROMPTS, clips.captions[index], strict=False)),
            second=None if clips.second is None else clips.second[index] / scale,
        )

    @property
    def over_grey(self) -> Pixels:
        """The foreground as the model sees it, [F, H, W, 3]: where there is none it is mid-grey."""
        return layers.grey_from_straight(self.foreground, self.alpha)

    @property
    def fronts(self) -> dict[str, Truth]:
        """The same with each foreground as the first, front to back, by what scores call it."""
        if self.second is None:
            return _called([self])
        return _called([self, replace(self, foreground=self.second[..., :3], alpha=self.second[..., 3])])

    @property
    def covered(self) -> Pixels:
        """How much of the background is hidden by what is in front, all together, [F, H, W] in [0, 1]."""
        if self.second is None:
            return self.alpha
        return np.float32(1) - (1 - self.alpha) * (1 - self.second[..., 3])

    @property
    def hole(self) -> Mask:
        """Where that is more than half."""
        return self.covered > 0.5


def shown(stack: LayerStack) -> dict[str, Pixels]:
    """The layers of `stack` by name as a display has them, [F, H, W, C] in [0, 1]."""
    return {name: color.to_display(pixels, stack.colorspace).clip(0.0, 1.0) for name, pixels in stack.layers.items()}


def cut_outs(stack: LayerStack) -> dict[str, Pixels]:
    """The foregrounds of `stack` as a display has them, [F, H, W, 3 | 4] in [0, 1], by what scores call them."""
    layers = shown(stack)
    return _called([layers[name] for name in stack.foregrounds])


def pictures(stack: LayerStack) -> dict[str, Pixels]:
    """All layers of `stack` as pictures [F, H, W, 3], foregrounds over mid-grey, by what scores call them."""
    layers = shown(stack)
    fronts = {name: over_grey(pixels) for name, pixels in cut_outs(stack).items()}
    return fronts | {name: layers[name] for name in ("background", "blended")}


def true_pictures(truth: Truth) -> dict[str, Pixels]:
    """The same of a held-out clip."""
    fronts = {name: each.over_grey for name, each in truth.fronts.items()}
    return fronts | {"background": truth.background, "blended": truth.blended}


def _called(fronts: Sequence[T]) -> dict[str, T]:
    """Foregrounds, front to back, by what scores call them."""
    return dict(zip(("foreground",) if len(fronts) == 1 else ("first", "second"), fronts, strict=True))


def shown_recomposed(stack: LayerStack) -> Pixels:
    """The layers of `stack` over each other in linear light, as a display has it, [F, H, W, 3] in [0, 1]."""
    recomposed: Pixels = color.to_display(layers.recompose(stack), stack.colorspace).clip(0.0, 1.0)
    return recomposed


def over_grey(foreground: Pixels) -> Pixels:
    """A shown foreground [..., 3 | 4] over mid-grey; as it is where it has no alpha."""
    if foreground.shape[-1] == 3:
        return foreground
    return layers.grey_from_straight(foreground[..., :3], foreground[..., 3])
