"""Sending a take to Blender: the script in real Blenders, and what happens around it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from exports_on_disk import FRAMES, HEIGHT, STATES, WIDTH, engine, stack_of, write_take
from pumping import Pump

from layerflow import color, exr, layers
from layerflow.comp import Comp, comped
from layerflow.wire.errors import NotRunning
from layerflow_desktop.controllers import blender as blender_controller
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.blender import SendToBlender, Take, find_blender
from layerflow_desktop.models.blender_script import BlenderShot, blender_script
from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.exports import comp_text

ROOT = Path(__file__).parents[2]
VERSIONS = [path.stem.rpartition("-")[2] for path in sorted(ROOT.glob("constraints-blender-*.txt"))]

# What is run behind the script: frames as full floats, and what the scene says of itself.
RENDER = """
image = scene.render.image_settings
if hasattr(image, "media_type"):
    image.media_type = "IMAGE"
image.file_format, image.color_mode, image.color_depth = "OPEN_EXR", "RGBA", "32"
scene.render.dither_intensity = 0
for frame in (SHOT["first"], SHOT["last"]):
    scene.frame_set(frame)
    scene.render.filepath = f"{OUT}/{frame}.exr"
    bpy.ops.render.render(write_still=True, scene=scene.name)
strips = sorted(editor.strips_all, key=lambda strip: strip.channel)
print(json.dumps({
    "scene": bpy.context.window.scene.name,
    "fps": scene.render.fps / scene.render.fps_base,
    "range": [scene.frame_start, scene.frame_end],
    "strips": [
        [strip.name, strip.channel, strip.mute, strip.frame_final_start, strip.frame_final_end] for strip in strips
    ],
    "files": [element.filename for element in strips[0].elements],
    "directory": strips[0].directory,
    "scenes": len(bpy.data.scenes),
}))
"""


def shot_of(folder: Path, states: tuple[LayerState, ...] = STATES) -> BlenderShot:
    """A take's layers on disk, one sequence each."""
    stack, files = stack_of(), {}
    for name in (*stack.layers,):
        files[name] = [str(folder / f"dog.{name}.{frame}.exr") for frame in FRAMES]
        for index, path in enumerate(files[name]):
            exr.write_layer_frame(Path(path), stack, index, name, header={})
    return BlenderShot("dog's v001", files, states, FRAMES[0], WIDTH, HEIGHT, 24000 / 1001, "ACEScg")


def blender(version: str, script: str, folder: Path) -> dict:
    """What that Blender printed."""
    venv = ROOT / f".venv-blender-{version}"
    if not (venv / "layerflow-installed").exists():
        pytest.skip(f"needs Blender's Python package, which only Python 3.11 can set up: python3.11 {ROOT}/run.py test")
    path = folder / "script.py"
    path.write_text(f"OUT = {str(folder)!r}\n{script.split(chr(10), 1)[1]}{RENDER}", encoding="utf-8")
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(folder / "resources")}
    done = subprocess.run([python, "-I", path], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))  # type: ignore[no-any-return]


def rendered(folder: Path, frame: int) -> np.ndarray:
    return np.asarray(oiio.ImageBuf(str(folder / f"{frame}.exr")).get_pixels(oiio.FLOAT))[..., :3]


def expected(states: tuple[LayerState, ...], index: int) -> np.ndarray:
    """The engine's picture of the comp, in the space in which Blender works."""
    made = comped(exr.frame_of(stack_of(), index), Comp.from_dict(json.loads(comp_text(states))))
    picture = made.layers["blended"] if "blended" in made.layers else layers.recompose(made)
    return color.convert(picture[0], "ACEScg", "lin_rec709")


@pytest.mark.blender
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("changes", "tolerance"),
    [
        ({}, 1e-3),
        ({"foreground1": {"opacity": 0.25}, "foreground2": {"visible": False}}, 1e-3),
        ({"foreground1": {"offset_x": 5.0, "offset_y": -3.0}}, 1e-3),
    ],
)
def test_the_rendered_frame_is_the_engines_recomposition(tmp_path, version, changes, tolerance) -> None:
    states = tuple(state.with_(**changes.get(state.name, {})) for state in STATES)
    told = blender(version, blender_script(shot_of(tmp_path, states)), tmp_path)
    for index, frame in ((0, FRAMES[0]), (2, FRAMES[2])):
        np.testing.assert_allclose(rendered(tmp_path, frame), expected(states, index), atol=tolerance)
    assert told["scene"] == "dog's v001" and told["scenes"] == 2
    assert told["fps"] == pytest.approx(24000 / 1001, abs=1e-5) and told["range"] == [1001, 1003]
    spans = [
        [f"dog's v001 {name}", channel, 1001, 1004]
        for channel, name in enumerate(("background", "foreground2", "foreground1"), 1)
    ]
    assert [[name, channel, *span] for name, channel, _, *span in told["strips"]] == spans
    assert told["files"] == [f"dog.background.{frame}.exr" for frame in FRAMES]


