"""A node's knobs as the text of a script."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke import _flags, _knobs_text, _tcl, _user_knobs
from nuke._guard import Guarded
from nuke._knob import Knob

_ALWAYS = ("name", "xpos", "ypos")
_IN_DEFINITION = (_knobs_text.Script_Knob, _knobs_text.Text_Knob, _knobs_text.Tab_Knob, _knobs_text.Link_Knob)


class Written(Guarded):
    """Writes and reads knobs."""

    _knobs: dict[str, Any]
    _class: str

    def _is_written(self, knob: Knob) -> bool:
        if not knob.is_value or knob._flags & _flags.DO_NOT_WRITE or isinstance(knob, _IN_DEFINITION):
            return False
        return knob.notDefault() or (knob._name in _ALWAYS and self._class != "Root")

    def _knob_lines(self) -> list[str]:
        """Knobs that are not as at first, with the definitions of those that were added."""
        lines = []
        for knob in self._knobs.values():
            if knob._is_user:
                lines.append(_user_knobs.written(knob))
            if self._is_written(knob):
                lines.append(f"{_tcl.quoted(knob._name)} {knob.toScript(True)}")
        return lines

    def writeKnobs(self, flags: int = 0) -> str:
        """Its knobs: names, or with TO_SCRIPT or TO_VALUE a name and a value a line."""
        if flags & _flags.WRITE_USER_KNOB_DEFS and flags & _flags.TO_SCRIPT:
            return "\n".join(self._knob_lines())
        chosen = [knob for knob in self._knobs.values() if knob.is_value]
        if flags & _flags.WRITE_NON_DEFAULT_ONLY:
            chosen = [knob for knob in chosen if knob.notDefault()]
        if not flags & (_flags.TO_SCRIPT | _flags.TO_VALUE):
            return " ".join(knob._name for knob in chosen)
        return "\n".join(f"{_tcl.quoted(knob._name)} {knob.toScript(True)}" for knob in chosen)

    def readKnobs(self, text: str) -> None:
        """Sets, and adds, what a text says, as the body of a node in a script."""
        reader = _tcl.Words(text)
        while (name := reader.next()) is not None:
            value = reader.next()
            if value is None:
                raise RuntimeError(f"{name} needs a value")
            self._read_one(name, value)

    def _read_one(self, name: str, value: str) -> None:
        if name == "addUserKnob":
            knob = _user_knobs.made(value)
            if knob._name not in self._knobs or not knob._name:
                knob._is_user = True
                self._hold(knob)  # type: ignore[attr-defined]
        elif name == "name" and self._class != "Root":
            self.setName(value)  # type: ignore[attr-defined]
        elif name in self._knobs:
            self._knobs[name].fromScript(value)
        elif name != "inputs":
            raise RuntimeError(f"{self._class}: no such knob: {name}")
