"""Settings of the app itself: they count at once."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from layerflow_desktop.models.preferences import GIB, Preferences

_OWN = "of this machine's memory"


class PreferencesDialog(QDialog):
    """Changes preferences as they are set. Escape closes it."""

    changed = Signal(object)  # Preferences

    def __init__(self, preferences: Preferences, own_cache_bytes: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("preferences_dialog")
        self.setWindowTitle("Preferences")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._preferences = preferences
        self.cache = _cache_box(preferences, own_cache_bytes)
        self.drops = QCheckBox("Keep time, even where frames are left out")
        self.folder, self.blender = QLineEdit(preferences.folder), QLineEdit(preferences.blender)
        form = QFormLayout()
        form.addRow("Frames in memory", self.cache)
        form.addRow("Playing", self.drops)
        form.addRow("Layers go to", self._with_browse(self.folder, "the folder for layers", folder=True))
        form.addRow("Blender", self._with_browse(self.blender, "the Blender to start", folder=False))
        self._describe()
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        note = QLabel("A project that has a file keeps its layers beside it.")
        note.setEnabled(False)
        layout.addWidget(note)
        self._connect()

    def _describe(self) -> None:
        self.drops.setChecked(self._preferences.drops_frames)
        self.folder.setPlaceholderText("LayerFlow in your documents")
        self.blender.setPlaceholderText("The one that is installed")
        for widget, name, text in (
            (self.cache, "cache_limit", "How much memory the frames that are kept for playing may take"),
            (
                self.drops,
                "drops_frames",
                "Otherwise the first time shows every frame, however long it is read",
            ),
            (self.folder, "output_folder", "Where layers of projects without a file are written"),
            (self.blender, "blender_program", "The Blender that “Send to Blender” starts"),
        ):
            widget.setObjectName(name)
            widget.setAccessibleName(text)
            widget.setToolTip(text)

    def _connect(self) -> None:
        self.cache.valueChanged.connect(lambda gib: self._set(cache_gib=max(gib, 0.25) if gib else None))
        self.drops.toggled.connect(lambda on: self._set(drops_frames=on))
        self.folder.editingFinished.connect(lambda: self._set(folder=self.folder.text().strip()))
        self.blender.editingFinished.connect(lambda: self._set(blender=self.blender.text().strip()))

    def _set(self, **values: object) -> None:
        changed = self._preferences.with_(**values)
        if changed != self._preferences:
            self._preferences = changed
            self.changed.emit(changed)

    def _with_browse(self, line: QLineEdit, what: str, folder: bool) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(line)
        button = QPushButton("Browse…")
        button.setObjectName("browse_folder" if folder else "browse_blender")
        button.setAccessibleName(f"Choose {what}")
        button.setToolTip(f"Choose {what}")
        button.clicked.connect(lambda: self._browse(line, folder))
        row.addWidget(button)
        return holder

    def _browse(self, line: QLineEdit, folder: bool) -> None:
        chosen = (
            QFileDialog.getExistingDirectory(self, "Choose a folder", line.text())
            if folder
            else QFileDialog.getOpenFileName(self, "Choose a program", line.text())[0]
        )
        if chosen:
            line.setText(chosen)
            line.editingFinished.emit()


def _cache_box(preferences: Preferences, own_bytes: int) -> QDoubleSpinBox:
    """A box for GiB whose lowest value stands for the machine's own share."""
    box = QDoubleSpinBox()
    box.setRange(0.0, 1024.0)
    box.setSingleStep(1.0)
    box.setDecimals(2)
    box.setSuffix(" GiB")
    box.setSpecialValueText(f"A share {_OWN} ({own_bytes / GIB:.1f} GiB)")
    box.setValue(preferences.cache_gib or 0.0)
    return box
