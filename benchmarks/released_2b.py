"""The released size against diffusers, eager, in one go: `python benchmarks/released_2b.py FOLDER`.

Makes in FOLDER, once, a model of the size of CogVideoX-2B: random weights, so nothing comes from a network, and a text
encoder of one small layer that makes embeddings of the released width. Then it benches it: 64 frames of 480 x 720 (four
layers of 16), 50 steps of the released guidance, exactly, high and draft, by diffusers and every backend that is here.
Times come from this model. What high and draft change comes from the bundled model, whose weights are real: on random
ones a step cache means nothing. FOLDER needs 5 GB.

    --size tiny          the same way through in a minute, on any machine
    --backend NAME       only this one, may repeat, beside diffusers: loading and building are what takes longest
    --skip PART          quality, steps, shots, errors or render
    --rounds N           of steps (3); shots are made once
    --clips N            of the bundled model (4)

FOLDER/bench.json is saved after every figure, so a run that is cut short keeps what it has.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from import_released import VAE
from quality import TASKS, bundled, results
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))
from tiny import HEIGHT, PROMPT_TOKENS, TEXT_WIDTH, WIDTH, tiny_vae, write_text

from layerflow.layout import VARIANTS
from layerflow.models.building import building
from layerflow.models.folder import MANIFEST, Manifest, write_manifest
from layerflow.models.places import pick_device
from layerflow.sampler import Sampler
from layerflow.training.heldout import heldout_clips
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.bench.case import Case
from layerflow_export.bench.plot import save_plot
from layerflow_export.bench.rounds import PARTS, Bench, Plan, everybody
from layerflow_export.bench.table import rich_tables

QUALITIES = ("exact", "high", "draft")
VARIANT = VARIANTS["gen_rgba"]
STEPS_COMPARED = 3  # with eager float32: fifty of it would take longer than all the rest
QUALITY_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a model is made of."""

    height: int
    width: int
    prompt_tokens: int
    text_width: int
    transformer: dict[str, int]

    def network(self) -> LayerFlowTransformer:
        return LayerFlowTransformer(
            text_width=self.text_width,
            text_tokens=len(VARIANT.layout.prompts) * self.prompt_tokens,
            position_frames=VARIANT.position_frames,
            position_rows=self.height // 16,
            position_columns=self.width // 16,
            has_layer_embedding=VARIANT.layer_embedding,
            **self.transformer,
        )


SIZES = {
    "released": Size(height=480, width=720, prompt_tokens=226, text_width=4096, transformer={}),
    "tiny": Size(
        height=HEIGHT,
        width=WIDTH,
        prompt_tokens=PROMPT_TOKENS,
        text_width=TEXT_WIDTH,
        transformer={
            "num_attention_heads": 2,
            "attention_head_dim": 16,
            "num_blocks": 2,
            "latent_channels": 4,
            "time_width": 16,
        },
    ),
}


def write_model(folder: Path, size: Size, device: torch.device) -> None:
    """Random weights, drawn on `device`, the network's in bfloat16 as released."""
    torch.manual_seed(0)
    with building(folder) as part, torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        size.network().save_pretrained(part / "transformer")
        torch.set_default_dtype(torch.float32)
        vae = AutoencoderKLCogVideoX(**VAE) if size is SIZES["released"] else tiny_vae()
        vae.save_pretrained(part / "codec")
        with torch.device("cpu"):
            write_text(part, width=size.text_width)
        manifest = Manifest(
            name="random-2b" if size is SIZES["released"] else "random-tiny",
            layouts={VARIANT.task: VARIANT.layout},
            sampler=Sampler(),
            height=size.height,
            width=size.width,
            fps=8.0,
            codec="cogvideox",
            prompt_tokens=size.prompt_tokens,
            licence="none",
        )
        write_manifest(part, manifest)


def bench(folder: Path, chosen: argparse.Namespace, console: Console) -> None:
    """Times first, exact before the others, then the numbers: what is cut off last matters least."""
    parts = tuple(part for part in PARTS if part not in chosen.skip)
    backends = ("diffusers", *(chosen.backend or everybody()))
    plan = Plan(
        case=Case(model=str(folder / "model"), device=chosen.device),
        backends=backends,
        qualities=QUALITIES,
        rounds=chosen.rounds,
        shot_rounds=1,
        parts=parts,
        steps_compared=STEPS_COMPARED,
    )
    command = " ".join(["python benchmarks/released_2b.py", *sys.argv[1:]])
    report = Bench(plan, command, console.print, lambda report: report.save(folder / "bench.json")).run()
    save_plot(report, folder / "bench.png")
    console.print(*rich_tables(report), sep="\n")
    for label, sentence in report.refused.items():
        console.print(f"{label}: {sentence}")


def compare_qualities(folder: Path, clips: int, device: str, console: Console) -> None:
    """What high and draft change on the bundled model's weights."""
    engine, truth, found = bundled(device), heldout_clips(clips), dict[str, Any]()
    for task in TASKS:
        for name, figures in results(engine, task, truth, QUALITY_STEPS, QUALITIES[1:]):
            found[f"mini, {task}, {name}"] = figures
            (folder / "quality.json").write_text(json.dumps({"clips": clips, **found}, indent=1) + "\n")
            console.print(f"mini, {task}, {name}:", ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=SIZES, default="released")
    parser.add_argument("--backend", action="append")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--skip", action="append", default=[], choices=["quality", *PARTS])
    chosen, console = parser.parse_args(arguments), Console(width=120, markup=False, highlight=False)
    if not (chosen.folder / "model" / MANIFEST).is_file():
        console.print("making the model")
        write_model(chosen.folder / "model", SIZES[chosen.size], pick_device(chosen.device))
    bench(chosen.folder, chosen, console)
    if "quality" not in chosen.skip:
        compare_qualities(chosen.folder, chosen.clips, chosen.device, console)


if __name__ == "__main__":
    main(sys.argv[1:])
