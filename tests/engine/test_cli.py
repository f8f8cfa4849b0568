"""The command line: options become a Request, results and errors are reported, Ctrl-C stops."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import click
import pytest

from layerflow import errors
from layerflow.cli.app import layerflow_command, run
from layerflow.cli.running import SERVER_EXIT_CODE
from layerflow.wire import Event, Request

VERBS = [
    "generate",
    "decompose",
    "background",
    "foreground",
    "edit",
    "plan",
    "recompose",
    "deliver",
    "rerun",
    "doctor",
    "evaluate",
    "serve",
    "connect",
    "disconnect",
    "space",
    "jobs",
    "users",
    "submit",
    "part",
    "models",
    "install",
    "data",
    "train",
]


@dataclass
class Result:
    """Looks like shots.ShotResult."""

    frames: tuple[Path, ...] = (Path("out/dog.1001.exr"), Path("out/dog.1002.exr"))
    per_layer: dict = field(default_factory=lambda: {"foreground": (Path("out/dog.foreground.1001.exr"),)})
    preview_movie: Path | None = Path("out/dog.mov")
    contact_sheet: Path | None = Path("out/dog.png")
    seconds: float = 12.34
    warnings: tuple[str, ...] = ("frame 1001 was long",)
    seed: int = 7
    model: str = "mini"
    backend: str = "torch"


class FakeShots(ModuleType):
    """Stands in for layerflow.shots: keeps what it was asked, then answers or raises."""

    def __init__(self):
        super().__init__("layerflow.shots")
        self.calls = []
        self.error = None

    def render(self, request, **options):
        self.calls.append((request, options))
        options["on_event"](Event("stage", "Reading the plate"))
        if self.error:
            raise self.error
        return Result()

    def rerun(self, frame, **options):
        self.calls.append((frame, options))
        return Result()


@pytest.fixture
def shots(stand_in):
    return stand_in(FakeShots())


def asked(shots) -> Request:
    return shots.calls[-1][0]


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_verb_is_there():
    assert sorted(layerflow_command.commands) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    assert run([verb, "--help"]) == 0
    assert "Usage: layerflow " + verb in capsys.readouterr().out


def test_help_is_light():
    code = "import sys; from layerflow.cli.app import run; run(['decompose', '--help']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "OpenImageIO", "transformers"} & set(loaded)


def test_decompose_hands_every_option_on(shots, capsys):
    command = """
        decompose plates/dog.####.exr --foreground dog --background garden --blended both --model big
        --frames 1001-1016 --seed 7
        --steps 12 --guidance 5.5 --sampler ode --quality draft --colorspace sRGB --output-colorspace ACES2065-1
        --alpha premultiplied --per-layer --preview --fit crop --fps 23.976 --memory low --device cpu
        --precision float32 --text-precision int8 --backend torch --lora a.safetensors:0.8 --lora b --motion 0.25
        -o out/dog.%04d.exr --overwrite --resume"""
    assert run(command.split()) == 0
    request, options = shots.calls[0]
    assert request == Request(
        "decompose",
        plate="plates/dog.####.exr",
        foreground="dog",
        background="garden",
        blended="both",
        model="big",
        first_frame=1001,
        last_frame=1016,
        seed=7,
        steps=12,
        guidance=5.5,
        sampler="ode",
        quality="draft",
        colorspace="sRGB",
        output_colorspace="ACES2065-1",
        alpha="premultiplied",
        per_layer=True,
        preview=True,
        fit="crop",
        fps=23.976,
        memory="low",
        device="cpu",
        precision="float32",
        text_precision="int8",
        backend="torch",
        lora=("a.safetensors:0.8", "b"),
        motion=0.25,
        output="out/dog.%04d.exr",
    )
    assert options["overwrite"] is True and options["resume"] is True and options["stopped"]() is False


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["decompose", "dog.mov"], Request("decompose", plate="dog.mov")),
        (["background", "fg.mov", "--background", "sea"], Request("background", plate="fg.mov", background="sea")),
        (["foreground", "bg.mov", "--foreground", "a cat"], Request("foreground", plate="bg.mov", foreground="a cat")),
        (
            ["generate", "--foreground", "a cat", "--background", "sea", "--frames", "5-8", "--width", "96"],
            Request("generate", foreground="a cat", background="sea", first_frame=5, last_frame=8, width=96),
        ),
    ],
)
def test_options_left_out_are_the_request_s_defaults(shots, arguments, request_):
    assert run(arguments) == 0
    assert asked(shots) == request_
    assert shots.calls[0][1]["overwrite"] is False and shots.calls[0][1]["resume"] is False


def test_rerun(shots, capsys):
    assert run(["rerun", "out/dog.1001.exr", "-o", "again/dog.%04d.exr", "--overwrite", "--json"]) == 0
    frame, options = shots.calls[0]
    assert (frame, options["output"], options["overwrite"]) == ("out/dog.1001.exr", "again/dog.%04d.exr", True)
    assert options["resume"] is False and options["stopped"]() is False
    assert last_json(capsys)["seed"] == 7


def test_result_for_people(shots, capsys):
    run(["decompose", "dog.mov"])
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "layers: out/dog.1001.exr to dog.1002.exr (2 frames)",
        "foreground: out/dog.foreground.1001.exr",
        "preview: out/dog.mov",
        "contact sheet: out/dog.png",
        "12.3 s with model mini on torch, seed 7",
    ]
    assert err == "Reading the plate\n"


def test_result_for_programs(shots, capsys):
    assert run(["decompose", "dog.mov", "--json"]) == 0
    assert last_json(capsys) == {
        "frames": ["out/dog.1001.exr", "out/dog.1002.exr"],
        "per_layer": {"foreground": ["out/dog.foreground.1001.exr"]},
        "preview_movie": "out/dog.mov",
        "contact_sheet": "out/dog.png",
        "seconds": 12.34,
        "warnings": ["frame 1001 was long"],
        "seed": 7,
        "model": "mini",
        "backend": "torch",
    }


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.RequestError("too short"), 2),
        (errors.PlateError("no plate"), 3),
        (errors.ColorError("no such space"), 4),
        (errors.ModelError("no such model"), 5),
        (errors.OutputError("already there"), 6),
        (errors.Interrupted("stopped; go on with --resume"), 130),
        (errors.LayerFlowError("something else"), 1),
    ],
)
def test_errors_are_a_sentence_and_a_code(shots, capsys, error, exit_code):
    shots.error = error
    assert run(["decompose", "dog.mov", "--json"]) == exit_code
    out, err = capsys.readouterr()
    assert err.splitlines()[-1] == f"layerflow: {error}"
    assert json.loads(out.splitlines()[-1]) == {"error": str(error), "exit_code": exit_code}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["decompose"], "Missing argument 'PLATE'; layerflow decompose --help"),
        (["decompose", "dog.mov", "--sed", "7"], "No such option"),
        (["decompose", "dog.mov", "--steps", "many"], "'many' is not a valid integer"),
        (["decompose", "dog.mov", "--steps", "0"], "steps must be from 1"),
        (["decompose", "dog.mov", "--seed", "-1"], "seed must be from 0"),
        (["decompose", "dog.mov", "--guidance", "nan"], "guidance must be from"),
        (["decompose", "dog.mov", "--frames", "16-1"], "write 1-16"),
        (["decompose", "dog.mov", "--frames", "all"], "frames are written like"),
        (["decompose", "dog.mov", "-o", "dog.exr"], "exactly one %04d"),
        (["decompose", "http://example.org/dog.mov"], "local file"),
        (["decompose", "dog.mov", "--lora", "a:9"], "the weight of the LoRA 'a' must be from -4.0 to 4.0"),
        (["decompose", "dog.mov", "--motion", "2"], "motion must be from 0.0 to 1.0"),
        (["generate", "--background", "sea"], "needs a foreground prompt"),
        (["generate", "dog.mov", "--foreground", "a", "--background", "b"], "unexpected extra argument"),
        (["matte", "dog.mov"], "No such command 'matte'"),
        (["evaluate", "--steps", "1001"], "1001 is not in the range 1<=x<=1000"),
        (["evaluate", "--seed", str(2**63)], "is not in the range"),
        (["rerun", "dog.1001.exr", "--seed", "3"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(shots, capsys, arguments, sentence):
    assert run([*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert sentence in err and err.count("\n") == 1
    assert json.loads(out)["exit_code"] == 2
    assert not shots.calls


def commands(group=layerflow_command):
    """Every command that does something, those of the groups too."""
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


def test_the_documentation_names_every_verb_option_and_exit_code():
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    options = {
        name
        for command in commands()
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    documented = set(re.findall(r"(?<!\S)`?\(?(-{1,2}[a-z][a-z-]*)", text.replace("`", " ")))
    assert documented - {"--help"} == {name for name in options if name.startswith("-")}
    assert {command.name for command in commands()} | set(VERBS) <= set(re.findall(r"[a-z]+(?:-[a-z]+)*", text))
    codes = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == codes | {0, SERVER_EXIT_CODE}


def test_no_verb_shows_help(capsys):
    assert run([]) == 2
    assert "Usage: layerflow" in capsys.readouterr().err


def test_shell_characters_in_a_prompt_are_text(shots):
    prompt = "$(touch /tmp/owned); `id` && echo \"'"
    assert run(["decompose", "dog.mov", "--foreground", prompt]) == 0
    assert asked(shots).foreground == prompt
