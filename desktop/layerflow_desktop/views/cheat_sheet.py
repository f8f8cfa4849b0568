"""All keys on one page."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from layerflow_desktop.models.keymap import MENUS, Command, commands_of

_MOUSE = (
    ("Wheel", "Zoom where the pointer is"),
    ("Middle button, or Alt and drag", "Move the picture"),
    ("Ctrl and drag", "Move the foreground under the pointer"),
    ("Double click", "Fit, or actual size"),
    ("Drag the line of a wipe", "Move it; its knob turns it"),
    ("Drag in the timeline", "Scrub"),
    ("Wheel over the timeline", "Zoom the timeline"),
)


class CheatSheet(QDialog):
    """Keys and what they do, in columns. Escape closes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cheat_sheet")
        self.setWindowTitle("Keyboard shortcuts")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        columns = QHBoxLayout(self)
        columns.setSpacing(28)
        for titles in (("File", "Edit", "Shot"), ("View",), ("Playback", "Help")):
            column = QVBoxLayout()
            for title in titles:
                column.addWidget(_group(title, [_row(command) for command in commands_of(title) if command.keys]))
            if titles[-1] == MENUS[-1]:
                column.addWidget(_group("Mouse", [*_MOUSE]))
            column.addStretch()
            columns.addLayout(column)


def _row(command: Command) -> tuple[str, str]:
    native = QKeySequence.SequenceFormat.NativeText
    return " or ".join(QKeySequence(keys).toString(native) for keys in command.keys), command.label.rstrip("…")


def _group(title: str, rows: list[tuple[str, str]]) -> QWidget:
    group = QWidget()
    grid = QGridLayout(group)
    grid.setContentsMargins(0, 0, 0, 12)
    grid.setHorizontalSpacing(14)
    grid.setVerticalSpacing(3)
    heading = QLabel(f"<b>{title}</b>")
    grid.addWidget(heading, 0, 0, 1, 2)
    for place, (keys, text) in enumerate(rows, start=1):
        shown = QLabel(keys)
        shown.setAlignment(Qt.AlignmentFlag.AlignRight)
        shown.setForegroundRole(shown.palette().ColorRole.Link)
        grid.addWidget(shown, place, 0)
        grid.addWidget(QLabel(text), place, 1)
    grid.setColumnStretch(1, 1)
    return group
