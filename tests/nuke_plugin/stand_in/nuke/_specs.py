"""What each class of nodes has: its inputs and its knobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nuke import _knobs_array as array
from nuke import _knobs_channel as channel
from nuke import _knobs_choice as choice
from nuke import _knobs_text as text
from nuke._knob import Knob

Make = Callable[[], Knob]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A class of nodes."""

    knobs: tuple[Make, ...] = ()
    min_inputs: int = 1
    max_inputs: int = 1
    mask: int | None = None  # the optional input, which scripts count apart
    name: str = ""  # what new nodes are called, without a number; empty: as the class
    is_executable: bool = False
    size: tuple[int, int] = (80, 18)  # on the screen


def _kind(cls: Any, name: str, default: Any = None, *more: Any) -> Make:
    def make() -> Knob:
        knob: Knob = cls(name, None, *more)
        if default is not None:
            knob._holds_at_first(knob._checked(default))
        return knob

    return make


def string(name: str, default: str = "") -> Make:
    """A text."""
    return _kind(text.String_Knob, name, default)


def evaluated(name: str, default: str = "") -> Make:
    """A text with brackets."""
    return _kind(text.EvalString_Knob, name, default)


def file(name: str) -> Make:
    """A path."""
    return _kind(text.File_Knob, name)


def whole(name: str, default: int = 0) -> Make:
    """A whole number."""
    return _kind(array.Int_Knob, name, default)


def real(name: str, default: float = 0.0) -> Make:
    """A number."""
    return _kind(array.Double_Knob, name, default)


def check(name: str, default: bool = False) -> Make:
    """True or false."""
    return _kind(array.Boolean_Knob, name, default)


def pulldown(name: str, default: str, *items: str) -> Make:
    """One of several words."""
    return _kind(choice.Enumeration_Knob, name, default, items)


def one_channel(name: str, default: str = "none") -> Make:
    """A channel."""
    return _kind(channel.Channel_Knob, name, default)


def some_channels(name: str, default: str) -> Make:
    """Several channels."""
    return _kind(channel.ChannelMask_Knob, name, default)


def size(name: str = "format") -> Make:
    """A Format."""
    return _kind(channel.Format_Knob, name)


def chip(name: str, default: int = 0) -> Make:
    """A colour of the interface."""
    return _kind(array.ColorChip_Knob, name, default)


def button(name: str) -> Make:
    """A button."""
    return _kind(text.BuiltInButton, name)


def python(name: str) -> Make:
    """Python text."""
    return _kind(text.PythonKnob, name)


def several(cls: Any, name: str, default: Any = None, *more: Any) -> Make:
    """A knob of any class."""
    return _kind(cls, name, default, *more)


COMMON: tuple[Make, ...] = (
    string("name"),
    string("help"),
    python("onCreate"),
    python("onDestroy"),
    python("knobChanged"),
    python("updateUI"),
    python("autolabel"),
    chip("tile_color"),
    chip("gl_color"),
    evaluated("label"),
    string("note_font", "Verdana"),
    real("note_font_size", 11),
    chip("note_font_color"),
    check("selected"),
    whole("xpos"),
    whole("ypos"),
    string("icon"),
    check("hide_input"),
    check("cached"),
    several(array.Disable_Knob, "disable"),
    check("dope_sheet"),
    check("postage_stamp"),
    check("bookmark"),
    string("indicators"),
)
