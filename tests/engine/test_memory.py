"""How much is free, what a plan takes, and which one is picked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from tiny import HEIGHT, PROMPT_TOKENS, WIDTH

from layerflow.models import memory
from layerflow.models.estimate import estimate
from layerflow.models.folder import ModelFolder, open_model
from layerflow.models.memory import fits, free_bytes, is_out_of_memory, pick_plan
from layerflow.models.plans import BALANCED, FULL, LOW, PLANS, plan_below, plan_named
from layerflow.models.shelf import find_model
from layerflow.models.weights import weights_of
from layerflow.transformer import LayerFlowTransformer

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def test_plans_have_names_and_an_order() -> None:
    assert [plan_named(plan.name) for plan in PLANS] == [FULL, BALANCED, LOW]
    assert [plan_below(plan) for plan in PLANS] == [BALANCED, LOW, None]
    with pytest.raises(ValueError, match="lavish"):
        plan_named("lavish")


@pytest.fixture(autouse=True)
def eight_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether their library is installed does not matter here."""
    monkeypatch.setattr("layerflow.models.t5.find_spec", lambda name: True)


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "codec"])
def test_weights_are_counted_from_headers(released_model: Path, part: str) -> None:
    loaded: dict[str, Callable[[Path], torch.nn.Module]] = {
        "transformer": LayerFlowTransformer.from_pretrained,
        "codec": AutoencoderKLCogVideoX.from_pretrained,
    }
    weights = weights_of(released_model / part)
    assert weights.dtype == torch.float32
    if part in loaded:
        network = loaded[part](released_model / part)
        assert weights.num_parameters == sum(parameter.numel() for parameter in network.parameters())
    if part == "transformer":
        blocks = [sum(p.numel() for p in block.parameters()) for block in network.transformer_blocks]
        assert weights.largest_block == blocks[0] and len(blocks) == 2
        assert weights.outside_blocks == weights.num_parameters - sum(blocks)


def test_of_weights_of_two_types_none_is_the_type(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3), "b": torch.zeros(2, dtype=torch.float16)}, tmp_path / "a.safetensors")
    found = weights_of(tmp_path)
    assert found.dtype is None and found.num_parameters == found.outside_blocks == 5 and found.config == {}


def of_released_size(model: Path) -> ModelFolder:
    folder = open_model(model)
    return ModelFolder(folder.path, replace(folder.manifest, height=480, width=720))


def test_a_plan_takes_less_than_the_one_above_it(released_model: Path) -> None:
    folder = of_released_size(released_model)
    for device in (CPU, GPU):
        peaks = [estimate(folder, plan, device, torch.float32).peak for plan in PLANS]
        assert peaks == sorted(peaks, reverse=True) and len(set(peaks)) == 3


def test_what_stays_beside_what_works(released_model: Path) -> None:
    """On a GPU, balanced has one network there at a time; full has all of them."""
    folder = open_model(released_model)
    sizes = {
        part: weights_of(released_model / part).num_parameters for part in ("text_encoder", "transformer", "codec")
    }
    options = {"text_precision": "float32"}
    full, balanced = (estimate(folder, plan, GPU, torch.float16, **options) for plan in (FULL, BALANCED))
    assert balanced.text == 4 * sizes["text_encoder"]
    assert full.text == balanced.text + 2 * sizes["transformer"] + 2 * sizes["codec"]
    assert full.transformer == balanced.transformer + 4 * sizes["text_encoder"] + 2 * sizes["codec"]
    assert estimate(folder, BALANCED, CPU, torch.float16, **options).transformer == full.transformer - full.text + (
        2 * sizes["transformer"] + 2 * sizes["codec"]
    )


