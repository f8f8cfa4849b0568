"""The layers of a take from front to back: their order, which of them are seen, and the picture they make."""

from __future__ import annotations

import re
from collections.abc import Iterable

from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.picture import Picture, Placed, Shown

BACKGROUND, RESIDUAL, BLENDED = "background", "residual", "blended"
_NO_LAYERS = frozenset({BLENDED, "plate", RESIDUAL})  # pictures of everything, and what belongs to all layers

States = tuple[LayerState, ...]

_FOREGROUND = re.compile(r"foreground(\d*)")


def layer_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those of a clip's names that are layers, as the engine lays them: foregrounds by number, background last."""
    return tuple(sorted((name for name in set(names) if name not in _NO_LAYERS), key=_rank))


def layers_for(names: Iterable[str], states: States) -> States:
    """What is done with each layer of a clip with these names. Order and settings stay; a new one finds its place."""
    own = layer_names(names)
    kept = [state for state in states if state.name in own]
    for name in own:
        if all(state.name != name for state in kept):
            above = [place for place, state in enumerate(kept) if _rank(state.name) < _rank(name)]
            kept.insert(above[-1] + 1 if above else 0, LayerState(name=name))
    return tuple(kept)


def visible_names(states: States) -> tuple[str, ...]:
    """The layers that are seen: those that are soloed, where any is, else those whose eye is open."""
    soloed = tuple(state.name for state in states if state.solo)
    return soloed or tuple(state.name for state in states if state.visible)


def locked_names(states: States) -> tuple[str, ...]:
    """The layers that are kept when the rest is made anew, front to back."""
    return tuple(state.name for state in states if state.locked)


def is_placed(state: LayerState) -> bool:
    """Whether a layer is moved, scaled or thinned."""
    return (state.opacity, state.offset_x, state.offset_y, state.scale) != (1.0, 0.0, 0.0, 1.0)


def is_untouched(states: States) -> bool:
    """Whether the layers are as they were made: all seen, in their own order, none placed anew."""
    names = tuple(state.name for state in states)
    in_order = names == layer_names(names)
    return in_order and len(visible_names(states)) == len(names) and not any(map(is_placed, states))


def scene_layers(picture: Picture, states: States) -> Shown:
    """What is drawn of a picture's layers, front to back.

    A residual is what the untouched recomposition lacks of the plate; over anything else it would be wrong.
    """
    own = layers_for(picture.layers, states)
    seen = visible_names(own)
    placed = tuple(_placed(picture, state) for state in own if state.name in seen and state.opacity > 0)
    if RESIDUAL in picture.layers and own and is_untouched(own):
        placed = (Placed(picture.layers[RESIDUAL], adds=True), *placed)
    return Shown(placed, "comp")


def moved(states: States, name: str, place: int) -> States:
    """The layers with that one at `place`, counted from the front once it is taken out; at an end where beyond it."""
    own = [state for state in states if state.name == name]
    others = [state for state in states if state.name != name]
    at = min(max(place, 0), len(others))
    return (*others[:at], *own, *others[at:])


def moved_up(states: States, name: str) -> States:
    """The layers with that one a place nearer to the front."""
    return moved(states, name, place_of(states, name) - 1)


def moved_down(states: States, name: str) -> States:
    """The layers with that one a place farther back."""
    return moved(states, name, place_of(states, name) + 1)


def place_of(states: States, name: str) -> int:
    """Where a layer is, counted from the front. ValueError where there is none of that name."""
    return [state.name for state in states].index(name)


def put_back(state: LayerState) -> LayerState:
    """The layer as it was made; its lock stays."""
    return LayerState(name=state.name, locked=state.locked)


def all_put_back(states: States) -> States:
    """All layers as they were made, and in that order."""
    return tuple(sorted(map(put_back, states), key=lambda state: _rank(state.name)))


def what_is_made_anew(states: States) -> str:
    """What "Regenerate the rest" does, in words: "Keeps foreground. Makes background anew."; empty for no layers."""
    kept = [spoken(name) for name in locked_names(states)]
    made = [spoken(state.name) for state in states if not state.locked]
    if not states:
        return ""
    if not kept:
        return "Keeps nothing. Lock a layer to keep it."
    if not made:
        return f"Keeps {listed(kept)}. Unlock a layer to make it anew."
    return f"Keeps {listed(kept)}. Makes {listed(made)} anew."


def spoken(name: str) -> str:
    """A layer's name as one says it: "foreground 2"."""
    return re.sub(r"(?<=[A-Za-z])(?=\d+\Z)", " ", name).replace("_", " ")


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _rank(name: str) -> tuple[int, int, str]:
    foreground = _FOREGROUND.fullmatch(name)
    if foreground:
        return 0, int(foreground.group(1) or 1), name
    return (2 if name == BACKGROUND else 1), 0, name


def _placed(picture: Picture, state: LayerState) -> Placed:
    return Placed(picture.layers[state.name], state.opacity, state.offset_x, state.offset_y, state.scale)
