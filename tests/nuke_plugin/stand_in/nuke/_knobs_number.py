"""Knobs that hold numbers, which an expression or keys may give."""

# ruff: noqa: N801, N802, N815  (Nuke's own names)

from __future__ import annotations

from typing import Any, ClassVar

from nuke import _expression, _paths, _tcl
from nuke._knob import Knob


def plain(number: float) -> str:
    """A number as scripts write it."""
    return f"{number:.10g}"


class Array_Knob(Knob):
    """One number or several."""

    number = 0
    size: ClassVar[int] = 1

    def __init__(self, name: str, label: str | None = None, size: Any = None, *_: Any) -> None:
        """A knob of so many numbers, all 0."""
        self._size = size if isinstance(size, int) and type(self) is Array_Knob else self.size
        self._keys: dict[int, dict[float, float]] = {}
        self._range = (0.0, 1.0)
        super().__init__(name, label)

    def _empty(self) -> Any:
        return [0.0] * self._size

    def _num_channels(self) -> int:
        return self._size

    def _number(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{self._name}: a float is required, got {value!r}")
        return float(value)

    def _checked(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(value) > self._size:
                raise TypeError(f"{self._name} holds {self._size} numbers, got {value!r}")
            return [self._number(each) for each in value] + self._value[len(value) :]
        return [self._number(value)] * self._size

    def setValue(self, value: Any, channel: int = -1, *_: Any) -> bool:
        """Whether a channel, or all, hold that now. TypeError where it is no number."""
        if channel >= 0:
            value = [*self._value[:channel], self._number(value), *self._value[channel + 1 :]]
        return self._put(self._checked(value))

    def _put(self, value: Any) -> bool:
        self._keys.clear()
        return super()._put(value)

    def setRange(self, low: float, high: float) -> None:
        """Sets the ends of the slider; values may go past them."""
        self._range = (float(low), float(high))

    def min(self) -> float:
        """The low end of the slider."""
        return self._range[0]

    def max(self) -> float:
        """The high end of the slider."""
        return self._range[1]

    def arraySize(self) -> int:
        """How many numbers it holds."""
        return self._size

    def defaultValue(self, channel: int = 0) -> float:
        """What a channel holds at first."""
        return float(self._default[channel])

    def setDefaultValue(self, values: list[float]) -> None:
        """Sets what it holds at first."""
        self._holds_at_first(self._checked(values))

    def _at(self, channel: int, frame: float) -> float:
        if channel in self._expressions and self._node is not None:
            return _expression.number(self._expressions[channel], self._node, frame)
        keys = self._keys.get(channel)
        return _between(keys, frame) if keys else float(self._value[channel])

    def _numbers(self, frame: float | None = None) -> list[float]:
        frame = _paths.current_frame() if frame is None and (self._keys or self._expressions) else frame or 0
        return [self._at(channel, frame) for channel in range(self._size)]

    def value(self, channel: Any = None, *_: Any) -> Any:
        """What it holds at this frame: a number, or a list where it holds several and no channel is asked for."""
        numbers = self._numbers()
        if channel is not None:
            return numbers[int(channel)]
        return numbers[0] if self._size == 1 else numbers

    def getValue(self, channel: Any = None, *_: Any) -> Any:
        """The numbers of this frame."""
        numbers = self._numbers()
        return numbers[int(channel)] if channel is not None else numbers[0] if self._size == 1 else numbers

    def getValueAt(self, frame: float, channel: int = -1, view: Any = None) -> Any:
        """The numbers of a frame."""
        numbers = self._numbers(frame)
        return numbers[channel] if channel >= 0 else numbers[0] if self._size == 1 else numbers

    valueAt = getValueAt

    def setValueAt(self, value: float, frame: float, channel: int = 0, view: Any = None) -> bool:
        """Whether a channel has that key now."""
        self._keys.setdefault(channel, {})[float(frame)] = self._number(value)
        self._changed()
        return True

    def setAnimated(self, channel: int = -1, *_: Any) -> bool:
        """Whether a channel, or all, take keys from now on."""
        for index in range(self._size) if channel < 0 else (channel,):
            self._keys.setdefault(index, {})
        return True

    def isAnimated(self, channel: int = -1, *_: Any) -> bool:
        """Whether a channel, or any, has keys or an expression."""
        animated = {*self._keys, *self._expressions}
        return bool(animated) if channel < 0 else channel in animated

    def clearAnimated(self, *_: Any) -> bool:
        """Keeps the numbers of this frame, without keys or expressions."""
        numbers = self._numbers()
        self._keys.clear()
        self._expressions.clear()
        self._value = self._checked(numbers)
        return True

    def notDefault(self) -> bool:
        """Whether it holds something else than at first."""
        return bool(self._keys) or super().notDefault()

    def _written(self, channel: int) -> str:
        if channel in self._expressions:
            return "{" + _tcl.quoted(self._expressions[channel]) + "}"
        if channel in self._keys:
            keys = " ".join(f"x{plain(x)} {plain(y)}" for x, y in sorted(self._keys[channel].items()))
            return "{" + f"curve {keys}".strip() + "}"
        return self._one(float(self._value[channel]))

    def _one(self, number: float) -> str:
        return plain(number)

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """Its numbers, keys and expressions, as a script says them."""
        parts = [self._written(channel) for channel in range(self._size)]
        if len(set(parts)) == 1 and not (self._keys or self._expressions):
            return parts[0]
        text = " ".join(parts)
        return "{" + text + "}" if quote else text

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says."""
        parts = _tcl.Words(script)
        found: list[str] = []
        is_braced = []
        while (part := (is_braced.append(_begins_brace(parts)), parts.next())[1]) is not None:
            found.append(part)
        numbers = list(self._value)
        self._keys.clear()
        expressions: dict[int, str] = {}
        if len(found) == 1 and not is_braced[0]:
            found, is_braced = found * self._size, is_braced * self._size
        for channel, text in enumerate(found[: self._size]):
            if not is_braced[channel]:
                numbers[channel] = self._from_word(text)
            elif text.startswith("curve"):
                self._keys[channel] = _keys_of(text)
            else:
                expressions[channel] = _tcl.words(text)[0]
        self._put_all(numbers, expressions)

    def _put_all(self, numbers: list[float], expressions: dict[int, str]) -> None:
        keys = dict(self._keys)
        self._put(numbers)
        self._keys.update(keys)
        self._expressions.update(expressions)

    def _from_word(self, text: str) -> float:
        try:
            return self._number(float(int(text, 16)) if text.startswith("0x") else float(text))
        except ValueError as error:
            raise RuntimeError(f"{self._name}: expected a number, got {text!r}") from error


def _begins_brace(reader: _tcl.Words) -> bool:
    reader._skip_space()
    return reader._text[reader._at : reader._at + 1] == "{"


def _keys_of(text: str) -> dict[float, float]:
    """The keys of {curve x1 0 x10 1}; a value without an x is that of the next frame."""
    keys: dict[float, float] = {}
    frame = 0.0
    for word in text.split()[1:]:
        if word.startswith("x"):
            frame = float(word[1:])
        elif word[0] in "-.0123456789":
            keys[frame] = float(word)
            frame += 1
    return keys


def _between(keys: dict[float, float], frame: float) -> float:
    """The value at a frame, on a straight line between the keys around it. Nuke draws a smooth curve there."""
    before = [x for x in keys if x <= frame]
    after = [x for x in keys if x >= frame]
    if not before or not after:
        return keys[min(keys) if not before else max(keys)]
    left, right = max(before), min(after)
    share = 0.0 if left == right else (frame - left) / (right - left)
    return keys[left] + share * (keys[right] - keys[left])
