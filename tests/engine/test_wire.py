"""The wire: what a request accepts, what it refuses and in which words, and that the oldest host can load it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import layerflow.wire
from layerflow.wire import Event, Request, parse_frames, parse_lora, write_lora
from layerflow.wire.request import TASKS

WIRE = Path(layerflow.wire.__file__).parent
PLATE = "plates/dog.####.exr"


def decompose(**values):
    return Request("decompose", **{"plate": PLATE, **values})


@pytest.mark.parametrize("source", sorted(WIRE.glob("*.py")), ids=lambda path: path.name)
def test_source_is_python_3_7(source):
    ast.parse(source.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_import_takes_the_standard_library_only():
    code = "import layerflow.wire, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], cwd=WIRE.parents[1], check=True, capture_output=True)
    foreign = set(loaded.stdout.decode().split()) - set(sys.stdlib_module_names) - {"__main__", "layerflow"}
    assert not foreign


def test_defaults():
    request = decompose()
    assert request.output == "out/decompose.%04d.exr"
    assert (request.model, request.seed, request.alpha, request.output_colorspace) == ("mini", 0, "straight", "ACEScg")
    assert request.steps is None and request.guidance is None  # the model's own


requests = st.builds(
    decompose,
    foreground=st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    seed=st.integers(0, 2**63 - 1),
    steps=st.none() | st.integers(1, 1000),
    guidance=st.none() | st.floats(0.0, 100.0),
    alpha=st.sampled_from(["straight", "premultiplied"]),
    preview=st.booleans(),
    lora=st.lists(st.sampled_from(["dog.safetensors", "a b/é:0.5", "C:\\x:-4"]), max_size=3).map(tuple),
    motion=st.floats(0.0, 1.0),
    holdout=st.sampled_from([None, "keep.png", "a b/é.%04d.exr:mask.A"]),
)


@given(requests)
def test_json_round_trip(request_):
    text = request_.to_json()
    assert Request.from_json(text) == request_
    assert "\n" not in text and text == Request.from_json(text).to_json()


@given(
    st.dictionaries(
        st.sampled_from(sorted(decompose().to_dict())), st.none() | st.integers() | st.text() | st.booleans()
    )
)
def test_any_values_make_a_request_or_a_value_error(values):
    try:
        request_ = Request.from_dict(values)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert request_.task in TASKS


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**64}, "seed must be from 0"),
        ({"seed": 2**63}, "seed must be from 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": "7"}, "seed must be a whole number, got '7'"),
        ({"steps": 0}, "steps must be from 1 to 1000, got 0"),
        ({"guidance": float("nan")}, "guidance must be from 0.0 to 100.0, got nan"),
        ({"guidance": float("inf")}, "guidance must be"),
        ({"guidance": -0.5}, "guidance must be"),
        ({"fps": 0.0}, "fps must be"),
        ({"first_frame": 1016, "last_frame": 1001}, "write 1001-1016"),
        ({"first_frame": -1}, "first_frame must be from 0"),
        ({"foreground": "a\0dog"}, "the foreground prompt holds the control character U+0000 at position 2"),
        ({"background": "a\x1bgarden"}, "U+001B"),
        ({"blended": "half a \ud83d"}, "U+D83D"),
        ({"plate": "dog\n.exr"}, "the plate path holds"),
        ({"plate": "https://example.org/dog.mov"}, "must be a local file"),
        ({"plate": None}, "decompose needs a plate"),
        ({"plate": ""}, "decompose needs a plate"),
        ({"model": " "}, "model is empty"),
        ({"colorspace": ""}, "colorspace is empty; leave it out"),
        ({"colorspace": "half a \ud83d"}, "colorspace holds the control character U+D83D"),
        ({"sampler": "euler"}, "sampler must be one of sde, ode, got 'euler'"),
        ({"alpha": "matted"}, "alpha must be one of straight, premultiplied"),
        ({"width": 640}, "width is for generate only"),
        ({"refine": "sharp"}, "refine must be one of off, fast"),
        ({"output": "out/dog.exr"}, "exactly one %04d or ####"),
        ({"output": "out/%04d.%04d.exr"}, "exactly one %04d or ####"),
        ({"output": "out/%04d.####.exr"}, "exactly one %04d or ####"),
        ({"output": "out.%04d/dog.exr"}, "exactly one %04d or ####"),
        ({"output": "out.%04d/dog.%04d.exr"}, "exactly one %04d or ####"),
        ({"output": "out/dog2####.exr"}, "put a dot between them"),
        ({"output": "out/dog.####2.exr"}, "put a dot between them"),
        ({"output": "out/dog.%04d.mov"}, "must end in .exr"),
        ({"output": "out/dog.%04d.beauty.exr"}, "must end in .exr behind the frame number"),
        ({"output": "out/dog.%099d.exr"}, "99 digits; use %04d"),
        ({"output": f"out/dog.%{'0' * 5000}4d.exr"}, "exactly one %04d or #### is needed"),
        ({"plate": " "}, "the plate path is empty"),
        ({"output": "s3://bucket/dog.%04d.exr"}, "must be a local file"),
        ({"motion": -0.1}, "motion must be from 0.0 to 1.0, got -0.1"),
        ({"motion": float("nan")}, "motion must be from 0.0 to 1.0, got nan"),
        ({"lora": "dog.safetensors"}, "lora must be a list of texts, got 'dog.safetensors'"),
        ({"lora": (0.8,)}, "lora must be a list of texts"),
        ({"lora": None}, "lora must be a list of texts"),
        ({"lora": ("a.safetensors", "")}, "there is no file in the LoRA ''"),
        ({"lora": (":0.8",)}, "there is no file in the LoRA ':0.8'; write FILE or FILE:WEIGHT"),
        (
            {"lora": ("dog.safetensors:",)},
            "the weight is missing behind the colon of the LoRA 'dog.safetensors:'; try dog.safetensors:0.8",
        ),
        (
            {"lora": ("dog.safetensors:nan",)},
            "the weight of the LoRA 'dog.safetensors' must be from -4.0 to 4.0, got nan",
        ),
        ({"lora": ("dog.safetensors:-inf",)}, "must be from -4.0 to 4.0, got -inf"),
        ({"lora": ("dog.safetensors:4.1",)}, "must be from -4.0 to 4.0, got 4.1"),
        ({"lora": ("https://example.org/dog.safetensors:0.8",)}, "must be a local file"),
        ({"lora": ("dog\0.safetensors",)}, "the LoRA path holds the control character U+0000"),
    ],
)
def test_refusals(values, sentence):
    with pytest.raises(ValueError) as refusal:
        decompose(**values)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("task", "given_prompts", "missing"),
    [
        ("generate", {"background": "a garden"}, "foreground"),
        ("generate", {"foreground": "a dog"}, "background"),
        ("generate", {"foreground": "a dog", "background": "  "}, "background"),
        ("generate", {"foregrounds": ("a dog", "a ball")}, "background"),
        ("background", {}, "background"),
        ("foreground", {}, "foreground"),
    ],
)
def test_a_needed_prompt(task, given_prompts, missing):
    plate = None if task == "generate" else PLATE
    with pytest.raises(ValueError, match=f"{task} needs a {missing} prompt"):
        Request(task, plate=plate, **given_prompts)


def test_several_foregrounds_are_prompts_enough():
    made = Request("generate", foregrounds=("a dog", "a ball"), background="a garden")
    assert made.foreground == "" and Request.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match="put all of them into foregrounds"):
        Request("generate", foreground="a cat", foregrounds=("a dog", "a ball"), background="a garden")


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("generate", {"foreground": "a dog"}),
        ("background", {}),
        ("foreground", {"foreground": "a dog"}),
        ("decompose", {"foregrounds": ("a dog", "a ball")}),
    ],
)
def test_a_closer_look_is_at_one_foreground_of_a_plate(task, options):
    plate = None if task == "generate" else PLATE
    with pytest.raises(ValueError, match="closeup is for a plate that is taken apart into one foreground"):
        Request(task, plate=plate, background="a garden", closeup=True, **options)
    assert Request("decompose", plate=PLATE, closeup=True).closeup


@pytest.mark.parametrize("task", ["generate", "background", "foreground"])
def test_refining_needs_a_plate_that_shows_the_matte(task):
    plate = None if task == "generate" else PLATE
    with pytest.raises(ValueError, match=f"refine is for decompose only; {task} has no plate"):
        Request(task, plate=plate, foreground="a dog", background="a garden", refine="off")


@pytest.mark.parametrize(
    "prompt", ["", "x" * 10_000, "كلب في الحديقة", "a dog\nin the rain", "$(rm -rf ~); `id`", "🐕"]
)
def test_prompts_that_are_fine(prompt):
    assert decompose(foreground=prompt).foreground == prompt


@pytest.mark.parametrize(
    "output",
    [
        "a b/é 'x' 🐕.####.exr",
        "ep#3/dog.%04d.exr",
        r"C:\shots\dog.%04d.exr",
        "100%.%04d.EXR",
        "%d.exr",
        "v2/dog_v2.##.exr",
    ],
)
def test_outputs_that_are_fine(output):
    assert decompose(output=output).output == output


def test_a_plate_on_a_windows_drive_is_local():
    assert decompose(plate="C:/shots/dog.####.exr").plate == "C:/shots/dog.####.exr"


def test_generate_takes_no_plate():
    with pytest.raises(ValueError, match="takes no plate"):
        Request("generate", plate=PLATE, foreground="a dog", background="a garden")


def test_generated_frames_and_their_number_agree():
    prompts = {"foreground": "a dog", "background": "a garden"}
    assert Request("generate", first_frame=1001, last_frame=1016, **prompts).num_frames == 16
    assert Request("generate", first_frame=1001, **prompts).num_frames is None
    with pytest.raises(ValueError, match="num_frames must be from 1 to 100000, got 999999999999"):
        Request("generate", first_frame=1, last_frame=999_999_999_999, **prompts)
    with pytest.raises(ValueError, match="are 16 frames but num_frames is 8"):
        Request("generate", first_frame=1001, last_frame=1016, num_frames=8, **prompts)


def test_unknown_task():
    with pytest.raises(
        ValueError, match="task must be one of generate, decompose, background, foreground, edit, got 'matte'"
    ):
        Request("matte", plate=PLATE)


def test_unknown_field_names_the_nearest():
    with pytest.raises(ValueError, match="no field 'foregroud'; did you mean 'foreground'"):
        Request.from_dict({"task": "decompose", "plate": PLATE, "foregroud": "a dog"})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", json.dumps({"plate": PLATE}), '{"task":"decompose","plate":"a","guidance":NaN}']
)
def test_json_that_is_no_request(text):
    with pytest.raises(ValueError):
        Request.from_json(text)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("1001-1016", (1001, 1016)),
        ("1001", (1001, 1001)),
        (" 0-0 ", (0, 0)),
        ("0008-0010", (8, 10)),
        ("101010123", (101010123,) * 2),
    ],
)
def test_parse_frames(text, frames):
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "a-b", "1-2-3", "-5", "1001..1016", "1e3", "١-٢", "9" * 30])
def test_frames_that_are_not_frames(text):
    with pytest.raises(ValueError, match="frames are written like 1001-1016 or 1001"):
        parse_frames(text)


def test_frames_the_wrong_way_round():
    with pytest.raises(ValueError, match="write 1001-1016"):
        parse_frames("1016-1001")


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("dog.safetensors", "dog.safetensors", 1.0),
        ("dog.safetensors:0.8", "dog.safetensors", 0.8),
        ("dog.safetensors:-4", "dog.safetensors", -4.0),
        ("dog.safetensors:+.5", "dog.safetensors", 0.5),
        ("dog.safetensors:1e-05", "dog.safetensors", 1e-05),
        ("loras/a b/é", "loras/a b/é", 1.0),
        ("C:\\loras\\dog.safetensors", "C:\\loras\\dog.safetensors", 1.0),
        ("C:\\loras\\dog.safetensors:0.5", "C:\\loras\\dog.safetensors", 0.5),
        ("C:/dog.safetensors", "C:/dog.safetensors", 1.0),
        ("take:two/dog.safetensors", "take:two/dog.safetensors", 1.0),
        ("take:2:1", "take:2", 1.0),
        ("dog.safetensors:1_0", "dog.safetensors:1_0", 1.0),
        ("dog.safetensors:٢", "dog.safetensors:٢", 1.0),
    ],
)
def test_parse_lora(text, path, weight):
    assert parse_lora(text) == (path, weight)
    assert parse_lora(write_lora(path, weight)) == (path, weight)


def test_loras_of_json_are_a_tuple():
    request_ = Request.from_json('{"task": "decompose", "plate": "a.exr", "lora": ["a.safetensors:0.5"]}')
    assert request_.lora == ("a.safetensors:0.5",) and json.loads(request_.to_json())["lora"] == ["a.safetensors:0.5"]
    with pytest.raises(ValueError, match=r"lora must be a list of texts, got \(\['a'\],\)"):
        Request.from_json('{"task": "decompose", "plate": "a.exr", "lora": [["a"]]}')


def test_events():
    assert Event("step", done=3, total=25) == Event(kind="step", message="", done=3, total=25)
    with pytest.raises(ValueError, match="kind must be one of"):
        Event("progress")
    with pytest.raises(ValueError, match="got 4 of 3"):
        Event("frame", done=4, total=3)
