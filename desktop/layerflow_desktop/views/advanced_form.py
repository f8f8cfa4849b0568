"""The settings that most shots leave as they are."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QWidget

from layerflow_desktop.models.document import ShotSettings
from layerflow_desktop.views import shot_choices as words
from layerflow_desktop.views.fields import (
    ChoiceField,
    NameField,
    NumberField,
    SwitchField,
    TextField,
    TextsField,
    named,
)

AnyField = ChoiceField | NameField | NumberField | SwitchField | TextField | TextsField
_OF_DECOMPOSE = ("refine", "closeup")
_LORA_TIP = "Files to merge into the model, FILE or FILE:WEIGHT, with ; between them"


class AdvancedForm(QWidget):
    """A row for each of them."""

    edited = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("advanced_form")
        self._fields: dict[str, AnyField] = {}
        self._rows = QFormLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        choice = ChoiceField
        self._add("refine", "Refine", "How the matte gets its plate's detail", choice(words.REFINES, self))
        self._add("closeup", "", "A second look where the foreground is", SwitchField("Look closer", self))
        self._add("motion", "Stillness", "0 is a moving picture, 1 a still", NumberField(0, 1, 0.1, parent=self))
        self._add("fps", "Rate", "Frames per second", NumberField(0.1, 1000, 1, "Automatic", 3, self))
        self._add(
            "colorspace", "Plate space", "Colour space of the plate; empty is what its file says", TextField(self)
        )
        spaces = NameField(words.SPACES, self)
        self._add("output_colorspace", "Layer space", "Colour space of the layers, scene-linear", spaces)
        self._add("fit", "Fit", "How a plate of another shape meets the model's", choice(words.FITS, self))
        self._add("device", "Device", "What makes it; auto is the best there is", NameField(("auto",), self))
        self._add("memory", "Memory", "How much is on the device at once", choice(words.MEMORIES, self))
        self._add("precision", "Precision", "Of the network", choice(words.PRECISIONS, self))
        self._add("backend", "Backend", "What runs the network; auto is the fastest there is", TextField(self))
        self._add("lora", "LoRA", _LORA_TIP, TextsField(self))

    def show_shot(self, shot: ShotSettings) -> None:
        """Shows the settings, and tells of none of them."""
        for name, field in self._fields.items():
            field.show_value(getattr(shot, name))

    def set_devices(self, devices: Sequence[str]) -> None:
        """Offers these."""
        field = self._fields["device"]
        if isinstance(field, NameField):
            field.set_names(["auto", *devices])

    def set_task(self, task: str) -> None:
        """Hides what the task has no use for."""
        for name in _OF_DECOMPOSE:
            self._rows.setRowVisible(self._fields[name], task == "decompose")
        self._rows.setRowVisible(self._fields["colorspace"], task != "generate")

    def _add(self, name: str, label: str, tip: str, field: AnyField) -> None:
        field.edited.connect(lambda value: self.edited.emit(name, value))
        self._fields[name] = field
        self._rows.addRow(label, named(name, label or "Look closer", tip, field))
