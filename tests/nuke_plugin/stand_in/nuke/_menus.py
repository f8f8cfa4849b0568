"""Menus and toolbars."""

# ruff: noqa: N802  (Nuke's own names)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nuke._callbacks import run_code
from nuke._guard import Guarded, main_thread_only
from nuke._state import state


class MenuItem(Guarded):
    """An entry of a menu."""

    def __init__(self, name: str, command: str | Callable[[], Any] = "", **shown: Any) -> None:
        """An entry that runs a Python text or a function."""
        self._name, self._command, self._shown = name, command, shown
        self._is_enabled = True

    def name(self) -> str:
        """What it says."""
        return self._name

    def script(self) -> str:
        """The Python text that it runs."""
        return self._command if isinstance(self._command, str) else ""

    def invoke(self) -> None:
        """Does what a click on it does."""
        if callable(self._command):
            self._command()
        else:
            run_code(self._command, f"<menu {self._name}>")

    def setEnabled(self, enabled: bool, recursive: bool = False) -> None:
        """Greys it out or not."""
        self._is_enabled = enabled

    def icon(self) -> str:
        """The name of its icon."""
        return str(self._shown.get("icon") or "")

    def shortcut(self) -> str:
        """Its keys."""
        return str(self._shown.get("shortcut") or "")


class Menu(MenuItem):
    """A menu, which holds entries and menus."""

    def __init__(self, name: str, **shown: Any) -> None:
        """An empty menu."""
        super().__init__(name, **shown)
        self._items: list[MenuItem] = []

    def items(self) -> list[MenuItem]:
        """Its entries."""
        return list(self._items)

    def findItem(self, path: str) -> Any:
        """The entry of that name, or of a menu in it behind /; None where there is none."""
        first, _, rest = path.partition("/")
        found = next((item for item in self._items if item.name() == first), None)
        if not rest:
            return found
        return found.findItem(rest) if isinstance(found, Menu) else None

    menu = findItem

    def addMenu(self, name: str, icon: Any = None, tooltip: Any = None, index: int = -1, **more: Any) -> Menu:
        """The menu of that name in it, which is made where there is none."""
        first, _, rest = name.partition("/")
        found = self.findItem(first)
        if not isinstance(found, Menu):
            found = Menu(first, icon=icon, tooltip=tooltip, **more)
            self._insert(found, index)
        return found.addMenu(rest) if rest else found

    def addCommand(
        self,
        name: str,
        command: Any = "",
        shortcut: Any = None,
        icon: Any = None,
        tooltip: Any = None,
        index: int = -1,
        **more: Any,
    ) -> MenuItem:
        """A new entry; one of that name is replaced."""
        around, _, last = name.rpartition("/")
        if around:
            return self.addMenu(around).addCommand(last, command, shortcut, icon, tooltip, index, **more)
        self.removeItem(name)
        item = MenuItem(name, command, shortcut=shortcut, icon=icon, tooltip=tooltip, **more)
        self._insert(item, index)
        return item

    def addSeparator(self, index: int = -1, **_: Any) -> MenuItem:
        """A line."""
        item = MenuItem("")
        self._insert(item, index)
        return item

    def _insert(self, item: MenuItem, index: int) -> None:
        self._items.insert(len(self._items) if index < 0 else index, item)

    def removeItem(self, name: str) -> None:
        """Takes an entry away."""
        self._items = [item for item in self._items if item.name() != name or not name]

    def clearMenu(self) -> None:
        """Takes all entries away."""
        self._items.clear()


class MenuBar(Menu):
    """The bar of menus."""


class ToolBar(Menu):
    """A toolbar."""


@main_thread_only
def menu(name: str) -> Any:
    """The menu of that name: Nuke, Nodes, Viewer, and so on. RuntimeError outside of the window."""
    if not state.gui:
        raise RuntimeError("nuke.menu is there only while Nuke has a window")
    return state.menus.setdefault(name, ToolBar(name) if name == "Nodes" else MenuBar(name))


@main_thread_only
def toolbar(name: str, create: bool = True) -> Any:
    """The toolbar of that name."""
    return menu(name)
