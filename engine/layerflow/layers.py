"""The layers of a shot, and all arithmetic with alpha. No other module multiplies or divides by it, but for
`recomposition`, which solves for it.

Colour is straight (not multiplied by alpha) unless a name says premultiplied. Porter and Duff 1984.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from layerflow.timecode import is_timecode
from layerflow.window import Window, union
from layerflow.wire.exr_layers import is_layer_name

Pixels = NDArray[np.float32]

HALF_MAX = 65504.0  # largest finite half float
_FOREGROUND = re.compile(r"foreground\d*")


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """Geometry and timing that travel from plate to EXR."""

    width: int  # display window, pixels
    height: int
    x: int = 0  # display window origin
    y: int = 0
    data_window: Window | None = None  # when it differs from the display window
    overscan: Window | None = None  # what the layers cover, when it is more than the display window
    pixel_aspect: float = 1.0
    fps: Fraction = field(default=Fraction(24))
    timecode: str | None = None  # of the first frame

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"width and height must be at least 1, got {self.width}x{self.height}")
        if self.data_window is not None and min(self.data_window[2:]) < 1:
            raise ValueError(f"data_window must be (x, y, width, height) with some area, got {self.data_window}")
        if self.overscan is not None and union(self.overscan, self.display_window) != self.overscan:
            raise ValueError(f"overscan must hold the display window {self.display_window}, got {self.overscan}")
        if not (math.isfinite(self.pixel_aspect) and self.pixel_aspect > 0):
            raise ValueError(f"pixel_aspect must be above 0, got {self.pixel_aspect}")
        if not isinstance(self.fps, Fraction) or self.fps <= 0:
            raise ValueError(f"fps must be a Fraction above 0, got {self.fps!r}")
        if self.timecode is not None and not is_timecode(self.timecode):
            raise ValueError(f"timecode must look like 01:00:00:00, got {self.timecode!r}")

    @property
    def display_window(self) -> Window:
        """(x, y, width, height) of the display window."""
        return self.x, self.y, self.width, self.height

    @property
    def working_window(self) -> Window:
        """(x, y, width, height) of what the layers cover: the display window and, where there is any, its overscan."""
        return self.overscan or self.display_window


@dataclass(frozen=True, kw_only=True)
class LayerStack:
    """Named layers of consecutive frames, top first; scene-linear float32, straight alpha."""

    layers: Mapping[str, Pixels]  # name -> [F, H, W, 3 | 4]
    frames: tuple[int, ...]  # plate frame numbers, F of them
    format: PictureFormat
    colorspace: str = "ACEScg"

    def __post_init__(self) -> None:
        if not self.layers or not self.frames:
            raise ValueError("a LayerStack needs at least one layer and one frame")
        if any(later <= earlier for earlier, later in zip(self.frames, self.frames[1:], strict=False)):
            raise ValueError(f"frames must rise, got {self.frames}")
        for name, pixels in self.layers.items():
            check_layer_name(name)
            _, _, width, height = self.format.working_window
            expected = (len(self.frames), height, width)
            if pixels.dtype != np.float32 or pixels.shape[:-1] != expected or pixels.shape[-1] not in (3, 4):
                raise ValueError(
                    f"layer {name} must be float32 {[*expected, '3 | 4']}, got {pixels.dtype} {list(pixels.shape)}"
                )

    @property
    def foregrounds(self) -> tuple[str, ...]:
        """Names of the foreground layers, top first."""
        return tuple(filter(is_foreground, self.layers))


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """How many pixels `sanitise` had to change."""

    num_nan: int = 0
    num_inf: int = 0
    num_clamped: int = 0

    def __bool__(self) -> bool:
        return bool(self.num_nan or self.num_inf or self.num_clamped)

    def sentences(self, where: str) -> tuple[str, ...]:
        """One sentence per kind of repair; `where` reads like `frame 1004`."""
        kinds = (
            (self.num_nan, "NaN", "set to 0"),
            (self.num_inf, "infinite", "set to +-65504"),
            (self.num_clamped, "too large", "clamped to +-65504"),
        )
        return tuple(
            f"{count} {kind} {'pixel' if count == 1 else 'pixels'} in {where} {'was' if count == 1 else 'were'} {what}"
            for count, kind, what in kinds
            if count
        )


def is_foreground(name: str) -> bool:
    """Whether a layer of this name has alpha and goes over others."""
    return _FOREGROUND.fullmatch(name) is not None


def foreground_names(count: int) -> tuple[str, ...]:
    """What `count` foregrounds are called, top first."""
    return ("foreground",) if count == 1 else tuple(f"foreground{number}" for number in range(1, count + 1))


def made_layers(num_foregrounds: int) -> tuple[str, ...]:
    """The layers of a shot of so many foregrounds, top first, without what they come to."""
    return (*foreground_names(num_foregrounds), "background")


def z_order(names: Iterable[str]) -> tuple[str, ...]:
    """The foregrounds and the background among `names`, top first; no other."""
    fronts = sorted(filter(is_foreground, names), key=lambda name: int(name.removeprefix("foreground") or 0))
    return (*fronts, *(name for name in names if name == "background"))


def check_layer_name(name: str) -> str:
    """`name` when it can be a layer's name; raises ValueError otherwise."""
    if not is_layer_name(name):
        raise ValueError(f"a layer's name is letters, digits and _, and no host's word; got {name!r}")
    return name


