"""A question that stops nobody: whether the engine may use a folder."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from layerflow_desktop.controllers.generating import Generating
from layerflow_desktop.views.listening import listen


class AllowBar(QFrame):
    """A slim bar, seen while there is a folder to ask about."""

    def __init__(self, generating: Generating, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._generating = generating
        self._folder = ""
        self.setObjectName("allow_bar")
        self.setAccessibleName("The engine may not use a folder")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._text = QLabel(self)
        self._text.setObjectName("allow_text")
        self._text.setAccessibleName("Folder that the engine may not use")
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self.allow = self._button(
            "allow_folder", "Allow this folder", "Lets the engine read and write there, now and later; jobs go on"
        )
        self.not_now = self._button("not_now", "Not now", "Takes the take back; nothing is asked of the engine")
        buttons = QHBoxLayout()
        buttons.addWidget(self.allow)
        buttons.addWidget(self.not_now)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self._text)
        layout.addLayout(buttons)
        self.allow.clicked.connect(lambda: self._generating.allow(self._folder))
        self.not_now.clicked.connect(lambda: self._generating.forbid(self._folder))
        self.setVisible(False)
        listen(self, generating.refused_outside, self.ask)

    def ask(self, folder: str) -> None:
        """Asks about a folder; about none where it is empty."""
        self._folder = folder
        self._text.setText(f"The engine may not use {folder} yet." if folder else "")
        self._text.setToolTip(folder)
        self.setVisible(bool(folder))

    def _button(self, name: str, text: str, tip: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAccessibleName(text)
        button.setToolTip(tip)
        return button
