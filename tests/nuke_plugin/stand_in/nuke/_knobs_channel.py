"""Knobs that hold channels and formats, and the mappings of a Shuffle2."""

# ruff: noqa: N801, N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke import _formats, _layers, _tcl
from nuke._knob import Knob


class Channel_Knob(Knob):
    """One channel, or a layer where the class has layers, by name."""

    def _empty(self) -> Any:
        return "none"

    def _checked(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"{self._name}.setValue() argument 1 must be str, not {type(value).__name__}")
        return value or "none"

    def setValue(self, name: Any, *_: Any) -> None:  # type: ignore[override]
        """Sets it by name."""
        self._put(self._checked(name))

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says."""
        self._put(script or "none")

    def channels(self) -> tuple[str, ...]:
        """The channels that it means."""
        return _layers.meant(str(self._value))

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """Its channels, several of them in braces."""
        text = str(self._value)
        return "{" + text + "}" if quote and " " in text else text


class ChannelMask_Knob(Channel_Knob):
    """Several channels: all, none, a layer, or channels with spaces between them."""


class Format_Knob(Knob):
    """The size of a picture."""

    def _empty(self) -> Any:
        return None

    def _checked(self, value: Any) -> Any:
        if isinstance(value, _formats.Format):
            return value
        if isinstance(value, str):
            return _formats.named(value)
        raise TypeError(f"{self._name}.setValue() takes a Format or its name, got {value!r}")

    def value(self, *_: Any) -> Any:
        """The Format."""
        return _formats.root_format() if self._value is None else self._value

    def actualValue(self, *_: Any) -> Any:
        """The Format."""
        return self.value()

    def name(self, *_: Any) -> str:
        """The name of the knob."""
        return self._name

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """The Format as numbers and a name."""
        text = self.value()._written()
        return _tcl.quoted(text) if quote else text

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says."""
        self._put(_formats.from_text(script))


Mapping = tuple[int, str, str]  # which of in1 and in2, its channel, and the channel that it becomes


class Mappings_Knob(Knob):
    """Which channel of a Shuffle2 becomes which: a list of tuples; in a script a count and two triples each."""

    def _empty(self) -> Any:
        return []

    def _checked(self, value: Any) -> Any:
        return [self._one(entry) for entry in value]

    def _one(self, entry: Any) -> Mapping:
        pair = tuple(entry)
        full = (0, *pair) if len(pair) == 2 else pair
        if len(full) != 3 or not isinstance(full[0], int) or not all(isinstance(name, str) for name in full[1:]):
            raise TypeError(f"a mapping is (source, target) or (input, source, target), got {entry!r}")
        return full  # type: ignore[return-value]

    def value(self, *_: Any) -> Any:
        """(input, source, target) for each channel."""
        return list(self._value)

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """The mappings as a script says them."""
        words = [str(len(self._value))]
        for group, source, target in self._value:
            constant = source in ("black", "white")
            words += [source, *(("-1", "-1") if constant else (str(group), str(_layers.place(source))))]
            words += [target, "0", str(_layers.place(target))]
        text = " ".join(words)
        return _tcl.quoted(text) if quote else text

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says."""
        count, *words = script.split()
        found = [words[6 * i : 6 * i + 6] for i in range(int(count))]
        self._put([(max(0, int(each[1])), each[0], each[3]) for each in found])


class FromInput_Knob(Knob):
    """Which input of a Shuffle2 a layer is of: B, which is input 0, or A."""

    def _empty(self) -> Any:
        return "B"

    def _checked(self, value: Any) -> Any:
        if value not in ("A", "B"):
            raise TypeError(f"{self._name} is A or B, got {value!r}")
        return value

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """The number of the input and its letter."""
        text = "{%d} %s" % ("BA".index(self._value), self._value)  # noqa: UP031  # braces
        return "{" + text + "}" if quote else text

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says."""
        self._put(_tcl.words(script)[-1])
