"""Pictures of a scored clip, for the eye to judge what the figures say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layerflow.evaluate.made import MadeClip
from layerflow.evaluate.truth import Truth, foreground_over_grey, shown, shown_recomposed
from layerflow.layers import Pixels
from layerflow.preview import Picture, over_checker, to_bytes

MIDDLE = 0.5  # of a clip's frames, the one that is shown of what was taken apart


@dataclass(frozen=True, kw_only=True)
class Example:
    """One clip's pictures by what they show, [h, w, 3] each, and its words."""

    title: str
    prompts: Mapping[str, str]
    pictures: Mapping[str, Picture]
    iou: float | None = None  # of its matte, where there is a true one
    movies: Mapping[str, Picture] = field(default_factory=dict)  # by layer, [F, h, w, 3], of a generated clip


def taken_apart_example(
    title: str, made: MadeClip, truth: Truth, *, iou: float | None, rough: Pixels | None = None
) -> Example:
    """The middle frame of a decomposed clip beside the true layers, with the `rough` matte that guided it."""
    place = int(MIDDLE * len(truth.alpha))
    delivered, own = shown(made.delivered), shown(made.own)
    pictures = {"plate": truth.blended[place], "true matte": _grey(truth.alpha[place])}
    if rough is not None:
        pictures["rough matte given"] = _grey(rough[place])
    if own["foreground"].shape[-1] == 4:
        pictures["model's matte"] = _grey(own["foreground"][place, ..., 3])
        pictures["matte"] = _grey(delivered["foreground"][place, ..., 3])
    pictures |= {
        "foreground": over_checker(delivered["foreground"][place]),
        "background": delivered["background"][place],
        "true background": truth.background[place],
        "model's background": own["background"][place],
        "model's layers over each other": shown_recomposed(made.own)[place],
    }
    return Example(title=title, prompts=truth.prompts, pictures=_bytes(pictures), iou=iou)


def made_example(title: str, made: MadeClip, prompts: Mapping[str, str]) -> Example:
    """The first and the last frame of a generated clip, side by side."""
    delivered, own = shown(made.delivered), shown(made.own)
    foreground = delivered["foreground"]
    pictures = {"foreground": _pair(np.stack([over_checker(frame) for frame in foreground]))}
    if foreground.shape[-1] == 4:
        pictures["matte"] = _pair(_grey(foreground[..., 3]))
    pictures |= {name: _pair(delivered[name]) for name in ("background", "blended")}
    pictures["model's own blended"] = _pair(own["blended"])
    movies = {**delivered, "foreground": foreground_over_grey(delivered)}
    return Example(title=title, prompts=prompts, pictures=_bytes(pictures), movies=_bytes(movies))


def _pair(frames: Pixels) -> Pixels:  # [F, h, w, 3] -> [h, 2 w, 3]
    return np.concatenate([frames[0], frames[-1]], axis=1)


def _grey(matte: Pixels) -> Pixels:  # [..., h, w] -> [..., h, w, 3]
    return matte[..., None].repeat(3, axis=-1)


def _bytes(pictures: Mapping[str, Pixels]) -> dict[str, Picture]:
    return {name: to_bytes(picture.clip(0, 1)) for name, picture in pictures.items()}
