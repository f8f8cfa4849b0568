"""LoRAs merged into a network: every format against W + weight alpha / rank B A by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from loras import MODULES, product, random_lora, write_diffusers, write_peft
from safetensors.torch import load_file, save_file
from tiny import write_tiny_model
from torch import Tensor

from layerflow.errors import ModelError, RequestError
from layerflow.models.folder import ModelFolder, open_model, write_manifest
from layerflow.models.network import load_transformer
from layerflow.transformer import LayerFlowTransformer

pytestmark = pytest.mark.usefixtures("one_thread")

QUERY = "transformer_blocks.0.attn1.to_q"
ROUNDING = 1e-5  # float32, of sums of a few numbers around 4


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> ModelFolder:
    return open_model(tiny_model)


@pytest.fixture(scope="module")
def bare(model: ModelFolder) -> LayerFlowTransformer:
    return load(model)


@pytest.fixture
def tensors(bare: LayerFlowTransformer) -> dict[str, Tensor]:
    return random_lora(bare)


def load(model: ModelFolder, *lora: object, dtype: torch.dtype = torch.float32, motion: float = 0.0):
    return load_transformer(model, dtype=dtype, lora=[str(text) for text in lora], motion=motion)


def assert_added(merged: LayerFlowTransformer, bare: LayerFlowTransformer, deltas: dict[str, Tensor]) -> None:
    """Each module's weight is the bare one plus its delta, and everything else has the same bits."""
    before = bare.state_dict()
    for name, weight in merged.state_dict().items():
        delta = deltas.get(name.removesuffix(".weight"))
        if delta is None or not name.endswith(".weight"):
            assert torch.equal(weight, before[name]), name
        else:
            assert delta.abs().max() > 0.1
            assert (weight - before[name] - delta).abs().max() < ROUNDING, name


def test_without_a_lora_it_is_the_stored_network(model: ModelFolder) -> None:
    stored = load_file(model.path / "transformer" / "diffusion_pytorch_model.safetensors")
    for dtype in (torch.float32, torch.bfloat16):
        state = load(model, dtype=dtype).state_dict()
        assert state.keys() == stored.keys()
        assert all(torch.equal(state[name], stored[name].to(dtype)) for name in stored)


def test_a_file_of_diffusers(model, bare, tensors, tmp_path) -> None:
    path = write_diffusers(tmp_path, tensors)
    expected = {module: 0.8 * product(tensors, module) for module in MODULES}  # alpha is the rank
    for text in (f"{path}:0.8", f"{tmp_path}:0.8"):
        assert_added(load(model, text), bare, expected)


def test_metadata_of_diffusers_says_the_scale(model, bare, tensors, tmp_path) -> None:
    path = write_diffusers(tmp_path, tensors, r=4, lora_alpha=2, alpha_pattern={QUERY: 12})
    scales = dict.fromkeys(MODULES, 2 / 4) | {QUERY: 12 / 4}
    assert_added(load(model, path), bare, {m: scale * product(tensors, m) for m, scale in scales.items()})


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("{}.lora.down.weight", "{}.lora.up.weight"),
        ("transformer_blocks.0.attn1.processor.to_q_lora.down.weight", None),
    ],
)
def test_names_that_diffusers_once_had(model, bare, tmp_path, down: str, up: str | None) -> None:
    tensors = random_lora(bare, (QUERY,))
    names = (down.format(QUERY), (up or down.replace("down", "up")).format(QUERY))
    save_file({f"transformer.{name}": t for name, t in zip(names, tensors.values(), strict=True)}, tmp_path / "a.st")
    assert_added(load(model, tmp_path / "a.st"), bare, {QUERY: product(tensors, QUERY)})


def test_alpha_kept_as_a_tensor(model, bare, tensors, tmp_path) -> None:
    alpha = {f"{QUERY}.alpha": torch.tensor(1.0, dtype=torch.float16)}
    save_file({f"transformer.{name}": t for name, t in (tensors | alpha).items()}, tmp_path / "a.safetensors")
    scales = dict.fromkeys(MODULES, 1.0) | {QUERY: 1 / 4}
    assert_added(
        load(model, tmp_path / "a.safetensors"), bare, {m: scale * product(tensors, m) for m, scale in scales.items()}
    )


def test_a_folder_of_peft(model, bare, tensors, tmp_path) -> None:
    tensors |= random_lora(bare, (QUERY,), rank=2, seed=1)
    folder = write_peft(tmp_path, tensors, r=4, lora_alpha=3, rank_pattern={QUERY: 2}, alpha_pattern={"net.2": 7})
    scales = dict.fromkeys(MODULES, 3 / 4) | {QUERY: 3 / 2, "transformer_blocks.1.ff.net.2": 7 / 4}
    expected = {m: -0.5 * scale * product(tensors, m) for m, scale in scales.items()}
    for text in (f"{folder}:-0.5", f"{folder / 'adapter_model.safetensors'}:-0.5"):
        assert_added(load(model, text), bare, expected)


