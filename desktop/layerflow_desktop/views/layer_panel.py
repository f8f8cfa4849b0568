"""The layer panel: what a take is made of, and what one tries with it."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QFrame, QLabel, QMenu, QPushButton, QScrollArea, QVBoxLayout, QWidget

from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, LayerState
from layerflow_desktop.models.layer_stack import (
    States,
    all_put_back,
    locked_names,
    moved,
    place_of,
    put_back,
    spoken,
    visible_names,
    what_is_made_anew,
)
from layerflow_desktop.views.layer_row import LayerRow
from layerflow_desktop.views.listening import listen

_EMPTY = "No layers yet. Generate, or open frames."
_TOGGLES = {
    "visible": ("Hide {}", "Show {}"),
    "solo": ("Stop solo of {}", "Solo {}"),
    "locked": ("Unlock {}", "Lock {}"),
}
_NUMBERS = {"opacity": "Opacity of {}", "offset_x": "Move {}", "offset_y": "Move {}", "scale": "Scale {}"}


class LayerPanel(QWidget):
    """Layers from front to back. Every change is a step of the session, and a drag is one step."""

    layer_chosen = Signal(str)  # its name; "comp" when the one that was looked at is clicked again
    regenerate_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows: dict[str, LayerRow] = {}
        self._target: int | None = None  # where a dragged layer goes
        self.setObjectName("layer-panel")
        self.setAccessibleName("Layers")
        self._make_list()
        self._make_foot()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._scroll, 1)
        column.addWidget(self._foot)
        listen(self, session.changed, self._on_changed)
        self._show(session.document)

    @property
    def rows(self) -> tuple[LayerRow, ...]:
        """The rows, front to back."""
        return tuple(self._rows[state.name] for state in self._states)

    def put_all_back(self) -> None:
        """Shows every layer as it was made."""
        self._put(all_put_back(self._states), "Put all layers back")

    @property
    def _states(self) -> States:
        return self._session.document.layers

    def _make_list(self) -> None:
        self._list = QWidget()
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        self._empty = QLabel(_EMPTY)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._empty.setContentsMargins(8, 24, 8, 24)
        self._empty.setWordWrap(True)
        self._column.addWidget(self._empty)
        self._column.addStretch(1)
        self._line = QFrame(self._list)  # where a dragged layer goes
        self._line.setAutoFillBackground(True)
        self._line.setBackgroundRole(QPalette.ColorRole.Highlight)
        self._line.hide()
        self._list.setAutoFillBackground(True)
        self._list.setBackgroundRole(QPalette.ColorRole.Base)
        self._scroll = QScrollArea()
        self._scroll.setWidget(self._list)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def _make_foot(self) -> None:
        self._foot = QWidget()
        self.words = QLabel()
        self.words.setObjectName("what-is-made-anew")
        self.words.setAccessibleName("What is made anew")
        self.words.setWordWrap(True)
        self.words.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.regenerate = QPushButton("Regenerate the rest")
        self.regenerate.setObjectName("regenerate")
        self.regenerate.setAccessibleName("Regenerate the rest")
        self.regenerate.setToolTip("Makes the layers that are not locked anew, to go with those that are")
        self.regenerate.clicked.connect(self.regenerate_requested)
        column = QVBoxLayout(self._foot)
        column.setContentsMargins(8, 6, 8, 8)
        column.setSpacing(5)
        column.addWidget(self.words)
        column.addWidget(self.regenerate)

    def _on_changed(self, now: Document, before: Document) -> None:
        if now.layers != before.layers or now.view.a != before.view.a:
            self._show(now)

    def _show(self, document: Document) -> None:
        states = document.layers
        if [state.name for state in states] != [*self._rows]:
            self._arrange(states)
        seen = visible_names(states)
        for state in states:
            self._rows[state.name].show_state(state, state.name in seen, document.view.a == state.name)
        locked = locked_names(states)
        self.words.setText(what_is_made_anew(states))
        self.words.setVisible(bool(states))
        self.regenerate.setEnabled(0 < len(locked) < len(states))
        self._empty.setVisible(not states)

    def _arrange(self, states: States) -> None:
        """Rows for these layers, in this order; those that stay are the same rows."""
        names = [state.name for state in states]
        for name in [name for name in self._rows if name not in names]:
            row = self._rows.pop(name)
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        rows = {state.name: self._rows.get(state.name) or self._row(state) for state in states}
        for place, row in enumerate(rows.values()):
            self._column.insertWidget(place, row)
        self._rows = rows
        for first, second in zip(self.rows, self.rows[1:], strict=False):
            QWidget.setTabOrder(first, second)

    def _row(self, state: LayerState) -> LayerRow:
        row, name = LayerRow(state), state.name
        row.field_changed.connect(lambda field, value: self._change(name, field, value))
        row.settled.connect(self._session.history.close_step)
        row.chosen.connect(lambda: self._choose(name))
        row.walked.connect(lambda way: self._walk(name, way))
        row.moved.connect(lambda places: self._move(name, place_of(self._states, name) + places))
        row.drag_moved.connect(lambda point: self._aim(name, point))
        row.drag_ended.connect(lambda point: self._drop(name))
        row.menu_asked.connect(lambda point: self._menu(name).popup(point))
        return row

    def _change(self, name: str, field: str, value: object) -> None:
        state = self._session.document.layer(name)
        if state is None:
            return
        changed = state.with_(**{field: value})
        if field in _TOGGLES:
            step, merge = _TOGGLES[field][bool(value)], ""
        else:
            step = _NUMBERS[field]
            merge = f"{step} {name}"  # both offsets of one drag are one step
        self._session.edit(step.format(spoken(name)), self._session.document.with_layer(changed), merge)

    def _choose(self, name: str) -> None:
        self._rows[name].setFocus()
        self.layer_chosen.emit("comp" if self._session.document.view.a == name else name)

    def _walk(self, name: str, way: int) -> None:
        at = place_of(self._states, name) + way
        if 0 <= at < len(self.rows):
            self.rows[at].setFocus()
            self._scroll.ensureWidgetVisible(self.rows[at])

    def _move(self, name: str, place: int) -> None:
        own = place_of(self._states, name)
        words = f"Move {spoken(name)} {'up' if place < own else 'down'}"
        self._put(moved(self._states, name, place), words)
        self._rows[name].setFocus()

    def _put(self, states: States, words: str) -> None:
        self._session.edit(words, self._session.document.with_(layers=states))

    def _aim(self, name: str, point: QPoint) -> None:
        """Draws the line where the layer would go."""
        y = self._list.mapFromGlobal(point).y()
        others = [row for row in self.rows if row.name != name]
        self._target = sum(row.geometry().center().y() < y for row in others)
        own = place_of(self._states, name)
        is_before = self._target <= own
        edge_row = self.rows[min(self._target, len(self.rows) - 1)]
        edge = edge_row.geometry().top() if is_before else edge_row.geometry().bottom()
        self._line.setGeometry(0, max(edge - 1, 0), self._list.width(), 2)
        self._line.setVisible(self._target != own)
        self._line.raise_()

    def _drop(self, name: str) -> None:
        self._line.hide()
        if self._target is not None and self._target != place_of(self._states, name):
            self._move(name, self._target)
        self._target = None

    def _menu(self, name: str) -> QMenu:
        menu, words, document = QMenu(self), spoken(name), self._session.document
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        state, place = document.layer(name), place_of(self._states, name)
        assert state is not None
        back = document.with_layer(put_back(state))
        menu.addAction(f"Put {words} back", lambda: self._session.edit(f"Put {words} back", back))
        menu.addAction("Put all layers back", self.put_all_back)
        menu.addSeparator()
        menu.addAction("Move up", lambda: self._move(name, place - 1)).setEnabled(place > 0)
        menu.addAction("Move down", lambda: self._move(name, place + 1)).setEnabled(place < len(self.rows) - 1)
        menu.addSeparator()
        menu.addAction("Unlock" if state.locked else "Lock", lambda: self._change(name, "locked", not state.locked))
        return menu
