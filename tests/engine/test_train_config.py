"""Configs of training: the shipped ones, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerflow.errors import RequestError
from layerflow.training.config import STAGES, read_config, stages_of

WHOLE = 'start = "mini"\n[base]\ndata = "pack"\nsteps = 9\n'


def test_the_shipped_config_has_the_numbers_of_the_paper() -> None:
    config = read_config("layerflow-2b")
    stages = [config.stage(name) for name in stages_of(config)]
    assert tuple(stages_of(config)) == STAGES
    assert [(stage.lr, stage.batch) for stage in stages] == [(1e-4, 12), (1e-3, 12), (5e-3, 12)]
    assert (config.every_block, config.precision, config.gradient_checkpointing) == (6, "bfloat16", True)
    assert [(stage.lora.rank, stage.lora.alpha) for stage in stages[1:]] == [(8, 1.0), (256, 1.0)]
    assert config.text_dropout == 0.1 and read_config("layerflow-2b.toml") == config


def test_the_other_shipped_config_trains_mini_jointly() -> None:
    config = read_config("mini.toml")
    assert config.start == "mini" and config.base is not None
    assert config.base.joint and config.base.muon_lr == 0.01 and config.base.minutes == 80
    assert config.every_block == 1 and tuple(stages_of(config)) == STAGES


def test_a_file_goes_before_a_shipped_config_and_changes_before_both(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mini").write_text(WHOLE)
    monkeypatch.chdir(tmp_path)
    config = read_config("mini", ["base.steps=12", "output=out/here", "base.frozen = 0.5"])
    assert config.base is not None
    assert (config.base.steps, config.base.frozen, config.output) == (12, 0.5, Path("out/here"))
    assert config.written_to(Path("there")).output == Path("there") and config.written_to(None) is config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (WHOLE + "colour = 1\n", "base.colour is not a key; there are steps, minutes, lr, "),
        ("colour = 1\n" + WHOLE, "colour is not a key; there are start, variant, .*motion-lora, content-lora$"),
        (WHOLE + "lr = -1\n", "base.lr is -1; the input should be greater than 0"),
        (WHOLE + "lr = inf\n", "base.lr is inf; the input should be a finite number"),
        (WHOLE + 'lr = "fast"\n', "base.lr is 'fast'; the input should be a valid number"),
        (WHOLE + "batch = 0\n", "base.batch is 0; the input should be greater than or equal to 1"),
        ('precision = "int8"\n' + WHOLE, "precision is 'int8'; the input should be 'float32' or 'bfloat16'"),
        ('tasks = ["fly"]\n' + WHOLE, "tasks.0 is 'fly'; the input should be 'generate', "),
        (WHOLE + "[motion-lora]\nsteps = 1\n", "motion-lora.data is missing; add it"),
        (
            WHOLE + '[content-lora]\ndata = "a"\nvideo = "b"\n[content-lora.lora]\ntargets = ["to_q"]\n',
            "content-lora.lora.targets.0 is 'to_q'; the input should be 'attn1.to_q', ",
        ),
        ("base = 3\n" + WHOLE.partition("[")[0], "base is 3; the input should be"),
        ("start = \n", "is not TOML: invalid value"),
    ],
)
def test_a_wrong_key_is_named_with_what_it_may_be(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(RequestError, match=sentence) as refusal:
        read_config(str(file))
    assert str(refusal.value).startswith(str(file)) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["base.steps"], "is KEY=VALUE, such as base.steps=200, got 'base.steps'"),
        ([".=3"], "is KEY=VALUE"),
        (["start.now=3"], "start.now is not a key of the config: start is no table"),
        (["base.stepps=3"], "mini.toml: base.stepps is not a key"),
    ],
)
def test_a_wrong_change_is_named(changes: list[str], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        read_config("mini", changes)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere.toml cannot be read \(No such file.*one of mini, layerflow-2b$"):
        read_config(str(tmp_path / "nowhere.toml"))


def test_a_stage_that_is_not_there_or_has_no_end(tmp_path: Path) -> None:
    file = tmp_path / "short.toml"
    file.write_text(WHOLE.replace("steps = 9\n", ""))
    config = read_config(str(file))
    with pytest.raises(RequestError, match=r"has no \[motion-lora\]; add that table"):
        config.stage("motion-lora")
    with pytest.raises(RequestError, match=r"how long base is; give \[base\] its steps or minutes"):
        config.stage("base")
