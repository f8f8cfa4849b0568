"""The commands of the keymap as Qt's actions."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from layerflow_desktop.models.keymap import COMMANDS, MENUS, Command, commands_of


class Actions:
    """An action for every command; `owner` gets them all, so that keys work while menus are hidden."""

    def __init__(self, owner: QWidget) -> None:
        self._by_name = {command.name: _action(command, owner) for command in COMMANDS}
        owner.addActions([*self._by_name.values()])

    def __getitem__(self, name: str) -> QAction:
        return self._by_name[name]

    def connect(self, **calls: Callable[[], object]) -> None:
        """Has each named command do its call. KeyError for a command there is not."""
        for name, call in calls.items():
            self[name].triggered.connect(lambda checked=False, call=call: call())

    def fill(self, bar: QMenuBar) -> dict[str, QMenu]:
        """Makes the menus; each by its name."""
        menus: dict[str, QMenu] = {}
        for title in MENUS:
            menu = bar.addMenu(f"&{title}")
            menu.setToolTipsVisible(True)
            for command in commands_of(title):
                if command.after_line:
                    menu.addSeparator()
                menu.addAction(self[command.name])
            menus[title] = menu
        return menus


def _action(command: Command, owner: QWidget) -> QAction:
    action = QAction(command.label, owner)
    action.setObjectName(command.name)
    action.setCheckable(command.checkable)
    action.setShortcuts([QKeySequence(keys) for keys in command.keys])
    keys = QKeySequence(command.keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if command.keys else ""
    action.setToolTip(f"{command.help} ({keys})" if keys else command.help)
    action.setStatusTip(command.help)
    return action
