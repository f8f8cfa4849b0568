"""The first time: nothing is said where all is well, and what to do where it is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from psygnal import Signal
from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication, QWidget

from layerflow_desktop.controllers.doctor import Finding
from layerflow_desktop.views.application import _Finder
from layerflow_desktop.views.doctor_panel import DoctorPanel
from layerflow_desktop.views.first_start import FirstStart

FINE = Finding("bundled model", "ok", "mini", "")
MISSING = Finding("bundled model", "fail", "its weights are damaged", "Install LayerFlow again.")


class Engine:
    """An engine whose doctor has looked already."""

    changed = Signal()

    def __init__(self, findings):
        self.state, self.text, self._findings, self.asked = "starting", "The engine is starting.", findings, 0

    def become(self, state):
        self.state = state
        self.changed.emit()

    def check(self):
        pass

    def doctor(self, then, failed):
        self.asked += 1
        then(self._findings)


def begin(qtbot, *findings):
    engine, said = Engine(findings), []
    place = QWidget()
    qtbot.addWidget(place)
    panel = DoctorPanel(engine, place)
    studio = SimpleNamespace(engine=engine, session=SimpleNamespace(say=said.append))
    FirstStart(studio, panel, place)
    return engine, place, panel, said


@pytest.mark.parametrize("state", ["ready", "away"])
def test_what_is_missing_is_shown_with_what_to_do(qtbot, state):
    engine, place, panel, said = begin(qtbot, MISSING, FINE)
    assert not place.isVisible() and not engine.asked
    engine.become(state)
    assert place.isVisible() and "weights are damaged" in panel.text()
    assert said == ["bundled model: its weights are damaged. Install LayerFlow again."]
    engine.become("away")
    assert engine.asked == 1


def test_nothing_is_said_where_all_is_well(qtbot):
    engine, place, _, said = begin(qtbot, FINE)
    engine.become("ready")
    assert engine.asked == 1 and not place.isVisible() and not said


def test_files_that_the_system_hands_over_are_opened(qtbot):
    opened = []
    window = QWidget()
    qtbot.addWidget(window)
    window.files = SimpleNamespace(open=opened.append)
    finder = _Finder(window)
    window.installEventFilter(finder)
    QApplication.sendEvent(window, QFileOpenEvent(QUrl.fromLocalFile("/shots/dog.lfstudio")))
    QApplication.sendEvent(window, QEvent(QEvent.Type.User))
    assert opened == [["/shots/dog.lfstudio"]]