def test_rank_stabilised(model, bare, tensors, tmp_path) -> None:
    folder = write_peft(tmp_path, tensors, r=4, lora_alpha=3, use_rslora=True)
    assert_added(load(model, folder), bare, {m: 3 / 4**0.5 * product(tensors, m) for m in MODULES})


def test_several_add_up_in_any_order(model, bare, tensors, tmp_path) -> None:
    other = random_lora(bare, (QUERY, "transformer_blocks.1.attn1.to_v"), rank=3, seed=1)
    one, two = write_diffusers(tmp_path / "one", tensors), write_peft(tmp_path / "two", other, r=3, lora_alpha=3)
    expected = {m: 0.5 * product(tensors, m) for m in MODULES}
    expected["transformer_blocks.1.attn1.to_v"] = -2 * product(other, "transformer_blocks.1.attn1.to_v")
    expected[QUERY] = expected[QUERY] - 2 * product(other, QUERY)
    for order in ((f"{one}:0.5", f"{two}:-2"), (f"{two}:-2", f"{one}:0.5")):
        assert_added(load(model, *order), bare, expected)


def test_nothing_of_peft_is_left(model, bare, tensors, tmp_path) -> None:
    merged = load(model, write_diffusers(tmp_path, tensors))
    assert [(name, type(module)) for name, module in merged.named_modules()] == [
        (name, type(module)) for name, module in bare.named_modules()
    ]
    assert merged.state_dict().keys() == bare.state_dict().keys()
    assert not hasattr(merged, "peft_config") and not merged.training
    assert not any(weight.requires_grad for weight in merged.parameters())


@pytest.mark.parametrize("stored_as", [torch.float32, torch.bfloat16])
def test_it_is_cast_after_merging(tmp_path, tensors, stored_as: torch.dtype) -> None:
    folder = write_tiny_model(tmp_path / "model")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    stored = {name: value.to(stored_as) for name, value in load_file(path).items()}
    save_file(stored, path)
    model = open_model(folder)
    lora = write_diffusers(tmp_path, {name: 0.01 * value for name, value in tensors.items()})
    exact, cast = load(model, lora), load(model, lora, dtype=torch.bfloat16)
    delta = 1e-4 * product(tensors, QUERY)
    assert (exact.get_parameter(f"{QUERY}.weight") - stored[f"{QUERY}.weight"].float() - delta).abs().max() < 1e-7
    for name, weight in exact.state_dict().items():
        assert torch.equal(cast.state_dict()[name], weight.bfloat16()), name


def test_a_weight_of_zero_changes_no_bit(model, bare, tensors, tmp_path) -> None:
    assert_added(load(model, f"{write_diffusers(tmp_path, tensors)}:0"), bare, {})


def test_motion(tmp_path: Path, bare: LayerFlowTransformer) -> None:
    folder = write_tiny_model(tmp_path / "model")
    tensors = random_lora(bare, (QUERY,), rank=8)
    write_peft(folder / "motion", tensors, r=8, lora_alpha=1)
    write_peft(tmp_path / "own", tensors, r=8, lora_alpha=8)
    model = write_manifest(folder, open_model(folder).manifest)
    assert_added(load(model), bare, {})
    for motion in (1.0, 0.25):
        assert_added(load(model, motion=motion), bare, {QUERY: motion / 8 * product(tensors, QUERY)})
    assert_added(load(model, tmp_path / "own", motion=1.0), bare, {QUERY: (1 / 8 + 1) * product(tensors, QUERY)})


def test_motion_without_a_motion_lora(model: ModelFolder) -> None:
    with pytest.raises(RequestError, match="model tiny has no Motion LoRA; leave motion at 0"):
        load(model, motion=0.5)


def test_what_a_precision_cannot_hold(model, bare, tmp_path) -> None:
    tensors = {name: 300.0 * value for name, value in random_lora(bare, (QUERY,)).items()}
    path = write_diffusers(tmp_path, tensors)
    load(model, path)
    with pytest.raises(ModelError, match=r"drive .*to_q.weight beyond what float16 holds; lower their weights"):
        load(model, path, dtype=torch.float16)


def test_settings_outlive_peft(model, bare, tensors, tmp_path) -> None:
    """A setting that this peft does not know is refused only when it is set."""
    folder = write_peft(tmp_path, tensors, r=4, lora_alpha=4)
    config = folder / "adapter_config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"use_next_years": False}))
    assert_added(load(model, folder), bare, {m: product(tensors, m) for m in MODULES})
    config.write_text(json.dumps(settings | {"use_next_years": True}))
    with pytest.raises(ModelError, match="use_next_years True, which is more than LoRA"):
        load(model, folder)
