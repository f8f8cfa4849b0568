"""Encoded clips on disk: what is in them, and what happens when they are stale, damaged or not whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stagecraft import stage_config, write_stage_data

from layerflow.errors import ModelError, RequestError
from layerflow.models.text_encoder import load_text
from layerflow.training import tensor_file
from layerflow.training.kinds import Wanted, open_clips
from layerflow.training.latent_cache import Encoder, LatentCache
from layerflow.training.materials import Materials
from layerflow.training.render import RenderConfig
from layerflow.training.tensor_file import TensorFile, write_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stage_data(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def cache(config_file: Path, tmp_path: Path) -> LatentCache:
    """Six clips of the Motion LoRA's, in two shards, not yet made."""
    return Materials(stage_config(config_file, tmp_path), "motion-lora").parts(held_out=False)[0].cache


@pytest.fixture
def filled(cache: LatentCache) -> LatentCache:
    cache.refresh()
    cache.fill(CPU)
    return cache


def contents(cache: LatentCache) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cache.folder.iterdir())}


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each clip that is encoded."""
    made: list[int] = []
    encode: Callable[..., torch.Tensor] = Encoder.latents
    monkeypatch.setattr(Encoder, "latents", lambda self, *args: made.append(1) or encode(self, *args))
    return made


def test_a_row_is_what_codec_and_text_encoder_make_of_the_clip(filled: LatentCache) -> None:
    assert len(filled) == 6 and not filled.missing()
    source = open_clips(filled.wanted)
    encoder = Encoder.of(filled.model, CPU)
    text = load_text(filled.model.path, filled.model.manifest.prompt_tokens)
    for number in (0, 5):
        clips, (captions,) = source.batch(np.random.default_rng((0, number)), 1, filled.sequenced.layers)
        latents, embeddings = filled.row(number, ("foreground", "background"))
        layers = torch.from_numpy(clips[0]).movedim(-1, 2)
        torch.testing.assert_close(latents, encoder.codec.encode(layers.flatten(0, 1), None), rtol=1e-3, atol=1e-3)
        prompts = [f"0, {captions[0]}", f"1, {captions[1]}"]
        assert torch.equal(embeddings, text.encode(prompts))
    assert not torch.equal(filled.row(0, ("blended",))[0], filled.row(1, ("blended",))[0])


def test_frozen_clips_are_the_moving_ones_held(filled: LatentCache) -> None:
    moving = open_clips(replace(filled.wanted, kind="moving"))
    frozen = open_clips(filled.wanted)
    for number in range(4):
        key = (0, number)
        (live,), (said,) = moving.batch(np.random.default_rng(key), 1, filled.sequenced.layers)
        (held,), (also,) = frozen.batch(np.random.default_rng(key), 1, filled.sequenced.layers)
        assert said == also and (held == held[:, :1]).all()
        assert any((held[:, 0] == live[:, frame]).all() for frame in range(live.shape[1]))


def test_what_is_there_is_not_made_again(filled: LatentCache, encodings: list[int]) -> None:
    before = contents(filled)
    told: list[str] = []
    again = replace(filled)
    again.refresh(told.append)
    again.fill(CPU)
    assert not encodings and not told and contents(again) == before


def test_filling_goes_on_and_processes_share_it(filled: LatentCache, encodings: list[int]) -> None:
    before = contents(filled)
    (filled.folder / "prompts-00001.arrow").unlink()
    other = replace(filled)
    assert other.missing() == [1]
    other.fill(CPU, rank=0, num_processes=2)
    assert not encodings
    other.fill(CPU, rank=1, num_processes=2)
    assert len(encodings) == 2 and contents(other) == before


@pytest.mark.parametrize("what", ["clips", "codec", "data"])
def test_a_stale_cache_is_made_again(
    filled: LatentCache, encodings: list[int], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    other = replace(filled)
    if what == "clips":
        other = replace(filled, wanted=replace(filled.wanted, seed=3))
    elif what == "codec":
        hashes = {**filled.model.manifest.sha256, "codec/codec.safetensors": "other"}
        manifest = replace(filled.model.manifest, sha256=hashes)
        other = replace(filled, model=replace(filled.model, manifest=manifest))
        monkeypatch.setattr(type(filled.model), "check", lambda self, *parts: None)
    else:
        monkeypatch.setattr("layerflow.training.latent_cache.digest", lambda data: "other")
    told: list[str] = []
    other.refresh(told.append)
    assert told == [f"the cache {filled.folder} was made of another {what}; it is made again"]
    assert other.missing() == [0, 1]
    other.fill(CPU)
    assert len(encodings) == 6 and not other.missing()
    assert not other.refresh(told.append) and len(told) == 1


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_cache_that_does_not_say_what_it_is_is_made_again(filled: LatentCache, text: str) -> None:
    (filled.folder / "cache.json").write_text(text)
    replace(filled).refresh()
    assert filled.missing() == [0, 1]


def test_a_shard_cut_short_is_made_again(filled: LatentCache) -> None:
    before = contents(filled)
    path = filled.folder / "clips-00000.arrow"
    path.write_bytes(before[path.name][:-100])
    told: list[str] = []
    other = replace(filled, _open={})
    other.refresh(told.append)
    assert told == [f"the cache's {path} is damaged; it is made again"] and other.missing() == [0]
    other.fill(CPU)
    assert contents(other) == before


def test_a_changed_byte_is_noticed_when_it_is_read(filled: LatentCache) -> None:
    path = filled.folder / "clips-00000.arrow"
    latents = filled.row(1, ("background",))[0].half().numpy().tobytes()
    data = path.read_bytes()
    place = data.index(latents)
    path.write_bytes(data[: place + 10] + bytes([data[place + 10] ^ 1]) + data[place + 11 :])
    other = replace(filled, _open={})
    other.row(0, ("background",))
    with pytest.raises(ModelError, match=r"clips-00000.arrow is damaged; remove it, and it is made again"):
        other.row(1, ("background",))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_of_any_type_come_back(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.randn(3, 2, 5).to(dtype)
    write_tensors(tmp_path / "a.arrow", ["a", "b", "é"], values)
    found = TensorFile(tmp_path / "a.arrow")
    assert found.labels == ["a", "b", "é"] and found.places["é"] == 2
    assert found.row(1).dtype == dtype and torch.equal(found.row(1), values[1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrow"]


def test_without_pyarrow_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(RequestError, match=r"needs pyarrow, which is not installed; pip install 'layerflow\[train\]'"):
        tensor_file.write_tensors(tmp_path / "a.arrow", ["a"], torch.zeros(1, 2))


def test_the_kinds_of_a_pack(pack: Path) -> None:
    size = RenderConfig(num_frames=4, height=32, width=48)
    layers = ("foreground", "alpha", "background", "blended")
    for kind, held_out in (("moving", False), ("frozen", False), ("stills", False), ("stills", True)):
        source = open_clips(Wanted(data=pack, kind=kind, size=size, num_clips=6, held_out=held_out))
        clips, _ = source.batch(np.random.default_rng(0), 6, layers)
        moves = (clips != clips[:, :, :1]).any(axis=(2, 3, 4, 5))
        assert moves[:, 2].all() if kind == "moving" else not moves.any()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A packed dataset of a few pictures of one colour each."""
    import json

    rng = np.random.default_rng(0)
    folder = tmp_path / "pack"
    folder.mkdir()
    shapes = {
        "sprites": (3, 8, 16, 16, 4),
        "stills": (3, 16, 16, 4),
        "cutouts": (3, 16, 16, 4),
        "photos": (3, 36, 72, 3),
    }
    records = {name: [{"id": f"{name}{n}", "label": "a thing", "tags": []} for n in range(3)] for name in shapes}
    for name, shape in shapes.items():
        np.save(folder / f"{name}.npy", rng.integers(1, 255, shape, dtype=np.uint8))
    (folder / "captions.json").write_text(json.dumps(records))
    (folder / "split.json").write_text(json.dumps({name: [] if name == "cutouts" else [f"{name}2"] for name in shapes}))
    return folder
