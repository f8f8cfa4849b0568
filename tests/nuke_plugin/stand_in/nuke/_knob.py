"""What every knob can do."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from nuke import _callbacks, _flags, _tcl
from nuke._guard import Guarded
from nuke._state import state

if TYPE_CHECKING:
    from nuke._node import Node


class Knob(Guarded):
    """A value of a node, with a name and a label."""

    number: ClassVar[int] = 0  # of addUserKnob
    first_flags: ClassVar[int] = _flags.STARTLINE
    is_value: ClassVar[bool] = True  # whether a script says what it holds

    def __init__(self, name: str, label: str | None = None, *_: Any) -> None:
        """A knob that is not on a node yet."""
        if not isinstance(name, str):
            raise TypeError(f"a knob's name must be a string, got {name!r}")
        self._name, self._label, self._tooltip = name, label, ""
        self._flags = self.first_flags
        self._node: Node | None = None
        self._is_user = False
        self._default: Any = self._empty()
        self._value: Any = self._empty()
        self._expressions: dict[int, str] = {}

    def _empty(self) -> Any:
        return ""

    def __repr__(self) -> str:
        """Its class and name."""
        return f"<{self.Class()} {self._name}>"

    def Class(self) -> str:
        """The name of its class."""
        return type(self).__name__

    def name(self) -> str:
        """The name by which scripts find it."""
        return self._name

    def setName(self, name: str) -> None:
        """Renames it."""
        node = self._node
        self._name = name
        if node is not None:
            node._renamed_knob(self)

    def label(self) -> str:
        """What the panel shows beside it."""
        return self._name if self._label is None else self._label

    def setLabel(self, label: str) -> None:
        """Sets what the panel shows beside it."""
        self._label = label

    def tooltip(self) -> str:
        """Its help."""
        return self._tooltip

    def setTooltip(self, tooltip: str) -> None:
        """Sets its help."""
        self._tooltip = tooltip

    def node(self) -> Node | None:
        """The node that it is on."""
        return self._node

    def fullyQualifiedName(self, channel: int = -1) -> str:
        """Its name behind that of its node."""
        return self._name if self._node is None else f"{self._node.fullName()}.{self._name}"

    def getFlag(self, flag: int) -> bool:
        """Whether it has a flag."""
        return bool(self._flags & flag)

    def setFlag(self, flag: int) -> None:
        """Gives it a flag."""
        self._flags |= flag

    def clearFlag(self, flag: int) -> None:
        """Takes a flag from it."""
        self._flags &= ~flag

    def enabled(self) -> bool:
        """Whether it is not greyed out."""
        return not self._flags & _flags.DISABLED

    def setEnabled(self, enabled: bool) -> None:
        """Greys it out or not."""
        self._flags = self._flags & ~_flags.DISABLED if enabled else self._flags | _flags.DISABLED

    def visible(self) -> bool:
        """Whether the panel shows it."""
        return not self._flags & (_flags.INVISIBLE | _flags.HIDDEN)

    def setVisible(self, visible: bool) -> None:
        """Shows it or not. INVISIBLE, which is for ever, stays."""
        self._flags = self._flags & ~_flags.HIDDEN if visible else self._flags | _flags.HIDDEN

    def value(self, *_: Any) -> Any:
        """What it holds."""
        return self._value

    def getValue(self, *_: Any) -> Any:
        """What it holds."""
        return self.value()

    def setValue(self, value: Any, *_: Any) -> bool:
        """Whether it holds that now. TypeError where it cannot."""
        return self._put(self._checked(value))

    def _checked(self, value: Any) -> Any:
        """`value` as the knob holds it."""
        return value

    def _put(self, value: Any) -> bool:
        """Holds a value that was checked, and says so to callbacks where that is another one."""
        self._expressions.clear()
        if value != self._value or type(value) is not type(self._value):
            self._value = value
            self._changed()
        return True

    def _changed(self) -> None:
        state.is_modified = state.is_modified or not state.is_loading
        if self._node is not None:
            self._node._knob_was_set(self)
            _callbacks.knob_changed(self._node, self)

    def setExpression(self, expression: str, channel: int = -1, view: str | None = None) -> bool:
        """Whether its value is that of an expression from now on; -1 is all its channels."""
        for index in range(self._num_channels()) if channel < 0 else (channel,):
            self._expressions[index] = expression
        self._changed()
        return True

    def hasExpression(self, index: int = -1) -> bool:
        """Whether a channel, or any, has an expression."""
        return bool(self._expressions) if index < 0 else index in self._expressions

    def isAnimated(self, *_: Any) -> bool:
        """Whether its value depends on the frame."""
        return bool(self._expressions)

    def clearAnimated(self, *_: Any) -> bool:
        """Keeps the value of now, without animation or expression."""
        self._expressions.clear()
        return True

    def _num_channels(self) -> int:
        return 1

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """What it holds, in the syntax of scripts; with `quote` as one word of it."""
        return _tcl.quoted(str(self._value)) if quote else str(self._value)

    def fromScript(self, script: str) -> None:
        """Makes it hold what a script says."""
        self._put(script)

    def notDefault(self) -> bool:
        """Whether it holds something else than at first."""
        return bool(self._expressions) or self._value != self._default

    def _holds_at_first(self, value: Any) -> None:
        """Makes a value the one of every new node of a class."""
        self._default = self._value = value
