"""The layer panel, driven as a hand drives it."""

from __future__ import annotations

import gc
import weakref

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, LayerState
from layerflow_desktop.views.layer_panel import LayerPanel
from layerflow_desktop.views.layer_row import LayerRow

LEFT = Qt.MouseButton.LeftButton
NAMES = ("foreground", "foreground2", "background")


@pytest.fixture
def session():
    return Session(Document(layers=[LayerState(name=name) for name in NAMES]))


@pytest.fixture
def panel(qtbot, session):
    widget = LayerPanel(session)
    qtbot.addWidget(widget)
    widget.resize(320, 300)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def order(session):
    return tuple(layer.name for layer in session.document.layers)


def row(panel, name="foreground"):
    return panel._rows[name]


def drag_label(label, *steps):
    """Drags a label sideways, by each of these pixels in turn."""
    x = 2
    QTest.mousePress(label, LEFT, pos=QPoint(x, 3))
    for step in steps:
        x += step
        QTest.mouseMove(label, QPoint(x, 3))
    QTest.mouseRelease(label, LEFT, pos=QPoint(x, 3))


@pytest.mark.parametrize(
    ("button", "field", "step", "back"),
    [
        ("eye", "visible", "Hide foreground", "Show foreground"),
        ("solo", "solo", "Solo foreground", "Stop solo of foreground"),
        ("lock", "locked", "Lock foreground", "Unlock foreground"),
    ],
)
def test_toggles_are_named_steps(panel, session, button, field, step, back):
    before = getattr(session.document.layer("foreground"), field)
    QTest.mouseClick(getattr(row(panel), button), LEFT)
    assert getattr(session.document.layer("foreground"), field) is not before
    assert session.history.undo_name == step
    QTest.mouseClick(getattr(row(panel), button), LEFT)
    assert session.history.undo_name == back
    session.undo()
    session.undo()
    assert getattr(row(panel), button).isChecked() is before


def test_a_drag_is_one_step(panel, session):
    row(panel).more.click()
    drag_label(row(panel).numbers["offset_x"].label, 3, 4, 5)
    assert session.document.layer("foreground").offset_x == 12
    drag_label(row(panel).numbers["offset_x"].label, 8)
    assert session.document.layer("foreground").offset_x == 20
    session.undo()
    assert session.document.layer("foreground").offset_x == 12 and session.history.undo_name == "Move foreground"
    session.undo()
    assert session.document.layer("foreground").offset_x == 0 and row(panel).numbers["offset_x"].spin.value() == 0


def test_shift_drags_finer_than_the_number_shows(panel, session):
    number = row(panel).opacity
    number.label.dragged.emit(-10.0)
    for _ in range(10):
        number.label.dragged.emit(-0.1)
    number.label.released.emit()
    assert session.document.layer("foreground").opacity == 0.89
    session.undo()
    assert session.document.layer("foreground").opacity == 1.0


def test_a_double_click_puts_a_number_back(panel, session):
    row(panel).more.click()
    row(panel).numbers["scale"].spin.setValue(2.5)
    assert session.document.layer("foreground").scale == 2.5
    QTest.mouseDClick(row(panel).numbers["scale"].label, LEFT)
    assert session.document.layer("foreground").scale == 1.0


def test_opacity_by_slider_and_by_number(panel, session):
    row(panel).slider.setValue(40)
    assert session.document.layer("foreground").opacity == 0.4 and row(panel).opacity.spin.value() == 40
    row(panel).opacity.spin.setValue(75)
    assert session.document.layer("foreground").opacity == 0.75 and row(panel).slider.value() == 75
    assert session.history.undo_name == "Opacity of foreground"


def test_what_is_not_seen_keeps_its_number(panel, session):
    """A value finer than the panel shows is not rounded by showing it."""
    fine = session.document.layer("foreground").with_(opacity=0.123456, offset_x=0.04)
    session.amend(session.document.with_layer(fine))
    assert session.document.layer("foreground") == fine and not session.history.undo_name


