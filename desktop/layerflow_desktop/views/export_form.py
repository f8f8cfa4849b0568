"""What is to be exported, as fields: kind, place, range, and what a movie shows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from layerflow.wire.checks import has_frame_field
from layerflow_desktop.models.exports import KINDS, Export, Exportable, Kind, range_of, suggested_output

_ALPHA_KINDS = ("exr", "exr-layers", "prores")


class ExportForm(QWidget):
    """Fields of an export. `edited` comes with every change of them."""

    edited = Signal()

    def __init__(self, subject: Exportable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._subject = subject
        self._is_own_place = False  # whether the artist chose the place
        self.kind, self.explanation = QComboBox(), QLabel()
        self.place, self.browse = QLineEdit(), QPushButton("Browse…")
        self.first, self.last = QSpinBox(), QSpinBox()
        self.layer, self.alpha = QComboBox(), QComboBox()
        for kind, text in KINDS.items():
            self.kind.addItem(text.title, kind)
        self.alpha.addItem("Straight", "straight")
        self.alpha.addItem("Premultiplied", "premultiplied")
        self.explanation.setWordWrap(True)
        self.explanation.setMinimumHeight(2 * self.explanation.fontMetrics().lineSpacing())
        self._lay_out()
        self._describe()
        self.set_subject(subject)
        self._connect()

    def set_subject(self, subject: Exportable) -> None:
        """Exports another take, or the same after a change; the range stays where the take is the same."""
        is_same = subject.source == self._subject.source and self.layer.count() > 0
        self._subject = subject
        ends = (subject.frames[0], subject.frames[-1]) if subject.frames else (0, 0)
        for box, wanted in ((self.first, subject.first), (self.last, subject.last)):
            end = ends[0] if box is self.first else ends[1]
            value = box.value() if is_same else end if wanted is None else wanted
            box.setRange(*ends)
            box.setValue(value)
        self._is_own_place = self._is_own_place and is_same
        self._list_layers()
        self._follow_kind()

    def export(self, replace: bool = False) -> Export:
        """What the fields say. ValueError, with one sentence, where that cannot be."""
        kind = self._chosen_kind()
        place = self.place.text().strip()
        if place and not KINDS[kind].is_single and not has_frame_field(Path(place).name):
            raise ValueError("the file name needs %04d for the frame number; write it before the ending")
        return Export(
            kind=kind,
            source=self._subject.source,
            output=place,
            frames=range_of(self._subject.frames, self.first.value(), self.last.value()),
            layers=self._subject.layers,
            layer=str(self.layer.currentData() or "") if kind == "prores" else "",
            alpha=cast(Literal["straight", "premultiplied"], self.alpha.currentData()),
            replace=replace,
        )

    def _chosen_kind(self) -> Kind:
        return cast(Kind, self.kind.currentData())

    def _lay_out(self) -> None:
        place, frames = QWidget(), QWidget()
        for holder, parts in ((place, (self.place, self.browse)), (frames, (self.first, QLabel("to"), self.last))):
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            for part in parts:
                row.addWidget(part, int(part is self.place))
            row.addStretch(int(holder is frames))
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Export", self.kind)
        form.addRow("", self.explanation)
        form.addRow("To", place)
        form.addRow("Frames", frames)
        form.addRow("Movie of", self.layer)
        form.addRow("Alpha", self.alpha)
        self._form = form

    def _describe(self) -> None:
        for widget, name, text in (
            (self.kind, "export_kind", "What the layers become"),
            (self.place, "export_place", "Where files go; %04d stands for the frame number"),
            (self.browse, "export_browse", "Choose where files go"),
            (self.first, "export_first", "First frame to export"),
            (self.last, "export_last", "Last frame to export, included"),
            (self.layer, "export_layer", "What the movie shows"),
            (self.alpha, "export_alpha", "Whether colour is multiplied by alpha; most programs ask for one of them"),
        ):
            widget.setObjectName(name)
            widget.setAccessibleName(text)
            widget.setToolTip(text)
        self.explanation.setObjectName("export_explanation")

    def _connect(self) -> None:
        self.kind.currentIndexChanged.connect(self._follow_kind)
        self.place.textEdited.connect(self._own_place)
        self.browse.clicked.connect(self._browse)
        self.place.textChanged.connect(self.edited)
        for box in (self.first, self.last):
            box.valueChanged.connect(self.edited)
        for choice in (self.layer, self.alpha):
            choice.currentIndexChanged.connect(self.edited)

    def _list_layers(self) -> None:
        chosen = self.layer.currentData()
        self.layer.clear()
        self.layer.addItem("All foregrounds in front", "")
        for name in [state.name for state in self._subject.layers if state.name not in ("residual", "blended")]:
            self.layer.addItem(name.capitalize(), name)
        self.layer.addItem("The whole picture, without alpha", "blended")
        self.layer.setCurrentIndex(max(0, self.layer.findData(chosen)))

    def _follow_kind(self) -> None:
        kind = self._chosen_kind()
        self.explanation.setText(KINDS[kind].explanation)
        self._form.setRowVisible(self.layer, kind == "prores")
        self._form.setRowVisible(self.alpha, kind in _ALPHA_KINDS)
        suggested = suggested_output(kind, self._subject.source)
        if self._is_own_place:  # the folder is kept, the name has to fit the kind
            suggested = str(Path(self.place.text()).parent / Path(suggested).name)
        self.place.setText(suggested)
        self.edited.emit()

    def _own_place(self) -> None:
        self._is_own_place = True

    def _browse(self) -> None:
        ending = KINDS[self._chosen_kind()].suffix
        options = QFileDialog.Option.DontConfirmOverwrite  # it is asked in the dialog itself, for all of the files
        chosen, _ = QFileDialog.getSaveFileName(self, "Export to", self.place.text(), f"*{ending}", options=options)
        if chosen:
            self._is_own_place = True
            self.place.setText(self._as_pattern(chosen, ending))

    def _as_pattern(self, chosen: str, ending: str) -> str:
        """A chosen name with what it lacks: the ending, and %04d."""
        path = Path(chosen)
        stem = path.stem if path.suffix.lower() == ending else path.name
        single = KINDS[self._chosen_kind()].is_single
        name = stem if single or has_frame_field(stem) else f"{stem}.%04d"
        return str(path.with_name(f"{name}{ending}"))
