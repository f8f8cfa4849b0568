"""What an artist sets once."""

from __future__ import annotations

import pytest

from layerflow_desktop.models.preferences import (
    GIB,
    Preferences,
    load_preferences,
    preferences_file,
    save_preferences,
)
from layerflow_desktop.views.preferences_dialog import PreferencesDialog


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_STUDIO", str(tmp_path))


def test_they_are_kept():
    kept = Preferences(cache_gib=2.5, folder="/shots", drops_frames=True)
    save_preferences(kept)
    assert load_preferences() == kept
    assert kept.cache_bytes == 2.5 * GIB


@pytest.mark.parametrize("text", ["", "{", '{"cache_gib": -1}', "[]"])
def test_what_cannot_be_read_counts_as_none(text):
    preferences_file().write_text(text)
    assert load_preferences() == Preferences()


def test_the_dialog_tells_every_change(qtbot):
    dialog, told = PreferencesDialog(Preferences(), 4 * GIB), []
    qtbot.addWidget(dialog)
    dialog.changed.connect(told.append)
    dialog.cache.setValue(3.0)
    dialog.cache.setValue(0.0)
    dialog.drops.setChecked(True)
    dialog.folder.setText("/shots")
    dialog.folder.editingFinished.emit()
    assert [each.cache_gib for each in told] == [3.0, None, None, None]
    assert told[-1] == Preferences(folder="/shots", drops_frames=True)
    assert "4.0 GiB" in dialog.cache.text()


def test_a_cache_that_cannot_be_is_never_told(qtbot):
    dialog, told = PreferencesDialog(Preferences(), 4 * GIB), []
    qtbot.addWidget(dialog)
    dialog.changed.connect(told.append)
    dialog.cache.setValue(0.1)
    assert [each.cache_gib for each in told] == [0.25]
