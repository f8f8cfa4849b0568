"""Knobs that were added to a node, as scripts say them: addUserKnob {NUMBER NAME OPTIONS}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nuke import _flags, _tcl
from nuke import _knobs_array as array
from nuke import _knobs_choice as choice
from nuke import _knobs_text as text
from nuke._knobs_number import Array_Knob

if TYPE_CHECKING:
    from nuke._knob import Knob

_CLASSES: tuple[Any, ...] = (
    text.String_Knob,
    text.File_Knob,
    text.Multiline_Eval_String_Knob,
    text.PyScript_Knob,
    text.Script_Knob,
    text.Text_Knob,
    text.Tab_Knob,
    text.Link_Knob,
    array.Int_Knob,
    array.Double_Knob,
    array.Boolean_Knob,
    array.XY_Knob,
    array.XYZ_Knob,
    array.WH_Knob,
    array.BBox_Knob,
    array.Color_Knob,
    array.AColor_Knob,
    choice.Enumeration_Knob,
)
_BY_NUMBER = {cls.number: cls for cls in _CLASSES}
# Of these a script says both +STARTLINE and -STARTLINE, for their first state is another in older versions.
_SAYS_STARTLINE = (6, 22, 32)


def written(knob: Knob) -> str:
    """The line that makes a knob, its words in the order of Nuke."""
    parts = [str(knob.number), _tcl.quoted(knob._name)]
    if knob._label is not None and knob._label != knob._name:
        parts += ["l", _tcl.quoted(knob._label)]
    if knob._tooltip:
        parts += ["t", _tcl.quoted(knob._tooltip)]
    start = _start_of_line(knob)
    is_last = start == "+STARTLINE" and knob.number in _SAYS_STARTLINE
    parts += [start] if start and not is_last else []
    parts += [f"+{word}" for word, flag in _flags.WRITTEN_FLAGS.items() if knob._flags & flag and word != "STARTLINE"]
    parts += _details(knob) + ([start] if is_last else [])
    return "addUserKnob {" + " ".join(parts) + "}"


def _start_of_line(knob: Knob) -> str:
    """What a line says about where the knob begins; empty where that goes without saying."""
    is_on, was_on = bool(knob._flags & _flags.STARTLINE), bool(knob.first_flags & _flags.STARTLINE)
    has_empty_label = knob._label == "" and bool(knob._name)  # which Nuke puts on the line before, unless told
    if is_on == was_on and not has_empty_label and knob.number not in _SAYS_STARTLINE:
        return ""
    return "+STARTLINE" if is_on else "-STARTLINE"


def _details(knob: Any) -> list[str]:
    if isinstance(knob, choice.Enumeration_Knob):
        return ["M", _tcl.listed(knob.values())]
    if isinstance(knob, Array_Knob) and knob._range != (0.0, 1.0):
        return ["R", *(f"{end:g}" for end in knob._range)]
    if isinstance(knob, (text.Script_Knob, text.Text_Knob, text.Link_Knob)):
        return ["T", _tcl.quoted(knob._value)] if knob._value else []
    return ["n", str(knob._kind)] if isinstance(knob, text.Tab_Knob) and knob._kind else []


def made(definition: str) -> Knob:
    """The knob that a line makes. RuntimeError for a number that the stand-in does not know."""
    number, name, *rest = _tcl.words(definition)
    if int(number) not in _BY_NUMBER:
        raise RuntimeError(f"addUserKnob {{{number} {name}}}: the stand-in has no knobs of that number")
    knob: Any = _BY_NUMBER[int(number)](name)
    while rest:
        rest = _with_option(knob, rest)
    return knob  # type: ignore[no-any-return]


def _with_option(knob: Any, words: list[str]) -> list[str]:
    """Sets one option; what is left of the words."""
    option = words[0]
    if option[:1] in "+-" and option[1:]:
        flag = _flags.WRITTEN_FLAGS.get(option[1:], 0)
        knob._flags = knob._flags | flag if option[0] == "+" else knob._flags & ~flag
        return words[1:]
    if option == "R":
        knob.setRange(float(words[1]), float(words[2]))
        return words[3:]
    if option == "l":
        knob._label = words[1]
        knob._flags &= ~_flags.STARTLINE if not words[1] else -1
    elif option == "t":
        knob._tooltip = words[1]
    elif option == "M":
        knob.setValues(_tcl.words(words[1]))
    elif option == "n":
        knob._kind = int(words[1])
    elif option == "T":
        knob._value = knob._default = words[1]
    else:
        raise RuntimeError(f"addUserKnob: the stand-in does not know {option!r}")
    return words[2:]