def premultiply(rgba: Pixels) -> Pixels:
    """Premultiplied RGBA of straight `rgba` [..., 4]."""
    out = rgba.copy()
    out[..., :3] *= rgba[..., 3:]
    return out


def unpremultiply(rgba: Pixels) -> Pixels:
    """Straight RGBA of premultiplied `rgba` [..., 4]. Where alpha is 0 the colour stays as it is (a glow)."""
    alpha = rgba[..., 3:]
    out = rgba.copy()
    with np.errstate(over="ignore"):
        np.divide(rgba[..., :3], alpha, out=out[..., :3], where=alpha > 0)
    np.clip(out[..., :3], -HALF_MAX, HALF_MAX, out=out[..., :3])
    return out


def over_premultiplied(foreground: Pixels, background: Pixels) -> Pixels:
    """`foreground` [..., 4] over `background` [..., 3 | 4], all premultiplied; as many channels as the background."""
    return foreground[..., : background.shape[-1]] + background * (1.0 - foreground[..., 3:])


def over(foreground: Pixels, background: Pixels) -> Pixels:
    """Straight `foreground` [..., 4] over straight `background` [..., 3 | 4]; straight, with as many channels."""
    if background.shape[-1] == 3:
        return over_premultiplied(premultiply(foreground), background)
    return unpremultiply(over_premultiplied(premultiply(foreground), premultiply(background)))


def recompose(stack: LayerStack) -> Pixels:
    """The stack's foregrounds over its background, and its residual, [F, H, W, 3] scene-linear.

    Without a background, over black.
    """
    return recomposed(stack.layers)


def recomposed(named: Mapping[str, Pixels]) -> Pixels:
    """As `recompose`, of layers by name, top first: [..., 3]."""
    under, residual = named.get("background"), named.get("residual")
    shape = next(iter(named.values())).shape[:-1]
    picture = np.zeros((*shape, 3), np.float32) if under is None else opaque(under)
    for name in reversed([name for name in named if is_foreground(name)]):
        layer = named[name]
        picture = over(layer, picture) if layer.shape[-1] == 4 else layer.copy()
    return picture if residual is None else picture + opaque(residual)


def stacked(front_to_back: Sequence[Pixels]) -> Pixels:
    """Layers [..., 3 | 4] over each other, and over black: [..., 3]. What has no alpha hides all that is below it."""
    picture = np.zeros((*front_to_back[0].shape[:-1], 3), np.float32)
    for layer in reversed(front_to_back):
        picture = over(layer, picture) if layer.shape[-1] == 4 else layer.copy()
    return picture


def merged(front_to_back: Sequence[Pixels]) -> Pixels:
    """Layers [..., 3 | 4] over each other as one: straight RGBA [..., 4]."""
    *fronts, under = map(with_opaque_alpha, front_to_back)
    for layer in reversed(fronts):
        under = over(layer, under)
    return under


def faded(rgba: Pixels, opacity: float) -> Pixels:
    """Straight `rgba` [..., 4] with so much of its alpha."""
    out = rgba.copy()
    out[..., 3] *= np.float32(opacity)
    return out


def with_opaque_alpha(pixels: Pixels) -> Pixels:
    """Straight RGBA of `pixels` [..., 3 | 4], with alpha 1 where they have none."""
    return pixels if pixels.shape[-1] == 4 else with_alpha(pixels, np.ones(pixels.shape[:-1], np.float32))


