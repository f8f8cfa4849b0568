"""What nodes do to pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nuke import _layers, _merge, _reformat, _transform
from nuke._picture import Picture, empty

Above = Callable[[int], "Picture | None"]


def passed(node: Any, above: Above) -> Picture:
    """The first input."""
    return above(0) or empty()


def _chosen_channels(node: Any, knob: str, picture: Picture) -> tuple[str, ...]:
    text = str(node[knob].value())
    return tuple(picture.channels) if text == "all" else _layers.meant(text)


def chosen(node: Any) -> int:
    """Which input a Switch lets through; past the last one it is the last one."""
    return max(0, min(int(node["which"].value()), node.inputs() - 1))


def _switch(node: Any, above: Above) -> Picture:
    return above(chosen(node)) or empty()


def _premult(node: Any, above: Above) -> Picture:
    return _by_alpha(node, passed(node, above), lambda plane, alpha: plane * alpha)


def _unpremult(node: Any, above: Above) -> Picture:
    def divided(plane: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        return np.divide(plane, alpha, out=plane.copy(), where=alpha != 0)

    return _by_alpha(node, passed(node, above), divided)


def _by_alpha(node: Any, picture: Picture, combined: Callable[[Any, Any], Any]) -> Picture:
    """Every chosen channel but the alpha itself, combined with it. No alpha: nothing happens."""
    name = str(node["alpha"].value())
    if name == "none":
        return picture
    alpha = picture.plane(name)
    wanted = [each for each in _chosen_channels(node, "channels", picture) if each in picture.channels and each != name]
    return picture.with_channels({each: combined(picture.channels[each], alpha) for each in wanted})


def _copy(node: Any, above: Above) -> Picture:
    under, source = passed(node, above), above(1)
    if source is None:
        return under
    source = source.at_size(under.width, under.height)
    copied = {}
    for i in range(4):
        name, target = str(node[f"from{i}"].value()), str(node[f"to{i}"].value())
        if "none" not in (name, target):
            copied[target] = source.plane(name)
    whole = _chosen_channels(node, "channels", source)
    return under.with_channels({**{name: source.plane(name) for name in whole}, **copied})


_WORDS = ("red", "green", "blue", "alpha")


def _shuffle(node: Any, above: Above) -> Picture:
    picture = passed(node, above)
    sources = {word: _layers.meant(str(node[knob].value())) for word, knob in (("", "in"), ("2", "in2"))}
    targets = _layers.meant(str(node["out"].value()))
    made = {}
    for target, word in zip(targets, _WORDS, strict=False):
        wanted = str(node[word].value())
        made[target] = picture.plane(wanted if wanted in ("black", "white") else _in_layer(wanted, sources))
    return picture.with_channels(made)


def _in_layer(wanted: str, sources: dict[str, tuple[str, ...]]) -> str:
    """The channel that a word such as red2 means; black where the layer has none there."""
    which = "2" if wanted.endswith("2") else ""
    layer, place = sources[which], _WORDS.index(wanted.removesuffix("2"))
    return layer[place] if place < len(layer) else "black"


def _shuffle2(node: Any, above: Above) -> Picture:
    inputs = {"B": passed(node, above)}
    second = above(1)
    size = inputs["B"].width, inputs["B"].height
    inputs["A"] = (second or empty()).at_size(*size)
    letters = str(node["fromInput1"].value()), str(node["fromInput2"].value())
    made = {target: inputs[letters[group]].plane(source) for group, source, target in node["mappings"].value()}
    return inputs["B"].with_channels(made)


def _remove(node: Any, above: Above) -> Picture:
    picture = passed(node, above)
    named = _chosen_channels(node, "channels", picture)
    if node["operation"].value() == "keep":
        return picture.only(named)
    return picture.only(set(picture.channels) - set(named))


def _constant(node: Any, above: Above) -> Picture:
    size = node["format"].value()
    names = _layers.meant(str(node["channels"].value()))
    shape = (size.height(), size.width())
    planes = {
        name: np.full(shape, value, np.float32) for name, value in zip(names, node["color"].value(), strict=False)
    }
    return Picture(size.width(), size.height(), planes)


def _multiply(node: Any, above: Above) -> Picture:
    picture, factor = passed(node, above), np.float32(node["value"].value())
    wanted = [each for each in _chosen_channels(node, "channels", picture) if each in picture.channels]
    return picture.with_channels({each: picture.channels[each] * factor for each in wanted})


OPERATIONS: dict[str, Callable[[Any, Above], Picture]] = {
    "Switch": _switch,
    "Premult": _premult,
    "Unpremult": _unpremult,
    "Copy": _copy,
    "Shuffle": _shuffle,
    "Shuffle2": _shuffle2,
    "Remove": _remove,
    "Constant": _constant,
    "Merge2": _merge.merged,
    "Reformat": _reformat.reformatted,
    "Transform": _transform.transformed,
    "Multiply": _multiply,
}
