"""The queue as artists see it: lines, what is offered for which job, and that nothing asked twice gets lost."""

from __future__ import annotations

import json

import pytest
from psygnal import Signal
from PySide6.QtCore import QMimeData, QModelIndex, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QDragMoveEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QToolButton
from shiboken6 import isValid

from layerflow.wire import Job, Progress, Request
from layerflow_desktop.models.queue_row import row_of
from layerflow_desktop.views import queue_panel as module
from layerflow_desktop.views.log_window import LogWindow
from layerflow_desktop.views.queue_list import QueueModel
from layerflow_desktop.views.queue_panel import QueuePanel

IDS = ["0" * 31 + digit for digit in "0123456789"]


class StubQueue:
    """Rows that are set, and what was asked."""

    changed = Signal()

    def __init__(self) -> None:
        self.rows = ()
        self.asked = []

    def set(self, *rows) -> None:
        self.rows = rows
        self.changed.emit()

    def log(self, job, then) -> None:
        then("a line")

    def __getattr__(self, name):
        return lambda *values: self.asked.append((name, *values))


def row(number, state="queued", label="", left_s=None, **values):
    request = Request("generate", foreground="a dog", background="a park", output=f"/out/dog{number}_v001.%04d.exr")
    return row_of(Job(IDS[number], state, request, label, position=number, **values), left_s)


RUNNING = row(1, "running", "nuke:shot.nk/LayerFlow1", 75.0, progress=Progress("sampling", 12, 30))
DONE = row(2, "done", "studio:park.layerflow/v003", result={"frames": ["a", "b"], "seconds": 3.0}, finished_at=5.0)
FAILED = row(3, "failed", "blender:park.blend/dog", message="the disk is full; make room", finished_at=9.0)
WAITING = row(4, label="studio:park.layerflow/v004")
LATER = row(5)
PAUSED = row(6, "paused", "studio:x/v001")
ROWS = (DONE, RUNNING, FAILED, WAITING, LATER, PAUSED)


@pytest.fixture
def queue() -> StubQueue:
    return StubQueue()


@pytest.fixture
def panel(qtbot, queue):
    said = []
    panel = QueuePanel(queue, said.append)
    panel.said = said
    qtbot.addWidget(panel)
    panel.resize(420, 420)
    panel.show()
    return panel


def ids(model: QueueModel) -> list[str]:
    return [model.row_at(model.index(at)).id for at in range(model.rowCount())]


def possible(panel) -> list[str]:
    return [name for name, action in panel.actions_by_name.items() if action.isEnabled()]


def test_jobs_that_go_on_come_first_then_the_newest(panel, queue) -> None:
    queue.set(*ROWS)
    expected = [each.id for each in (RUNNING, WAITING, LATER, PAUSED, FAILED, DONE)]
    assert ids(panel._model) == expected
    texts = [panel._model.index(at).data() for at in range(3)]
    assert texts == ["Nuke: LayerFlow1 of shot.nk", "Studio: v004 of park.layerflow", "Command line: dog5_v001"]
    read_aloud = panel._model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert read_aloud.endswith("Layers from words. sampling 12/30, about 1 m 15 s left")


def test_without_jobs_it_says_what_to_do(panel, queue) -> None:
    assert panel._pages.currentWidget().text().startswith("No jobs yet.")
    queue.set(LATER)
    assert panel._pages.currentWidget() is panel._list
    panel._filter.setCurrentIndex(1)
    assert panel._pages.currentWidget().text().startswith("No jobs of this app.")
    queue.set(LATER, DONE)
    assert ids(panel._model) == [DONE.id]
    panel._filter.setCurrentIndex(2)
    assert ids(panel._model) == [LATER.id]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (RUNNING, "watch cancel pause reveal use copy log"),
        (WAITING, "cancel pause up down reveal use copy log"),
        (PAUSED, "cancel resume up down reveal use copy log"),
        (DONE, "open compare reveal use copy log"),
        (FAILED, "retry reveal use copy log"),
    ],
)
def test_only_what_is_possible_is_offered(panel, queue, chosen, expected) -> None:
    queue.set(*ROWS)
    assert possible(panel) == []
    panel.select(chosen.id)
    assert possible(panel) == expected.split()


def test_each_verb_asks_the_queue_for_all_that_are_selected(panel, queue) -> None:
    queue.set(*ROWS)
    panel._list.selectAll()
    panel.actions_by_name["cancel"].trigger()
    assert queue.asked == [("cancel", each.id) for each in (RUNNING, WAITING, LATER, PAUSED)]
    queue.asked.clear()
    panel.select(WAITING.id)
    for name in ("pause", "up", "down"):
        panel.actions_by_name[name].trigger()
    panel.select(PAUSED.id)
    panel.actions_by_name["resume"].trigger()
    panel.select(FAILED.id)
    panel.actions_by_name["retry"].trigger()
    assert queue.asked == [
        ("pause", WAITING.id),
        ("move_up", WAITING.id),
        ("move_down", WAITING.id),
        ("resume", PAUSED.id),
        ("retry", FAILED.id),
    ]