@pytest.mark.blender
@pytest.mark.parametrize("version", VERSIONS)
def test_a_scaled_layer_lies_where_the_engine_puts_it(tmp_path, version) -> None:
    states = (STATES[0].with_(scale=0.5, offset_x=4.0, offset_y=2.0), STATES[1].with_(visible=False), STATES[2])
    shot = shot_of(tmp_path, states)
    flat = stack_of()
    for name, rgba in (("foreground1", (0.5, 0.1, 0.2, 1)), ("background", (0.1, 0.2, 0.3))):
        flat.layers[name][...] = rgba
        for index, path in enumerate(shot.files[name]):
            exr.write_layer_frame(Path(path), flat, index, name, header={})
    blender(version, blender_script(shot), tmp_path)
    made = comped(exr.frame_of(flat, 0), Comp.from_dict(json.loads(comp_text(states))))
    wanted = color.convert(made.layers["blended"][0], "ACEScg", "lin_rec709")
    error = np.abs(rendered(tmp_path, FRAMES[0]) - wanted).max(-1)
    assert (error < 2e-3).mean() > 0.9 and error[8:13, 14:26].max() < 2e-3  # all but the outermost pixels


@pytest.mark.parametrize(
    ("fps", "rate"), [(24.0, (24, 1.0)), (24000 / 1001, (24, 1.001)), (23.976, (24, 1.001)), (12.5, (12, 12 / 12.5))]
)
def test_the_rate_as_blender_has_it(fps, rate) -> None:
    shot = BlenderShot("a", {"background": ["b.1.exr"]}, STATES[2:], 1, 2, 2, fps, "ACEScg")
    told = told_in(blender_script(shot))
    assert (told["fps"], told["fps_base"]) == pytest.approx(rate)


def told_in(script: str) -> dict:
    """The values in a script."""
    calls = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)]
    (text,) = [ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "json.loads"]
    return json.loads(text)  # type: ignore[no-any-return]


def test_names_and_paths_are_no_code() -> None:
    nasty = 'a"""\\\n{}\'); import os #é'
    shot = BlenderShot(nasty, {"background": [f"/{nasty}/b.1.exr"]}, STATES[2:], 1, 2, 2, 24.0, "lin_rec709")
    told = told_in(blender_script(shot))
    assert told["name"] == nasty and told["strips"][0]["files"] == [f"/{nasty}/b.1.exr"]
    assert told["space"] == "Linear Rec.709"


