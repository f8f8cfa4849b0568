"""Model folders: found, described, and never loaded when damaged or able to run code."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from tiny import write_tiny_model

from layerflow.errors import ModelError, RequestError
from layerflow.layout import TASKS, VARIANTS
from layerflow.models.folder import MANIFEST, Manifest, ModelFolder, open_model, write_manifest
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.shelf import find_model, list_models, models_path
from layerflow.sampler import Guidance, NoiseSchedule, Sampler

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def own_model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "own"))


def change_manifest(folder: Path, **values: object) -> None:
    file = folder / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_manifest_survives_json() -> None:
    manifest = Manifest(
        name="all",
        layouts={variant.task: variant.layout for variant in VARIANTS.values()},
        sampler=Sampler(
            num_steps=12, kind="ode", schedule=NoiseSchedule(shift=1.5), guidance=Guidance(scale=2.0, power=None)
        ),
        height=480,
        width=720,
        fps=8.0,
        codec="cogvideox",
        prompt_tokens=226,
        licence="Apache-2.0",
        description="größer",
        sha256={"a/b": "0" * 64},
    )
    manifest.sampler.schedule.training_signal  # noqa: B018 - a table once computed is no setting
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest


def test_writing_a_manifest_hashes_every_file(own_model: Path) -> None:
    before = open_model(own_model)
    assert set(before.manifest.sha256) == {
        path.relative_to(own_model).as_posix()
        for path in own_model.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    assert not list(before.damaged())
    (own_model / "NOTICE").write_text("new")
    after = write_manifest(own_model, before.manifest)
    assert set(after.manifest.sha256) - set(before.manifest.sha256) == {"NOTICE"} and after.sha256 != before.sha256
    assert write_manifest(own_model, after.manifest).sha256 == after.sha256


@pytest.mark.parametrize("name", ["transformer/diffusion_pytorch_model.safetensors", "codec/codec.safetensors"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"\0", lambda data: b""])
def test_damaged_weights_are_not_loaded(own_model: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    file = own_model / name
    file.write_bytes(damage(file.read_bytes()))
    assert list(open_model(own_model).damaged()) == [name]
    with pytest.raises(ModelError, match=f"{name} of model tiny is missing or damaged; install the model again"):
        load_engine(open_model(own_model))


def test_missing_files_are_named(own_model: Path) -> None:
    shutil.rmtree(own_model / "tokenizer")
    assert all(name.startswith("tokenizer/") for name in open_model(own_model).damaged())
    with pytest.raises(ModelError, match=r"tokenizer/.* is missing or damaged"):
        load_engine(open_model(own_model))


def test_a_part_is_checked_alone(own_model: Path) -> None:
    for file in ("text_encoder/model.safetensors", "transformer/config.json"):
        (own_model / file).write_bytes(b"")
    folder = open_model(own_model)
    assert list(folder.damaged("text_encoder")) == ["text_encoder/model.safetensors"]
    assert not list(folder.damaged("text")) and not list(folder.damaged("codec")) and len(list(folder.damaged())) == 2
    folder.check("codec", "tokenizer")
    with pytest.raises(ModelError, match=r"transformer/config\.json of model tiny is missing or damaged"):
        folder.check("codec", "transformer")


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.mkdir, (self.place,)


@pytest.mark.parametrize(
    ("part", "weights", "pickled"),
    [
        ("transformer", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        ("text_encoder", "model.safetensors", "pytorch_model.bin"),
    ],
)
def test_pickled_weights_are_never_opened(
    own_model: Path, tmp_path: Path, part: str, weights: str, pickled: str
) -> None:
    """Not even when the manifest vouches for them."""
    (own_model / part / weights).unlink()
    bomb = tmp_path / "exploded"
    (own_model / part / pickled).write_bytes(pickle.dumps(Bomb(bomb)))
    folder = write_manifest(own_model, open_model(own_model).manifest)
    with pytest.raises(ModelError, match="model tiny cannot be loaded"):
        load_engine(folder).text.encode(["0, a dog"])
    torch.save({"a": Bomb(bomb)}, own_model / part / pickled)
    with pytest.raises(ModelError, match="model tiny cannot be loaded"):
        load_engine(write_manifest(own_model, folder.manifest)).text.encode(["0, a dog"])
    assert not bomb.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        "{}",
        '{"format": 2}',
        '{"format": 1, "name": "x"}',
        '{"format": 1, "layouts": 3}',
        "\0",
    ],
)
def test_a_damaged_manifest(own_model: Path, text: str) -> None:
    (own_model / MANIFEST).write_text(text)
    with pytest.raises(ModelError, match=r"layerflow\.json is damaged .*; install the model again"):
        open_model(own_model)


@pytest.mark.parametrize(
    "values",
    [
        {"format": 2},
        {"surprise": 1},
        {"layouts": {"decompose": {"layers": ["shadow"]}}},
        {"layouts": []},
        {"sampler": {"kind": "euler"}},
        {"sampler": {"num_steps": 0}},
        {"sampler": {"guidance": {"strength": 3}}},
    ],
)
def test_a_manifest_that_says_the_impossible(own_model: Path, values: dict[str, object]) -> None:
    change_manifest(own_model, **values)
    with pytest.raises(ModelError, match="is damaged"):
        open_model(own_model)


def test_a_manifest_that_is_not_text(own_model: Path) -> None:
    (own_model / MANIFEST).write_bytes(b"\xff\xfe{}")
    with pytest.raises(ModelError, match="is damaged"):
        open_model(own_model)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: layerflow\.json cannot be read \(No such file"):
        open_model(tmp_path)


def test_models_are_found_by_name_and_by_path(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    assert models_path() == tiny_model.parent
    assert find_model("tiny").path == find_model(str(tiny_model)).path == tiny_model
    assert "tiny" in [model.manifest.name for model in list_models()]


def test_one_damaged_model_does_not_hide_the_others(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERFLOW_MODELS", str(own_model.parent))
    write_tiny_model(own_model.with_name("other"), name="other")
    (own_model / MANIFEST).write_text("{")
    names = [model.manifest.name for model in list_models()]
    assert "other" in names and "tiny" not in names
    with pytest.raises(ModelError, match="is damaged"):
        find_model(own_model.name)


def test_a_file_that_may_not_be_read_counts_as_damaged(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("layerflow.models.folder.file_sha256", refuse)
    assert list(open_model(own_model).damaged()) == list(open_model(own_model).manifest.sha256)


@pytest.mark.parametrize("name", ["nowhere", "n" * 300, "no/where", "no\nwhere"])
def test_a_name_that_is_not_known_names_those_that_are(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    with pytest.raises(ModelError, match=r"there is no model .*tiny") as caught:
        find_model(name)
    assert "\n" not in str(caught.value)


def test_a_task_that_a_model_was_not_made_for(tiny_model: Path) -> None:
    whole = open_model(tiny_model)
    assert tuple(whole.manifest.layouts) == TASKS and whole.layout("decompose").prompts == ("foreground", "background")
    values = whole.manifest.to_dict()
    values["layouts"].pop("generate")
    part = ModelFolder(tiny_model, Manifest.from_dict(values))
    with pytest.raises(
        ModelError, match="model tiny cannot generate; it can: decompose, background, foreground - choose"
    ):
        part.layout("generate")


def test_the_hash_of_a_model_is_that_of_its_files(tmp_path: Path, tiny_model: Path) -> None:
    same, other = write_tiny_model(tmp_path / "same"), write_tiny_model(tmp_path / "other", seed=1)
    assert open_model(same).sha256 == open_model(tiny_model).sha256 != open_model(other).sha256


def test_what_is_not_here_is_told_before_weights_are_read(tiny_model: Path) -> None:
    folder = open_model(tiny_model)
    for options, sentence in (({"device": "cuda:77"}, "no device 'cuda:77'"), ({"backend": "x"}, "no backend 'x'")):
        with pytest.raises(RequestError, match=sentence):
            load_engine(folder, LoadOptions(**options))


def test_a_backend_that_is_not_whole_is_a_sentence(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = [EntryPoint("other", "layerflow_no_such_module:make", "layerflow.denoisers")]
    monkeypatch.setattr("layerflow.models.backends.entry_points", lambda group: brought)
    with pytest.raises(RequestError, match=r"'other' cannot be loaded .*layerflow_no_such_module.*; layerflow doctor"):
        load_engine(open_model(tiny_model), LoadOptions(backend="other"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_loaded_model_is_ready_and_frozen(tiny_model: Path, precision: str) -> None:
    engine = load_engine(open_model(tiny_model), LoadOptions(precision=precision))
    assert engine.dtype == engine.transformer.dtype == getattr(torch, precision)
    assert engine.backend == "eager" and engine.device.type == "cpu"
    assert not engine.transformer.training
    assert not any(parameter.requires_grad for parameter in engine.transformer.parameters())


def test_a_task_may_want_its_own_number_of_steps(tmp_path: Path) -> None:
    model = open_model(write_tiny_model(tmp_path / "model"))
    changed = write_manifest(model.path, replace(model.manifest, steps={"decompose": 1}))
    assert changed.sampler("decompose").num_steps == 1
    assert changed.sampler("generate") == model.manifest.sampler
    assert changed.sha256 != model.sha256  # a frame made with other steps was made by another model
