"""LoRAs that are refused, each in one sentence and before anything is merged."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from loras import random_lora, write_diffusers, write_peft
from safetensors.torch import save_file
from torch import Tensor

from layerflow.errors import ModelError
from layerflow.models import network
from layerflow.models.adapter_files import MAX_HEADER_BYTES, find_lora
from layerflow.models.folder import ModelFolder, open_model
from layerflow.models.network import load_transformer
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")

QUERY = "transformer_blocks.0.attn1.to_q"
VALUE = "transformer_blocks.0.attn1.to_v"
BLOCK = "transformer.transformer_blocks.0."


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> ModelFolder:
    return open_model(tiny_model)


@pytest.fixture(scope="module")
def bare(model: ModelFolder) -> LayerFlowTransformer:
    return load_transformer(model, dtype=torch.float32)


@pytest.fixture
def tensors(bare: LayerFlowTransformer) -> dict[str, Tensor]:
    return random_lora(bare)


@pytest.fixture
def refused(model: ModelFolder, monkeypatch: pytest.MonkeyPatch):
    """A function that gives the sentence a LoRA is refused with, having seen that no network was loaded for it."""

    def sentence(path: Path) -> str:
        monkeypatch.setattr(network.LayerFlowTransformer, "from_pretrained", None)
        with pytest.raises(ModelError) as refusal:
            load_transformer(model, dtype=torch.float32, lora=[str(path)])
        assert "\n" not in str(refusal.value) and str(refusal.value).count(";") == 1
        return str(refusal.value)

    return sentence


def save(path: Path, *names: str, width: int = 32, rank: int = 4) -> Path:
    """A file of these LoRA modules, `width` wide both ways."""
    halves = {"lora_A": torch.ones(rank, width), "lora_B": torch.ones(width, rank)}
    save_file({f"{name}.{half}.weight": value.clone() for name in names for half, value in halves.items()}, path)
    return path


@pytest.mark.parametrize(
    ("names", "width", "sentence"),
    [
        ([f"{BLOCK}attn1.to_q"], 3072, "was made for CogVideoX-5B: .*to_q.lora_A.weight is 4 x 3072 .* takes 4 x 32;"),
        ([f"{BLOCK}attn1.to_q"], 24, "does not fit this model: .*to_q.lora_A.weight is 4 x 24 where .* takes 4 x 32;"),
        (["transformer_blocks.7.attn1.to_q"], 32, "does not fit .* no layer transformer_blocks.7.attn1.to_q"),
        (["transformer.blocks.0.self_attn.q"], 32, "made for Wan: the network has no layer blocks.0.self_attn.q;"),
        (["diffusion_model.blocks.0.cross_attn.k"], 32, "made for Wan"),
        (["transformer.single_transformer_blocks.0.attn.to_q", f"{BLOCK}attn.to_q"], 32, "made for Flux or Hunyuan"),
        ([f"{BLOCK}attn.to_q"], 32, "made for Stable Diffusion 3, Flux"),
        ([f"{BLOCK}attn1.to_q", f"{BLOCK}attn2.to_q"], 32, "made for LTX-Video"),
        (["unet.down_blocks.0.attentions.0.proj_in"], 32, "made for Stable Diffusion:"),
        ([f"{BLOCK}attn1.to_q", "text_encoder.encoder.block.0.q"], 32, "made for a text encoder: .* no layer text_enc"),
        (["lora_unet__transformer_blocks_0_attn1_to_q"], 32, "made for a trainer that has names of its own"),
        ([f"{BLOCK}attn1.norm_q"], 32, "no layer transformer_blocks.0.attn1.norm_q"),  # a norm has no LoRA
    ],
)  # fmt: skip
def test_made_for_another_network(refused, tmp_path, names: list[str], width: int, sentence: str) -> None:
    assert_says(refused(save(tmp_path / "a.safetensors", *names, width=width)), f"LoRA .*a.safetensors .*{sentence}")


def assert_says(text: str, pattern: str) -> None:
    with pytest.raises(ModelError, match=pattern):
        raise ModelError(text)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({f"{QUERY}.lora_magnitude_vector": torch.ones(32)}, "made for DoRA, which is more than LoRA"),
        ({f"{QUERY}.lora_B.bias": torch.ones(32)}, "to_q.lora_B.bias is not a LoRA's weight"),
        ({f"{QUERY}.diff": torch.ones(32, 32)}, "to_q.diff is not a LoRA's weight"),
        ({f"{QUERY}.lora_A.weight": torch.ones(4)}, "to_q.lora_A.weight is 4 where"),
        ({f"{QUERY}.lora_A.weight": torch.ones(0, 32)}, "to_q.lora_A.weight is 0 x 32 where"),
        ({f"{QUERY}.lora_A.weight": torch.ones(3, 32)}, "is 32 x 4 where|is 3 x 32 where"),
        ({f"{QUERY}.lora_A.weight": torch.ones(4, 32, 1, 1)}, "is 4 x 32 x 1 x 1 where"),
        ({f"{QUERY}.lora_A.weight": torch.ones(4, 32, dtype=torch.int8)}, "holds .*to_q.lora_A.weight as I8; export"),
        ({f"{QUERY}.lora_A.weight": torch.full((4, 32), float("nan"))}, "not made of finite numbers in .*to_q.lora_A"),
        ({f"{QUERY}.lora_B.weight": torch.full((32, 4), -float("inf"))}, "not made of finite numbers in .*to_q.lora_B"),
        ({f"{QUERY}.alpha": torch.tensor(float("nan"))}, "not made of finite numbers in .*to_q.alpha"),
        ({f"{QUERY}.alpha": torch.ones(4)}, "to_q.alpha is not a LoRA's weight"),
        ({f"{VALUE}.lora_A.weight": torch.ones(4, 32)}, "only one of lora_A and lora_B for .*to_v"),
        ({f"transformer.{QUERY}.lora_A.weight": torch.ones(4, 32)}, "which are the same"),
    ],
)  # fmt: skip
def test_nothing_is_silently_left_out(refused, tensors, tmp_path, extra: dict[str, Tensor], sentence: str) -> None:
    save_file(tensors | extra, tmp_path / "a.safetensors")
    assert_says(refused(tmp_path / "a.safetensors"), sentence)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"use_dora": True}, "has use_dora True, which is more than LoRA"),
        ({"init_lora_weights": "pissa"}, "has init_lora_weights 'pissa'"),  # its weights are to another base
        ({"bias": "all"}, "has bias 'all'"),
        ({"modules_to_save": ["proj_out"]}, "has modules_to_save"),
        ({"layer_replication": [[0, 1]]}, "has layer_replication"),
        ({"peft_type": "LOHA"}, "has peft_type 'LOHA'"),
        ({"r": 3}, "says rank 3 for .* and has 4"),
        ({"r": "4"}, "settings that make no sense"),
        ({"r": 0}, "settings that make no sense"),
        ({"lora_alpha": [1]}, "settings that make no sense"),
        ({"rank_pattern": ["to_q"]}, "settings that make no sense"),
        ({"rank_pattern": {"(": 4}}, "settings that make no sense"),
    ],
)
def test_settings_that_are_refused(refused, tensors, tmp_path, settings: dict[str, object], sentence: str) -> None:
    folder = write_peft(tmp_path, tensors, r=4, lora_alpha=4)
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    assert_says(refused(folder), sentence)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", "[" * 100_000, '"' + 2**20 * "x" + '"'])
def test_a_damaged_config(refused, tensors, tmp_path, text: str) -> None:
    folder = write_peft(tmp_path, tensors, r=4)
    (folder / "adapter_config.json").write_text(text)
    assert "cannot be read (" in refused(folder)


def test_a_scale_that_is_missing_or_there_twice(refused, tensors, tmp_path) -> None:
    folder = write_peft(tmp_path / "peft", tensors, r=4)
    (folder / "adapter_config.json").rename(tmp_path / "config")
    assert "has no adapter_config.json beside it to say its scale" in refused(folder)
    (folder / "adapter_model.safetensors").rename(tmp_path / "dog.safetensors")
    assert "has no adapter_config.json" in refused(tmp_path / "dog.safetensors")
    alpha = {f"{QUERY}.alpha": torch.tensor(1.0)}
    both = write_peft(tmp_path / "both", tensors | alpha, r=4)
    assert "says its scale twice" in refused(both)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"a dog", "cannot be read"),
        (struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{}", f"a header of {MAX_HEADER_BYTES + 1} bytes"),
        (struct.pack("<Q", 2**64 - 1), "no safetensors file has a header of"),
        (struct.pack("<Q", 2) + b"{}", "holds no weights"),
        (struct.pack("<Q", 2) + b"[]", "cannot be read"),
        (struct.pack("<Q", 99) + b"{}", "cannot be read"),
    ],
)
def test_a_damaged_file(refused, tmp_path, content: bytes, reason: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    assert reason in refused(tmp_path / "a.safetensors")


def test_a_file_cut_short(refused, tensors, tmp_path) -> None:
    path = write_diffusers(tmp_path, tensors)
    path.write_bytes(path.read_bytes()[:-1])
    assert "cannot be read (" in refused(path)


def test_pickles_are_never_opened(refused, tmp_path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"never read")
    (tmp_path / "adapter_config.json").write_text("{}")
    for path in (tmp_path, tmp_path / "adapter_model.bin"):
        assert "adapter_model.bin is a pickle, which can run code; convert it to .safetensors" in refused(path)


def test_nothing_there(refused, tmp_path) -> None:
    assert "there is no LoRA nowhere.safetensors; give a file or folder" in refused(Path("nowhere.safetensors"))
    assert "cannot be read (File name too long)" in refused(Path("x" * 300))
    assert "holds no LoRA: neither" in refused(tmp_path)


def test_a_pipe_is_not_waited_for(refused, tmp_path) -> None:
    os.mkfifo(tmp_path / "dog.safetensors")
    assert "is not a regular file; put the .safetensors there" in refused(tmp_path / "dog.safetensors")


def test_the_hash_is_of_all_that_is_merged(tensors, tmp_path) -> None:
    path = write_diffusers(tmp_path, tensors)
    one = find_lora(str(path)).sha256
    assert len(one) == 64 and find_lora(f"{path}:0.5").sha256 == one == find_lora(str(tmp_path)).sha256
    folder = write_peft(tmp_path / "peft", tensors, r=4)
    two = find_lora(str(folder)).sha256
    write_peft(tmp_path / "peft", tensors, r=4, lora_alpha=1)
    assert len({one, two, find_lora(str(folder)).sha256}) == 3


def test_the_written_form_says_all(tmp_path, monkeypatch, tensors) -> None:
    write_diffusers(tmp_path / "take:2", tensors)
    monkeypatch.chdir(tmp_path)
    text = find_lora("take:2:1").text
    assert text == f"{tmp_path / 'take:2'}:1.0"
    monkeypatch.chdir("/")
    again = find_lora(text)
    assert (again.path, again.weight, again.text) == (tmp_path / "take:2", 1.0, text)