def test_a_colour_space_that_blender_does_not_know() -> None:
    shot = BlenderShot("a", {"background": ["b.1.exr"]}, STATES[2:], 1, 2, 2, 24.0, "lin_awg4")
    with pytest.raises(ValueError, match="does not know the colour space lin_awg4"):
        blender_script(shot)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Blender that keeps the script that it is given."""
    path, kept = tmp_path / "bin" / "blender", tmp_path / "kept.py"
    monkeypatch.setattr(blender_controller.tempfile, "tempdir", str(tmp_path))
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nmv "$2" {kept}.part && mv {kept}.part {kept}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def desk() -> Iterator[tuple[Pump, SendToBlender, list[object]]]:
    pump, told = Pump(), []
    background = Background(pump)
    sender = SendToBlender(background, pump, engine)
    sender.done.connect(told.append)
    sender.failed.connect(lambda text: told.append(ValueError(text)))
    sender.cancelled.connect(lambda: told.append("cancelled"))
    yield pump, sender, told
    sender.close()
    background.close()
    for process in blender_controller._started:
        process.wait(20)


def take_of(tmp_path: Path, states: tuple[LayerState, ...] = STATES) -> Take:
    pattern = write_take(tmp_path / "take")
    return Take("dog_v001", pattern, FRAMES, states, WIDTH, HEIGHT, 24000 / 1001, "ACEScg")


def test_layers_are_written_once_and_blender_is_started(desk, tmp_path, program) -> None:
    pump, sender, told = desk
    steps: list[tuple[int, int]] = []
    sender.progress.connect(lambda *step: steps.append(step))
    take = take_of(tmp_path, (STATES[1], STATES[0].with_(visible=False, offset_x=3), STATES[2]))
    sender.send(take, str(program))
    pump.until(lambda: told and (tmp_path / "kept.py").exists())
    assert told == [str(tmp_path / "take" / "blender")] and steps == [(1, 3), (2, 3), (3, 3)]
    values = told_in((tmp_path / "kept.py").read_text())
    assert [strip["mute"] for strip in values["strips"]] == [False, True, False, True]
    files = [Path(path) for strip in values["strips"] for path in strip["files"]]
    assert len(files) == 12 and all(exr.verify_frame(path) for path in files)
    assert exr.read_stack([files[3]]).layers["foreground1"].any()  # hidden here, and there all the same
    made = exr.read_stack([files[9]]).layers["blended"]
    np.testing.assert_array_equal(made, exr.read_stack([Path(take.pattern % 1001)]).layers["blended"])
    before = {path: path.stat().st_mtime_ns for path in files}
    (tmp_path / "kept.py").unlink()
    sender.send(take, str(program))
    pump.until(lambda: len(told) == 2 and (tmp_path / "kept.py").exists())
    assert {path: path.stat().st_mtime_ns for path in files} == before and len(steps) == 3


def test_files_of_somebody_or_of_an_older_take_are_left_alone(desk, tmp_path, program) -> None:
    pump, sender, told = desk
    take = take_of(tmp_path)
    theirs = tmp_path / "take" / "blender" / "dog_v001.background.1002.exr"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    sender.send(take, str(program))
    pump.until(lambda: told)
    assert told == [str(tmp_path / "take" / "blender_2")] and theirs.read_text() == "mine"
    newer = (tmp_path / "take" / "dog_v001.1003.exr", tmp_path / "take" / "blender_2" / "dog_v001.blended.1003.exr")
    os.utime(newer[0], ns=(newer[1].stat().st_mtime_ns + 10**9,) * 2)
    sender.send(take, str(program))
    pump.until(lambda: len(told) == 2)
    assert told[1] == str(tmp_path / "take" / "blender_3")


def test_stopped_before_it_writes_it_never_begins(desk, tmp_path, program, monkeypatch) -> None:
    pump, sender, told = desk

    def found(chosen: str) -> str:
        sender.cancel()
        return chosen

    monkeypatch.setattr(blender_controller, "find_blender", found)
    sender.send(take_of(tmp_path), str(program))
    pump.until(lambda: told)
    assert told == ["cancelled"] and not sender.is_busy
    assert not list((tmp_path / "take").glob("blender*/*")) and not (tmp_path / "kept.py").exists()


def test_without_blender_nothing_is_written(desk, tmp_path, monkeypatch) -> None:
    pump, sender, told = desk
    sender.send(take_of(tmp_path), str(tmp_path / "no" / "blender"))
    pump.until(lambda: told)
    assert "is no program; choose Blender's own" in str(told[0])
    assert not (tmp_path / "take" / "blender").exists() and not sender.is_busy


def test_blender_is_found_on_path_and_in_usual_places(tmp_path, program, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(blender_controller, "_PLACES", {"linux": (f"{tmp_path}/none/*",)})
    with pytest.raises(NotRunning, match="Blender is not found"):
        find_blender()
    monkeypatch.setattr(blender_controller, "_PLACES", {"linux": (f"{tmp_path}/b*/blender",)})
    monkeypatch.setattr(blender_controller.sys, "platform", "linux")
    assert find_blender() == str(program)
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_blender() == str(program) == find_blender(str(program))


def test_a_program_that_cannot_be_started(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(blender_controller.tempfile, "tempdir", str(tmp_path))
    broken = tmp_path / "blender"
    broken.write_text("no program")
    broken.chmod(0o755)
    with pytest.raises(NotRunning, match="cannot be started"):
        blender_controller.start(str(broken), "")
    assert list(tmp_path.iterdir()) == [broken]
