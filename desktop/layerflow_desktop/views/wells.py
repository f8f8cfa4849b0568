"""A place for an input: drop files on it, or look for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QPalette
from PySide6.QtWidgets import QFileDialog, QFrame, QGridLayout, QLabel, QMenu, QToolButton, QWidget

from layerflow_desktop.views.alive import while_alive

Resolve = Callable[[Sequence[str], Callable[[str], None]], None]
Describe = Callable[[str, Callable[[str], None]], None]


class Well(QFrame):
    """Shows the name of what is in it, its frames and its size."""

    edited = Signal(object)

    def __init__(
        self, name: str, label: str, tip: str, resolve: Resolve, describe: Describe, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._resolve, self._describe, self._tip = resolve, describe, tip
        self._text = ""
        self.setObjectName(f"well_{name}")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAcceptDrops(True)
        self._title, self._name, self._about = QLabel(self), QLabel(self), QLabel(self)
        self._about.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        for each in (self._name, self._about):
            each.setTextFormat(Qt.TextFormat.PlainText)
            each.setMinimumWidth(40)
        self._about.setWordWrap(True)
        self._browse = self._button("browse", "Browse…")
        self._browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._browse.setMenu(self._made_menu())
        self._clear = self._button("clear", "Clear")
        self._clear.clicked.connect(lambda: self.edited.emit(""))
        layout = QGridLayout(self)
        layout.setContentsMargins(8, 6, 6, 6)
        layout.setVerticalSpacing(1)
        layout.addWidget(self._title, 0, 0)
        layout.addWidget(self._name, 1, 0, 1, 3)
        layout.addWidget(self._about, 2, 0, 1, 3)
        layout.addWidget(self._browse, 0, 1)
        layout.addWidget(self._clear, 0, 2)
        layout.setColumnStretch(0, 1)
        self.set_label(label)
        self._fill("")

    def set_label(self, label: str) -> None:
        """Says what belongs in it."""
        self._title.setText(label)
        self.setAccessibleName(label)
        self._browse.setAccessibleName(f"Browse for {label.lower()}")
        self._browse.setToolTip(f"Look for files: {label.lower()}")
        self._clear.setAccessibleName(f"Clear {label.lower()}")
        self._clear.setToolTip(f"Take it out: {label.lower()}")

    def show_value(self, value: object) -> None:
        """Shows what is in it."""
        if value != self._text:
            self._fill(str(value))

    def take(self, paths: Sequence[str]) -> None:
        """Takes in files, once it is known what they are."""
        if paths:
            self._resolve(paths, while_alive(self, self.edited.emit))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if _files(event):
            event.acceptProposedAction()
            self._set_hot(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        self._set_hot(False)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        self._set_hot(False)
        event.acceptProposedAction()
        self.take(_files(event))

    def _fill(self, text: str) -> None:
        self._text = text
        self._name.setText(PurePath(text).name if text else "Drop frames or a movie here")
        self._name.setForegroundRole(QPalette.ColorRole.Text if text else QPalette.ColorRole.PlaceholderText)
        self._about.setText("Looking…" if text else "")
        self._about.setVisible(bool(text))
        self._clear.setEnabled(bool(text))
        self.setToolTip(f"{self._tip}\n{text}" if text else self._tip)
        if text:
            self._describe(text, while_alive(self, lambda about: self._show_about(text, about)))

    def _show_about(self, text: str, about: str) -> None:
        if text == self._text:  # it may have been replaced meanwhile
            self._about.setText(about)
            self._about.setToolTip(about)

    def _set_hot(self, is_hot: bool) -> None:
        self.setFrameShadow(QFrame.Shadow.Raised if is_hot else QFrame.Shadow.Plain)
        self.setBackgroundRole(QPalette.ColorRole.Midlight if is_hot else QPalette.ColorRole.Window)
        self.setAutoFillBackground(is_hot)

    def _made_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("Frame or movie…", self._choose_file)
        menu.addAction("Folder of frames…", self._choose_folder)
        return menu

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, self._title.text(), self._folder())
        self.take([chosen] if chosen else [])

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self._title.text(), self._folder())
        self.take([chosen] if chosen else [])

    def _folder(self) -> str:
        return str(PurePath(self._text).parent) if self._text else ""

    def _button(self, name: str, text: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setAutoRaise(True)
        button.setObjectName(f"{self.objectName()}_{name}")
        return button


def _files(event: QDropEvent) -> list[str]:
    return [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
