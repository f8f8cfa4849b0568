"""`layerflow train base`, `motion-lora`, `content-lora` and `cache`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from stagecraft import write_stage_data

from layerflow.cli.app import run
from layerflow.cli.train import train
from layerflow.cli.train_stages import event_of
from layerflow.training.schedule import Progress, Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stage_data(tmp_path_factory.mktemp("verbs"))


def test_three_stages_into_one_output(config_file: Path, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "out")
    for stage, made in (
        ("base", ["model: {}/base/model"]),
        ("motion-lora", ["LoRA: {}/motion-lora/motion-lora.safetensors"]),
        ("content-lora", ["LoRA: {}/content-lora/content-lora.safetensors", "model: {}/content-lora/model"]),
    ):
        command = ["train", stage, str(config_file), "-o", out, "--set", f"{stage}.steps=2"]
        assert run(command) == 0
        said, err = capsys.readouterr()
        assert said.splitlines() == [line.format(out) for line in made]
        assert "step 2, loss " in err and "0.0 min left" in err
        assert run(command) == 5
        assert "holds a training already; give --resume to go on" in capsys.readouterr().err
        assert run([*command[:-1], f"{stage}.steps=3", "--resume"]) == 0
        again = capsys.readouterr().err
        assert "step 3, loss " in again and "encoding clips" not in again


def test_the_cache_is_filled_ahead(config_file: Path, tmp_path: Path, capsys) -> None:
    command = ["train", "cache", str(config_file), "-o", str(tmp_path), "--set", "check_every=0"]
    assert run(command) == 0
    said, err = capsys.readouterr()
    assert said == f"cache: {tmp_path / 'cache'}\n"
    kinds = ["base-video", "motion-lora-frozen", "content-lora-stills", "content-lora-moving"]
    assert err.splitlines() == [f"encoding clips into {tmp_path / 'cache' / kind}" for kind in kinds]
    assert run(command) == 0 and capsys.readouterr().err == ""
    assert run(["train", "motion-lora", *command[2:]]) == 0
    assert "encoding" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere.toml"], 2, "the config nowhere.toml cannot be read"),
        (["mini", "--set", "base.lr=-1"], 2, "mini.toml: base.lr is -1; the input should be greater than 0"),
        (["mini", "--set", "start=nobody"], 5, "there is no model 'nobody'"),
        (["mini", "--set", "base.data=nowhere"], 2, "nowhere is no dataset: it has neither manifest.json nor"),
        (["mini", "--resume"], 5, "there is no checkpoint in out/mini/base to go on from; train without --resume"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    tmp_path: Path, monkeypatch, capsys, arguments: list[str], code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pack").mkdir()
    assert run(["train", "base", *arguments]) == code
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["pack"]


def test_time_left_by_steps_and_by_time() -> None:
    now = Progress(step=100, seconds=60.0, losses=[3.0, *[1.0] * 100], share=0.25)
    event = event_of(now, Schedule(steps=400))
    assert (event.done, event.total, event.message) == (100, 400, "step 100, loss 1.0000, 3.0 min left")
    event = event_of(Progress(step=7, seconds=60.0, losses=[1.0], share=0.25), Schedule(minutes=4))
    assert (event.done, event.total, event.message) == (60, 240, "")


def test_help_says_what_a_stage_is() -> None:
    said = CliRunner().invoke(train, ["--help"]).output
    assert "Stage 1" in said and "Stage 2" in said and "Stage 3" in said
