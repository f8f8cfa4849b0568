"""Prompts: a small text for each layer, which offers what was written before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, QStringListModel, Qt, Signal
from PySide6.QtGui import QFocusEvent, QFontMetrics, QKeyEvent, QTextCursor
from PySide6.QtWidgets import (
    QCompleter,
    QGridLayout,
    QLabel,
    QListView,
    QPlainTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from layerflow.wire.request import MAX_FOREGROUNDS

NUM_LINES = 2
Suggest = Callable[[], Sequence[str]]


class PromptField(QPlainTextEdit):
    """A prompt. Down, in an empty one or at its end, offers earlier prompts; Tab goes on to the next field."""

    edited = Signal(object)

    def __init__(self, name: str, suggest: Suggest, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"prompt_{name}")
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self._suggest = suggest
        self._is_showing = False
        self._offers = QStringListModel(self)
        self._completer = QCompleter(self._offers, self)
        self._popup = QListView()
        self._completer.setPopup(self._popup)  # which takes it over
        self._completer.setWidget(self)
        self._completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self._completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._completer.activated.connect(self._take_offer)
        self.textChanged.connect(self._text_changed)

    def show_value(self, value: object) -> None:
        """Shows a prompt; the cursor stays where it is while one types."""
        if self.toPlainText() != value:
            self._is_showing = True
            self.setPlainText(str(value))
            self._is_showing = False

    def sizeHint(self) -> QSize:  # noqa: N802
        lines = NUM_LINES * QFontMetrics(self.font()).lineSpacing()
        return QSize(160, lines + round(2 * (self.document().documentMargin() + self.frameWidth())))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(80, self.sizeHint().height())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if self._popup.isVisible() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab):
            event.ignore()  # the list takes them
            return
        asks = event.key() == Qt.Key.Key_Down and self.textCursor().atEnd()
        if asks and not self._popup.isVisible():
            self.offer()
            return
        super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self._popup.hide()
        super().focusOutEvent(event)

    def offer(self) -> None:
        """Offers earlier prompts that have in them what is written; all of them where nothing is."""
        self._offers.setStringList([*self._suggest()])
        self._completer.setCompletionPrefix(self.toPlainText().strip())
        if self._completer.completionCount():
            self._completer.complete()

    def _take_offer(self, text: str) -> None:
        self.setPlainText(text)
        self.moveCursor(QTextCursor.MoveOperation.End)

    def _text_changed(self) -> None:
        if not self._is_showing:
            self.edited.emit(self.toPlainText())


class PromptList(QWidget):
    """The prompts of a shot: foregrounds from front to back, the background, and the whole picture."""

    edited = Signal(str, object)  # a field of ShotSettings, and its value

    def __init__(self, suggest: Callable[[str], Sequence[str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._suggest = suggest
        self._labels: dict[str, QLabel] = {}
        self._fields: dict[str, PromptField] = {}
        self._further: list[tuple[QWidget, PromptField]] = []
        self._add = QToolButton(self)
        self._add.setText("+ Another foreground")
        self._add.setObjectName("add_foreground")
        self._add.setAccessibleName("Add a foreground")
        self._add.setToolTip("Tell another foreground apart; the first is in front")
        self._add.setAutoRaise(True)
        self._add.clicked.connect(lambda: self.edited.emit("further", (*self._texts(), "")))
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(3)
        self._add_field("foreground", "Foreground", "What the foreground shows, in a few words")
        self._layout.addWidget(self._add)
        self._add_field("background", "Background", "What the background shows, in a few words")
        self._add_field("blended", "Whole picture", "What all layers together show; may stay empty")

    def show_values(self, foreground: str, further: Sequence[str], background: str, blended: str) -> None:
        """Shows the prompts."""
        for name, text in (("foreground", foreground), ("background", background), ("blended", blended)):
            self._fields[name].show_value(text)
        while len(self._further) > len(further):
            row, _ = self._further.pop()
            row.hide()
            row.deleteLater()
        while len(self._further) < len(further):
            self._further.append(self._made_further(len(self._further)))
        for (_, field), text in zip(self._further, further, strict=True):
            field.show_value(text)
        self._labels["foreground"].setText("Foreground 1, in front" if further else "Foreground")

    def set_task(self, task: str) -> None:
        """Shows what the task has a use for, and says where a prompt may stay empty."""
        several = task in ("generate", "decompose")
        self._add.setVisible(several)
        self._add.setEnabled(len(self._further) + 1 < MAX_FOREGROUNDS)
        for row, _ in self._further:
            row.setVisible(several)
        needed = {"generate": ("foreground", "background"), "decompose": ()}.get(task, (task,))
        for name, field in self._fields.items():
            field.setPlaceholderText("In a few words" if name in needed else "In a few words, or empty")

    def _texts(self) -> tuple[str, ...]:
        return tuple(field.toPlainText() for _, field in self._further)

    def _add_field(self, name: str, label: str, tip: str) -> None:
        field = self._made_field(name, label, tip)
        field.edited.connect(lambda text: self.edited.emit(name, text))
        self._fields[name], self._labels[name] = field, QLabel(label, self)
        self._labels[name].setBuddy(field)
        self._layout.addWidget(self._labels[name])
        self._layout.addWidget(field)

    def _made_field(self, name: str, label: str, tip: str, parent: QWidget | None = None) -> PromptField:
        field = PromptField(name, lambda: self._suggest(name), parent or self)
        field.setAccessibleName(f"{label} prompt")
        field.setToolTip(f"{tip}. Down offers earlier ones")
        return field

    def _made_further(self, at: int) -> tuple[QWidget, PromptField]:
        row = QWidget(self)
        label = f"Foreground {at + 2}"
        field = self._made_field(f"foreground{at + 2}", label, "What this foreground shows, in a few words", row)
        field.edited.connect(lambda: self.edited.emit("further", self._texts()))
        remove = QToolButton(row)
        remove.setText("Remove")
        remove.setAutoRaise(True)
        remove.setObjectName(f"remove_foreground{at + 2}")
        remove.setAccessibleName(f"Remove {label.lower()}")
        remove.setToolTip(f"Leave {label.lower()} out")
        remove.clicked.connect(lambda: self._remove(at))
        layout = QGridLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        name = QLabel(label, row)
        name.setBuddy(field)
        layout.addWidget(name, 0, 0)
        layout.addWidget(remove, 0, 1, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(field, 1, 0, 1, 2)
        self._layout.insertWidget(self._layout.indexOf(self._add), row)
        row.show()
        return row, field

    def _remove(self, at: int) -> None:
        texts = self._texts()
        self.edited.emit("further", texts[:at] + texts[at + 1 :])
