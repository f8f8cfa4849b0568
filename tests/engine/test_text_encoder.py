"""A model folder's text encoder: loaded only when it is needed, and the same numbers wherever they come from."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rendering import contents, render, write_plate
from tiny import PROMPT_TOKENS, TEXT_WIDTH, write_tiny_model

from layerflow.cli.app import run
from layerflow.errors import ModelError, RequestError
from layerflow.models import t5, text_encoder
from layerflow.models.folder import ModelFolder, open_model
from layerflow.models.text_encoder import LazyText, load_text, open_text

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PROMPTS = ["0, a red dog", "1, the garden at night", "2, "]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache of the test's own."""
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "text"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The residence of every T5 that is loaded."""
    seen: list[str] = []

    def load(*args: object, **options: object) -> object:
        seen.append(str(options["residence"]))
        return t5.load_t5(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(text_encoder, "load_t5", load)
    return seen


@pytest.fixture
def never_loads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after whose call loading T5 fails the test."""

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("T5 was loaded")

    return lambda: monkeypatch.setattr(text_encoder, "load_t5", refuse)


def opened(model: Path | ModelFolder, **options: object) -> LazyText:
    folder = model if isinstance(model, ModelFolder) else open_model(model)
    text = open_text(folder, **{"device": CPU, "precision": "auto", "residence": "keep", **options})  # type: ignore[arg-type]
    assert isinstance(text, LazyText)
    return text


@pytest.mark.parametrize("residence", ["keep", "drop", "stream"])
def test_the_numbers_are_those_of_the_whole_encoder(tiny_model: Path, cache: Path, residence: str) -> None:
    expected = load_text(tiny_model, PROMPT_TOKENS).encode(PROMPTS)
    assert expected.shape == (3, PROMPT_TOKENS, TEXT_WIDTH) and expected.dtype == torch.float32
    for _ in ("from T5", "from the disk"):
        assert torch.equal(opened(tiny_model, residence=residence).encode(PROMPTS), expected)


@pytest.mark.parametrize("residence", ["keep", "drop", "stream"])
def test_bfloat16_comes_back_bit_for_bit(tiny_model: Path, cache: Path, residence: str) -> None:
    made = opened(tiny_model, residence=residence, precision="bfloat16").encode(PROMPTS)
    assert torch.equal(made, made.bfloat16().float())
    assert 1e-4 < (made - opened(tiny_model).encode(PROMPTS)).abs().max() < 0.1
    assert torch.equal(opened(tiny_model, precision="bfloat16").encode(PROMPTS), made)


@pytest.mark.parametrize("residence", ["keep", "drop", "stream"])
def test_eight_bits(tiny_model: Path, cache: Path, residence: str) -> None:
    text = opened(tiny_model, residence=residence, precision="int8")
    made, expected = text.encode(PROMPTS), opened(tiny_model).encode(PROMPTS)
    assert 1e-3 < (made - expected).square().mean().sqrt() / expected.square().mean().sqrt() < 0.03
    assert torch.equal(opened(tiny_model, precision="int8").encode(PROMPTS), made)
    assert text.cache.decides["bitsandbytes"] and text.precision == "int8"
    if residence == "keep":
        kinds = {type(layer).__name__ for layer in text._kept.encoder.modules()}
        assert "Linear8bitLt" in kinds


def test_eight_bits_without_their_library(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(RequestError, match=r"int8 needs the extra int8; pip install 'layerflow\[int8\]'"):
        opened(tiny_model, precision="int8")


def test_an_embedding_does_not_depend_on_what_was_cached_before(tiny_model: Path, cache: Path) -> None:
    whole = opened(tiny_model).encode(PROMPTS)
    shutil.rmtree(cache)
    opened(tiny_model).encode(PROMPTS[1:2])
    assert torch.equal(opened(tiny_model).encode([*PROMPTS, PROMPTS[1]]), torch.cat([whole, whole[1:2]]))


def test_encoders_do_not_share(tiny_model: Path, tmp_path: Path, cache: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=1)
    first, second = (opened(model).encode(PROMPTS) for model in (tiny_model, other))
    assert not torch.equal(first, second) and len(list(cache.iterdir())) == 6
    decides = opened(tiny_model).cache.decides
    assert {"text_encoder/model.safetensors", "tokenizer/tokenizer.json", "device", "tokens", "torch"} < set(decides)
    assert not any(name.startswith(("transformer/", "codec/")) for name in decides)


def test_what_is_dropped_is_gone(tiny_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[object]] = []

    def load(*args: object, **options: object) -> object:
        encoder = t5.load_t5(*args, **options)  # type: ignore[arg-type]
        alive.append(weakref.ref(encoder))
        return encoder

    monkeypatch.setattr(text_encoder, "load_t5", load)
    for residence in ("keep", "drop", "stream"):
        text = opened(tiny_model, residence=residence)
        text.encode([f"0, a dog {residence}"])
        assert (alive[-1]() is None) == (residence != "keep")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_on_a_gpu_every_residence_gives_the_same_bits(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    made = []
    for residence in ("keep", "drop", "stream"):
        monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / residence))
        text = opened(tiny_model, device=torch.device("cuda"), residence=residence, precision=precision)
        made.append(text.encode(PROMPTS))
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])
    expected = load_text(tiny_model, PROMPT_TOKENS).encode(PROMPTS)
    assert (made[0] - expected).square().mean().sqrt() / expected.square().mean().sqrt() < 0.03


