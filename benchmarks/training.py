"""Samples per second and core of the trainer, and of a bare loop over the same model on the same batches.

`python benchmarks/training.py [ROUNDS]` trains the bundled model on random latents in bfloat16, on one thread. The bare
loop is forward, backward, clipping and AdamW, its batches, the first few of the trainer's, in memory beforehand; the
trainer reads its own from a cache, and has accelerate, the average and the curves around it. The two take turns, a few
steps each, and the best round of either counts: by the clock, and by the time that a core worked, which neighbours on a
busy machine touch less.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from layerflow.layout import ALL_PROMPTS
from layerflow.models.folder import ModelFolder
from layerflow.models.shelf import find_model
from layerflow.training.average import trained_weights
from layerflow.training.batches import Chances, Objective, Portion
from layerflow.training.cached_feed import CachedFeed, Part
from layerflow.training.config import ATTENTION, FEED_FORWARD
from layerflow.training.devices import open_accelerator
from layerflow.training.kinds import Wanted
from layerflow.training.latent_cache import LatentCache, Sequenced
from layerflow.training.lora import MOTION, add_lora
from layerflow.training.optimizers import Optimizers
from layerflow.training.render import RenderConfig
from layerflow.training.schedule import Schedule
from layerflow.training.tensor_file import write_tensors
from layerflow.training.trainer import Plan, Trainer
from layerflow.training.watching import Curves
from layerflow.transformer import LayerFlowTransformer

BATCH, CLIPS, STEPS = 8, 32, 3


def filled_cache(model: ModelFolder, folder: Path) -> LatentCache:
    """Random latents and embeddings of the bundled model's sizes."""
    layout, manifest = model.manifest.layouts["generate"], model.manifest
    size = RenderConfig(num_frames=layout.num_frames, height=manifest.height, width=manifest.width)
    config = LayerFlowTransformer.load_config(model.path / "transformer")
    latents = torch.randn(CLIPS, layout.num_latents, config["latent_channels"], size.height // 8, size.width // 8)
    prompts = [f"{place}, a dog" for place in range(len(ALL_PROMPTS))]
    write_tensors(folder / "clips-00000.arrow", [json.dumps(prompts)] * CLIPS, latents.half())
    embeddings = torch.randn(len(prompts), manifest.prompt_tokens, config["text_width"])
    write_tensors(folder / "prompts-00000.arrow", prompts, embeddings)
    wanted = Wanted(data=folder, kind="video", size=size, num_clips=CLIPS)
    return LatentCache(folder=folder, model=model, wanted=wanted, sequenced=Sequenced.of(layout))


def network_of(model: ModelFolder, stage: str) -> LayerFlowTransformer:
    """The bundled network, all blocks trained or a LoRA on them."""
    network: LayerFlowTransformer = LayerFlowTransformer.from_pretrained(model.path / "transformer").float().train()
    network.requires_grad_(False)
    if stage == "base":
        network.transformer_blocks.requires_grad_(True)
    else:
        blocks = range(len(network.transformer_blocks))
        add_lora(network, MOTION, blocks, (*ATTENTION, *FEED_FORWARD), rank=8, alpha=8)
    return network


def trainer_of(model: ModelFolder, stage: str, folder: Path) -> Trainer:
    """The trainer as `layerflow train` sets it up, but for checks and sheets, which come now and then."""
    accelerator = open_accelerator(precision="bfloat16", device=torch.device("cpu"))
    layout = model.manifest.layouts["generate"]
    feed = CachedFeed(
        parts=[Part(name="video", cache=filled_cache(model, folder), motion=None if stage == "base" else 1.0)],
        layouts=[layout],
        slots=model.slots(layout.layers),
        device=accelerator.device,
        portion=Portion(batch=BATCH),
        chances=Chances(),
    )
    return Trainer(
        objective=Objective(network_of(model, stage)),
        feed=feed,
        plan=Plan(schedule=Schedule(steps=1_000_000)),
        optimizers=Optimizers(lr=1e-4),
        folder=folder,
        accelerator=accelerator,
        watchers=[Curves(folder=folder / "curves")],
    )


def bare_loop(model: ModelFolder, stage: str, feed: CachedFeed) -> Callable[[], None]:
    """A function that trains for a few steps on the trainer's batches."""
    objective = Objective(network_of(model, stage))
    batches = [feed.batch(step, 0) for step in range(STEPS)]
    weights = [weight for _, weight in trained_weights(objective)]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0)

    def steps() -> None:
        for batch in batches:
            with torch.autocast("cpu", torch.bfloat16):
                loss = objective(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return steps


def rates(steps: Callable[[], object]) -> tuple[float, float]:
    """Samples per second by the clock, and per second that a core worked."""
    clock, core = time.monotonic(), time.process_time()
    steps()
    return STEPS * BATCH / (time.monotonic() - clock), STEPS * BATCH / (time.process_time() - core)


def measure(stage: str, rounds: int) -> dict[str, float | str]:
    """The best of so many rounds of either."""
    model = find_model("mini")
    with tempfile.TemporaryDirectory() as place:
        trainer = trainer_of(model, stage, Path(place))
        bare = bare_loop(model, stage, trainer.feed)  # type: ignore[arg-type]

        def trained() -> None:
            for _ in range(STEPS):
                trainer.advance()

        found: dict[str, list[tuple[float, float]]] = {"bare": [], "trainer": []}
        for _ in range(rounds):
            for name, steps in (("bare", bare), ("trainer", trained)):
                found[name].append(rates(steps))
    best = {name: [max(column) for column in zip(*pairs, strict=True)] for name, pairs in found.items()}
    return {
        "stage": stage,
        "bare_per_core_s": round(best["bare"][1], 3),
        "trainer_per_core_s": round(best["trainer"][1], 3),
        "ratio_by_core": round(best["trainer"][1] / best["bare"][1], 3),
        "bare_per_s": round(best["bare"][0], 3),
        "trainer_per_s": round(best["trainer"][0], 3),
        "ratio_by_clock": round(best["trainer"][0] / best["bare"][0], 3),
    }


def main(rounds: int) -> None:
    """Both kinds of stage, one JSON line each."""
    torch.set_num_threads(1)
    for stage in ("base", "motion-lora"):
        print(json.dumps(measure(stage, rounds)), flush=True)


if __name__ == "__main__":
    main(int((*sys.argv[1:], "8")[0]))
