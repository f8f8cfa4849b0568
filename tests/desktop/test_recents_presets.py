"""What is remembered over all projects, and how shots are made under a name."""

from __future__ import annotations

import pytest
from pumping import Pump

from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.recent import FILE, MAX_PATHS, Recent
from layerflow_desktop.models.document import ShotSettings
from layerflow_desktop.models.presets import BUILT_IN, MAKING, preset_of, with_preset

SHOT = ShotSettings(foreground="a dog", further=("a cat",), background="a park", seed=7, steps=4, lora=("a.st:0.5",))


def test_everything_is_there_again_the_last_first(tmp_path) -> None:
    recent, told = Recent(tmp_path), []
    recent.changed.connect(lambda: told.append(recent.projects))
    recent.note_project(tmp_path / "a.layerflow")
    recent.note_project("/b.layerflow")
    recent.note_project(tmp_path / "a.layerflow")
    recent.note_plate("/in/dog.%04d.exr")
    recent.note_prompts(SHOT)
    recent.note_prompts(SHOT.with_(foreground="a dog", further=(), background="a beach"))
    recent.keep_preset(" mine ", SHOT)
    again = Recent(tmp_path)
    assert again.projects == (str(tmp_path / "a.layerflow"), "/b.layerflow")
    assert again.plates == ("/in/dog.%04d.exr",)
    assert again.prompts("foreground2") == again.prompts("foreground") == ("a dog", "a cat")
    assert again.prompts("background") == ("a beach", "a park") and again.prompts("blended") == ()
    assert [*again.presets] == [*BUILT_IN, "mine"] and again.is_own("mine") and not again.is_own("Final")
    assert len(told) == 7 and [file.name for file in tmp_path.iterdir()] == [FILE]


def test_what_is_not_there_any_more_is_forgotten(tmp_path) -> None:
    recent = Recent(tmp_path)
    for number in range(MAX_PATHS + 3):
        recent.note_project(f"/{number}.layerflow")
    assert len(recent.projects) == MAX_PATHS
    recent.drop_project(recent.projects[0])
    recent.keep_preset("x", SHOT)
    recent.drop_preset("x")
    assert len(Recent(tmp_path).projects) == MAX_PATHS - 1 and not Recent(tmp_path).is_own("x")


def test_a_preset_is_how_a_shot_is_made_and_nothing_of_the_shot(tmp_path) -> None:
    recent = Recent(tmp_path)
    recent.keep_preset("mine", SHOT)
    other = ShotSettings(task="decompose", plate="/in/a.exr", foreground="a car", seed=1)
    made = Recent(tmp_path).with_preset("mine", other)
    assert made == other.with_(steps=4, lora=("a.st:0.5",))
    assert set(preset_of(SHOT)) == set(MAKING) <= set(ShotSettings.model_fields)
    for preset in BUILT_IN.values():
        assert set(preset) <= set(MAKING) and with_preset(SHOT, preset).seed == 7


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_preset_needs_a_name(tmp_path, name) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        Recent(tmp_path).keep_preset(name, SHOT)


def test_presets_that_cannot_be_are_said(tmp_path) -> None:
    with pytest.raises(ValueError, match="there is no preset gone"):
        Recent(tmp_path).with_preset("gone", SHOT)
    with pytest.raises(ValueError, match="quality"):
        with_preset(SHOT, {"quality": "superb"})


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"projects": 3}', b"\xff\xfe"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage) -> None:
    (tmp_path / FILE).write_bytes(damage)
    recent = Recent(tmp_path)
    assert recent.projects == ()
    recent.note_project("/a.layerflow")
    assert Recent(tmp_path).projects == ("/a.layerflow",)


def test_it_is_written_in_the_background_and_a_full_disk_costs_nothing(tmp_path) -> None:
    pump = Pump()
    background = Background(pump)
    recent = Recent(tmp_path, background)
    recent.note_project("/a.layerflow")
    pump.until(lambda: Recent(tmp_path).projects == ("/a.layerflow",))
    background.close()
    (tmp_path / "file").write_text("")
    nowhere = Recent(tmp_path / "file" / "below", Background(Pump()))
    nowhere.note_project("/a.layerflow")
    assert nowhere.projects == ("/a.layerflow",)


def test_it_is_kept_in_the_apps_own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LAYERFLOW_STUDIO", str(tmp_path))
    Recent().note_project("/a.layerflow")
    assert (tmp_path / FILE).is_file()