def test_a_text_encoder_that_comes_block_by_block(released_model: Path) -> None:
    folder, weights = open_model(released_model), weights_of(released_model / "text_encoder")
    sizes = {}
    for precision in ("float32", "bfloat16", "int8"):
        options = {"text_precision": precision}
        sizes[precision] = [estimate(folder, plan, GPU, torch.float16, **options).text for plan in (BALANCED, LOW)]
    assert sizes["float32"] == [4 * weights.num_parameters, 4 * (weights.outside_blocks + weights.largest_block)]
    assert sizes["bfloat16"] == [size // 2 for size in sizes["float32"]]
    assert sizes["int8"][0] == sizes["int8"][1] < sizes["bfloat16"][0]  # it is read whole


def test_activations_grow_with_tokens_and_pixels(released_model: Path) -> None:
    """gen_rgba of 16 frames a layer: 4 layers of 4 latent frames, and one more in the longest task."""
    folder = open_model(released_model)
    low, half = (estimate(folder, LOW, GPU, dtype) for dtype in (torch.float32, torch.float16))
    weights = weights_of(released_model / "transformer")
    tokens = 3 * PROMPT_TOKENS + 17 * (HEIGHT // 16) * (WIDTH // 16)
    there = weights.outside_blocks + 2 * weights.largest_block
    assert low.transformer - 2**28 == 4 * there + 12 * 2 * tokens * 32 * 4
    assert low.transformer - half.transformer == half.transformer - 2**28
    whole = estimate(folder, FULL, GPU, torch.float32)
    sampling = whole.transformer - whole.text  # the next window, while this one is decoded
    assert whole.codec - whole.text - sampling == pytest.approx(2**28 + 12.8 * 8 * 4 * 65 * HEIGHT * WIDTH, abs=1)


def test_the_bundled_model_runs_in_full_anywhere() -> None:
    folder = find_model("mini")
    plan, sentence = pick_plan(folder, CPU, torch.float32, 2**30)
    assert plan == FULL and sentence == "memory plan full: about 0.3 GiB of 1.0 free on cpu"


def test_the_most_generous_plan_that_fits_is_picked(released_model: Path) -> None:
    folder = of_released_size(released_model)
    peaks = {plan.name: estimate(folder, plan, GPU, torch.bfloat16).peak for plan in PLANS}
    for name, peak in peaks.items():
        enough = next(free for free in range(peak, 2 * peak + 2**30, 1000) if fits(peak, free))
        assert pick_plan(folder, GPU, torch.bfloat16, enough)[0].name == name
    plan, sentence = pick_plan(folder, GPU, torch.bfloat16, 2**20)
    assert plan == LOW and sentence.endswith("of 0.0 free on cuda:0; it may run out")


def test_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (7 * 2**30, 48 * 2**30))
    assert free_bytes(GPU) == 7 * 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 1000 bytes free, in a folder of memory groups to fill in."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    return tmp_path


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_free_memory_without_groups(machine: Path) -> None:
    assert free_bytes(CPU) == 1000


@pytest.mark.parametrize(("limit", "free"), [("max", 1000), (900, 340), (5000, 1000), (100, 0)])
def test_a_container_s_limit_counts(machine: Path, limit: object, free: int) -> None:
    """Version 2. Of the 600 bytes in use 40 are files that the kernel lets go of."""
    (machine / "own").write_text("0::/pod/box\n")
    write(machine / "pod" / "box", memory__max="max", memory__current=1)
    write(machine / "pod", memory__max=limit, memory__current=600, memory__stat="anon 5\ninactive_file 40")
    assert free_bytes(CPU) == free


def test_a_container_that_sees_its_own_group_as_the_root(machine: Path) -> None:
    (machine / "own").write_text("0::/\n")
    write(machine, memory__max=700, memory__current=600)
    assert free_bytes(CPU) == 100


def test_groups_of_version_1(machine: Path) -> None:
    (machine / "own").write_text("9:name=systemd:/x\n4:memory:/box\n2:cpu:/\n0::/\n")
    write(
        machine / "memory" / "box",
        memory__limit_in_bytes=700,
        memory__usage_in_bytes=600,
        memory__stat="total_inactive_file 50",
    )
    write(machine / "memory", memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=600)
    assert free_bytes(CPU) == 150


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_what_says_that_memory_ran_out(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) is is_one
