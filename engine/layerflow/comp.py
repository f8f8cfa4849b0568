"""What an artist does with layers that are there: hides, fades, moves, scales and reorders them.

Nothing is made anew, and no arithmetic with alpha is here: that is in `layers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerflow import layers, window
from layerflow.errors import RequestError
from layerflow.layers import LayerStack, PictureFormat, Pixels
from layerflow.wire.exr_layers import is_layer_name

MIN_SCALE, MAX_SCALE = 0.01, 100.0
MAX_OFFSET = 1e6  # pixels; further away than any picture is wide

_BLENDED, _RESIDUAL = "blended", "residual"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What is done with one layer: scaled about the middle of the display window, then moved, then faded."""

    name: str
    visible: bool = True
    opacity: float = 1.0  # 0 to 1, a factor of alpha
    offset_x: float = 0.0  # pixels, to the right
    offset_y: float = 0.0  # pixels, downward
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not is_layer_name(self.name):
            raise ValueError(f"name must be that of a layer, got {self.name!r}")
        if not isinstance(self.visible, bool):
            raise ValueError(f"visible of {self.name} must be true or false, got {self.visible!r}")
        ranges = {"opacity": (0.0, 1.0), "scale": (MIN_SCALE, MAX_SCALE)}
        for key in ("opacity", "offset_x", "offset_y", "scale"):
            value, (low, high) = getattr(self, key), ranges.get(key, (-MAX_OFFSET, MAX_OFFSET))
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                raise ValueError(f"{key} of {self.name} must be a number from {low:g} to {high:g}, got {value!r}")

    @property
    def is_shown(self) -> bool:
        """Whether anything of the layer can be seen."""
        return self.visible and self.opacity > 0

    @property
    def is_in_place(self) -> bool:
        """Whether the layer lies where it was made."""
        return (self.offset_x, self.offset_y, self.scale) == (0, 0, 1)

    @property
    def is_untouched(self) -> bool:
        """Whether the layer is as it was made."""
        return self.visible and self.opacity == 1 and self.is_in_place


@dataclass(frozen=True, kw_only=True)
class Comp:
    """Layers from front to back. Those of a shot that it does not name lie below, as they are."""

    layers: tuple[Placement, ...] = ()

    def __post_init__(self) -> None:
        names = [placement.name for placement in self.layers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"a comp has each layer once, got {', '.join(twice)} more than once")

    @classmethod
    def from_dict(cls, values: Any) -> Comp:
        """The comp in `values`, as JSON has it; raises ValueError."""
        if not isinstance(values, Mapping) or set(values) != {"layers"} or not isinstance(values["layers"], list):
            raise ValueError('a comp is {"layers": […]}, front to back')
        return cls(layers=tuple(map(_placement, values["layers"])))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"layers": [{field.name: getattr(one, field.name) for field in fields(one)} for one in self.layers]}

    def in_order(self, stack: LayerStack) -> tuple[Placement, ...]:
        """Every layer that `stack`'s picture consists of, from front to back. RequestError names one it has not."""
        if strange := [one.name for one in self.layers if one.name not in (*stack.layers, _BLENDED, _RESIDUAL)]:
            there = ", ".join(name for name in stack.layers if name != _BLENDED)
            raise RequestError(f"the comp names a layer {strange[0]} and there is {there}; correct its name")
        own = _own_order(stack)
        named = tuple(one for one in self.layers if one.name in own)
        return (*named, *(Placement(name=name) for name in own if name not in {one.name for one in named}))

    def changes(self, stack: LayerStack) -> bool:
        """Whether the picture of `stack` is another one in this comp."""
        order = self.in_order(stack)
        residual = any(one.name == _RESIDUAL in stack.layers and not one.is_untouched for one in self.layers)
        is_own_order = tuple(one.name for one in order) == _own_order(stack)
        return residual or not is_own_order or not all(one.is_untouched for one in order)


def read_comp(path: Path) -> Comp:
    """The comp that a JSON file describes. Raises RequestError."""
    try:
        return Comp.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); give the JSON file of a comp") from error
    except RecursionError as error:
        raise RequestError(f"{path} is nested too deeply; give the JSON file of a comp") from error
    except json.JSONDecodeError as error:
        raise RequestError(f"{path} is no JSON ({error.msg} in line {error.lineno}); write it anew") from error
    except ValueError as error:  # a rule that it breaks, or text that is no text
        raise RequestError(f"{path}: {error}") from error


