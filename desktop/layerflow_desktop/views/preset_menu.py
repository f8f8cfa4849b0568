"""The menu of presets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtWidgets import QLineEdit, QMenu, QWidgetAction

from layerflow_desktop.controllers.recent import Recent


def fill_preset_menu(menu: QMenu, recent: Recent, choose: Callable[[str], None], keep: Callable[[str], None]) -> None:
    """Makes the menu anew: presets to choose, a line to name one's own by, and one's own to forget."""
    menu.clear()
    for name in recent.presets:
        menu.addAction(name).triggered.connect(partial(_call, choose, name))
    menu.addSeparator()
    menu.addAction(_naming(menu, keep))
    own = [name for name in recent.presets if recent.is_own(name)]
    if own:
        forget = menu.addMenu("Forget")
        for name in own:
            forget.addAction(name).triggered.connect(partial(_call, recent.drop_preset, name))


def _call(what: Callable[[str], None], name: str, checked: bool = False) -> None:
    what(name)


def _naming(menu: QMenu, keep: Callable[[str], None]) -> QWidgetAction:
    line = QLineEdit(menu)
    line.setObjectName("preset_name")
    line.setPlaceholderText("Keep these settings as…")
    line.setAccessibleName("Name of a new preset")
    line.setToolTip("Type a name and press Return to keep how this shot is made")

    def take() -> None:
        menu.close()
        keep(line.text())

    line.returnPressed.connect(take)
    action = QWidgetAction(menu)
    action.setDefaultWidget(line)
    return action
