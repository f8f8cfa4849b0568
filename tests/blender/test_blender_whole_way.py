"""The whole way in real Blender, with a real engine and the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from blender_process import VERSIONS, Blender, started
from shots_on_disk import COUNT, FIRST, displayed, pixels, plate, recomposed, stack

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def asked(blender: Blender, seconds: float = 120.0) -> list[str]:
    """What the queue said until nothing was running any more; its last word on the newest line comes last."""
    assert blender.do("press", "generate") | {"seconds": 0} == {"result": ["FINISHED"], "error": "", "seconds": 0}
    return [*blender.do("wait", seconds)["said"], newest(blender)["text"]]


def on_plate(blender: Blender, shot: Path, frame: int = 11, channel: int = 2, **settings) -> str:
    """The example plate as a selected image strip; its name."""
    names = plate(shot / "plate")
    strip = blender.do("add_images", "plate.png", str(shot / "plate"), names, channel, frame)
    blender.do("select", strip)
    blender.do("settings", foreground="a parrot", background="a desert", **settings)
    return str(strip)


def newest(blender: Blender) -> dict:
    return dict(blender.do("queue")[0])


def test_a_plate_is_taken_apart_into_strips_that_are_the_plate_again(blender, shot):
    on_plate(blender, shot)
    assert blender.do("source", "plate.png") == {
        "first": 11,
        "last": 18,
        "media": [str(shot / "plate" / "plate.####.png"), FIRST, "sRGB"],
        "why": "",
    }
    said = asked(blender)
    assert any(text.startswith("sampling") for text in said), said
    line = newest(blender)
    assert line["state"] == "done" and line["text"].startswith("done: 8 frames in "), line
    assert "blends in linear light now" in line["text"]
    output = str(shot / "layerflow" / "plate_v001.%04d.exr")
    assert line["output"] == output and line["request"]["fps"] == 24.0

    # Background below, foreground above with straight alpha, the blended picture muted; all in a meta strip.
    strips = blender.do("strips")
    assert list(strips) == [
        "plate.png",
        "plate_v001",
        "plate_v001 background",
        "plate_v001 foreground",
        "plate_v001 blended",
    ]
    meta = strips["plate_v001"]
    assert (meta["type"], meta["channel"], meta["first"], meta["last"], meta["duration"]) == ("META", 3, 11, 18, COUNT)
    assert meta["offsets"] == [0, 0]
    assert [name for name, strip in strips.items() if strip["select"]] == ["plate.png"]  # as it was
    for channel, layer in enumerate(("background", "foreground", "blended"), start=1):
        strip = strips[f"plate_v001 {layer}"]
        assert (strip["parent"], strip["channel"], strip["first"], strip["last"]) == ("plate_v001", channel, 11, 18)
        assert (strip["alpha"], strip["blend"], strip["mute"]) == ("STRAIGHT", "ALPHA_OVER", layer == "blended")
        assert strip["colorspace"] == "Linear Rec.709" and strip["directory"].startswith("//layerflow")
        assert strip["files"] == [f"plate_v001.{layer}.{FIRST + index}.exr" for index in range(COUNT)]
        told = json.loads(strip["ours"])
        assert told["layer"] == layer and told["ticket"]["request"] == line["request"]

    # What the Sequencer shows is what the engine wrote: linear, and as sRGB shows it.
    for frame in (11, 18):
        expected = recomposed(output, FIRST + frame - 11)
        blender.do("render", frame, str(shot / "seen.exr"))
        np.testing.assert_allclose(pixels(shot / "seen.exr")[..., :3], expected, atol=1e-6)
        blender.do("render", frame, str(shot / "seen.png"), file_format="PNG", view_transform="Standard")
        seen = pixels(shot / "seen.png")[..., :3]
        assert np.abs(seen - displayed(expected)).max() <= 2 / 255
        assert np.abs(seen - pixels(shot / "plate" / f"plate.{FIRST + frame - 11}.png")[..., :3]).max() <= 2 / 255


def test_the_compositor_reads_every_layer(blender, shot):
    on_plate(blender, shot)
    asked(blender)
    output = newest(blender)["output"]
    blender.do("select", "plate_v001 foreground")
    assert blender.do("press", "build_comp")["result"] == ["FINISHED"]
    nodes = blender.do("comp_nodes", "plate_v001 comp")
    assert nodes["sockets"] == {"Combined": "RGBA", "Alpha": "VALUE", "background": "RGBA", "foreground": "RGBA"}
    assert (nodes["duration"], nodes["start"], nodes["offset"]) == (COUNT, 11, FIRST - 1)
    assert nodes["range"] == [11, 18] and nodes["size"] == [480, 320] and nodes["labels"] == ["foreground"]
    assert (nodes["colorspace"], nodes["path"]) == ("Linear Rec.709", f"//layerflow/plate_v001.{FIRST}.exr")
    assert nodes["view"] == "AgX"  # as the scene of the strips has it
    for frame in (11, 14):
        written = stack(output, FIRST + frame - 11)
        blender.do("render", frame, str(shot / "comp.exr"), of="plate_v001 comp")
        seen = pixels(shot / "comp.exr")
        np.testing.assert_allclose(seen[..., :3], recomposed(output, FIRST + frame - 11), atol=1e-6)
    for socket, layer in (("foreground", "foreground"), ("background", "background"), ("Combined", "blended")):
        blender.do("show_socket", "plate_v001 comp", socket)
        blender.do("render", 14, str(shot / "layer.exr"), of="plate_v001 comp")
        expected = written.layers[layer][0]
        np.testing.assert_array_equal(pixels(shot / "layer.exr")[..., : expected.shape[-1]], expected)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= "5"])
def test_a_file_that_works_in_another_space_gets_its_layers_in_that(desk, shot, tmp_path, version):
    with started(version, tmp_path / "resources") as blender:
        blender.do("work_in", "ACEScg")
        blender.do("set_scene", resolution_x=480, resolution_y=320)
        blender.do("save", str(shot / "shot.blend"))
        on_plate(blender, shot)
        assert asked(blender)[-1].startswith("done")
        assert newest(blender)["request"]["output_colorspace"] == "ACEScg"
        assert blender.do("strips")["plate_v001 foreground"]["colorspace"] == "ACEScg"
        assert blender.do("scene_state")["sequencer"] == "ACEScg"
        blender.do("render", 11, str(shot / "seen.png"), file_format="PNG", view_transform="Standard")
        seen, given = pixels(shot / "seen.png"), pixels(shot / "plate" / f"plate.{FIRST}.png")
        assert np.abs(seen[..., :3] - given[..., :3]).max() <= 2 / 255


def test_layers_of_words_are_made_at_the_playhead(blender, shot):
    blender.do("set_scene", frame_current=5)
    blender.do("settings", task="generate", foreground="a ball", background="a beach", length=8, shot="Ball v2.x")
    assert asked(blender)[-1].startswith("done: 8 frames")
    strips = blender.do("strips")
    assert strips["Ballv2.x_v001"]["first"] == 5 and strips["Ballv2.x_v001"]["last"] == 12
    files = strips["Ballv2.x_v001 foreground"]["files"]
    assert files[0].endswith(".foreground.0005.exr")
    assert strips["Ballv2.x_v001 foreground"]["scale"] == [5.0, 5.0]  # 96x64 fits 480x320
    blender.do("render", 5, str(shot / "seen.exr"))
    assert pixels(shot / "seen.exr")[..., 3].min() > 0.999


def test_regenerate_takes_its_own_settings_and_a_channel_of_its_own(blender, shot):
    on_plate(blender, shot, seed=7, steps=2)
    asked(blender)
    before = newest(blender)["request"]
    blender.do("settings", foreground="something else", seed=1, steps=3, task="generate")
    blender.do("change_strip", "plate_v001 background", transform__offset_x=12)
    blender.do("select", "plate_v001 background")
    assert blender.do("press", "regenerate")["error"] == ""
    assert blender.do("wait")["said"][-1].startswith("done")
    again = newest(blender)["request"]
    assert again == {**before, "output": before["output"].replace("v001", "v002")}
    strips = blender.do("strips")
    assert (strips["plate_v001"]["channel"], strips["plate_v002"]["channel"]) == (3, 4)
    assert strips["plate_v002 foreground"]["offset"] == [12, 0]
    first, second = (pixels(before["output"].replace("v001", name) % FIRST) for name in ("v001", "v002"))
    np.testing.assert_array_equal(first, second)  # the same seed and settings: the same bits
    blender.do("press", "take_settings")
    taken = blender.do("settings")
    assert (taken["foreground"], taken["seed"], taken["steps"], taken["task"]) == ("a parrot", 7, 2, "decompose")


def test_undo_takes_back_the_strips_and_no_job(blender, shot):
    on_plate(blender, shot)
    blender.do("undo_push", "before")
    assert blender.do("press", "generate")["error"] == ""
    blender.do("add_color", "other", [1, 0, 0], 9, 1)
    blender.do("undo_push", "a colour")
    blender.do("undo")  # while the job runs
    assert "other" not in blender.do("strips")
    assert blender.do("wait")["said"][-1].startswith("done")
    assert "plate_v001" in blender.do("strips")
    blender.do("undo")
    assert list(blender.do("strips")) == ["plate.png"]
    blender.do("redo")
    assert "plate_v001 foreground" in blender.do("strips")
    blender.do("render", 11, str(shot / "seen.exr"))
    np.testing.assert_allclose(
        pixels(shot / "seen.exr")[..., :3], recomposed(newest(blender)["output"], FIRST), atol=1e-6
    )


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("saved since", marks=pytest.mark.long),
        "not saved since",
        pytest.param("before its id was kept", marks=pytest.mark.long),
    ],
)
def test_a_job_is_found_again_when_blender_was_killed(desk, shot, served_blender, when, tmp_path):
    file = str(shot / "shot.blend")
    with started(served_blender.version, tmp_path / "resources") as blender:
        blender.do("set_scene", resolution_x=480, resolution_y=320)
        blender.do("save", file)
        on_plate(blender, shot)
        blender.do("save", file)
        before = {each.id for each in desk.served.client.list()}
        assert blender.do("press", "generate")["error"] == ""
        blender.do("wait", until="sampling")
        (job,) = newest(blender)["jobs"]
        if when == "saved since":
            blender.do("save", file)
        elif when == "before its id was kept":
            blender.do("keep_as_asked", None)
        blender.kill()
    with started(served_blender.version, tmp_path / "resources") as blender:
        assert blender.do("queue") == []  # of another file
        blender.do("load", file)
        assert blender.do("wait")["said"][-1].startswith("done")
        assert newest(blender)["jobs"] == [job]
        assert blender.do("strips")["plate_v001"]["first"] == 11
        blender.do("save", file)
        blender.do("load", file)
        assert blender.do("queue") == [] and list(blender.do("strips")).count("plate_v001") == 1
    assert {each.id for each in desk.served.client.list()} - before == {job}  # and no second one


@pytest.mark.long
def test_another_file_leaves_the_job_and_its_own_finds_it(blender, shot):
    on_plate(blender, shot)
    blender.do("save", str(shot / "shot.blend"))
    blender.do("press", "generate")
    blender.do("wait", until="sampling")
    (job,) = newest(blender)["jobs"]
    blender.do("save", str(shot / "renamed.blend"))  # Save As: the job goes with the file
    blender.do("new_file")
    assert blender.do("queue") == [] and blender.do("strips") == {} and blender.do("threads_after", 5) == []
    blender.do("load", str(shot / "shot.blend"))
    assert blender.do("queue") == []
    blender.do("load", str(shot / "renamed.blend"))
    assert newest(blender)["jobs"] == [job]
    assert blender.do("wait")["said"][-1].startswith("done") and "plate_v001" in blender.do("strips")


@pytest.mark.long
def test_several_jobs_at_once_each_with_its_line_and_cancel(blender, shot):
    names = plate(shot / "plate")
    for number, frame in enumerate((1, 21)):
        blender.do("add_images", f"plate{number}", str(shot / "plate"), names, 1, frame)
    blender.do("select", "plate0", "plate1")
    blender.do("settings", foreground="a parrot", background="a desert", steps=400)
    blender.do("press", "generate")
    blender.do("wait", until="sampling")
    lines = blender.do("queue")
    assert [line["name"] for line in lines] == ["plate1", "plate0"] and all(line["running"] for line in lines)
    drawn = blender.do("draw")["LAYERFLOW_PT_queue"]
    assert drawn.count("operator: layerflow.cancel: ") == 2 and any(
        text.startswith("progress: sampling") for text in drawn
    )
    for line in lines:
        assert blender.do("press", "cancel", key=line["key"])["error"] == ""
    blender.do("wait")
    assert {line["state"] for line in blender.do("queue")} == {"cancelled"}
    assert list(blender.do("strips")) == ["plate0", "plate1"]
    drawn = blender.do("draw")["LAYERFLOW_PT_queue"]
    assert "operator: layerflow.retry: " in drawn and "operator: layerflow.dismiss: " in drawn
    for line in lines:
        blender.do("press", "dismiss", key=line["key"])
    assert blender.do("queue") == []


@pytest.mark.long
def test_a_running_job_shows_how_its_layers_look(blender, shot):
    on_plate(blender, shot, steps=200, preview_layer="foreground")
    blender.do("press", "generate")
    blender.do("wait", until="sampling")
    for _ in range(200):
        blender.do("tick", 10)
        if newest(blender)["picture"]:
            break
    width, height = newest(blender)["picture"]
    assert width > height > 0
    blender.do("press", "cancel", key=newest(blender)["key"])
    blender.do("wait")
    assert newest(blender)["state"] == "cancelled"


@pytest.mark.long
def test_nothing_is_touched_while_blender_renders(blender, shot):
    on_plate(blender, shot)
    before = blender.do("scene_state")
    blender.do("press", "generate")
    blender.do("is_rendering", True)
    blender.do("wait", until="sampling")
    blender.do("tick", 400)
    assert newest(blender)["running"] and blender.do("scene_state") == before
    blender.do("is_rendering", False)
    assert blender.do("wait")["said"][-1].startswith("done")


def test_a_job_that_fails_says_why_and_changes_nothing(blender, shot):
    on_plate(blender, shot, lora=str(shot / "missing.safetensors"))
    before = blender.do("scene_state")
    blender.do("press", "generate")
    blender.do("wait")
    line = newest(blender)
    assert line["state"] == "failed" and "missing.safetensors" in line["text"]
    assert blender.do("scene_state") == before


def test_a_plate_that_is_gone_and_layers_that_are_gone(blender, shot):
    on_plate(blender, shot)
    asked(blender)
    lost = shot / "layerflow" / f"plate_v001.foreground.{FIRST}.exr"
    lost.unlink()
    assert str(lost) in blender.do("press", "reload")["error"]
    for name in plate(shot / "plate"):
        (shot / "plate" / name).unlink()
    blender.do("select", "plate_v001")
    before = blender.do("scene_state")
    blender.do("press", "regenerate")
    blender.do("wait")
    assert newest(blender)["state"] == "failed" and "plate" in newest(blender)["text"]
    assert {**blender.do("scene_state")} == before


def test_a_shot_of_a_scene_that_is_gone_can_be_brought_into_another(blender, shot):
    on_plate(blender, shot)
    blender.do("press", "generate")
    blender.do("rename_scene", "renamed")
    blender.do("wait")
    line = newest(blender)
    assert line["state"] == "failed" and "Bring In" in line["text"] and "plate_v001" not in blender.do("strips")
    assert blender.do("press", "bring_in", key=line["key"])["error"] == ""
    assert blender.do("wait")["said"][-1].startswith("done") and "plate_v001" in blender.do("strips")


@pytest.mark.long
def test_a_scene_by_its_guide_then_a_background_for_its_foreground(blender, shot):
    blender.do("add_scene_strip", "inner", [0.1, 0.3, 0.2], 1, 11, 8)
    blender.do("mask_strip", "mask", 2, 11, 8)
    blender.do("select", "inner", "mask")
    blender.do("settings", foreground="a wall", background="a field", guide="mask", guide_kind="garbage")
    said = asked(blender)
    assert any(text.startswith("rendering plate") or text.startswith("rendering guide") for text in said), said
    line = newest(blender)
    request = line["request"]
    assert request["plate"].startswith(str(shot / "layerflow" / "inner_inputs" / "plate_"))
    assert request["guide"].endswith(".exr:R") and (request["first_frame"], request["last_frame"]) == (11, 18)
    found = stack(line["output"], 11).layers
    assert (found["foreground"][0, :, 240:, 3] == 0).all()  # garbage: out where the mask is black
    np.testing.assert_allclose(recomposed(line["output"], 11), found["blended"][0], atol=2e-3)
    assert blender.do("strips")["inner_v001"]["channel"] == 2 + (1 if "mask" in blender.do("strips") else 0)

    # The foreground that was made, straight alpha and all, is read by its own files; the new background goes above.
    layer = "inner_v001 foreground"
    blender.do("open_meta", "inner_v001")
    blender.do("select", layer)
    assert blender.do("source", layer)["media"][1:] == [11, "lin_rec709"]
    blender.do("settings", task="background", background="a beach", guide="")
    assert asked(blender)[-1].startswith("done: 8 frames")
    strips = blender.do("strips")
    (meta,) = [name for name, strip in strips.items() if strip["type"] == "META" and strip["parent"] == "inner_v001"]
    assert strips[f"{meta} foreground"]["parent"] == meta and strips[meta]["first"] == 11
    before, after = (pixels(shot / "layerflow" / name) for name in _foregrounds(strips, layer, f"{meta} foreground"))
    np.testing.assert_allclose(after, before, atol=1e-6)
    blender.do("open_meta", None)

    # One that is rendered keeps its alpha, as Blender multiplies it.
    blender.do("add_color", "card", [0.5, 0.1, 0.1], 7, 41, 8, transform__scale_x=0.5)
    blender.do("select", "card")
    assert asked(blender)[-1].startswith("done: 8 frames")
    plate_of_card = pixels(newest(blender)["request"]["plate"] % 41)
    np.testing.assert_allclose(plate_of_card[160, [20, 240], 3], (0, 1), atol=1e-3)
    card = stack(newest(blender)["output"], 41).layers["foreground"][0]
    np.testing.assert_allclose(card[160, [20, 240], 3], (0, 1), atol=1e-3)

    # A foreground for a background, and two foregrounds at once.
    blender.do("add_color", "sky", [0.2, 0.4, 0.8], 8, 21, 8)
    blender.do("select", "sky")
    blender.do("settings", task="foreground", foreground="a ball")
    assert asked(blender)[-1].startswith("done: 8 frames")
    blender.do("set_scene", frame_current=30)
    blender.do("select")
    blender.do("settings", task="generate", further=["a tree"], length=8, shot="two")
    assert asked(blender)[-1].startswith("done: 8 frames")
    strips = blender.do("strips")
    inside = {name: strip["channel"] for name, strip in strips.items() if strip["parent"] == "two_v001"}
    assert inside == {
        "two_v001 background": 1,
        "two_v001 foreground2": 2,
        "two_v001 foreground1": 3,
        "two_v001 blended": 4,
    }
    blender.do("select", "two_v001")
    blender.do("press", "build_comp")
    assert blender.do("comp_nodes", "two_v001 comp")["labels"] == ["foreground2", "foreground1"]


def _foregrounds(strips: dict, *names: str) -> list[str]:
    return [strips[name]["files"][0] for name in names]


@pytest.mark.long
def test_layers_of_a_still_lie_where_it_lies(blender, shot):
    (name,) = plate(shot / "plate", 1)
    blender.do("add_images", "still", str(shot / "plate"), [name], 1, 5, frame_final_end=15)
    blender.do("change_strip", "still", transform__offset_x=60, transform__offset_y=40, use_flip_x=True, crop__min_x=10)
    blender.do("render", 5, str(shot / "before.exr"))
    blender.do("select", "still")
    blender.do("settings", foreground="a parrot", background="a desert")
    assert asked(blender)[-1].startswith("done: 1 frame")
    strip = blender.do("strips")["still_v001 foreground"]
    assert (strip["first"], strip["last"], strip["files"]) == (5, 14, [f"still_v001.foreground.{FIRST}.exr"])
    assert (strip["scale"], strip["offset"], strip["flip"], strip["crop"]) == ([1, 1], [60, 40], [True, False], 10)
    blender.do("change_strip", "still", mute=True)
    blender.do("render", 14, str(shot / "after.exr"))
    before, after = pixels(shot / "before.exr"), pixels(shot / "after.exr")
    inside = before[..., 3] == 1
    assert inside.mean() > 0.3
    assert np.abs(displayed(after[..., :3]) - displayed(before[..., :3]))[inside].max() <= 2 / 255
