"""The queue: every job of the engine, whoever asked for it, and what can be done to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt, QUrl, Signal
from PySide6.QtGui import QAction, QDesktopServices, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from layerflow_desktop.controllers.queue import Queue
from layerflow_desktop.models.queue_row import Row
from layerflow_desktop.views.alive import while_alive
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.log_window import LogWindow
from layerflow_desktop.views.queue_delegate import QueueDelegate
from layerflow_desktop.views.queue_list import Filter, QueueModel

_EMPTY = {
    "all": "No jobs yet.\nPress Generate here, in Nuke or in Blender, and they appear in this list.",
    "mine": "No jobs of this app.\nPress Generate, or choose All jobs above.",
    "active": "Nothing waits and nothing runs.\nChoose All jobs above to see what is done.",
}
_FILTERS: tuple[tuple[Filter, str], ...] = (("all", "All jobs"), ("mine", "Mine"), ("active", "Active"))

# name, label, keys, what it does
_ACTIONS = (
    ("open", "Open result", "Return", "Look at the layers that the job made"),
    ("watch", "Watch preview", "", "Show in the viewer how the running job looks so far"),
    ("compare", "Compare with current take", "", "Show the result beside the take that is looked at"),
    ("cancel", "Cancel", "Del", "Make the job no further; Retry goes on with it"),
    ("retry", "Retry", "", "Go on with a job that failed or was cancelled, from its last saved step"),
    ("pause", "Pause", "", "Have the job wait; what is done of it is kept"),
    ("resume", "Resume", "", "Let a paused job go on"),
    ("up", "Move up", "Alt+Up", "Make the job earlier"),
    ("down", "Move down", "Alt+Down", "Make the job later"),
    ("reveal", "Show in folder", "", "Open the folder of the frames"),
    ("use", "Use these settings", "", "Put the settings of the job into the panel"),
    ("copy", "Copy settings", "Ctrl+C", "Copy what was asked for, as JSON"),
    ("log", "Show log", "", "Read what the engine wrote down while it made the job"),
)
_AFTER_LINE = ("cancel", "up", "reveal", "log")
_IN_BAR = ("cancel", "retry", "pause", "resume")
_VERBS = ("cancel", "retry", "pause", "resume")


class QueuePanel(QWidget):
    """The list of jobs under a bar of what is done to those that are selected."""

    open_asked = Signal(object)  # the Row whose result is to be shown
    watch_asked = Signal(object)
    compare_asked = Signal(object)
    settings_asked = Signal(object)  # the Request to put into the panel

    def __init__(self, queue: Queue, say: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("queue_panel")
        self._queue, self._say = queue, say
        self._model = QueueModel(self)
        self._list = self._made_list()
        self.actions_by_name = {action[0]: self._made_action(*action) for action in _ACTIONS}
        self._filter = self._made_filter()
        self._empty = QLabel(_EMPTY["all"], self)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setObjectName("queue_empty")
        self._pages = QStackedWidget(self)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._list)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(self._made_bar())
        layout.addWidget(self._pages)
        self._model.move_asked.connect(queue.move_before)
        listen(self, queue.changed, self._take_rows)
        self._take_rows()

    @property
    def selected(self) -> list[Row]:
        """The jobs that are selected, from the top."""
        indexes = sorted(self._list.selectionModel().selectedIndexes(), key=lambda index: index.row())
        return [row for index in indexes if (row := self._model.row_at(index)) is not None]

    def select(self, job: str) -> None:
        """Selects the job of that id."""
        for at in range(self._model.rowCount()):
            row = self._model.row_at(self._model.index(at))
            if row is not None and row.id == job:
                flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
                self._list.selectionModel().setCurrentIndex(self._model.index(at), flag)

    def _take_rows(self) -> None:
        self._model.show(self._queue.rows)
        self._pages.setCurrentWidget(self._list if self._model.rowCount() else self._empty)
        self._enable_actions()

    def _enable_actions(self) -> None:
        rows = self.selected
        one = rows[0] if len(rows) == 1 else None
        for name, action in self.actions_by_name.items():
            action.setEnabled(_is_possible(name, rows, one))

    def _do(self, name: str) -> None:
        for row in self.selected if name in _VERBS else self.selected[:1]:
            if name not in _VERBS:
                self._do_one(name, row)
            elif row.can(name):
                getattr(self._queue, name)(row.id)

    def _do_one(self, name: str, row: Row) -> None:
        calls: dict[str, Callable[[], object]] = {
            "open": lambda: self.open_asked.emit(row),
            "watch": lambda: self.watch_asked.emit(row),
            "compare": lambda: self.compare_asked.emit(row),
            "use": lambda: self.settings_asked.emit(row.job.request),
            "up": lambda: self._queue.move_up(row.id),
            "down": lambda: self._queue.move_down(row.id),
            "reveal": lambda: self._reveal(row),
            "copy": lambda: self._copy(row),
            "log": lambda: self._queue.log(row.id, while_alive(self, lambda text: self._show_log(row, text))),
        }
        calls[name]()

    def _reveal(self, row: Row) -> None:
        folder = str(Path(row.output).parent)
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(folder)):
            self._say(f"The folder {folder} cannot be shown; it comes with the first frame.")

    def _copy(self, row: Row) -> None:
        text = json.dumps(row.job.request.to_dict(), indent=2, ensure_ascii=False)
        QGuiApplication.clipboard().setText(text)
        self._say(f"The settings of {row.title} are on the clipboard.")

    def _show_log(self, row: Row, text: str) -> None:
        LogWindow(row.title, text or "The engine wrote nothing down.", self).show()

    def _show_menu(self, place: QPoint) -> None:
        menu = self.made_menu()
        menu.popup(self._list.viewport().mapToGlobal(place))

    def made_menu(self) -> QMenu:
        """The menu of the selected jobs; it goes once it is closed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for name, action in self.actions_by_name.items():
            if name in _AFTER_LINE:
                menu.addSeparator()
            menu.addAction(action)
        return menu

    def _activated(self, index: QModelIndex) -> None:
        row = self._model.row_at(index)
        if row is not None:
            self._do_one("watch" if row.state == "running" else "open", row)

    def _made_list(self) -> QListView:
        view = QListView(self)
        view.setObjectName("queue_list")
        view.setAccessibleName("Jobs")
        view.setToolTip("Double-click looks at the layers, or watches a running job; drag a waiting one to reorder")
        view.setModel(self._model)
        view.setItemDelegate(QueueDelegate(view))
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        view.setDropIndicatorShown(True)
        view.setDragDropOverwriteMode(False)
        view.setUniformItemSizes(True)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._show_menu)
        view.doubleClicked.connect(self._activated)
        view.selectionModel().selectionChanged.connect(self._enable_actions)
        return view

    def _made_action(self, name: str, label: str, keys: str, tip: str) -> QAction:
        action = QAction(label, self)
        action.setObjectName(f"queue_{name}")
        if keys:
            action.setShortcut(QKeySequence(keys))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        shown = QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)
        action.setToolTip(f"{tip} ({shown})" if keys else tip)
        action.triggered.connect(lambda: self._do(name))
        self._list.addAction(action)
        return action

    def _made_filter(self) -> QComboBox:
        box = QComboBox(self)
        box.setObjectName("queue_filter")
        box.setAccessibleName("Which jobs are shown")
        box.setToolTip("Which jobs are shown")
        for name, label in _FILTERS:
            box.addItem(label, name)
        box.currentIndexChanged.connect(self._filter_chosen)
        return box

    def _filter_chosen(self) -> None:
        chosen: Filter = self._filter.currentData()
        self._empty.setText(_EMPTY[chosen])
        self._model.set_filter(chosen)
        self._take_rows()

    def _made_bar(self) -> QVBoxLayout:
        """Two rows, for a panel that leaves the picture its place."""
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self._filter)
        first.addStretch(1)
        for name, arrow in (("up", Qt.ArrowType.UpArrow), ("down", Qt.ArrowType.DownArrow)):
            button = self._made_button(name)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            button.setArrowType(arrow)
            first.addWidget(button)
        for name in _IN_BAR:
            second.addWidget(self._made_button(name))
        second.addStretch(1)
        bar = QVBoxLayout()
        for row in (first, second):
            row.setSpacing(2)
            bar.addLayout(row)
        return bar

    def _made_button(self, name: str) -> QToolButton:
        action = self.actions_by_name[name]
        button = QToolButton(self)
        button.setDefaultAction(action)
        button.setObjectName(f"queue_{name}_button")
        button.setAccessibleName(action.text())
        button.setAutoRaise(True)
        return button


def _is_possible(name: str, rows: list[Row], one: Row | None) -> bool:
    if name in _VERBS:
        return any(row.can(name) for row in rows)
    if one is None:
        return False
    if name in ("up", "down"):
        return one.can("move")
    if name == "watch":
        return one.state == "running"
    if name in ("open", "compare"):
        return one.state == "done" or one.job.progress.frames_done > 0
    return True
