"""The kinds of knobs that hold numbers."""

# ruff: noqa: N801, N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke._knobs_number import Array_Knob


class Double_Knob(Array_Knob):
    """A number with a slider."""

    number = 7


class Int_Knob(Array_Knob):
    """A whole number."""

    number = 3

    def _number(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{self._name}.setValue() argument 1 must be int, not {type(value).__name__}")
        if not -(2**31) <= value < 2**31:
            raise OverflowError(f"{self._name}: signed integer is out of range, got {value!r}")
        return int(value)

    def _empty(self) -> Any:
        return [0] * self._size

    def value(self, *_: Any) -> Any:
        """The whole number."""
        return int(self._numbers()[0])

    def _one(self, number: float) -> str:
        return str(int(number))


class Unsigned_Knob(Array_Knob):
    """A whole number from 0 on."""

    def _empty(self) -> Any:
        return [0]

    def _number(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{self._name}.setValue() argument 1 must be int, not {type(value).__name__}")
        return int(value) & 0xFFFFFFFF

    def value(self, *_: Any) -> Any:
        """The whole number."""
        return int(self._numbers()[0])

    def _one(self, number: float) -> str:
        return str(int(number))


class ColorChip_Knob(Unsigned_Knob):
    """A colour of the interface, as 0xRRGGBBAA; 0 is the usual one."""

    def _one(self, number: float) -> str:
        return f"{int(number):#x}" if number else "0"


class Boolean_Knob(Array_Knob):
    """True or false."""

    number = 6
    first_flags = 0

    def __init__(self, name: str, label: str | None = None, value: Any = False, *_: Any) -> None:
        """A check box that is at `value`."""
        super().__init__(name, label)
        self._value = self._checked(value or False)

    def _empty(self) -> Any:
        return [0]

    def _number(self, value: Any) -> float:
        if not isinstance(value, (bool, int, float)):
            raise TypeError(f"{self._name}.setValue() argument 1 must be bool, not {type(value).__name__}")
        return int(bool(value))

    def value(self, *_: Any) -> Any:
        """Whether it is on."""
        return bool(self._numbers()[0])

    def _one(self, number: float) -> str:
        return "true" if number else "false"

    def _from_word(self, text: str) -> float:
        return int(text.lower() not in ("0", "false", "off", "no"))


class Disable_Knob(Boolean_Knob):
    """Whether a node lets its first input through as it is."""


class XY_Knob(Array_Knob):
    """A point in the picture."""

    number, size = 12, 2

    def x(self, *_: Any) -> float:
        """Across."""
        return self._numbers()[0]

    def y(self, *_: Any) -> float:
        """Up."""
        return self._numbers()[1]


class XYZ_Knob(XY_Knob):
    """A point in space."""

    number, size = 13, 3

    def z(self, *_: Any) -> float:
        """Towards the camera."""
        return self._numbers()[2]


class WH_Knob(XY_Knob):
    """A width and a height."""

    number, size = 14, 2


class Color_Knob(Array_Knob):
    """A red, a green and a blue."""

    number, size = 18, 3


class AColor_Knob(Color_Knob):
    """A colour with alpha."""

    number, size = 19, 4


class BBox_Knob(Array_Knob):
    """A rectangle: left, bottom, right and top."""

    number, size = 15, 4

    def x(self, *_: Any) -> float:
        """The left edge."""
        return self._numbers()[0]

    def y(self, *_: Any) -> float:
        """The bottom edge."""
        return self._numbers()[1]

    def r(self, *_: Any) -> float:
        """The right edge."""
        return self._numbers()[2]

    def t(self, *_: Any) -> float:
        """The top edge."""
        return self._numbers()[3]

    def setX(self, value: float, *_: Any) -> None:
        """Sets the left edge."""
        self.setValue(value, 0)

    def setY(self, value: float, *_: Any) -> None:
        """Sets the bottom edge."""
        self.setValue(value, 1)

    def setR(self, value: float, *_: Any) -> None:
        """Sets the right edge."""
        self.setValue(value, 2)

    def setT(self, value: float, *_: Any) -> None:
        """Sets the top edge."""
        self.setValue(value, 3)

    def fromDict(self, box: dict[str, float]) -> None:
        """Sets all edges."""
        self.setValue([box[edge] for edge in "xyrt"])

    def toDict(self) -> dict[str, float]:
        """All edges."""
        return dict(zip("xyrt", self._numbers(), strict=True))
