"""What is missing: the engine's state, and what its doctor found."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QBrush, QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from layerflow_desktop.controllers.doctor import Finding
from layerflow_desktop.controllers.engine import Engine
from layerflow_desktop.views.alive import while_alive
from layerflow_desktop.views.listening import listen
from layerflow_desktop.views.queue_delegate import BAD, GOOD

_STATUS = {"ok": "Fine", "warn": "Look", "fail": "Missing"}
_ORDER = ("fail", "warn", "ok")
_LOOKING = "Looking through the install; this takes a few seconds."


class DoctorPanel(QWidget):
    """A list of what is amiss and what to do about it; all that is fine on demand."""

    def __init__(self, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("doctor_panel")
        self._engine = engine
        self._findings: tuple[Finding, ...] = ()
        self._engine_text = QLabel(self)
        self._engine_text.setObjectName("doctor_engine")
        self._summary = QLabel(_LOOKING, self)
        self._summary.setObjectName("doctor_summary")
        for label in (self._engine_text, self._summary):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._tree = self._made_tree()
        self._everything = QCheckBox("Show what is fine too", self)
        self._everything.setObjectName("doctor_everything")
        self._everything.setAccessibleName(self._everything.text())
        self._everything.setToolTip("List everything that was looked at")
        self._everything.toggled.connect(self._fill)
        self._refresh = self._made_button("refresh", "Look again", "Have the engine look through its install again")
        self._refresh.clicked.connect(self.refresh)
        self._copy = self._made_button("copy", "Copy", "Copy all of it as text, to ask somebody")
        self._copy.clicked.connect(self._copy_all)
        self._lay_out()
        listen(self, engine.changed, self._show_engine)
        self._show_engine()

    @property
    def is_healthy(self) -> bool:
        """Whether the doctor has looked and nothing is missing."""
        return bool(self._findings) and all(finding.status != "fail" for finding in self._findings)

    def refresh(self) -> None:
        """Has the doctor look, and shows what it found."""
        self._refresh.setEnabled(False)
        self._summary.setText(_LOOKING)
        self._engine.doctor(while_alive(self, self.show_findings), while_alive(self, self._failed))
        self._engine.check()

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        """Shows what was found, what is missing first."""
        self._findings = tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.status)))
        self._refresh.setEnabled(True)
        self._summary.setText(_summary(self._findings))
        self._fill()

    def text(self) -> str:
        """All of it, for a mail."""
        lines = [self._engine.text]
        for finding in self._findings:
            lines.append(f"{_STATUS[finding.status]:8}{finding.name}: {finding.detail}")
            lines += [f"        {finding.advice}"] if finding.advice else []
        return "\n".join(lines)

    def _failed(self, sentence: str) -> None:
        self._refresh.setEnabled(True)
        self._summary.setText(sentence)

    def _show_engine(self) -> None:
        self._engine_text.setText(self._engine.text)

    def _copy_all(self) -> None:
        QGuiApplication.clipboard().setText(self.text())

    def _fill(self) -> None:
        self._tree.clear()
        for finding in self._findings:
            if finding.status != "ok" or self._everything.isChecked():
                self._tree.addTopLevelItem(self._made_item(finding))

    def _made_item(self, finding: Finding) -> QTreeWidgetItem:
        values = (_STATUS[finding.status], finding.name, finding.detail, finding.advice)
        item = QTreeWidgetItem([*values])
        colors = {"ok": GOOD, "fail": BAD, "warn": self.palette().highlight().color()}
        item.setForeground(0, QBrush(colors[finding.status]))
        for column, value in enumerate(values):
            item.setToolTip(column, value)
        return item

    def _made_tree(self) -> QTreeWidget:
        tree = QTreeWidget(self)
        tree.setObjectName("doctor_findings")
        tree.setAccessibleName("What was found")
        tree.setToolTip("What is missing comes first, with what to do about it")
        tree.setHeaderLabels(["", "What", "Found", "What to do"])
        tree.setRootIsDecorated(False)
        tree.setAlternatingRowColors(True)
        tree.setUniformRowHeights(True)
        header = tree.header()
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(2, 220)
        header.setStretchLastSection(True)
        return tree

    def _made_button(self, name: str, label: str, tip: str) -> QPushButton:
        button = QPushButton(label, self)
        button.setObjectName(f"doctor_{name}")
        button.setAccessibleName(label)
        button.setToolTip(tip)
        return button

    def _lay_out(self) -> None:
        below = QHBoxLayout()
        below.addWidget(self._everything)
        below.addStretch(1)
        below.addWidget(self._copy)
        below.addWidget(self._refresh)
        layout = QVBoxLayout(self)
        for part in (self._engine_text, self._summary, self._tree):
            layout.addWidget(part)
        layout.addLayout(below)


def _summary(findings: tuple[Finding, ...]) -> str:
    missing = sum(finding.status == "fail" for finding in findings)
    noted = sum(finding.status == "warn" for finding in findings)
    if missing:
        return f"{missing} of {len(findings)} things are missing or do not work; what to do stands beside each."
    if noted:
        return f"All that is needed is here. {noted} of {len(findings)} things are worth a look."
    return "All that is needed is here."
