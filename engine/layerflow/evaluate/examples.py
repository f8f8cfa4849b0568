"""Pictures of a scored clip, for the eye to judge what the figures say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layerflow.evaluate.made import MadeClip
from layerflow.evaluate.truth import Truth, cut_outs, pictures, shown, shown_recomposed
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
    shows = {"plate": truth.blended[place]}
    if rough is not None:
        shows["rough matte given"] = _grey(rough[place])
    fronts, model = cut_outs(made.delivered), cut_outs(made.own)
    for name, true in truth.fronts.items():
        shows[f"true {_of(name, 'matte')}"] = _grey(true.alpha[place])
        if model[name].shape[-1] == 4:
            shows[f"model's {_of(name, 'matte')}"] = _grey(model[name][place, ..., 3])
            shows[_of(name, "matte")] = _grey(fronts[name][place, ..., 3])
        shows[_of(name, "foreground")] = over_checker(fronts[name][place])
    shows |= {
        "background": delivered["background"][place],
        "true background": truth.background[place],
        "model's background": own["background"][place],
        "model's layers over each other": shown_recomposed(made.own)[place],
    }
    return Example(title=title, prompts=truth.prompts, pictures=_bytes(shows), iou=iou)


def made_example(
    title: str, made: MadeClip, prompts: Mapping[str, str], true: Mapping[str, Pixels] | None = None
) -> Example:
    """The first and the last frame of a generated clip, side by side; and of the `true` layers [F, H, W, 3]."""
    delivered, own = shown(made.delivered), shown(made.own)
    shows: dict[str, Pixels] = {}
    for name, foreground in cut_outs(made.delivered).items():
        shows[_of(name, "foreground")] = _pair(np.stack([over_checker(frame) for frame in foreground]))
        if foreground.shape[-1] == 4:
            shows[_of(name, "matte")] = _pair(_grey(foreground[..., 3]))
    shows |= {name: _pair(delivered[name]) for name in ("background", "blended")}
    shows["model's own blended"] = _pair(own["blended"])
    shows |= {f"true {name}": _pair(pixels) for name, pixels in (true or {}).items()}
    return Example(title=title, prompts=prompts, pictures=_bytes(shows), movies=_bytes(pictures(made.delivered)))


def _of(front: str, what: str) -> str:
    """What is shown of a foreground, in words: of two, of which of them."""
    return what if front == "foreground" else f"{front} {what}"


def _pair(frames: Pixels) -> Pixels:  # [F, h, w, 3] -> [h, 2 w, 3]
    return np.concatenate([frames[0], frames[-1]], axis=1)


def _grey(matte: Pixels) -> Pixels:  # [..., h, w] -> [..., h, w, 3]
    return matte[..., None].repeat(3, axis=-1)


def _bytes(pictures: Mapping[str, Pixels]) -> dict[str, Picture]:
    return {name: to_bytes(picture.clip(0, 1)) for name, picture in pictures.items()}