def test_keys_walk_and_move(panel, session):
    row(panel).setFocus()
    QTest.keyClick(row(panel), Qt.Key.Key_Down)
    assert QApplication.focusWidget() in (row(panel, "foreground2"), None)  # None: no window is active
    QTest.keyClick(row(panel), Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
    assert order(session) == ("foreground2", "foreground", "background")
    assert session.history.undo_name == "Move foreground down"
    QTest.keyClick(row(panel), Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(row(panel), Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
    assert order(session) == NAMES
    assert [each.name for each in panel.rows] == [*NAMES]


def test_rows_are_dragged_into_another_order(panel, session):
    first, last = row(panel), row(panel, "background")
    QTest.mousePress(first.label, LEFT, pos=QPoint(5, 5))
    end = first.label.mapFromGlobal(last.mapToGlobal(QPoint(60, last.height() - 2)))
    QTest.mouseMove(first.label, QPoint(5, 20))
    QTest.mouseMove(first.label, end)
    assert panel._line.isVisible()
    QTest.mouseRelease(first.label, LEFT, pos=end)
    assert order(session) == ("foreground2", "background", "foreground")
    assert not panel._line.isVisible()
    QApplication.processEvents()
    tops = [each.geometry().top() for each in panel.rows]
    assert sorted(tops) == tops
    session.undo()
    assert order(session) == NAMES


def test_a_click_chooses_and_again_shows_all(panel, session, qtbot):
    with qtbot.waitSignal(panel.layer_chosen) as told:
        QTest.mouseClick(row(panel).label, LEFT)
    assert told.args == ["foreground"]
    session.look(view=session.document.view.with_(a="foreground"))
    with qtbot.waitSignal(panel.layer_chosen) as told:
        QTest.mouseClick(row(panel), LEFT, pos=QPoint(100, 5))
    assert told.args == ["comp"]
    assert order(session) == NAMES and not session.history.undo_name


def test_regenerate_says_what_it_will_do(panel, session, qtbot):
    assert not panel.regenerate.isEnabled() and panel.words.text() == "Keeps nothing. Lock a layer to keep it."
    QTest.mouseClick(row(panel).lock, LEFT)
    assert panel.words.text() == "Keeps foreground. Makes foreground 2 and background anew."
    with qtbot.waitSignal(panel.regenerate_requested):
        panel.regenerate.click()
    for name in NAMES[1:]:
        QTest.mouseClick(row(panel, name).lock, LEFT)
    assert not panel.regenerate.isEnabled()


def test_the_menu_puts_back(panel, session):
    changed = session.document.layer("foreground").with_(scale=2.0, opacity=0.5, locked=True)
    session.edit("Change", session.document.with_layer(changed))
    actions = {action.text(): action for action in panel._menu("foreground").actions()}
    actions["Put foreground back"].trigger()
    assert session.document.layer("foreground") == LayerState(name="foreground", locked=True)
    actions["Move down"].trigger()
    assert order(session) == ("foreground2", "foreground", "background")
    panel.put_all_back()
    assert order(session) == NAMES and session.history.undo_name == "Put all layers back"
    actions["Unlock"].trigger()
    assert not session.document.layer("foreground").locked
    for menu in panel.findChildren(QMenu):
        menu.deleteLater()


def test_other_layers_come_and_rows_that_stay_are_the_same(panel, session):
    kept = row(panel)
    kept.more.click()
    session.amend(session.document.with_(layers=[LayerState(name="foreground"), LayerState(name="shadow")]))
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert row(panel) is kept and kept.more.isChecked()
    assert len(panel.findChildren(LayerRow)) == 2
    session.open(Document())
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert panel.findChildren(LayerRow) == [] and panel._empty.isVisible() and not panel.words.isVisible()


def test_playing_touches_no_row(panel, session, monkeypatch):
    shown = []
    monkeypatch.setattr(LayerRow, "show_state", lambda self, *args: shown.append(self))
    session.look(timeline=session.document.timeline.with_(frame=9))
    assert shown == []


def test_all_have_names_and_tooltips(panel):
    each = row(panel)
    for widget in (each, each.eye, each.solo, each.lock, each.slider, each.more, panel.regenerate):
        assert widget.accessibleName() and widget.toolTip() and widget.objectName()
    assert each.numbers["scale"].spin.accessibleName() == "Scale of foreground about the middle"


def test_ctrl_arrows_are_the_rows_own(panel):
    event_of = {Qt.Key.Key_Up: True, Qt.Key.Key_Down: True, Qt.Key.Key_Space: False}
    for key, is_own in event_of.items():
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, Qt.KeyboardModifier.ControlModifier)
        event.ignore()
        QApplication.sendEvent(row(panel), event)
        assert event.isAccepted() is is_own


def test_the_wheel_scrolls_and_changes_nothing(panel, session):
    for widget in (row(panel).slider, row(panel).opacity.spin):
        place, none = QPointF(5, 5), Qt.MouseButton.NoButton
        event = QWheelEvent(
            place,
            QPointF(widget.mapToGlobal(place)),
            QPoint(),
            QPoint(0, -120),
            none,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(widget, event)
    assert session.document.layer("foreground").opacity == 1.0


def test_nothing_is_left_of_it(qtbot, session):
    owner = QWidget()
    kept = weakref.ref(LayerPanel(session, owner))
    owner.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    del owner
    gc.collect()
    assert kept() is None and len(session.changed) == 0