def test_results_previews_and_settings_are_handed_on(panel, queue, qtbot, monkeypatch) -> None:
    queue.set(*ROWS)
    panel.select(DONE.id)
    for signal, name in ((panel.open_asked, "open"), (panel.compare_asked, "compare")):
        with qtbot.waitSignal(signal) as told:
            panel.actions_by_name[name].trigger()
        assert told.args == [DONE]
    with qtbot.waitSignal(panel.settings_asked) as told:
        panel.actions_by_name["use"].trigger()
    assert told.args == [DONE.job.request]
    panel.actions_by_name["copy"].trigger()
    assert Request.from_dict(json.loads(QGuiApplication.clipboard().text())) == DONE.job.request
    assert panel.said == ["The settings of Studio: v003 of park.layerflow are on the clipboard."]
    opened = []
    monkeypatch.setattr(module.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    panel.actions_by_name["reveal"].trigger()
    assert opened == ["/out"] and "cannot be shown" in panel.said[-1]
    panel.select(RUNNING.id)
    with qtbot.waitSignal(panel.watch_asked) as told:
        panel._list.doubleClicked.emit(panel._model.index(0))
    assert told.args == [RUNNING]


def test_what_is_selected_stays_so_while_the_queue_moves(panel, queue) -> None:
    queue.set(*ROWS)
    panel.select(LATER.id)
    queue.set(row(9, "running"), row(5), row(4), row(2, "done"))
    assert [each.id for each in panel.selected] == [LATER.id]
    assert ids(panel._model) == [IDS[9], IDS[5], IDS[4], IDS[2]]
    queue.set(row(4))
    assert panel.selected == [] and possible(panel) == []


def test_dragging_asks_for_the_place_before_a_waiting_job(queue) -> None:
    model, asked = QueueModel(), []
    model.move_asked.connect(lambda *values: asked.append(values))
    model.show(ROWS)  # running, waiting, later, paused, failed, done
    can_drag = [bool(model.flags(model.index(at)) & Qt.ItemFlag.ItemIsDragEnabled) for at in range(6)]
    assert can_drag == [False, True, True, True, False, False]
    data = model.mimeData([model.index(3)])
    for place in (0, 2, 4):
        assert not model.dropMimeData(data, Qt.DropAction.MoveAction, place, 0, QModelIndex())
    assert asked == [(PAUSED.id, WAITING.id), (PAUSED.id, LATER.id), (PAUSED.id, None)]
    assert not model.dropMimeData(QMimeData(), Qt.DropAction.MoveAction, 0, 0, QModelIndex()) and len(asked) == 3


def test_a_job_that_is_dropped_on_the_list_is_asked_to_move(panel, queue) -> None:
    queue.set(*ROWS)
    view, model = panel._list, panel._model
    QApplication.processEvents()
    above = view.visualRect(model.index(1)).topLeft() + QPoint(40, 1)
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    data = model.mimeData([model.index(3)])
    view.dragMoveEvent(QDragMoveEvent(above, copy, data, left, none))
    view.dropEvent(QDropEvent(QPointF(above), copy, data, left, none))
    assert queue.asked == [("move_before", PAUSED.id, WAITING.id)]
    assert ids(model)[:4] == [each.id for each in (RUNNING, WAITING, LATER, PAUSED)]  # until the engine says otherwise


def test_the_log_is_a_window_to_read_that_goes_when_closed(panel, queue, qtbot) -> None:
    queue.set(*ROWS)
    panel.select(FAILED.id)
    panel.actions_by_name["log"].trigger()
    (window,) = panel.findChildren(LogWindow)
    assert window.isReadOnly() and window.isVisible() and window.toPlainText() == "a line"
    with qtbot.waitSignal(window.destroyed):
        window.close()


def test_everything_is_named_for_those_who_do_not_see_it(panel) -> None:
    for button in panel.findChildren(QToolButton):
        assert button.accessibleName() and button.toolTip() and button.objectName()
    for action in panel.actions_by_name.values():
        assert action.toolTip() and action.objectName()
    menu = panel.made_menu()
    assert next(action.text() for action in menu.actions() if action.text()) == "Open result"
    menu.close()
    menu.deleteLater()


def test_lines_are_drawn_with_a_bar_as_far_as_the_job_is(panel, queue) -> None:
    queue.set(RUNNING)
    QApplication.processEvents()
    picture = panel._list.grab().toImage()
    rect = panel._list.visualRect(panel._model.index(0))
    accent = panel.palette().highlight().color()
    line = rect.bottom() - 7
    colored = [x for x in range(rect.width()) if _is_near(picture.pixelColor(x, line), accent)]
    left = 8 + 14 + 8
    assert colored and abs((colored[-1] - left) / (rect.width() - 8 - left) - 0.4) < 0.02


def _is_near(color: QColor, other: QColor) -> bool:
    return max(abs(a - b) for a, b in zip(color.getRgb(), other.getRgb(), strict=True)) < 8


def test_a_panel_that_is_gone_hears_nothing(qtbot, queue) -> None:
    panel = QueuePanel(queue, print)
    panel.deleteLater()
    qtbot.waitUntil(lambda: not isValid(panel))
    queue.set(*ROWS)
