"""The codec's decoder and the text encoder as graphs: what the engine's own make, of any length and size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from networks import exported
from torch import Tensor

from layerflow.codec import VideoVAE
from layerflow.models.codecs import load_codec
from layerflow.models.folder import open_model
from layerflow.models.plans import FULL
from layerflow.models.shelf import find_model
from layerflow.models.text_encoder import load_text
from layerflow_export.cli.app import run
from layerflow_export.manifest import DATA, GRAPH, MANIFEST, GraphManifest, read_graph_manifest
from layerflow_export.model_export import Choice, export_one
from layerflow_export.parts import open_part

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 2e-6  # of the output's spread
PROMPTS = ["0, a red dog in the garden", "1, ", "2, a dog runs over a beach at night"]


@pytest.fixture(scope="module")
def tiny_parts(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Codec and text encoder of `tiny_model`, whose codec is linear."""
    folder = tmp_path_factory.mktemp("graphs") / "tiny"
    for part in ("decoder", "text"):
        exported(tiny_model, folder / part, "--part", part)
    return folder


def session(folder: Path) -> Callable[[Tensor], Tensor]:
    """The graph in a folder, by onnxruntime."""
    opened = onnxruntime.InferenceSession(folder / GRAPH, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in opened.get_inputs())
    return lambda value: torch.from_numpy(opened.run(None, {name: value.numpy()})[0])


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / MANIFEST).read_text())


def codec_of(model: Path | str, dtype: torch.dtype = torch.float32):
    return load_codec(find_model(str(model)), torch.device("cpu"), dtype, FULL)


def latents_of(codec, *shape: int) -> Tensor:
    batch, frames, rows, columns = shape
    return torch.randn(batch, frames, codec.latent_channels, rows, columns, generator=torch.Generator().manual_seed(3))


def streamed(codec, latents: Tensor) -> Tensor:
    return torch.stack([torch.cat(list(codec.stream(clip))) for clip in latents])


@pytest.mark.parametrize("shape", [(1, 8, 4, 6), (2, 3, 2, 10), (3, 1, 1, 1)])
def test_a_linear_decoder_is_the_codec(tiny_model, tiny_parts, shape):
    codec = codec_of(tiny_model)
    latents = latents_of(codec, *shape)
    pixels, expected = session(tiny_parts / "decoder")(latents), streamed(codec, latents)
    assert pixels.shape == expected.shape
    assert (pixels - expected).abs().max() <= TOLERANCE * max(1.0, expected.std())


def test_the_bundled_codec_too(tmp_path):
    codec = codec_of("mini")
    latents = latents_of(codec, 2, 3, 8, 12)
    expected = streamed(codec, latents)
    pixels = session(exported("mini", tmp_path / "mini", "--part", "decoder"))(latents)
    assert (pixels - expected).abs().max() <= TOLERANCE * max(1.0, expected.std())


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 8, 13])
def test_what_is_exported_of_a_video_vae_makes_the_same_frames(released_model, num_frames):
    codec = codec_of(released_model)
    latents = latents_of(codec, 1, num_frames, 4, 6)
    expected = streamed(codec, latents)
    with torch.inference_mode():
        pixels = open_part(open_model(released_model), "decoder", "float32").module(latents)
    assert pixels.shape == expected.shape == (1, 4 * num_frames - 3 * (num_frames % 2), 3, 32, 48)
    assert (pixels - expected).abs().max() <= 2e-5 * expected.std()


@pytest.fixture(scope="module")
def video_decoder(released_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(released_model, tmp_path_factory.mktemp("graphs") / "vae", "--part", "decoder")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 4, 5, 3), (1, 5, 4, 6), (1, 13, 6, 4), (1, 16, 12, 8)])
def test_a_video_decoder_is_as_near_the_truth_as_torch(released_model, video_decoder, shape):
    codec, exact = codec_of(released_model), codec_of(released_model)
    exact.vae.double()
    latents = latents_of(codec, *shape)
    eager, pixels = streamed(codec, latents), session(video_decoder)(latents)
    with torch.inference_mode():
        clips = (latents / codec.scale).double().transpose(1, 2)
        truth = exact.vae.decoder(clips)[0].transpose(1, 2)
    assert pixels.shape == eager.shape
    assert (pixels - truth).abs().max() <= 1.5 * (eager - truth).abs().max() + TOLERANCE * truth.std()


@pytest.mark.long
@pytest.mark.slow
def test_what_a_video_decoder_takes_is_written_down(video_decoder):
    manifest = manifest_of(video_decoder)
    assert manifest["inputs"] == {"latents": ["batch", "frames", 4, "rows", "columns"]}
    assert manifest["outputs"] == {
        "pixels": ["batch", "4*frames - 3*(Mod(frames, 2))", 3, "8*rows", "8*columns"],
    }
    assert manifest["part"] == "decoder" and manifest["precision"] == "float32"


