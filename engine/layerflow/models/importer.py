"""Turns a released checkpoint and the CogVideoX-2B it was made from into a model folder.

Only a few tensors are in memory at a time: the checkpoint is a view of its file, and the transformer is written in
shards as it is converted. The folder is made under a hidden name and gets its own when it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

import torch
from diffusers.utils import SAFE_WEIGHTS_INDEX_NAME
from huggingface_hub import split_torch_state_dict_into_shards
from torch import Tensor

from layerflow.errors import ModelError
from layerflow.layout import VARIANTS, Variant
from layerflow.models import sat
from layerflow.models.base import SPATIAL, Base, find_base
from layerflow.models.building import building, check_space, save_tensors, take_over
from layerflow.models.checkpoint import open_checkpoint
from layerflow.models.fidelity import IMPORTED
from layerflow.models.folder import Manifest, ModelFolder, open_model, write_manifest
from layerflow.models.released import RELEASED_GRID, Dimensions, Grid, own_tensors, recognise
from layerflow.models.shelf import members_of, models_path
from layerflow.models.text_encoder import save_tokenizer
from layerflow.sampler import Sampler
from layerflow.transformer import LayerFlowTransformer
from layerflow.wire import Event

CHECKPOINT = "mp_rank_00_model_states.pt"
FAMILY = "layerflow-2b"
LICENCE = "LayerFlow: not stated by its authors; text encoder and VAE of CogVideoX-2B: Apache-2.0"
FPS = 8.0
SHARD = "1GB"
WEIGHTS = "diffusion_pytorch_model{suffix}.safetensors"
MOTION_TARGETS = ("to_k", "to_out.0", "to_q", "to_v")

Tensors = Mapping[str, Tensor]


def import_checkpoint(
    source: Path,
    base: Path,
    *,
    target: Path | None = None,
    variant: str | None = None,
    grid: Grid = RELEASED_GRID,
    precision: torch.dtype | None = None,
    licence: str = LICENCE,
    on_event: Callable[[Event], None] = lambda event: None,
) -> ModelFolder:
    """The model folder made from the checkpoint `source` and the CogVideoX-2B in the folder `base`.

    It is `target`, or where --model finds it as `layerflow-2b/<variant>`.

    The Content LoRA is merged in float32, then everything is stored in `precision`, or as in the checkpoint. Raises
    ModelError when something does not fit, OutputError when it cannot be written; nothing is left under `target` then.
    """
    checkpoint, parts = find_checkpoint(source), find_base(base)
    own, dimensions = own_tensors(open_checkpoint(checkpoint), checkpoint)
    known = VARIANTS[variant := recognise(dimensions, grid, checkpoint, variant)]
    _check_text_encoder(parts, dimensions)
    target = target or models_path() / FAMILY / variant
    with building(target) as part:
        on_event(Event("stage", f"merging {variant} from {checkpoint}"))
        _write_transformer(part / "transformer", own, dimensions, known, grid, precision)
        _write_motion(part / "motion", own, dimensions)
        on_event(Event("stage", f"taking over text encoder and VAE from {base}"))
        write_codec(part / "codec", parts, dimensions.channels)
        take_over(parts.text_files(), part / "text_encoder")
        save_tokenizer(parts.tokenizer, part / "tokenizer")
        on_event(Event("stage", "hashing the files"))
        write_manifest(part, manifest_of(variant, grid, name=_name_of(target), licence=licence))
    return open_model(target)


def _name_of(target: Path) -> str:
    """What --model calls it: the way from the models folder, or its own name."""
    own, root = target.absolute(), models_path().absolute()
    return own.relative_to(root).as_posix() if own.is_relative_to(root) else own.name


def find_imported_base() -> Path:
    """The folder of a model that was imported before: its text encoder and VAE serve again. Raises ModelError."""
    for folder in members_of(models_path() / FAMILY):
        return folder
    raise ModelError("no model has been imported yet; give with --base the folder of CogVideoX-2B")


def find_checkpoint(source: Path) -> Path:
    """The checkpoint file that `source` is, or that lies below it. Raises ModelError when there is none, or several."""
    if not source.is_dir():
        return source
    latest = source / "latest"
    if latest.is_file() and (named := source / latest.read_text(encoding="utf-8").strip() / CHECKPOINT).is_file():
        return named
    found = sorted(source.rglob(CHECKPOINT))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelError(f"{source} holds no {CHECKPOINT}; give the checkpoint or the folder that holds it")
    raise ModelError(f"{source} holds {len(found)} checkpoints; give one of them, such as {found[0]}")


def manifest_of(variant: str, grid: Grid, *, name: str, licence: str = LICENCE) -> Manifest:
    """What `layerflow.json` says of a released variant: its layout, and the sampler as released."""
    known = VARIANTS[variant]
    return Manifest(
        name=name,
        description=f"LayerFlow {variant} on CogVideoX-2B, {known.layout.num_frames} frames a layer.",
        layouts={known.task: known.layout},
        sampler=Sampler(),
        fidelity=IMPORTED,
        height=grid.height,
        width=grid.width,
        fps=FPS,
        codec="cogvideox",
        prompt_tokens=grid.prompt_tokens,
        licence=licence,
    )


def _check_text_encoder(parts: Base, dimensions: Dimensions) -> None:
    parts.check_text_encoder()
    if parts.text_width != dimensions.text_width:
        raise ModelError(
            f"the text encoder {parts.text_encoder} is {parts.text_width} wide and the checkpoint needs "
            f"{dimensions.text_width}; give with --base the CogVideoX-2B it was made from"
        )


def _write_transformer(
    folder: Path, own: Tensors, dimensions: Dimensions, known: Variant, grid: Grid, precision: torch.dtype | None
) -> None:
    """Configuration and shards. Names and sizes of all tensors are known before the first one is read."""
    stored = precision or own["mixins.patch_embed.proj.weight"].dtype
    num_prompts = len(known.layout.prompts)
    with torch.device("meta"):
        network = LayerFlowTransformer(**sat.transformer_config(dimensions, known, grid))
    outline = dict(sat.transformer_tensors({key: value.to("meta") for key, value in own.items()}, grid, num_prompts))
    expected = {name: value.shape for name, value in network.state_dict().items()}
    assert {name: value.shape for name, value in outline.items()} == expected, "the mapping misses a parameter"

    whole = {name: value.to(stored) for name, value in outline.items()}
    split = split_torch_state_dict_into_shards(whole, filename_pattern=WEIGHTS, max_shard_size=SHARD)
    check_space(folder, split.metadata["total_size"])
    network.save_config(folder)
    tensors = sat.transformer_tensors(own, grid, num_prompts)
    for file, names in split.filename_to_tensors.items():  # consecutive runs of `tensors`
        shard = {name: value.to(stored, copy=True) for name, value in islice(tensors, len(names))}
        assert list(shard) == names, "the shards are not in the tensors' order"
        save_tensors({name: value.contiguous() for name, value in shard.items()}, folder / file)
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        _write_json(folder / SAFE_WEIGHTS_INDEX_NAME, index)


def _write_motion(folder: Path, own: Tensors, dimensions: Dimensions) -> None:
    """The Motion LoRA as peft keeps an adapter, its numbers as they were trained."""
    folder.mkdir()
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "r": dimensions.motion_rank,
        "lora_alpha": 1,
        "target_modules": list(MOTION_TARGETS),
    }
    _write_json(folder / "adapter_config.json", config)
    tensors = {f"base_model.model.{name}": value.clone() for name, value in sat.motion_tensors(own)}
    save_tensors(tensors, folder / "adapter_model.safetensors")


def write_codec(folder: Path, parts: Base, channels: int) -> None:
    """The VAE, as it is where it is in diffusers' form already."""
    vae = parts.load_vae()
    spatial = 2 ** (len(vae.config.block_out_channels) - 1)
    if (vae.config.latent_channels, spatial) != (channels, SPATIAL):
        raise ModelError(
            f"the VAE {parts.vae} makes {vae.config.latent_channels} channels, {spatial} times smaller, and the "
            f"checkpoint needs {channels}, {SPATIAL} times smaller; give with --base CogVideoX-2B"
        )
    if files := parts.vae_files():
        take_over(files, folder)
    else:
        vae.save_pretrained(folder)


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")
