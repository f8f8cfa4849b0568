"""The first time the app runs for somebody: says what is missing, if anything is."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from layerflow_desktop.controllers.doctor import Finding
from layerflow_desktop.controllers.studio import Studio
from layerflow_desktop.views.alive import while_alive
from layerflow_desktop.views.doctor_panel import DoctorPanel
from layerflow_desktop.views.listening import listen


class FirstStart(QObject):
    """Has the doctor look once the engine has answered, or cannot; shows its panel only where something is amiss."""

    def __init__(self, studio: Studio, panel: DoctorPanel, place: QWidget) -> None:
        """`place` is what is shown around the panel, and owns this."""
        super().__init__(place)
        self._studio, self._panel, self._place = studio, panel, place
        self._has_asked = False
        listen(self, studio.engine.changed, self._look)
        self._look()

    def _look(self) -> None:
        if self._has_asked or self._studio.engine.state == "starting":
            return
        self._has_asked = True
        self._studio.engine.doctor(while_alive(self, self._found), self._studio.session.say)

    def _found(self, findings: tuple[Finding, ...]) -> None:
        missing = [finding for finding in findings if finding.status == "fail"]
        if missing:
            self._panel.show_findings(findings)
            self._place.show()
            self._studio.session.say(f"{missing[0].name}: {missing[0].detail}. {missing[0].advice}".rstrip())
