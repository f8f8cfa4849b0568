"""Pulldowns."""

# ruff: noqa: N801, N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke import _gui, _tcl
from nuke._knobs_array import Unsigned_Knob


class Enumeration_Knob(Unsigned_Knob):
    """One of several words."""

    number = 4

    def __init__(self, name: str, label: str | None = None, items: Any = (), *_: Any) -> None:
        """A pulldown that offers `items` and is at the first."""
        self._items = [str(item) for item in items or ()]
        super().__init__(name, label)

    def values(self) -> list[str]:
        """The words."""
        return list(self._items)

    def setValues(self, items: list[str]) -> None:
        """Sets the words. The knob stays at the same place of the list, or goes to the first."""
        if isinstance(items, str) or not all(isinstance(item, str) for item in items):
            raise TypeError(f"setValues() argument 1 must be a list of str, got {items!r}")
        self._items = list(items)
        if self._value[0] >= len(self._items):
            self._value = [0]

    def numValues(self) -> int:
        """How many words there are."""
        return len(self._items)

    def enumName(self, number: int) -> str:
        """A word."""
        return self._items[number]

    def value(self, *_: Any) -> Any:
        """The word that it is at."""
        index = int(self._numbers()[0])
        return self._items[max(0, min(index, len(self._items) - 1))] if self._items else "0"

    def _checked(self, value: Any) -> Any:
        if isinstance(value, str):
            if value not in self._items:
                raise TypeError(f"{self._name} has no {value!r} among {self._items}")
            return [self._items.index(value)]
        index = int(super()._checked(value)[0])
        if index >= len(self._items):
            raise TypeError(f"{self._name} has {len(self._items)} words, got {value!r}")
        return [index]

    def _one(self, number: float) -> str:
        return _tcl.quoted(self._items[int(number)]) if int(number) < len(self._items) else str(int(number))

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """Its word, or its expression in braces."""
        return super().toScript(quote) if self._expressions or quote else str(self.value())

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says: a word, a number, or an expression in braces."""
        if script in self._items:
            self._put([self._items.index(script)])
        elif script.startswith("{"):
            super().fromScript(script)
        else:
            self._put_number(script)

    def _put_number(self, script: str) -> None:
        if script.isdigit() and int(script) < max(1, len(self._items)):
            self._put([int(script)])
        else:
            _gui.error(f"Bad value for {self._name} : {script}")  # and Nuke goes on


class EditableEnumeration_Knob(Enumeration_Knob):
    """A pulldown into which words may be typed."""


class CascadingEnumeration_Knob(Enumeration_Knob):
    """A pulldown with submenus."""


class Pulldown_Knob(Enumeration_Knob):
    """A pulldown whose words run something."""


class Radio_Knob(Enumeration_Knob):
    """Buttons of which one is on."""


class OneView_Knob(Enumeration_Knob):
    """One view."""


class MultiView_Knob(Enumeration_Knob):
    """Some of the views, as a text with spaces between them."""

    def _empty(self) -> Any:
        return ""

    def _checked(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"{self._name}.setValue() argument 1 must be str, not {type(value).__name__}")
        return value

    def value(self, *_: Any) -> Any:
        """The views."""
        return self._value

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """The views."""
        return _tcl.quoted(str(self._value)) if quote else str(self._value)

    def fromScript(self, script: str) -> None:
        """Makes it hold the views of a script."""
        self._put(script)
