"""The model and the shot of a bench in numbers, from the model's files alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from layerflow.models.estimate import SPATIAL
from layerflow.models.folder import ModelFolder
from layerflow.models.weights import weights_of
from layerflow_export.bench.case import Case, guides
from layerflow_export.bench.flops import core_flops


def describe_model(folder: ModelFolder) -> dict[str, Any]:
    """Which model it is."""
    with folder.loading():
        weights = weights_of(folder.path / "transformer")
    return {"name": folder.manifest.name, "sha256": folder.sha256, "parameters": weights.num_parameters}


def describe_shot(case: Case, folder: ModelFolder) -> dict[str, Any]:
    """The sizes of one window, and what the network computes for it. A step is a guided one, if any is."""
    manifest, layout, sampler = folder.manifest, folder.layout(case.task), case.sampler(folder)
    with folder.loading():
        config = weights_of(folder.path / "transformer").config
    rows, columns = manifest.height // SPATIAL, manifest.width // SPATIAL
    latents = (layout.num_latents, config["latent_channels"], rows, columns)
    text_tokens = len(layout.prompts) * manifest.prompt_tokens
    flops = core_flops(config, latents, text_tokens)
    batch = 2 if guides(sampler) else 1
    return {
        "task": case.task,
        "steps": sampler.num_steps,
        "seed": case.seed,
        "mean_guidance": round(sampler.mean_guidance, 3),
        "frames": layout.num_frames,
        "layers": list(layout.layers),
        "height": manifest.height,
        "width": manifest.width,
        "latents": list(latents),
        "text_tokens": text_tokens,
        "batch": batch,
        "flops": asdict(flops),
        "flops_per_step": batch * flops.total,
    }
