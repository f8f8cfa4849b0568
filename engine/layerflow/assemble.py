"""From a plate frame to the model's pictures, and from the model's pictures to the layers of that frame.

Whatever the plate gave is passed through untouched: an artist's plate never comes back through the codec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from layerflow import color, layers
from layerflow.layers import Pixels
from layerflow.layout import DELIVERED, Layout
from layerflow.preprocess import Fit, signed_foreground, stretched, to_pixels, to_signed, to_tensor, to_unit
from layerflow.tone import PLAIN, Tone, tone_of
from layerflow.window import Window

Made = Mapping[str, Tensor]  # the model's layers by name, [F, 3, h, w] in [0, 1]

SOLID = 0.2  # alpha from which the model's own foreground colour is trusted; below it is filled from solid pixels


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of a plate: straight pixels `[H, W, 3 | 4]` in the colour space `colorspace`."""

    pixels: Pixels
    colorspace: str

    @property
    def has_alpha(self) -> bool:
        return bool(self.pixels.shape[-1] == 4)

    @property
    def tone(self) -> Tone:
        """How the model sees it."""
        return tone_of(self.colorspace)

    def part(self, area: Window) -> Frame:
        """What is seen of it through `area`, counted from its upper left corner and within it."""
        left, top, width, height = area
        return replace(self, pixels=self.pixels[top : top + height, left : left + width])

    def sha256(self) -> str:
        """Hex digest of the pixels as they were read, and of their colour space: tells one plate from another."""
        return hashlib.sha256(self.colorspace.encode() + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()


def given_layers(layout: Layout) -> frozenset[str]:
    """The layers that the plate gives."""
    return frozenset(name for name in layout.layers if layout.is_given(name))


def takes_apart(layout: Layout) -> bool:
    """Whether a plate becomes layers that put it back together: it is given blended, and there is a matte to it."""
    return layout.is_given("blended") and "alpha" in layout.layers


def model_pictures(frame: Frame, layout: Layout, fit: Fit) -> dict[str, Tensor]:
    """The given layers of `frame` as the model sees them, `[3, h, w]` in about [-1, 1], display-referred.

    Alpha is only there where the plate has one.
    """
    return _given_pictures(frame.tone.to_display(frame.pixels, frame.colorspace), layout, fit)


def pictures_and_clipped(frame: Frame, layout: Layout, fit: Fit) -> tuple[dict[str, Tensor], float]:
    """As `model_pictures`, and the share of the frame's pixels that the model sees clipped."""
    display, clipped = frame.tone.to_display_and_lost(frame.pixels, frame.colorspace)
    return _given_pictures(display, layout, fit), clipped


def _given_pictures(display: Pixels, layout: Layout, fit: Fit) -> dict[str, Tensor]:  # [H, W, 3 | 4] in [0, 1]
    picture = to_tensor(layers.opaque(display)[None])
    views = dict.fromkeys(DELIVERED, to_signed(picture))
    if display.shape[-1] == 4:
        views |= _foreground_views(display)
    return {name: fit.to_model(views[name])[0] for name in given_layers(layout) if name in views}


def layer_pictures(frames: Mapping[str, Frame], layout: Layout, fit: Fit) -> dict[str, Tensor]:
    """All layers of one frame as a model that makes them from words sees them: `[3, h, w]`, nothing above white."""
    views: dict[str, Tensor] = {}
    for name, frame in frames.items():
        display = PLAIN.to_display(frame.pixels, frame.colorspace)
        views[name] = to_signed(to_tensor(layers.opaque(display)[None]))
        if name in layout.foregrounds and frame.has_alpha and "alpha" in layout.layers:
            views |= _foreground_views(display, name)
    return {name: fit.to_model(views[name])[0] for name in layout.layers}


def _foreground_views(display: Pixels, name: str = "foreground") -> dict[str, Tensor]:  # [H, W, 4] -> [1, 3, H, W]
    rgba = to_tensor(display[None])
    alpha = to_signed(rgba[:, 3:]).expand(-1, 3, -1, -1)
    return {name: signed_foreground(rgba[:, :3], rgba[:, 3:]), name.replace("foreground", "alpha"): alpha}


def assemble(
    made: Mapping[str, Tensor],
    frame: Frame | None,
    layout: Layout,
    fit: Fit,
    target: str,
) -> dict[str, Pixels]:
    """Layers of one frame by name, top first, at the plate's size: straight alpha, in the linear space `target`.

    `made` are the model's layers `[3, h, w]` in [0, 1], enlarged as they are; `frame` is the plate with the others.
    Where that is one of foreground and background, blended is the two over each other: it shows the plate's own detail.
    """
    given = given_layers(layout)
    tone = PLAIN if frame is None else frame.tone
    own = None if frame is None else color.convert(frame.pixels, frame.colorspace, target)
    if own is not None and "foreground" in given:
        out = {"foreground": own}
    else:
        cut_out = [made_foreground(each, fit, target, tone) for each in _one_by_one(made)]
        out = dict(zip(layers.foreground_names(len(cut_out)), cut_out, strict=True))
    for name in ("background", "blended"):
        there = own if name in given else None
        out[name] = made_layer(made[name], fit, target, tone) if there is None else layers.opaque(there)
    if given & {"foreground", "background"} and out["foreground"].shape[-1] == 4:
        out["blended"] = layers.recomposed({name: out[name] for name in ("foreground", "background")})
    return out


def made_layer(picture: Tensor, fit: Fit, target: str, tone: Tone = PLAIN) -> Pixels:
    """The model's `picture` `[3, h, w]` in [0, 1] at the plate's size, in the linear space `target`.

    It is enlarged in display light, where it was made, and brought into `target` at twice the model's size at least;
    from there on it is smooth enough for linear light, and a large plate takes a fraction of the time.
    """
    small = fit.to_plate(picture[None], share=max(1, int(fit.cell / 2))).clamp(0.0, 1.0)
    lit = tone.from_display(to_pixels(small)[0], target)
    pixels: Pixels = to_pixels(stretched(to_tensor(lit[None]), fit.height, fit.width))[0]
    return pixels


def made_matte(made: Mapping[str, Tensor], fit: Fit) -> Pixels:
    """The model's alpha, `[H, W]` in [0, 1], at the plate's size."""
    enlarged = fit.to_plate(_alpha(made)[None]).clamp(0.0, 1.0)
    return to_pixels(enlarged)[0, ..., 0]


def made_foreground(made: Mapping[str, Tensor], fit: Fit, target: str, tone: Tone = PLAIN) -> Pixels:
    """The model's foreground as straight RGBA, its colour recovered from grey and spread under zero alpha.

    A model without an alpha layer gives RGB over mid-grey, which is all it knows.
    """
    if "alpha" not in made:
        return made_layer(made["foreground"], fit, target, tone)
    return layers.with_alpha(made_color(made, fit, target, tone), made_matte(made, fit))


def made_color(made: Mapping[str, Tensor], fit: Fit, target: str, tone: Tone = PLAIN) -> Pixels:
    """The straight colour `[H, W, 3]` of the model's foreground."""
    grey, matte = to_pixels(made["foreground"][None])[0], _alpha(made)[0].numpy()
    straight = layers.bleed(layers.straight_from_grey(grey, matte), matte, solid=SOLID)
    return made_layer(to_tensor(straight[None])[0], fit, target, tone)


def _alpha(made: Mapping[str, Tensor]) -> Tensor:  # [1, h, w] in [0, 1]
    return made["alpha"].mean(dim=0, keepdim=True).clamp(0.0, 1.0)


def fronts(made: Made) -> tuple[Made, ...]:
    """The model's layers `[F, 3, h, w]` of each foreground, front to back; its background is all that is behind it."""
    first, *further = _one_by_one(made)
    if not further:
        return (first,)
    second = {name: further[0][name] for name in ("foreground", "alpha", "background")}
    return {**first, "background": _laid_over(second)}, second


def _one_by_one(made: Made) -> tuple[Made, ...]:
    """The model's layers once for each foreground, front to back, with that one under the names of a single one."""
    if "foreground2" not in made:
        return (made,)
    return made, {**made, "foreground": made["foreground2"], "alpha": made["alpha2"]}


def _laid_over(made: Made) -> Tensor:  # [F, 3, h, w] in [0, 1]
    """The model's foreground over its background, in scene-linear light."""
    grey, background = (to_pixels(made[name]) for name in ("foreground", "background"))
    matte = made["alpha"].mean(dim=1).clamp(0.0, 1.0).numpy()
    straight = layers.straight_from_grey(grey, matte)
    light, behind = (PLAIN.from_display(picture, color.DEFAULT_LINEAR) for picture in (straight, background))
    return to_tensor(PLAIN.to_display(layers.over(layers.with_alpha(light, matte), behind), color.DEFAULT_LINEAR))


def behind(given: Mapping[str, Tensor], made: Made) -> dict[str, Tensor]:
    """What is left of the plate `given`, `[F, 3, h, w]` in [-1, 1], without the foreground that the model `made`."""
    plate, background = to_pixels(to_unit(given["blended"])), to_pixels(made["background"])
    alpha = made["alpha"].mean(dim=1).clamp(0.0, 1.0).numpy()
    return {"blended": to_signed(to_tensor(layers.reveal(background, plate, alpha)))}


def stacked(pictures: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Clips `[F, 3, h, w]` by layer from the pictures of consecutive frames."""
    return {name: torch.stack([picture[name] for picture in pictures]) for name in pictures[0]}
