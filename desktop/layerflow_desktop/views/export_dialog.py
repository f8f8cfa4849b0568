"""The window of exports: what becomes of a take, whether files would be replaced, and how far it is."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from layerflow_desktop.controllers.delivering import Exported
from layerflow_desktop.controllers.exporting import Exporter
from layerflow_desktop.models.exports import KINDS, Export, Exportable
from layerflow_desktop.views.export_form import ExportForm

_WIDTH = 540
_SETTLED_MS = 150  # after the last change, before the disk is asked


class ExportDialog(QDialog):
    """Stays open beside the main window. An export goes on when it is closed, and is shown when it is opened again."""

    reveal_asked = Signal(str)  # a file to be shown in its folder

    def __init__(self, exporter: Exporter, subject: Exportable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("export_dialog")
        self.setWindowTitle("Export")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._exporter = exporter
        self._asked = 0  # so that an answer to an older question is told apart
        self._is_checked = False  # whether the disk was asked about what the fields say now
        self._files: tuple[str, ...] = ()  # of the export that was made last
        self.form = ExportForm(subject)
        self.replace, self.status, self.bar = QCheckBox(), QLabel(), QProgressBar()
        self.export_button, self.cancel_button = QPushButton("Export"), QPushButton("Cancel")
        self.reveal_button, self.close_button = QPushButton("Show in Folder"), QPushButton("Close")
        self._settling = QTimer(self, singleShot=True, interval=_SETTLED_MS)
        self._lay_out()
        self._describe()
        self._connect()
        self._ask()
        self._show_state()

    def set_subject(self, subject: Exportable) -> None:
        """Exports another take, or the same after a change."""
        self.form.set_subject(subject)

    def done(self, result: int) -> None:
        """Closes; the export that runs goes on."""
        self._settling.stop()
        self._asked += 1
        exporter = self._exporter
        exporter.progress.disconnect(self._progressed, missing_ok=True)
        exporter.done.disconnect(self._came, missing_ok=True)
        exporter.failed.disconnect(self._broke, missing_ok=True)
        exporter.cancelled.disconnect(self._stopped, missing_ok=True)
        exporter.changed.disconnect(self._show_state, missing_ok=True)
        super().done(result)

    def _lay_out(self) -> None:
        self.status.setWordWrap(True)
        self.status.setMinimumHeight(3 * self.status.fontMetrics().lineSpacing())  # so that the window keeps its size
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setMinimumWidth(_WIDTH)
        buttons = QHBoxLayout()
        buttons.addWidget(self.reveal_button)
        buttons.addStretch(1)
        for button in (self.close_button, self.cancel_button, self.export_button):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        for part in (self.form, self.replace, self.bar, self.status):
            layout.addWidget(part)
        layout.addStretch(1)
        layout.addLayout(buttons)
        self.export_button.setDefault(True)
        for button in (self.close_button, self.cancel_button, self.reveal_button, self.form.browse):
            button.setAutoDefault(False)

    def _describe(self) -> None:
        for widget, name, text in (
            (self.replace, "export_replace", "Files that are there are only replaced when this is ticked"),
            (self.bar, "export_progress", "How far the export is"),
            (self.status, "export_status", "What the export says"),
            (self.export_button, "export_start", "Export now, or after the exports that run"),
            (self.cancel_button, "export_cancel", "Stop the export that runs; nothing half-written is left"),
            (self.reveal_button, "export_reveal", "Show the files of the last export in their folder"),
            (self.close_button, "export_close", "Close; an export that runs goes on"),
        ):
            widget.setObjectName(name)
            widget.setAccessibleName(text)
            widget.setToolTip(text)

    def _connect(self) -> None:
        self.form.edited.connect(self._edited)
        self._settling.timeout.connect(self._ask)
        self.replace.toggled.connect(self._show_state)
        self.export_button.clicked.connect(self._start)
        self.cancel_button.clicked.connect(self._exporter.cancel)
        self.reveal_button.clicked.connect(lambda: self.reveal_asked.emit(self._files[0]))
        self.close_button.clicked.connect(self.close)
        self._exporter.progress.connect(self._progressed)
        self._exporter.done.connect(self._came)
        self._exporter.failed.connect(self._broke)
        self._exporter.cancelled.connect(self._stopped)
        self._exporter.changed.connect(self._show_state)

    def _edited(self) -> None:
        """What was found out is about other files now."""
        self._asked += 1
        self._is_checked = False
        self._offer(())
        self._settling.start()
        self._show_state()

    def _ask(self) -> None:
        """Has the disk looked at, which takes a while on a server."""
        self._asked += 1
        number = self._asked
        try:
            export = self.form.export()
            export.files()
        except ValueError as error:
            self._say(str(error))
            return
        self._say("")
        self._exporter.existing(
            export,
            lambda there: self._found(number, there),
            lambda message: self._say(message) if number == self._asked else None,
        )

    def _found(self, number: int, there: tuple[str, ...]) -> None:
        if number == self._asked:
            self._is_checked = True
            self._offer(there)
            self._show_state()

    def _offer(self, there: tuple[str, ...]) -> None:
        """Shows the check box where files are there; it is never ticked by itself."""
        self.replace.setChecked(False)
        self.replace.setVisible(bool(there))
        count = len(there)
        self.replace.setText(f"Replace {count} files that are there" if count > 1 else "Replace the file that is there")

    def _start(self) -> None:
        try:
            export = self.form.export(replace=self.replace.isChecked())
        except ValueError as error:
            self._say(str(error))
            return
        self._is_checked = False
        self._say("")
        self._exporter.start(export)

    def _show_state(self) -> None:
        running = self._exporter.running
        waits_for_yes = not self.replace.isHidden() and not self.replace.isChecked()
        self.export_button.setEnabled(self._is_checked and not waits_for_yes)
        self.cancel_button.setVisible(running is not None)
        self.reveal_button.setVisible(bool(self._files))
        self.bar.setVisible(running is not None)
        if running is not None:
            self.bar.setFormat(f"{KINDS[running.kind].title}: %v of %m{self._queue_text()}")
            if not self.bar.maximum() or self.bar.value() == self.bar.maximum():
                self._reset_bar(running)

    def _queue_text(self) -> str:
        count = len(self._exporter.waiting)
        return f", {count} more {'waits' if count == 1 else 'wait'}" if count else ""

    def _reset_bar(self, export: Export) -> None:
        self.bar.setRange(0, len(export.frames))
        self.bar.setValue(0)

    def _progressed(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)

    def _came(self, exported: Exported) -> None:
        self._files = exported.files
        count = len(exported.files)
        what = exported.files[0] if count == 1 else f"{count} files, from {exported.files[0]}"
        self._over(". ".join((f"Exported {what}", *exported.warnings)))

    def _broke(self, message: str) -> None:
        self._over(message)

    def _stopped(self) -> None:
        self._over("Stopped. Frames that are whole stay.")

    def _over(self, text: str) -> None:
        """Says how it ended; what is on the disk now is another thing than before."""
        self.bar.setValue(self.bar.maximum())
        self._ask()
        self._say(text)
        self._show_state()

    def _say(self, text: str) -> None:
        self.status.setText(f"{text[:1].upper()}{text[1:]}")
