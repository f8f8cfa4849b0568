"""The fields of a shot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from layerflow_desktop.models.document import ShotSettings
from layerflow_desktop.views import shot_choices as words
from layerflow_desktop.views.advanced_form import AdvancedForm
from layerflow_desktop.views.fields import ChoiceField, CountField, NameField, NumberField, SeedField, TextField, named
from layerflow_desktop.views.prompts import PromptList
from layerflow_desktop.views.wells import Describe, Resolve, Well

AnyField = Well | ChoiceField | CountField | NumberField | NameField | TextField | SeedField
Bound = TypeVar("Bound", Well, ChoiceField, CountField, NumberField, NameField, TextField, SeedField)
_NUMBER_PX = 84
_SEGMENT = """
QToolButton { padding: 4px; border: 1px solid palette(dark); background: palette(button); }
QToolButton:hover { background: palette(midlight); }
QToolButton:focus { border-color: palette(highlight); }
QToolButton:checked { background: palette(highlight); color: palette(highlighted-text); font-weight: 600; }
QToolButton:checked:focus { border-color: palette(bright-text); }
"""


class ShotForm(QWidget):
    """Every setting of a shot, those that its task has no use for hidden."""

    edited = Signal(str, object)  # a field of ShotSettings, and what it is to be
    left = Signal()  # the focus went to another field

    def __init__(
        self,
        suggest: Callable[[str], Sequence[str]],
        resolve: Resolve,
        describe: Describe,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("shot_form")
        self._fields: dict[str, AnyField] = {}
        self._task_buttons = QButtonGroup(self)
        self._subtitle = QLabel(self)
        self._subtitle.setWordWrap(True)
        self._plate = self._bound("plate", Well("plate", "Plate", words.PLATE_TIPS, resolve, describe, self))
        self._guide = self._bound("guide", Well("guide", "Matte guide", words.GUIDE_TIP, resolve, describe, self))
        self._prompts = PromptList(suggest, self)
        self._prompts.edited.connect(self.edited.emit)
        self._model = named(
            "model", "Model", "A model's name, or the folder it is in", self._bound("model", NameField(parent=self))
        )
        self._advanced = AdvancedForm(self)
        self._advanced.edited.connect(self.edited.emit)
        self._lay_out()
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._focus_changed)

    def show_shot(self, shot: ShotSettings) -> None:
        """Shows the settings, and tells of none of them."""
        for name, field in self._fields.items():
            field.show_value(getattr(shot, name))
        self._seed.show_lock(shot.lock_seed)
        self._prompts.show_values(shot.foreground, shot.further, shot.background, shot.blended)
        self._advanced.show_shot(shot)
        self._show_task(shot.task)
        self._guide_kind.setEnabled(bool(shot.guide))

    def set_names(self, models: Sequence[str], devices: Sequence[str]) -> None:
        """Offers these models and devices."""
        self._model.set_names(models)
        self._advanced.set_devices(devices)

    def _show_task(self, task: str) -> None:
        for button in self._task_buttons.buttons():
            button.setChecked(button.objectName() == f"task_{task}")
        self._subtitle.setText(next(meaning for name, _, meaning in words.TASKS if name == task))
        self._plate.setVisible(task != "generate")
        self._plate.set_label(words.PLATE_LABELS.get(task, "Plate"))
        for part in (self._guide, self._guide_row):
            part.setVisible(task == "decompose")
        self._last.setVisible(task != "generate")
        self._count.setVisible(task == "generate")
        self._prompts.set_task(task)
        self._advanced.set_task(task)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 4, 0)
        layout.setSpacing(8)
        layout.addLayout(self._made_tasks())
        for part in (self._subtitle, self._plate, self._guide, self._made_guide_row(), self._prompts):
            layout.addWidget(part)
        layout.addLayout(self._made_rows())
        layout.addWidget(self._made_disclosure())
        layout.addWidget(self._advanced)
        layout.addStretch(1)

    def _made_tasks(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(2)
        for at, (name, label, meaning) in enumerate(words.TASKS):
            button = QToolButton(self)
            button.setObjectName(f"task_{name}")
            button.setText(label)
            button.setAccessibleName(f"Task: {label}")
            button.setAccessibleDescription(meaning)
            button.setToolTip(meaning)
            button.setCheckable(True)
            button.setStyleSheet(_SEGMENT)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda checked, name=name: self.edited.emit("task", name))
            self._task_buttons.addButton(button)
            grid.addWidget(button, at // 2, at % 2)
        return grid

    def _made_guide_row(self) -> QWidget:
        self._guide_row = QWidget(self)
        kind = self._bound("guide_kind", ChoiceField(words.GUIDE_KINDS, self._guide_row))
        self._guide_kind = named("guide_kind", "The guide is", "How far the guide is believed", kind)
        layout = QHBoxLayout(self._guide_row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("The guide is", self._guide_row))
        layout.addWidget(self._guide_kind, 1)
        return self._guide_row

    def _made_rows(self) -> QFormLayout:
        rows = QFormLayout()
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Model", self._model)
        self._quality = self._bound("quality", ChoiceField(words.QUALITIES, self))
        rows.addRow("Quality", named("quality", "Quality", "How much work is left out", self._quality))
        self._seed = self._bound("seed", SeedField(self))
        self._seed.lock_edited.connect(lambda value: self.edited.emit("lock_seed", value))
        rows.addRow("Seed", self._seed)
        steps = self._bound("steps", CountField("Model's own", 1, 1000, self))
        rows.addRow("Steps", named("steps", "Steps", "Sampling steps; the lowest is the model's own", steps))
        guidance = self._bound("guidance", NumberField(0.0, 100.0, 0.5, "Model's own", parent=self))
        tip = "How closely the prompts are followed; the lowest is the model's own"
        rows.addRow("Guidance", named("guidance", "Guidance", tip, guidance))
        rows.addRow("Frames", self._made_range())
        rows.addRow("Output", self._made_output())
        return rows

    def _made_range(self) -> QWidget:
        row = QWidget(self)
        first = self._bound("first_frame", CountField("First", 0, parent=row))
        named("first_frame", "First frame", "The first frame to make, in the plate's numbering", first)
        self._last = self._bound("last_frame", CountField("Last", 0, parent=row))
        named("last_frame", "Last frame", "The last frame to make, itself included", self._last)
        self._count = self._bound("num_frames", CountField("Model's own", 1, 100000, row))
        named("num_frames", "Number of frames", "How many frames to make", self._count)
        self._count.setSuffix(" frames")
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (first, self._last, self._count):
            part.setMinimumWidth(_NUMBER_PX)  # a spin box asks for the width of its largest number
            layout.addWidget(part, 1)
        return row

    def _made_output(self) -> QWidget:
        row = QWidget(self)
        self._output = self._bound("output", TextField(row))
        named("output", "Output", "Where the layers are written; a new version with every take", self._output)
        self._output.setPlaceholderText("Beside the project")
        browse = QToolButton(row)
        browse.setText("Browse…")
        browse.setObjectName("shot_output_browse")
        browse.setAccessibleName("Choose where the layers are written")
        browse.setToolTip("Choose where the layers are written")
        browse.clicked.connect(self._choose_output)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._output, 1)
        layout.addWidget(browse)
        return row

    def _choose_output(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self,
            "Where the layers are written",
            self._output.text(),
            "EXR sequence (*.exr)",
            options=QFileDialog.Option.DontConfirmOverwrite,  # every take is a version of its own
        )
        if chosen:
            self.edited.emit("output", chosen)

    def _made_disclosure(self) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName("shot_advanced")
        button.setText("Advanced")
        button.setAccessibleName("Advanced settings")
        button.setToolTip("Show the rest of the settings")
        button.setCheckable(True)
        button.setAutoRaise(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setArrowType(Qt.ArrowType.RightArrow)

        def disclose(is_open: bool) -> None:
            button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
            self._advanced.setVisible(is_open)

        button.toggled.connect(disclose)
        self._advanced.hide()
        return button

    def _bound(self, name: str, field: Bound) -> Bound:
        """The widget, as that of a setting."""
        field.edited.connect(lambda value: self.edited.emit(name, value))
        self._fields[name] = field
        return field

    def _focus_changed(self, old: QWidget | None, new: QWidget | None) -> None:
        if old is not None and self.isAncestorOf(old):
            self.left.emit()
