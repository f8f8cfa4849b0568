"""Knobs that hold a text, buttons, and knobs that hold nothing."""

# ruff: noqa: N801, N802  (Nuke's own names)

from __future__ import annotations

from typing import Any

from nuke import _brackets, _callbacks, _paths, _tcl
from nuke._knob import Knob
from nuke._state import state


class String_Knob(Knob):
    """A text."""

    number = 1

    def _checked(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"{self._name}.setValue() argument 1 must be str, not {type(value).__name__}")
        return value

    def getText(self, oc: Any = None) -> str:
        """The text as it was typed."""
        return str(self._value)

    def setText(self, text: str, view: Any = None) -> None:
        """Sets the text."""
        self.setValue(text)


class EvalString_Knob(String_Knob):
    """A text with expressions in brackets."""

    def evaluate(self, time: Any = None) -> str | None:
        """The text with what is in brackets worked out; None where it is empty."""
        return _brackets.worked_out(str(self._value), self._node) or None


class Multiline_Eval_String_Knob(EvalString_Knob):
    """A text of several lines."""

    number = 43


class File_Knob(EvalString_Knob):
    """The name of a file, or of a sequence of them."""

    number = 2

    def value(self, oc: Any = None) -> str:
        """The text, its frame as %04d."""
        return _paths.technical(str(self._value))

    def fromScript(self, script: str) -> None:
        """Makes it hold a text."""
        self._put(script)

    def fromUserText(self, text: str) -> None:
        """Makes it hold a path; a frame range behind it, and the frames' size, go to the node."""
        path, span = _paths.without_range(text)
        self.setValue(path)
        for name, frame in zip(("first", "last", "origfirst", "origlast"), span * 2, strict=False):
            if self._node is not None and self._node.knob(name) is not None:
                self._node[name].setValue(frame)

    def getEvaluatedValue(self, oc: Any = None) -> str:
        """The text with what is in brackets worked out; the frame still %04d and the view still %V."""
        return _paths.technical(_brackets.worked_out(str(self._value), self._node))

    def evaluate(self, time: Any = None) -> str | None:
        """The path of a frame: brackets, frame and view worked out. None where the knob is empty."""
        frame, view = _paths.frame_and_view(time)
        text = _brackets.worked_out(str(self._value), self._node)
        return _paths.at_frame(text, frame, view) or None


class Script_Knob(String_Knob):
    """A button that runs Tcl, which the stand-in cannot."""

    number = 32
    first_flags = 0

    def __init__(self, name: str, label: str | None = None, command: str | None = None, *_: Any) -> None:
        """A button that runs `command`."""
        super().__init__(name, label)
        self._value = command or ""

    def command(self) -> str:
        """The code."""
        return str(self._value)

    def setCommand(self, command: str) -> None:
        """Sets the code."""
        self._value = self._checked(command)

    def execute(self) -> None:
        """Presses the button."""
        raise RuntimeError("the stand-in runs no Tcl")


class PyScript_Knob(Script_Knob):
    """A button that runs Python."""

    number = 22

    def execute(self) -> None:
        """Presses the button. What its code raises, Nuke shows in the Script Editor."""
        node = self._node
        inner = state.root if node is None else node._inside_or_around()
        with state.at(inner, node, self):
            _callbacks.guarded(lambda: _callbacks.run_code(self.command(), f"<{self.fullyQualifiedName()}>"))
        if node is not None:
            _callbacks.knob_changed(node, self)


class BuiltInButton(Script_Knob):
    """A button of a built-in class, such as a Read's reload."""

    number = 0
    is_value = False

    def execute(self) -> None:
        """Presses the button."""
        if self._node is not None:
            self._node._button_was_pressed(self._name)


class PythonKnob(String_Knob):
    """Python text that Nuke runs when something happens."""

    number = 0


class Password_Knob(String_Knob):
    """A text that nobody sees."""


class Text_Knob(Knob):
    """A line of text, or a divider where it has none."""

    number = 26

    def __init__(self, name: str, label: str | None = None, text: str = "", *_: Any) -> None:
        """A line that says `text`."""
        super().__init__(name, label)
        self._value = self._default = text


class Tab_Knob(Knob):
    """A tab, or the beginning or end of a group of knobs."""

    number = 20
    is_value = False

    def __init__(self, name: str, label: str | None = None, kind: int = 0, *_: Any) -> None:
        """A tab; another `kind` begins or ends a group."""
        super().__init__(name, label)
        self._kind = kind


class BeginTabGroup_Knob(Tab_Knob):
    """Begins a group of tabs."""

    def __init__(self, name: str, label: str | None = None, *_: Any) -> None:
        """The beginning of a group of tabs."""
        super().__init__(name, label, -2)


class EndTabGroup_Knob(Tab_Knob):
    """Ends a group of tabs."""

    def __init__(self, name: str, label: str | None = None, *_: Any) -> None:
        """The end of a group of tabs."""
        super().__init__(name, label, -3)


class Link_Knob(Knob):
    """Shows another knob of the same node, or of one inside it."""

    number = 41

    def makeLink(self, node: str, knob: str) -> None:
        """Links it to a knob of the node of that name."""
        self._value = f"{node}.{knob}"

    def setLink(self, link: str) -> None:
        """Links it to what a script calls the knob."""
        self._value = link

    def getLink(self) -> str:
        """What it is linked to."""
        return str(self._value)

    def getLinkedKnob(self) -> Knob | None:
        """The knob that it is linked to; None where there is none."""
        return None if self._node is None else _brackets.knob_named(str(self._value), self._node)

    def value(self, *_: Any) -> Any:
        """What the linked knob holds."""
        linked = self.getLinkedKnob()
        return None if linked is None else linked.value()

    def setValue(self, value: Any, *more: Any) -> bool:
        """Whether the linked knob holds that now."""
        linked = self.getLinkedKnob()
        return linked is not None and bool(linked.setValue(value, *more))

    def toScript(self, quote: bool = False, context: Any = None) -> str:
        """What it is linked to."""
        return _tcl.quoted(str(self._value)) if quote else str(self._value)
