"""The window of exports: it asks before it replaces, shows how far it is, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from exports_on_disk import FRAMES, STATES, engine, slow_engine, write_take
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSpinBox
from shiboken6 import isValid

from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.exporting import Exporter
from layerflow_desktop.models.exports import KINDS, Exportable
from layerflow_desktop.views.export_dialog import ExportDialog
from layerflow_desktop.views.post import Poster


@pytest.fixture
def subject(tmp_path: Path) -> Exportable:
    return Exportable(write_take(tmp_path / "take"), FRAMES, STATES)


@pytest.fixture
def command() -> list[str]:
    return engine()


@pytest.fixture
def exporter(qapp, command) -> Iterator[Exporter]:
    poster = Poster()
    background = Background(poster)
    made = Exporter(background, poster, lambda: command)
    yield made
    made.close()
    background.close()


@pytest.fixture
def dialog(qtbot, exporter, subject) -> Iterator[ExportDialog]:
    made = ExportDialog(exporter, subject)
    made.show()
    yield made
    closed(qtbot, made)


def choose(dialog: ExportDialog, kind: str) -> None:
    dialog.form.kind.setCurrentIndex(dialog.form.kind.findData(kind))


def ready(qtbot, dialog: ExportDialog) -> None:
    qtbot.waitUntil(lambda: dialog.export_button.isEnabled(), timeout=20_000)


def made(qtbot, dialog: ExportDialog) -> None:
    """Presses Export, and waits until nothing is left to do."""
    dialog.export_button.click()
    qtbot.waitUntil(lambda: dialog._exporter.running is None, timeout=60_000)


def closed(qtbot, dialog: ExportDialog) -> None:
    """Closes it, and waits until nothing of it is left."""
    dialog.close()
    qtbot.waitUntil(lambda: not isValid(dialog))


def test_it_says_what_each_kind_is(dialog) -> None:
    for kind, text in KINDS.items():
        choose(dialog, kind)
        assert dialog.form.explanation.text() == text.explanation
        assert dialog.form.place.text().endswith(text.suffix)
        assert dialog.form.layer.isVisible() == (kind == "prores")
        assert dialog.form.alpha.isVisible() == (kind in ("exr", "exr-layers", "prores"))


def test_everything_has_a_name_and_a_word_of_help(dialog) -> None:
    for kind in (QAbstractButton, QComboBox, QLineEdit, QSpinBox):
        for widget in dialog.findChildren(kind):
            if not widget.objectName().startswith("qt_"):
                assert widget.objectName() and widget.accessibleName() and widget.toolTip(), widget


def test_an_export_and_its_folder(qtbot, dialog, tmp_path) -> None:
    choose(dialog, "prores")
    ready(qtbot, dialog)
    assert dialog.replace.isHidden() and dialog.reveal_button.isHidden()
    made(qtbot, dialog)
    path = tmp_path / "take" / "export" / "dog_v001.mov"
    assert path.is_file() and dialog.status.text() == f"Exported {path}"
    with qtbot.waitSignal(dialog.reveal_asked) as asked:
        dialog.reveal_button.click()
    assert asked.args == [str(path)]


def test_it_never_replaces_without_being_told(qtbot, dialog, tmp_path) -> None:
    folder = tmp_path / "take" / "export"
    folder.mkdir()
    for frame in FRAMES[:2]:
        (folder / f"dog_v001_comp.{frame}.exr").write_text("mine")
    dialog.form.edited.emit()
    qtbot.waitUntil(lambda: dialog.replace.isVisible())
    assert dialog.replace.text() == "Replace 2 files that are there" and not dialog.replace.isChecked()
    assert not dialog.export_button.isEnabled()
    dialog.form.first.setValue(FRAMES[1])
    qtbot.waitUntil(lambda: dialog.replace.text() == "Replace the file that is there" and dialog.replace.isVisible())
    dialog.replace.setChecked(True)
    dialog.form.last.setValue(FRAMES[1])  # a yes is for the files that it was said of
    qtbot.waitUntil(lambda: dialog._is_checked)
    assert not dialog.replace.isChecked() and not dialog.export_button.isEnabled()
    dialog.replace.setChecked(True)
    made(qtbot, dialog)
    assert (folder / "dog_v001_comp.1001.exr").read_text() == "mine"
    assert (folder / "dog_v001_comp.1002.exr").stat().st_size > 100
    qtbot.waitUntil(lambda: dialog.replace.isVisible() and not dialog.replace.isChecked())


def test_a_file_that_appears_in_between_is_kept(qtbot, dialog, tmp_path) -> None:
    choose(dialog, "sheet")
    ready(qtbot, dialog)
    path = tmp_path / "take" / "export" / "dog_v001_sheet.png"
    path.parent.mkdir()
    path.write_text("mine")
    made(qtbot, dialog)
    assert path.read_text() == "mine" and "tick Replace" in dialog.status.text()
    qtbot.waitUntil(lambda: dialog.replace.isVisible())


def test_a_place_of_ones_own_is_kept(qtbot, dialog, tmp_path) -> None:
    dialog.form.place.setText(str(tmp_path / "mine" / "x.%04d.exr"))
    dialog.form.place.textEdited.emit("")
    choose(dialog, "sheet")
    assert dialog.form.place.text() == str(tmp_path / "mine" / "dog_v001_sheet.png")


def test_browsing_completes_the_name(qtbot, dialog, tmp_path, monkeypatch) -> None:
    chosen = str(tmp_path / "y")
    monkeypatch.setattr("PySide6.QtWidgets.QFileDialog.getSaveFileName", lambda *args, **options: (chosen, ""))
    dialog.form.browse.click()
    assert dialog.form.place.text() == str(tmp_path / "y.%04d.exr")
    choose(dialog, "prores")
    dialog.form.browse.click()
    assert dialog.form.place.text() == str(tmp_path / "y.mov")


def test_what_cannot_be_is_said_and_not_done(qtbot, dialog) -> None:
    dialog.form.place.setText("x.exr")
    qtbot.waitUntil(lambda: "needs %04d" in dialog.status.text())
    assert not dialog.export_button.isEnabled()
    dialog.form.place.setText("")
    qtbot.waitUntil(lambda: "choose a file" in dialog.status.text())


def test_another_take(qtbot, dialog, tmp_path) -> None:
    dialog.form.first.setValue(FRAMES[1])
    dialog.set_subject(Exportable(dialog.form._subject.source, FRAMES, STATES[1:]))
    assert dialog.form.first.value() == FRAMES[1]
    assert [dialog.form.layer.itemData(row) for row in range(4)] == ["", "foreground2", "background", "blended"]
    dialog.set_subject(Exportable(str(tmp_path / "cat.%04d.exr"), (5, 6, 7), STATES, first=6))
    assert (dialog.form.first.value(), dialog.form.last.value()) == (6, 7)
    assert dialog.form.place.text() == str(tmp_path / "export" / "cat_comp.%04d.exr")


@pytest.mark.parametrize("command", [slow_engine("1003")])
def test_stopping(qtbot, dialog, tmp_path) -> None:
    choose(dialog, "prores")
    ready(qtbot, dialog)
    dialog.export_button.click()
    qtbot.waitUntil(lambda: dialog.bar.value() == 2, timeout=60_000)
    assert dialog.bar.isVisible() and dialog.bar.maximum() == 3 and dialog.bar.format().startswith("ProRes")
    dialog.cancel_button.click()
    qtbot.waitUntil(lambda: dialog._exporter.running is None, timeout=20_000)
    assert dialog.status.text().startswith("Stopped") and dialog.bar.isHidden()
    assert not list((tmp_path / "take" / "export").iterdir())


@pytest.mark.parametrize("command", [slow_engine("1003")])
def test_closing_it_leaves_the_export_alone(qtbot, exporter, subject) -> None:
    first = ExportDialog(exporter, subject)
    ready(qtbot, first)
    first.show()
    first.export_button.click()
    closed(qtbot, first)
    assert all(len(signal) == 0 for signal in (exporter.progress, exporter.done, exporter.changed))
    assert exporter.running is not None
    again = ExportDialog(exporter, subject)
    again.show()
    assert again.bar.isVisible() and again.cancel_button.isVisible()
    again.reject()
    qtbot.waitUntil(lambda: not isValid(again))
