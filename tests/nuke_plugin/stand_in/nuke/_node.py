"""A node: its knobs, its inputs, where it is and what it is called."""

# ruff: noqa: N802, N815  (Nuke's own names)

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from nuke import _callbacks, _knobs_text
from nuke._classes import CLASSES, MANY
from nuke._guard import Guarded
from nuke._knob import Knob
from nuke._node_pixels import Pixels
from nuke._node_script import Written
from nuke._node_tree import Tree
from nuke._specs import COMMON
from nuke._state import state

if TYPE_CHECKING:
    from nuke._group import Group

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Node(Tree, Written, Pixels, Guarded):
    """A node of the graph."""

    class_name: ClassVar[str] = ""

    def __init__(self, class_name: str, parent: Group | None) -> None:
        """A node of a class inside a group, without a name; scripts make nodes by createNode and nuke.nodes."""
        self._class = class_name
        self._spec = CLASSES[class_name]
        self._parent = parent
        self._inputs: list[Any] = []
        self._is_gone = False
        self._is_shown = False
        self._knobs: dict[str, Knob] = {}
        for make in (*self._spec.knobs, *COMMON):
            self._hold(make())

    def _hold(self, knob: Knob) -> None:
        knob._node = self
        self._knobs[knob._name] = knob

    def __repr__(self) -> str:
        """Its name and class."""
        return f"<{self._knobs['name']._value} ({self._class})>"

    def Class(self) -> str:
        """The name of its class."""
        return self._class

    def name(self) -> str:
        """Its name in its group."""
        return str(self._knobs["name"]._value)

    def fullName(self) -> str:
        """Its name behind those of the groups that it is in."""
        around = self._parent
        return self.name() if around is None or around._parent is None else f"{around.fullName()}.{self.name()}"

    def setName(self, name: str, uncollide: bool = True, updateExpressions: bool = False) -> None:
        """Renames it; where that name is taken, with the next number that is free."""
        if not isinstance(name, str):
            raise TypeError(f"setName() argument 1 must be str, not {type(name).__name__}")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a node: letters, digits and _ only")
        if uncollide and self._parent is not None:
            name = self._parent._free_name(name, self)
        self._knobs["name"].setValue(name)

    def parent(self) -> Group | None:
        """The group that it is in; None for the root."""
        return self._parent

    def knob(self, name: str | int, follow_link: bool = True) -> Knob | None:
        """The knob of that name; None where there is none."""
        if isinstance(name, int):
            return list(self._knobs.values())[name]
        return self._knobs.get(name)

    def __getitem__(self, name: str) -> Knob:
        """The knob of that name. NameError where there is none."""
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist")
        return self._knobs[name]

    def __len__(self) -> int:
        """How many knobs it has."""
        return len(self._knobs)

    def __bool__(self) -> bool:
        """True: it is there."""
        return True

    def knobs(self) -> dict[str, Knob]:
        """All knobs by name."""
        return dict(self._knobs)

    def allKnobs(self) -> list[Knob]:
        """All knobs."""
        return list(self._knobs.values())

    def addKnob(self, knob: Knob) -> None:
        """Adds a knob to the panel: on the tab that was added last, else on one called User."""
        if not isinstance(knob, Knob):
            raise TypeError(f"addKnob() argument 1 must be Knob, not {type(knob).__name__}")
        if knob._name in self._knobs and knob._name:
            raise ValueError(f"{self.name()} has a knob {knob._name} already")
        has_tab = any(each._is_user and isinstance(each, _knobs_text.Tab_Knob) for each in self._knobs.values())
        if not has_tab and not isinstance(knob, _knobs_text.Tab_Knob):
            self.addKnob(_knobs_text.Tab_Knob("User"))
        knob._is_user = True
        self._hold(knob)
        state.is_modified = True

    def removeKnob(self, knob: Knob) -> None:
        """Takes a knob that was added away again. ValueError for others."""
        if not knob._is_user or self._knobs.get(knob._name) is not knob:
            raise ValueError(f"{knob._name} is no user knob of {self.name()}")
        del self._knobs[knob._name]
        knob._node = None

    def _renamed_knob(self, knob: Knob) -> None:
        self._knobs = {each._name: each for each in self._knobs.values()}

    def _knob_was_set(self, knob: Knob) -> None:
        """What follows in the node itself from a change of a knob."""
        if knob._name == "name" and self._parent is not None and not _NAME.fullmatch(str(knob._value)):
            knob._value = re.sub(r"\W", "_", str(knob._value), flags=re.ASCII)
        if knob._name == "selected":
            self._selection_follows()

    def _button_was_pressed(self, name: str) -> None:
        if name == "reload":
            state.reloads[self.fullName()] += 1
            self._knobs["version"].setValue(self._knobs["version"].value() + 1)

    def _inside_or_around(self) -> Group:
        return self._parent or state.root

    def xpos(self) -> int:
        """Where its left edge is on the screen."""
        return int(self._knobs["xpos"].value())

    def ypos(self) -> int:
        """Where its top edge is on the screen."""
        return int(self._knobs["ypos"].value())

    def setXpos(self, x: int) -> None:
        """Moves it across."""
        self._knobs["xpos"].setValue(int(x))

    def setYpos(self, y: int) -> None:
        """Moves it down."""
        self._knobs["ypos"].setValue(int(y))

    def setXYpos(self, x: int, y: int) -> None:
        """Moves it."""
        self.setXpos(x)
        self.setYpos(y)

    def screenWidth(self) -> int:
        """How wide it is on the screen."""
        width = self._knobs.get("bdwidth")
        return self._spec.size[0] if width is None else int(width.value())

    def screenHeight(self) -> int:
        """How tall it is on the screen."""
        height = self._knobs.get("bdheight")
        return self._spec.size[1] if height is None else int(height.value())

    def isSelected(self) -> bool:
        """Whether it is selected."""
        return bool(self._knobs["selected"].value())

    def setSelected(self, selected: bool) -> None:
        """Selects it too, or not any more."""
        self._knobs["selected"].setValue(bool(selected))

    def selectOnly(self) -> None:
        """Selects it alone."""
        for node in list(state.selection):
            node.setSelected(False)
        self.setSelected(True)

    def _selection_follows(self) -> None:
        state.selection = [node for node in state.selection if node is not self]
        if self._knobs["selected"].value():
            state.selection.append(self)

    def showControlPanel(self, forceFloat: bool = False) -> None:
        """Opens its panel."""
        if state.gui and not self._is_shown:
            self._is_shown = True
            _callbacks.knob_changed(self, PseudoKnob("showPanel", self))

    def hideControlPanel(self) -> None:
        """Closes its panel."""
        if self._is_shown:
            self._is_shown = False
            _callbacks.knob_changed(self, PseudoKnob("hidePanel", self))

    def shown(self) -> bool:
        """Whether its panel is open."""
        return self._is_shown

    def setTab(self, tabIndex: int) -> None:
        """Shows a tab of its panel."""

    def help(self) -> str:
        """Its help."""
        return str(self._knobs["help"].value())

    def maxInputs(self) -> int:
        """How many inputs it can have."""
        return self._spec.max_inputs

    maximumInputs = maxInputs

    def minInputs(self) -> int:
        """How many inputs it shows at least."""
        return self._spec.min_inputs

    minimumInputs = minInputs

    def maxOutputs(self) -> int:
        """How many outputs it can have."""
        return 0 if self._class in ("Viewer", "Output", "Root") else MANY

    maximumOutputs = maxOutputs

    def optionalInput(self) -> int:
        """The number of its mask input; 0 where it has none."""
        return self._spec.mask or 0


class PseudoKnob(Knob):
    """What thisKnob is when an input changes or a panel opens or closes."""

    is_value = False

    def __init__(self, name: str, node: Node) -> None:
        """A knob that no node has."""
        super().__init__(name)
        self._node = node
