"""From knobs to a request: the request's own rules speak, in words for an artist."""

from __future__ import annotations

import pytest

from layerflow.wire import Request
from layerflow.wire.farm import Farm
from layerflow.wire.request import TASKS
from layerflow_nuke.asking import INPUTS, Script, frames_of, needed_inputs, request_of, working_space
from layerflow_nuke.farm_panel import FARM, farm_of
from layerflow_nuke.panel import PANEL, counting, defaults

SCRIPT = Script(path="/show/dog.nk", first_frame=1001, last_frame=1016, fps=25.0)
OUT = "/show/layerflow/dog_v001.%04d.exr"
PLATE = {"Plate": "/show/in/plate.%04d.exr"}


def asked(shown=PLATE, frames=(1001, 1008), **values):
    return request_of({**defaults(), **values}, SCRIPT, frames, OUT, shown)


def test_a_node_as_it_is_placed_takes_a_plate_apart():
    request = asked()
    assert (request.task, request.plate, request.output) == ("decompose", PLATE["Plate"], OUT)
    assert (request.first_frame, request.last_frame, request.fps) == (1001, 1008, 25.0)
    assert (request.steps, request.guidance, request.seed, request.alpha) == (None, None, 0, "straight")


def test_pixels_go_and_come_in_the_scripts_space():
    for knob, space in (("ACES - ACEScg", "ACEScg"), ("", "lin_rec709")):
        request = asked(colorspace=knob)
        assert request.colorspace == request.output_colorspace == space


def test_what_is_set_goes_along_and_0_is_the_models_own():
    changes = {
        "steps": 12,
        "guidance": 4.5,
        "seed": 9,
        "quality": "draft",
        "memory": "low",
        "motion": 0.5,
        "model": "m",
    }
    request = asked(**changes)
    assert {name: getattr(request, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("knob", "root", "space"),
    [
        ("", "linear", "lin_rec709"),
        ("", "scene_linear", "ACEScg"),
        ("", "ACES/ACES - ACEScg", "ACEScg"),
        ("", "ACEScg", "ACEScg"),
        ("lin_p3d65", "linear", "lin_p3d65"),
    ],
)
def test_the_working_space_by_its_name_in_ocio(knob, root, space):
    assert working_space({"colorspace": knob}, Script(working_space=root)) == space


def test_several_lines_are_several_foregrounds():
    assert asked(foreground=" a dog \n\n a tree\n").foregrounds == ("a dog", "a tree")
    one = asked(foreground="a dog\n")
    assert (one.foreground, one.foregrounds) == ("a dog", ())


def test_every_task_asks_for_its_own_input():
    assert asked(task="background", background="a field", shown={"Foreground": "/f.%04d.exr"}).plate == "/f.%04d.exr"
    assert asked(task="foreground", foreground="a dog", shown={"Background": "/b.%04d.exr"}).plate == "/b.%04d.exr"
    made = asked(task="generate", foreground="a dog", background="a field", shown={})
    assert made.plate is None and made.num_frames == 8


def test_a_guide_says_what_it_is():
    request = asked(shown={**PLATE, "Guide": "/g.%04d.exr"}, guide_kind="trimap")
    assert (request.guide, request.guide_kind) == ("/g.%04d.exr:A", "trimap")
    assert asked(guide_kind="trimap").guide_kind == "roto"  # there is none to say it of


def test_loras_one_a_line():
    assert asked(lora="/l/dog.safetensors:0.5\n\n/l/still\n").lora == ("/l/dog.safetensors:0.5", "/l/still")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"task": "generate"}, "generate needs a foreground prompt"),
        ({"motion": 2.0}, "motion must be from"),
        ({"lora": "dog:9"}, "weight of the LoRA"),
        ({"closeup": True, "foreground": "a\nb"}, "closeup"),
    ],
)
def test_what_cannot_be_is_a_sentence(values, says):
    with pytest.raises(ValueError, match=says):
        asked(shown={} if values.get("task") == "generate" else PLATE, **values)


def test_the_tab_farm_begins_where_a_farm_does():
    assert farm_of(defaults(), folder="") == Farm()


@pytest.mark.parametrize(
    ("chosen", "of_input", "frames"),
    [
        ("input", (5, 9), (5, 9)),
        ("input", None, (1001, 1016)),
        ("root", (5, 9), (1001, 1016)),
        ("custom", (5, 9), (3, 3)),
    ],
)
def test_frames(chosen, of_input, frames):
    values = {**defaults(), "frame_range": chosen, "first_frame": 3, "last_frame": 3}
    assert frames_of(values, SCRIPT, of_input) == frames


@pytest.mark.parametrize(("first", "last", "says"), [(9, 5, "write 5-9"), (-4, 5, "below 0")])
def test_frames_that_cannot_be(first, last, says):
    with pytest.raises(ValueError, match=says):
        frames_of({**defaults(), "frame_range": "custom", "first_frame": first, "last_frame": last}, SCRIPT, None)


@pytest.mark.parametrize(
    ("task", "connected", "needed"),
    [
        ("decompose", INPUTS, ("Plate", "Guide")),
        ("decompose", ("Plate",), ("Plate",)),
        ("background", INPUTS, ("Foreground",)),
        ("foreground", INPUTS, ("Background",)),
        ("generate", (), ()),
    ],
)
def test_only_what_a_task_needs_is_rendered(task, connected, needed):
    assert needed_inputs(task, connected) == needed


@pytest.mark.parametrize(("task", "name"), [("decompose", "Plate"), ("background", "Foreground")])
def test_an_input_that_is_missing_is_named(task, name):
    with pytest.raises(ValueError, match=f"the {name} input; connect a Read"):
        needed_inputs(task, ("Guide",))


def test_every_knob_has_help_and_a_name_of_its_own():
    names = [knob.name for knob in PANEL]
    assert len(set(names)) == len(names)
    assert all(knob.help for knob in PANEL if knob.kind not in ("tab", "divider") and not knob.hidden)


def test_knobs_that_a_request_has_are_called_alike_and_offer_what_it_takes():
    fields = set(Request.__dataclass_fields__)
    own = {knob.name for knob in PANEL if knob.is_value and knob not in FARM} - fields
    assert own == {
        "lock_seed", "frame_range", "version", "status", "show", "preview_layer", "guide_channel", "fresh_inputs",
        "server", "layerflow", "jobs", "state", "scratch",
    }  # fmt: skip
    (task,) = (knob for knob in PANEL if knob.name == "task")
    assert set(task.choices) == set(TASKS) - {"edit"}


def test_knobs_that_do_not_count_are_greyed_out():
    assert dict(counting("decompose"))["guide_kind"] and not dict(counting("generate"))["guide_kind"]
