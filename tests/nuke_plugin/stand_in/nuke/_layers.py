"""Layers and channels that the script knows."""

from __future__ import annotations

from typing import Any

from nuke._guard import Guarded, main_thread_only
from nuke._state import FIRST_LAYERS, state

_ALWAYS = frozenset(FIRST_LAYERS)


def meant(text: str) -> tuple[str, ...]:
    """The channels that the text of a knob means; `all` stays one word, a channel with - before it is none."""
    found: list[str] = []
    for word in text.split():
        if word in state.layers:
            found += state.layers[word]
        elif word != "none" and not word.startswith("-"):
            found.append(word)
    return tuple(dict.fromkeys(found))


def place(channel: str) -> int:
    """Where a channel is in its layer."""
    layer, _, name = channel.partition(".")
    known = state.layers.get(layer, ())
    usual = ("red", "green", "blue", "alpha")
    return known.index(channel) if channel in known else usual.index(name) if name in usual else 0


def add(name: str, channels: tuple[str, ...]) -> None:
    """Makes a layer known, or further channels of one that is."""
    before = state.layers.get(name, ())
    state.layers[name] = tuple(dict.fromkeys((*before, *channels)))


def own_layers() -> dict[str, tuple[str, ...]]:
    """The layers that Nuke does not have by itself, which scripts have to say."""
    return {name: channels for name, channels in state.layers.items() if name not in _ALWAYS}


class Layer(Guarded):
    """A layer, which is made known where it is not."""

    def __init__(self, name: str, channels: Any = ()) -> None:
        """The layer of that name, with those channels."""
        if not isinstance(name, str) or not name or "." in name or " " in name:
            raise ValueError(f"a layer needs a name without dots and spaces, got {name!r}")
        self._name = name
        add(name, tuple(channel if "." in channel else f"{name}.{channel}" for channel in channels))

    def name(self) -> str:
        """Its name."""
        return self._name

    def channels(self) -> list[str]:
        """Its channels."""
        return list(state.layers[self._name])

    def visible(self) -> bool:
        """Whether menus show it."""
        return True


@main_thread_only
def layers(node: Any = None) -> list[str]:
    """The layers that the script knows, or that are in the picture of a node."""
    if node is None:
        return list(state.layers)
    there = node.channels()
    return list(dict.fromkeys(channel.partition(".")[0] for channel in there))


@main_thread_only
def channels(node: Any = None) -> list[str]:
    """The channels that the script knows, or that are in the picture of a node."""
    if node is not None:
        return list(node.channels())
    return list(dict.fromkeys(channel for each in state.layers.values() for channel in each))
