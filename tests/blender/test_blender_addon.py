"""The add-on in real Blender without an engine: it comes and goes, its panel draws, and what is wrong is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from blender_process import VERSIONS, started
from shots_on_disk import plate

pytestmark = pytest.mark.blender


def with_plate(blender, folder: Path, **settings) -> None:
    """The plate as a selected strip, in a saved file."""
    names = plate(folder / "plate")
    blender.do("save", str(folder / "shot.blend"))
    blender.do("add_images", "plate", str(folder / "plate"), names, 2, 11)
    blender.do("select", "plate")
    blender.do("settings", foreground="a parrot", background="a desert", **settings)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_comes_and_goes_and_leaves_nothing_behind(version, tmp_path):
    with started(version, tmp_path / "resources") as blender:
        there = blender.do("traces")
        assert "generate" in there["operators"] and there["scene"] and there["preferences"]
        assert len(there["classes"]) > 20 and set(there["handlers"]) == {"load_pre", "load_post", "save_post"}
        blender.do("disable")
        gone = {name: type(value)() for name, value in there.items()}
        assert blender.do("traces") == gone
        blender.do("enable")
        assert blender.do("traces") == there


def test_it_goes_while_jobs_run(tmp_path, monkeypatch, alone):
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    slow = tmp_path / "slow-engine"
    slow.write_text("#!/bin/sh\nexec sleep 5\n")
    slow.chmod(0o755)
    monkeypatch.setenv("LAYERFLOW_COMMAND", str(slow))
    with started(alone.version, tmp_path / "resources") as blender:
        with_plate(blender, tmp_path)
        blender.do("press", "generate")
        blender.do("tick", 5)
        blender.do("disable")
        assert blender.do("traces")["modules"] == [] and blender.do("traces")["handlers"] == {}
        assert blender.do("threads_after", 10) == []


def test_every_panel_draws(alone, tmp_path):
    drawn = alone.do("draw")
    assert set(drawn) == {
        "LAYERFLOW_MT_prompts",
        "LAYERFLOW_PT_shot",
        "LAYERFLOW_PT_making",
        "LAYERFLOW_PT_place",
        "LAYERFLOW_PT_matte",
        "LAYERFLOW_PT_engine",
        "LAYERFLOW_PT_strip",
        "LAYERFLOW_PT_queue",
        "LayerFlowPreferences",
    }
    assert set(drawn) - {"LayerFlowPreferences"} <= set(alone.do("classes_in_blender"))
    assert "label: Select a strip" in drawn["LAYERFLOW_PT_shot"] and drawn["LAYERFLOW_PT_strip"] is None
    with_plate(alone, tmp_path, further=["a ball"])
    drawn = alone.do("draw")
    assert "label: plate: 11-18" in drawn["LAYERFLOW_PT_shot"]
    assert "operator: layerflow.remove_foreground: " in drawn["LAYERFLOW_PT_shot"]
    alone.do("settings", guide="plate")
    alone.do("add_color", "colour", [1, 0, 0], 5, 1)
    alone.do("select", "colour", "plate")
    drawn = alone.do("draw")["LAYERFLOW_PT_shot"]
    assert "label: colour: 1-10, rendered, for there is a guide" in drawn and not any(
        "plate:" in text for text in drawn
    )
    alone.do("settings", task="generate", frame_range="custom")
    drawn = alone.do("draw")
    assert drawn["LAYERFLOW_PT_matte"] is None
    assert any(text.startswith("prop: first_frame") for text in drawn["LAYERFLOW_PT_place"])


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ({"select": ()}, "Take a plate apart works on a strip"),
        ({"settings": {"guide": "nothing"}}, "there is no strip nothing"),
        ({"settings": {"frame_range": "custom", "first_frame": 30, "last_frame": 40}}, "shows frames 11 to 18"),
        ({"settings": {"task": "background", "background": ""}}, "background needs a background prompt"),
        ({"settings": {"model": "a\tb"}}, "model"),
        ({"preferences": {"server": "somewhere"}}, "'somewhere' is no folder"),
        ({"new": True}, "was never saved"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_nothing_has_happened(alone, tmp_path, prepare, says):
    with_plate(alone, tmp_path)
    if prepare.get("new"):
        alone.do("new_file")
        alone.do("settings", task="generate", foreground="a", background="b", length=8)
    if "select" in prepare:
        alone.do("select", *prepare["select"])
    alone.do("settings", **prepare.get("settings", {}))
    alone.do("preferences", **prepare.get("preferences", {}))
    before = alone.do("scene_state")
    try:
        pressed = alone.do("press", "generate")
    finally:
        alone.do("preferences", server="")
    assert pressed["result"] == ["CANCELLED"] and says in pressed["error"] and "\n" not in pressed["error"]
    assert alone.do("scene_state") == before and not alone.do("timers")
    assert [line for line in alone.do("queue") if line["state"] == "working"] == []


def test_no_engine_is_said_and_the_line_stays_until_it_is_dismissed(alone, tmp_path):
    with_plate(alone, tmp_path)
    before = alone.do("scene_state")
    assert alone.do("press", "generate")["error"] == ""
    assert alone.do("timers")
    alone.do("wait")
    (line,) = alone.do("queue")
    assert line["state"] == "failed" and "LAYERFLOW_COMMAND" in line["text"], line
    assert alone.do("scene_state") == before
    alone.do("tick")
    assert not any(text.startswith("operator: layerflow.retry") for text in alone.do("draw")["LAYERFLOW_PT_queue"])
    assert "never asked" in alone.do("press", "retry", key=line["key"])["error"]
    alone.do("save", str(tmp_path / "shot.blend"))
    alone.do("load", str(tmp_path / "shot.blend"))
    assert [each["key"] for each in alone.do("queue")] == [
        line["key"]
    ]  # it is remembered, and not tried again by itself
    assert alone.do("press", "dismiss", key=line["key"])["error"] == ""
    assert "not in the queue" in alone.do("press", "dismiss", key=line["key"])["error"]
    alone.do("load", str(tmp_path / "shot.blend"))
    assert alone.do("queue") == []


def test_a_job_can_be_cancelled_before_the_engine_was_asked(alone, tmp_path):
    with_plate(alone, tmp_path, task="decompose")
    alone.do("add_scene_strip", "inner", [1, 0, 0], 3, 11, 200)
    alone.do("select", "inner")
    alone.do("press", "generate")
    alone.do("wait", until="rendering plate")
    (line,) = alone.do("queue")
    assert 0 <= line["fraction"] < 0.5
    alone.do("press", "cancel", key=line["key"])
    alone.do("wait")
    assert alone.do("queue")[0]["text"] == "cancelled before the engine was asked"
    assert len(list((tmp_path / "layerflow" / "inner_inputs").iterdir())) < 200
    alone.do("press", "dismiss", key=line["key"])


def test_a_scene_or_strip_that_goes_while_it_is_rendered_is_said(alone, tmp_path):
    for gone, says in (("strip", "the strip inner1 is not there"), ("scene", "there is no scene Scene")):
        with_plate(alone, tmp_path)
        name = "inner0" if gone == "scene" else "inner1"
        alone.do("add_scene_strip", name, [1, 0, 0], 3, 11, 200)
        alone.do("select", name)
        alone.do("press", "generate")
        alone.do("wait", until="rendering plate")
        alone.do("remove", name) if gone == "strip" else alone.do("rename_scene", "other")
        alone.do("wait")
        line = alone.do("queue")[0]
        assert line["state"] == "failed" and says in line["text"], line
        for each in alone.do("queue"):
            alone.do("press", "dismiss", key=each["key"])


def test_a_job_of_before_that_cannot_be_watched_says_so_and_stays(alone, tmp_path):
    with_plate(alone, tmp_path)
    alone.do("press", "generate")
    alone.do("wait")
    alone.do("keep_as_asked", "0" * 32)  # as if Blender had ended while the job was in the queue
    alone.do("preferences", server="somewhere")
    try:
        alone.do("load", str(tmp_path / "shot.blend"))
        (line,) = alone.do("queue")
        assert line["state"] == "working" and "no folder" in line["text"] and "Reload" in line["text"]
    finally:
        alone.do("preferences", server="")
    alone.do("press", "reload")
    alone.do("wait")
    (line,) = alone.do("queue")
    assert line["state"] == "working" and "LAYERFLOW_COMMAND" in line["text"], line
    alone.do("press", "dismiss", key=line["key"])


def test_the_engine_can_be_asked_from_the_preferences(alone):
    alone.do("press", "check_engine")
    for _ in range(100):
        alone.do("tick", 5)
        if "LAYERFLOW_COMMAND" in alone.do("engine")["said"]:
            break
    assert "LAYERFLOW_COMMAND" in alone.do("engine")["said"]
    assert any("LAYERFLOW_COMMAND" in text for text in alone.do("draw")["LayerFlowPreferences"])


def test_prompts_are_remembered_and_suggested(alone, tmp_path):
    with_plate(alone, tmp_path)
    alone.do("settings", foreground="a very rare bird")
    alone.do("press", "generate")
    alone.do("wait")
    alone.do("new_file")
    assert alone.do("suggested", "foreground", "rare") == ["a very rare bird"]
    assert alone.do("draw")["LAYERFLOW_MT_prompts"][0] == "operator: layerflow.use_prompts: a very rare bird / a desert"
    assert alone.do("press", "use_prompts", index=0)["error"] == ""
    assert alone.do("settings")["background"] == "a desert"
    assert "not kept" in alone.do("press", "use_prompts", index=99)["error"]


def test_foregrounds_seeds_and_presets(alone):
    alone.do("press", "add_foreground")
    alone.do("press", "add_foreground")
    alone.do("settings", further=["one", "two"])
    alone.do("press", "remove_foreground", index=0)
    assert alone.do("settings")["further"] == ["two"]
    alone.do("settings", seed=0)
    alone.do("press", "new_seed")
    assert alone.do("settings")["seed"] > 0
    alone.do("settings", steps=12, quality="high", foreground="a fox", shot="fox", further=["a log"])
    assert alone.do("press", "preset_add", name="Foxes")["error"] == ""
    (preset,) = (alone.resources / "scripts" / "presets" / "layerflow").iterdir()
    assert preset.name == "Foxes.py"
    alone.do("new_file")
    alone.do("use_preset", str(preset))
    values = alone.do("settings")
    assert (values["steps"], values["quality"], values["foreground"], values["shot"]) == (12, "high", "a fox", "")
    assert values["further"] == ["a log"]
    alone.do("press", "preset_add", name="Foxes", remove_name=True, remove_active=False)
    assert not preset.exists()


def test_layers_get_the_lowest_channel_that_is_free(alone):
    for channel, frame in ((2, 1), (3, 15), (4, 20)):
        alone.do("add_color", f"colour{channel}", [1, 0, 0], channel, frame, 10)
    assert [alone.do("free_channel", first, first + 5, 2) for first in (1, 10, 11, 16, 24, 25)] == [3, 3, 2, 2, 2, 2]
    assert alone.do("free_channel", 16, 21, 3) == 5 and alone.do("free_channel", 15, 20, 3) == 4
    for channel in range(5, 129):
        alone.do("add_color", f"colour{channel}", [1, 0, 0], channel, 15, 10)
    assert "all channels from 3 on are taken" in alone.do("free_channel", 22, 24, 3)


def test_a_seed_that_is_not_locked_is_another_every_time(alone, tmp_path):
    with_plate(alone, tmp_path, lock_seed=False)
    seeds = set()
    for _ in range(2):
        alone.do("press", "generate")
        alone.do("wait")
        seeds.add(alone.do("queue")[0]["request"]["seed"])
    assert len(seeds) == 2 and alone.do("settings")["seed"] in seeds
    outputs = [line["output"] for line in alone.do("queue")]
    assert [Path(output).name for output in outputs] == ["plate_v002.%04d.exr", "plate_v001.%04d.exr"]


def test_buttons_of_a_strip_that_is_not_ours_say_so(alone, tmp_path):
    with_plate(alone, tmp_path)
    for button in ("regenerate", "take_settings", "build_comp", "open_folder"):
        assert "none of LayerFlow's" in alone.do("press", button)["error"]
    alone.do("select")
    assert "select a strip" in alone.do("press", "regenerate")["error"]
    assert alone.do("press", "reload")["error"] == ""
