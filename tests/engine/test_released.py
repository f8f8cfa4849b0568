"""Keys, shapes and names of the released checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from released_files import TINY, TINY_GRID, random_checkpoint

from layerflow.errors import ModelError
from layerflow.layout import VARIANTS
from layerflow.models.released import (
    FOLDERS,
    PREFIX,
    RELEASED_GRID,
    Dimensions,
    Grid,
    own_tensors,
    recognise,
)

RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "checkpoint_keys.json").read_text())
FULL = {
    "width": 1920,
    "head_width": 64,
    "num_blocks": 30,
    "channels": 16,
    "patch": 2,
    "text_width": 4096,
    "time_width": 512,
    "motion_rank": 8,
    "content_rank": 256,
}
SAME_SHAPES = ({"gen_rgb", "fg2bg_rgb", "bg2fg_rgb"}, {"fg2bg_rgba", "bg2fg_rgba"})


def dimensions(variant: str, grid: Grid = RELEASED_GRID, **numbers: int) -> Dimensions:
    known = VARIANTS[variant]
    return Dimensions(**(numbers or FULL), positions=grid.positions(known), has_layer_embedding=known.layer_embedding)


def recorded_shapes(variant: str, size: str) -> dict[str, tuple[int, ...]]:
    shapes = {key: tuple(both[size]) for key, both in RECORDED["gen_rgba"].items()}
    changes = RECORDED["other_variants_difference_from_gen_rgba"].get(variant, {})
    for key in changes.get("missing_keys", ()):
        del shapes[key]
    if size == "full":
        shapes |= {key: tuple(shape) for key, shape in changes.get("different_full_shapes", {}).items()}
    return shapes


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_key_and_shape_of_the_full_size_is_the_recorded_one(variant: str) -> None:
    expected = {key.removeprefix(PREFIX): shape for key, shape in recorded_shapes(variant, "full").items()}
    assert dimensions(variant).shapes() == expected
    assert len(expected) == RECORDED["n_keys_full"][variant]


def test_dimensions_are_read_from_the_tensors() -> None:
    shapes = recorded_shapes("gen_rgba", "full")
    own = {key.removeprefix(PREFIX): torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert Dimensions.of(own) == dimensions("gen_rgba")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_recognised_or_those_of_the_same_shapes_are_named(variant: str) -> None:
    alike = next((group for group in SAME_SHAPES if variant in group), {variant})
    found, anywhere = dimensions(variant), Path("/models/mp_rank_00_model_states.pt")
    if len(alike) == 1:
        assert recognise(found, RELEASED_GRID, anywhere, None) == variant
    else:
        with pytest.raises(ModelError, match=r"may be .*the same shapes; say with --variant") as caught:
            recognise(found, RELEASED_GRID, anywhere, None)
        assert all(name in str(caught.value) for name in alike)
    in_its_folder = Path("/models") / FOLDERS[variant] / "1000" / "mp_rank_00_model_states.pt"
    assert recognise(found, RELEASED_GRID, in_its_folder, None) == variant
    for name in VARIANTS:
        if name in alike:
            assert recognise(found, RELEASED_GRID, in_its_folder, name) == name
        else:
            with pytest.raises(ModelError, match=rf"is not {name}, it is .*{variant}.*; leave --variant out"):
                recognise(found, RELEASED_GRID, anywhere, name)


def test_a_checkpoint_of_another_size() -> None:
    found, path = dimensions("seg_rgba", TINY_GRID, **TINY), Path("c.pt")
    assert recognise(found, TINY_GRID, path, None) == "seg_rgba"
    for variant in (None, "seg_rgba"):
        with pytest.raises(
            ModelError, match=r"its position table has 112 rows, which is not for 720x480 pixels and 226"
        ):
            recognise(found, RELEASED_GRID, path, variant)


def tiny(**changes: Any) -> dict[str, torch.Tensor]:
    whole = random_checkpoint(TINY_GRID.positions(VARIANTS["gen_rgba"]))
    return whole | {PREFIX + key: value for key, value in changes.items()}


def test_own_tensors_are_told_from_those_of_other_parts() -> None:
    whole = tiny()
    own, found = own_tensors({**whole, "conditioner.x": torch.ones(2), "first_stage_model.y": torch.ones(2)}, Path("c"))
    assert found == dimensions("gen_rgba", TINY_GRID, **TINY)
    assert {PREFIX + key for key in own} == whole.keys()
    bare, same = own_tensors(own, Path("c"))
    assert same == found and bare.keys() == own.keys()


ATTENTION = "transformer.layers.1.attention.query_key_value."


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (f"{ATTENTION}matrix_D.2", None, rf"{ATTENTION}matrix_D\.2 is missing"),
        (f"{ATTENTION}original.bias", torch.zeros(95), r"original\.bias is \[95\] and has to be \[96\]"),
        (
            "time_embed.2.bias",
            torch.zeros(16, dtype=torch.int8),
            r"time_embed\.2\.bias holds torch\.int8, not floating-point numbers",
        ),
        ("transformer.layers.2.new", torch.zeros(3), r"transformer\.layers\.2\.new is not known"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(key: str, value: torch.Tensor | None, sentence: str) -> None:
    whole = tiny() if value is None else tiny(**{key: value})
    if value is None:
        del whole[PREFIX + key]
    with pytest.raises(ModelError, match=rf"is not a whole LayerFlow checkpoint: .*{sentence}; download it again"):
        own_tensors(whole, Path("c.pt"))


def test_what_is_another_model() -> None:
    whole = tiny()
    plain = {key.replace("original.", ""): value for key, value in whole.items() if "matrix_" not in key}
    with pytest.raises(ModelError, match="it has no LoRA and may be the plain CogVideoX"):
        own_tensors(plain, Path("c.pt"))
    with pytest.raises(ModelError, match=r"is not a LayerFlow checkpoint \(it has no mixins.patch_embed"):
        own_tensors({"encoder.weight": torch.ones(2)}, Path("c.pt"))