def test_a_prompt_of_ten_thousand_characters_is_one_readable_warning(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = " ".join(["a red dog"] * 1000 + ["in the garden"])
    command = ["generate", "--model", str(tiny_model), "--frames", "1-1", "-o", str(tmp_path / "dog.%04d.exr")]
    assert run([*command, "--foreground", prompt, "--background", "the garden", "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out.splitlines()[-1])["warnings"]
    assert warning.startswith("the foreground prompt is 2998 tokens too long; shorten it, the model does not see: ")
    assert warning.endswith("a red dog in the garden") and " … " in warning
    assert len(warning) < 250 and "\n" not in warning


def test_residence_says_how_often_t5_is_loaded(
    tiny_model: Path, cache: Path, loads: list[str], never_loads: Callable[[], None]
) -> None:
    for residence, expected in (("keep", 1), ("drop", 2), ("stream", 2)):
        loads.clear()
        text = opened(tiny_model, residence=residence)
        assert not loads
        for prompt in ("0, a dog " + residence, "0, a red dog " + residence):
            text.encode([prompt])
        assert loads == [residence] * expected
        assert (text._kept is not None) == (residence == "keep")
    never_loads()
    text.encode(["0, a red dog stream", "0, a dog drop"])


def test_without_a_disk_the_windows_of_a_shot_still_share_their_prompts(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: list[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "file"))
    text = opened(tiny_model, residence="drop")
    assert torch.equal(text.encode(PROMPTS), text.encode(PROMPTS)) and loads == ["drop"]


def test_what_is_dropped_is_told_without_t5(tiny_model: Path, cache: Path, never_loads: Callable[[], None]) -> None:
    never_loads()
    dropped = opened(tiny_model).dropped("0, a red dog in the garden at night")
    assert dropped is not None and dropped.text == "garden at night"


def test_a_damaged_encoder_is_named_when_it_is_needed(tiny_model: Path, tmp_path: Path, cache: Path) -> None:
    opened(tiny_model).encode(PROMPTS)
    own = shutil.copytree(tiny_model, tmp_path / "own")
    (own / "text_encoder" / "model.safetensors").write_bytes(b"")
    assert torch.isfinite(opened(own).encode(PROMPTS)).all()
    with pytest.raises(ModelError, match=r"text_encoder/model\.safetensors of model tiny is missing or damaged; inst"):
        opened(own).encode(["0, a dog"])
    shutil.rmtree(own / "tokenizer")
    with pytest.raises(ModelError, match=r"tokenizer/.* is missing or damaged"):
        opened(own)


def test_auto_precision(tiny_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_model / "text_encoder"
    assert (
        opened(tiny_model).precision == "float32" and opened(tiny_model, precision="bfloat16").precision == "bfloat16"
    )
    assert t5.pick_text_precision("auto", path, torch.device("cuda")) == "bfloat16"
    assert t5.pick_text_precision("float32", path, torch.device("cuda")) == "float32"
    whole = load_text(tiny_model, PROMPT_TOKENS).encoder
    assert t5.num_weights(path) == sum(weight.numel() for weight in whole.parameters())
    monkeypatch.setattr(t5, "BIG", t5.num_weights(path) - 1)
    assert t5.pick_text_precision("auto", path, CPU) == "bfloat16"


def test_the_second_run_of_a_shot_never_loads_t5(
    tiny_model: Path, tmp_path: Path, cache: Path, never_loads: Callable[[], None]
) -> None:
    plate = write_plate(tmp_path / "plate")
    render(tiny_model, tmp_path / "first", plate=plate)
    assert len(contents(cache)) == 2  # decomposing has no blended prompt
    never_loads()
    render(tiny_model, tmp_path / "second", plate=plate)
    first, second = contents(tmp_path / "first"), contents(tmp_path / "second")
    assert first == second and len(first) == 11
    with pytest.raises(AssertionError, match="T5 was loaded"):
        render(tiny_model, tmp_path / "third", plate=plate, foreground="a garden")


@pytest.mark.long
def test_the_second_command_never_loads_t5(
    tiny_model: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real processes: once the prompts are known, the encoder's weights may as well be gone."""
    own = shutil.copytree(tiny_model, tmp_path / "own")
    plate = write_plate(tmp_path / "plate", count=3)

    def command(output: str, *more: str) -> list[str]:
        return ["decompose", plate, "--model", str(own), "-o", str(tmp_path / output / "dog.%04d.exr"), *more]

    def start(output: str, *more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        python = [sys.executable, "-c", "from layerflow.cli import main; main()"]
        done = subprocess.run([*python, *command(output, *more)], capture_output=True, text=True, env=environment)
        assert not re.search(
            "gemm|MatMul8bitLt|meta device|Warning|torchao|KernelPreference", done.stderr
        )  # the libraries keep quiet
        return done

    assert start("first", "--foreground", "a dog").returncode == 0
    assert start("eight", "--foreground", "a dog", "--text-precision", "int8").returncode == 0
    assert contents(tmp_path / "first") != contents(tmp_path / "eight")
    (own / "text_encoder" / "model.safetensors").unlink()
    assert start("second", "--foreground", "a dog").returncode == 0
    assert contents(tmp_path / "first") == contents(tmp_path / "second") != {}
    assert run(command("third", "--foreground", "a red dog")) == ModelError.exit_code  # a new prompt, and no encoder
    assert not list((tmp_path / "third").glob("*.exr"))
    assert "text_encoder/model.safetensors of model tiny is missing or damaged" in capsys.readouterr().err
