"""What the stages leave behind as model folders: made aside, then put in their place whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from layerflow.files import make_folder, output_errors
from layerflow.models.adapter_files import PEFT_CONFIG, PEFT_PREFIX, PEFT_WEIGHTS, AdapterFiles
from layerflow.models.adapters import DIFFUSERS_PREFIX
from layerflow.models.building import save_tensors, take_over
from layerflow.models.folder import SAFE, ModelFolder, write_manifest
from layerflow.models.network import MOTION, load_transformer
from layerflow.transformer import LayerFlowTransformer

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def write_trained(target: Path, model: ModelFolder, weights: Mapping[str, Tensor]) -> Path:
    """The model folder `target`: `model` with these weights of its transformer. Raises OutputError."""
    path = model.path / "transformer"
    network: LayerFlowTransformer = LayerFlowTransformer.from_pretrained(path, torch_dtype=stored_dtype(path), **SAFE)
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)
    with _replacing(target) as part:
        _take_over_but_the_network(model, part)
        network.save_pretrained(part / "transformer")
        _describe(part, model, target)
    return target


def write_merged(target: Path, model: ModelFolder, content: Path, motion: AdapterFiles) -> Path:
    """The model folder `target`: `model` with the Content LoRA merged, the Motion LoRA beside it for `--motion`."""
    path = model.path / "transformer"
    layers = model.manifest.all_layers
    network = load_transformer(model, dtype=stored_dtype(path), lora=[f"{content.absolute()}:1"], layers=layers)
    with _replacing(target) as part:
        _take_over_but_the_network(model, part)
        network.save_pretrained(part / "transformer")
        _write_motion(part / MOTION, motion)
        _describe(part, model, target)
    return target


def stored_dtype(folder: Path) -> torch.dtype:
    """The number type of the transformer's matrices in `folder`."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            if "proj_out.weight" in tensors.keys():  # noqa: SIM118 - it is no mapping
                return _DTYPES[tensors.get_slice("proj_out.weight").get_dtype()]
    raise FileNotFoundError(folder / "diffusion_pytorch_model.safetensors")


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A folder aside that becomes `target` when the block ends well; what was there before goes."""
    part = target.with_name(f".{target.name}.part")
    make_folder(target.parent)
    with output_errors(target):
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
            yield part
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _take_over_but_the_network(model: ModelFolder, part: Path) -> None:
    """Every file of `model` but its transformer, its Motion LoRA and its manifest."""
    for place in sorted(model.path.iterdir()):
        if place.is_dir() and place.name not in ("transformer", MOTION):
            take_over(sorted(file for file in place.iterdir() if file.is_file()), part / place.name)
        elif place.is_file() and place.suffix == ".md":
            shutil.copyfile(place, part / place.name)


def _describe(part: Path, model: ModelFolder, target: Path) -> None:
    name = target.parent.parent.name or model.manifest.name
    about = f"{model.manifest.name}, trained on by layerflow train {target.parent.name}."
    write_manifest(part, replace(model.manifest, name=name, description=about))


def _write_motion(folder: Path, motion: AdapterFiles) -> None:
    """The Motion LoRA as peft keeps an adapter, which is how `--motion` finds it."""
    folder.mkdir()
    settings = motion.settings() or {}
    (folder / PEFT_CONFIG).write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with motion.open() as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
    plain = {key.removeprefix(PEFT_PREFIX).removeprefix(DIFFUSERS_PREFIX): value for key, value in tensors.items()}
    save_tensors({f"{PEFT_PREFIX}{key}": value for key, value in plain.items()}, folder / PEFT_WEIGHTS)
