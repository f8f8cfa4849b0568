"""What is missing, as a list with what to do."""

from __future__ import annotations

import pytest
from psygnal import Signal
from PySide6.QtGui import QGuiApplication

from layerflow_desktop.controllers.doctor import Finding
from layerflow_desktop.views.doctor_panel import DoctorPanel

FINDINGS = (
    Finding("python", "ok", "3.11"),
    Finding("device cuda", "warn", "no NVIDIA GPU found", "the bundled model runs without"),
    Finding("mini", "fail", "not there", "install LayerFlow again"),
)


class StubEngine:
    changed = Signal()

    def __init__(self) -> None:
        self.text, self.asked, self.num_checks = "The engine is starting.", [], 0

    def doctor(self, then, failed) -> None:
        self.asked.append((then, failed))

    def check(self) -> None:
        self.num_checks += 1


@pytest.fixture
def panel(qtbot):
    panel = DoctorPanel(StubEngine())
    qtbot.addWidget(panel)
    panel.show()
    return panel


def lines(panel) -> list[list[str]]:
    tree = panel._tree
    items = [tree.topLevelItem(at) for at in range(tree.topLevelItemCount())]
    return [[item.text(column) for column in range(4)] for item in items]


def test_what_is_missing_comes_first_with_what_to_do(panel) -> None:
    panel.show_findings(FINDINGS)
    assert lines(panel) == [
        ["Missing", "mini", "not there", "install LayerFlow again"],
        ["Look", "device cuda", "no NVIDIA GPU found", "the bundled model runs without"],
    ]
    assert panel._summary.text().startswith("1 of 3 things are missing") and not panel.is_healthy
    panel._everything.setChecked(True)
    assert [line[1] for line in lines(panel)] == ["mini", "device cuda", "python"]


def test_without_failures_it_says_so(panel) -> None:
    assert not panel.is_healthy
    panel.show_findings(FINDINGS[:2])
    assert panel.is_healthy and panel._summary.text().startswith("All that is needed is here. 1 of 2")
    panel.show_findings(FINDINGS[:1])
    assert panel._summary.text() == "All that is needed is here." and lines(panel) == []


def test_looking_again_asks_once_and_says_what_failed(panel) -> None:
    engine = panel._engine
    panel._refresh.click()
    panel._refresh.click()
    assert len(engine.asked) == engine.num_checks == 1 and not panel._refresh.isEnabled()
    engine.asked[0][1]("the engine could not look through itself; install LayerFlow again")
    assert panel._refresh.isEnabled() and panel._summary.text().startswith("the engine could not")


def test_all_of_it_can_be_copied(panel) -> None:
    panel.show_findings(FINDINGS)
    panel._copy.click()
    assert (
        QGuiApplication.clipboard().text()
        == panel.text()
        == (
            "The engine is starting.\n"
            "Missing mini: not there\n        install LayerFlow again\n"
            "Look    device cuda: no NVIDIA GPU found\n        the bundled model runs without\n"
            "Fine    python: 3.11"
        )
    )


def test_the_engines_state_is_shown(panel) -> None:
    panel._engine.text = "The engine is ready on A computer."
    panel._engine.changed.emit()
    assert panel._engine_text.text() == "The engine is ready on A computer."