def _placement(values: Any) -> Placement:
    known = [field.name for field in fields(Placement)]
    if not isinstance(values, Mapping) or "name" not in values:
        raise ValueError(f"every layer of a comp is an object with a name, got {values!r:.60}")
    if strange := sorted(set(values) - set(known)):
        raise ValueError(f"{strange[0]!r:.40} is nothing that a comp says of a layer; it says {', '.join(known)}")
    return Placement(**values)


def _own_order(stack: LayerStack) -> tuple[str, ...]:
    """The layers that `layers.recompose` lays over each other, from front to back."""
    return (*stack.foregrounds, *(("background",) if "background" in stack.layers else ()))


def comped(stack: LayerStack, comp: Comp) -> LayerStack:
    """`stack` as the comp has it, with the picture that it makes as `blended`; the stack itself where nothing changes.

    What is hidden is left out. So is the residual: it is what those layers lack in that place and order, and belongs to
    no other picture. A layer that was moved, scaled or faded has alpha. Raises RequestError where nothing is left.
    """
    if not comp.changes(stack):
        return stack
    shown = [one for one in comp.in_order(stack) if one.is_shown]
    if not shown:
        raise RequestError("every layer is hidden; show at least one")
    placed = {one.name: placed_layer(stack.layers[one.name], one, stack.format) for one in shown}
    replaced = {_BLENDED, _RESIDUAL, *_own_order(stack)}
    others = {name: pixels for name, pixels in stack.layers.items() if name not in replaced}
    picture = layers.stacked(list(placed.values()))
    form = replace(stack.format, data_window=stack.format.overscan)  # what was moved lies anywhere
    return replace(stack, layers={**placed, **others, _BLENDED: picture}, format=form)


def placed_layer(pixels: Pixels, placement: Placement, form: PictureFormat) -> Pixels:  # [F, H, W, 3 | 4]
    """A layer that fills `form`'s working window where the comp puts it; itself where it is untouched.

    Sampled bilinearly as premultiplied colour, transparent outside of its window. A move by whole pixels keeps bits.
    """
    if placement.is_in_place and placement.opacity == 1:
        return pixels
    rgba = layers.with_opaque_alpha(pixels)
    if not placement.is_in_place:
        rgba = np.stack([_moved(frame, placement, form) for frame in rgba])
    return layers.faded(rgba, placement.opacity) if placement.opacity != 1 else rgba


def _moved(rgba: Pixels, placement: Placement, form: PictureFormat) -> Pixels:  # [H, W, 4]
    x, y, width, height = form.working_window
    if placement.scale == 1 and float(placement.offset_x).is_integer() and float(placement.offset_y).is_integer():
        across, down = int(placement.offset_x), int(placement.offset_y)
        return window.reframe(rgba, (x + across, y + down, width, height), form.working_window)
    rows = _taps(height, y, form.y + form.height / 2, placement.offset_y, placement.scale)
    columns = _taps(width, x, form.x + form.width / 2, placement.offset_x, placement.scale)
    premultiplied = layers.premultiply(rgba)
    return layers.unpremultiply(_sampled(_sampled(premultiplied, rows, 0), columns, 1))


Taps = tuple[NDArray[np.intp], NDArray[np.intp], Pixels, Pixels]  # two places and what each weighs


def _taps(count: int, start: int, middle: float, offset: float, scale: float) -> Taps:
    """For `count` pixels from `start` on, which two they lie between before they were scaled and moved."""
    at = (start + np.arange(count) + 0.5 - middle - offset) / scale + middle - 0.5 - start
    low = np.clip(np.floor(at), -2, count)  # what is outside stays outside, and is a number
    share = np.where((at >= -1) & (at < count), at - low, 0.0)
    places = low.astype(np.intp)
    weights = ((1 - share) * _inside(places, count), share * _inside(places + 1, count))
    clipped = (np.clip(places, 0, count - 1), np.clip(places + 1, 0, count - 1))
    return (*clipped, weights[0].astype(np.float32), weights[1].astype(np.float32))


def _inside(places: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    return (places >= 0) & (places < count)


def _sampled(pixels: Pixels, taps: Taps, axis: int) -> Pixels:  # [H, W, 4]
    low, high, low_weight, high_weight = taps
    shape = tuple(-1 if each == axis else 1 for each in range(3))
    first = np.take(pixels, low, axis) * low_weight.reshape(shape)
    return first + np.take(pixels, high, axis) * high_weight.reshape(shape)