def test_half_a_video_decoder_computes_in_halves(released_model):
    codec = codec_of(released_model, torch.bfloat16)
    assert isinstance(codec, VideoVAE)
    latents = latents_of(codec, 1, 5, 4, 6)
    part = open_part(open_model(released_model), "decoder", "bfloat16")
    with torch.inference_mode():
        pixels, expected = part.module(latents), streamed(codec, latents)
    assert pixels.dtype == torch.float32 and part.precision == "bfloat16"
    assert (pixels - expected).abs().max() <= 0.1 * expected.std()
    assert torch.equal(pixels, pixels.bfloat16().float())


@pytest.mark.parametrize("shape", [(1, 8), (4, 8), (2, 1), (1, 40)])
def test_a_text_encoder_is_t5(tiny_model, tiny_parts, shape):
    t5 = load_text(tiny_model, 8)
    ids = torch.randint(0, 15, shape, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = t5.encoder(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    embeddings = session(tiny_parts / "text")(ids)
    assert embeddings.shape == expected.shape
    assert (embeddings - expected).abs().max() <= TOLERANCE * expected.std()


def test_the_bundled_text_encoder_is_as_near_the_truth_as_torch(tmp_path):
    folder = find_model("mini")
    t5, exact = (load_text(folder.path, folder.manifest.prompt_tokens) for _ in range(2))
    exact.encoder.double()
    embeddings = session(exported("mini", tmp_path / "mini", "--part", "text"))(t5.ids(PROMPTS))
    eager = t5.encode(PROMPTS)
    with torch.inference_mode():
        ids = t5.ids(PROMPTS)
        truth = exact.encoder(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    for row, torchs, true in zip(embeddings, eager, truth, strict=True):
        assert (row - true).abs().max() <= 1.5 * (torchs - true).abs().max() + TOLERANCE * true.std()


@pytest.mark.long
def test_all_parts_are_folders_beside_each_other(tiny_model, tmp_path):
    parts = exported(tiny_model, tmp_path / "tiny", "--part", "all")
    assert sorted(path.name for path in parts.iterdir()) == ["decoder", "text", "transformer"]
    for folder in parts.iterdir():
        assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, GRAPH, DATA]
    assert isinstance(read_graph_manifest(parts / "transformer"), GraphManifest)


def test_a_part_says_what_it_is(tiny_model, tiny_parts):
    text, decoder = manifest_of(tiny_parts / "text"), manifest_of(tiny_parts / "decoder")
    assert text["inputs"] == {"ids": ["batch", "tokens"]}
    assert text["outputs"] == {"embeddings": ["batch", "tokens", 32]}
    assert text["prompt_tokens"] == 8 and decoder["prompt_tokens"] is None
    assert decoder["outputs"] == {"pixels": ["batch", "4*frames", 3, "8*rows", "8*columns"]}
    assert text["origin"]["model_sha256"] == open_model(tiny_model).sha256


def test_parts_that_have_no_half_form_stay_whole(tiny_model, tmp_path):
    model, half = open_model(tiny_model), Choice(precision="float16")
    assert export_one(model, "decoder", tmp_path / "decoder", half).precision == "float32"
    assert open_part(model, "text", "float16").precision == "float32"
    assert open_part(model, "text", "bfloat16").module.encoder.dtype == torch.bfloat16


def test_a_lora_for_another_part_is_refused(tiny_model, tmp_path, capsys):
    line = ["onnx", str(tiny_model), "-o", str(tmp_path / "text"), "--part", "text", "--lora", "x.safetensors"]
    assert run(line) == 2 and not list(tmp_path.iterdir())
    assert "LoRAs and motion do not change the text; leave them out with --part text" in capsys.readouterr().err


def test_another_part_is_no_transformer(tiny_parts, tiny_model, tmp_path, capsys):
    line = ["refit", str(tiny_parts / "text"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert run(line) == 5
    assert "holds a model's text and no transformer; name the folder of the transformer" in capsys.readouterr().err


def test_of_parts_that_fail_nothing_is_left(tiny_model, tmp_path, capsys, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("layerflow_export.model_export.export_onnx", lambda transformer, target, origin: target.mkdir())
    monkeypatch.setattr("layerflow_export.model_export.export_part", stop)
    line = ["onnx", str(tiny_model), "-o", str(tmp_path / "all"), "--part", "all", "--json"]
    assert run(line) == 130 and not list(tmp_path.iterdir())
