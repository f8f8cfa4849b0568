"""Whole shots in low precision: near float32, and an overflow never becomes a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from rendering import channels, contents, header, render, write_plate
from safetensors.torch import load_file, save_file
from tiny import write_tiny_model, write_tiny_released

from layerflow.errors import ModelError, RequestError
from layerflow.models.folder import open_model, write_manifest

pytestmark = pytest.mark.usefixtures("one_thread")

LOW = ("bfloat16", "float16")


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("write", [write_tiny_model, write_tiny_released])
def test_low_precision_is_near_float32(write: Callable[[Path], Path], tmp_path: Path, precision: str) -> None:
    model, plate = write(tmp_path / "model"), write_plate(tmp_path / "plate", count=1)
    exact, low = (
        render(model, tmp_path / name, plate=plate, steps=2, guidance=1.0, precision=name).frames[0]
        for name in ("float32", precision)
    )
    assert header(low)["layerflow:precision"] == precision
    made, right = (np.stack([pixels for _, pixels in sorted(channels(frame).items())]) for frame in (low, exact))
    assert 0 < np.abs(made - right).mean() < 0.02


def spoil(model: Path, part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Changes one tensor of the model, and has its manifest take it for right."""
    file, name = {
        "network": ("transformer/diffusion_pytorch_model.safetensors", "proj_out.weight"),
        "codec": ("codec/diffusion_pytorch_model.safetensors", "decoder.conv_out.conv.weight"),
    }[part]
    tensors = load_file(model / file)
    tensors[name] = change(tensors[name])
    save_file(tensors, model / file, {"format": "pt"})
    write_manifest(model, open_model(model).manifest)


@pytest.mark.parametrize("part", ["network", "codec"])
def test_an_overflow_is_one_sentence_and_no_frame(tmp_path: Path, part: str) -> None:
    model, out = write_tiny_released(tmp_path / "model"), tmp_path / "out"
    spoil(model, part, lambda weight: weight * 1e7)
    plate = write_plate(tmp_path / "plate", count=1)
    with pytest.raises(RequestError) as caught:
        render(model, out, plate=plate, steps=1, precision="float16")
    assert str(caught.value) == (
        "model released-rgba gave numbers that are not finite in float16; use --precision bfloat16 or float32"
    )
    left = contents(out) if out.exists() else {}
    assert not [name for name in left if name.endswith(".exr")]
    assert [name for name in left if "window" in name] == (
        [".dog.layerflow/window-0000.safetensors"] * (part == "codec")
    )
    assert len(render(model, out, plate=plate, steps=1, precision="bfloat16", overwrite=True).frames) == 1


def test_numbers_that_are_broken_in_any_precision_are_the_model_s(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model")
    spoil(model, "network", lambda weight: weight * torch.nan)
    with pytest.raises(ModelError, match=r"not finite \(the latents after step 1 .*\); check it with layerflow models"):
        render(model, tmp_path / "out", plate=write_plate(tmp_path / "plate", count=1))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.*"))