def opaque(pixels: Pixels) -> Pixels:
    """`pixels` [..., 3 | 4], straight, laid over black: [..., 3]."""
    return premultiply(pixels)[..., :3] if pixels.shape[-1] == 4 else pixels.copy()


def with_alpha(color: Pixels, alpha: Pixels) -> Pixels:
    """Straight RGBA [..., 4] of `color` [..., 3] and `alpha` [...]."""
    return np.concatenate([color, alpha[..., None]], axis=-1, dtype=np.float32)


def grey_from_straight(color: Pixels, alpha: Pixels) -> Pixels:
    """The model's picture of a foreground: straight display-referred `color` [..., 3], `alpha` [...]."""
    return (color - 0.5) * alpha[..., None] + np.float32(0.5)


def straight_from_grey(model_foreground: Pixels, alpha: Pixels) -> Pixels:
    """Straight colour [..., 3] in [0, 1] of the model's `model_foreground` = (c - 0.5) * a + 0.5, display-referred.

    Mid-grey where `alpha` [...] is 0: nothing is known there, `bleed` fills it.
    """
    weight = alpha[..., None]
    out = np.zeros(np.broadcast_shapes(model_foreground.shape, weight.shape), np.float32)
    with np.errstate(over="ignore"):
        np.divide(model_foreground - np.float32(0.5), weight, out=out, where=weight > 0)
    out += np.float32(0.5)
    return out.clip(0.0, 1.0)


def reveal(background: Pixels, plate: Pixels, alpha: Pixels, *, solid: float = 0.1) -> Pixels:
    """`background` [..., 3] with the `plate` [..., 3] itself where `alpha` [...] says that nothing is in front of it.

    Where alpha is 0 the plate is the background, exactly; from alpha `solid` upward `background` stays, and between the
    two one fades into the other.
    """
    weight: Pixels = np.clip(alpha / np.float32(solid), 0.0, 1.0)[..., None]
    return np.where(weight == 1.0, background, plate + (background - plate) * weight)


def bleed(color: Pixels, alpha: Pixels, *, solid: float = 1 / 128) -> Pixels:
    """`color` [..., H, W, 3] with the colour of solid pixels spread outward under (near-)zero `alpha` [..., H, W].

    From alpha `solid` upward colour stays bit for bit; below, it fades into a push-pull fill (Gortler et al. 1996) of
    its surroundings, so that a blur or resize of straight colour shows no fringe. Raise `solid` when colour at low
    alpha is noisy.
    A frame without alpha comes back unchanged.
    """
    height, width = alpha.shape[-2:]
    flat_color, flat_alpha = color.reshape(-1, height, width, 3), alpha.reshape(-1, height, width)
    frames = [_bleed_frame(*pair, solid) for pair in zip(flat_color, flat_alpha, strict=True)]
    return np.stack(frames).reshape(color.shape) if frames else color.copy()


def _bleed_frame(color: Pixels, alpha: Pixels, solid: float) -> Pixels:  # [H, W, 3], [H, W]
    weight = np.clip(alpha / np.float32(solid), 0.0, 1.0)[..., None]
    if not weight.any() or weight.min() == 1.0:
        return color.copy()
    filled = oiio.ImageBufAlgo.fillholes_pushpull(oiio.ImageBuf(np.concatenate([color * weight, weight], axis=-1)))
    pixels = np.asarray(filled.get_pixels(oiio.FLOAT), np.float32)
    return np.where(weight >= 1.0, color, pixels[..., :3] / np.maximum(pixels[..., 3:], 1e-6))


def sanitise(pixels: Pixels) -> tuple[Pixels, Repairs]:
    """Finite `pixels` [..., C] within half-float range, and how many pixels that changed. NaN becomes 0."""
    if np.abs(pixels).max(initial=0.0) <= HALF_MAX:  # False for NaN as well
        return pixels, Repairs()
    nan, inf = np.isnan(pixels).any(-1), np.isinf(pixels).any(-1)
    large = (np.abs(pixels) > HALF_MAX).any(-1) & ~inf
    clean = np.clip(np.nan_to_num(pixels, nan=0.0, posinf=HALF_MAX, neginf=-HALF_MAX), -HALF_MAX, HALF_MAX)
    return clean, Repairs(num_nan=int(nan.sum()), num_inf=int(inf.sum()), num_clamped=int(large.sum()))
