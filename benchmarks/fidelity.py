"""What each released quirk is worth on the bundled model: `python benchmarks/fidelity.py [CLIPS [CLIPS_AT_50]]`.

Scores the first CLIPS (64) held-out clips at the model's own number of steps and the first CLIPS_AT_50 (16) at the
released 50: decomposition of their plates, with their captions as prompts, and generation from the captions alone, with
the clip's number as its seed. Prints the tables of docs/fidelity.md. The draw from the posterior has no row: the
bundled model's codec draws nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, stdev

import torch

from layerflow import color, layers
from layerflow.evaluate.made import LINEAR, decompose, layer_stack
from layerflow.evaluate.pictures import psnr
from layerflow.evaluate.score import score_clip
from layerflow.layout import PROMPT_ORDER, Layout, Task
from layerflow.models.load import Engine, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import Clip, make_clip
from layerflow.preprocess import Fit
from layerflow.sampler import Guidance, Sampler, with_constant_guidance
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips

Score = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of running the model, and the one it is held against."""

    name: str
    sampler: Sampler
    against: str | None = None
    half: bool = False  # of the condition


def ways(own: Sampler) -> list[Way]:
    """Each quirk changed alone."""
    jumping, plain = replace(own, guidance=Guidance()), with_constant_guidance(own, 1.0)
    mean_weight = jumping.mean_guidance
    constant = with_constant_guidance(own, mean_weight)
    return [
        Way(name="released guidance", sampler=jumping),
        Way(
            name=f"its mean, {jumping.mean_guidance:.2f}, in every step", sampler=constant, against="released guidance"
        ),
        Way(name="no guidance", sampler=plain, against="released guidance"),
        Way(name="not snapped", sampler=replace(plain, snaps=False), against="no guidance"),
        Way(name="half the condition", sampler=plain, against="no guidance", half=True),
    ]


def changed(engine: Engine, way: Way) -> Engine:
    """`engine`, its model folder saying what `way` does."""
    own = engine.folder.manifest
    layouts = {task: later_half(layout) if way.half else layout for task, layout in own.layouts.items()}
    manifest = replace(own, sampler=way.sampler, steps={}, layouts=layouts)
    return replace(engine, folder=replace(engine.folder, manifest=manifest))


def later_half(layout: Layout) -> Layout:
    """Of the blended picture only the later half is given, as of the released rgb decomposition."""
    span = layout.span("blended")
    return replace(layout, given=((span.stop - layout.latent_frames // 2, span.stop),))


def score_decomposed(engine: Engine, truth: ClipBatch, index: int) -> Score:
    made, bare = decompose(engine, truth, index, steps=None, seed=0)
    score, own = score_clip(made, truth, index), score_clip(bare, truth, index)
    return {
        "matte IoU": score["matte_iou"],
        "background PSNR": score["background_psnr"],
        "as the model made it": own["background_psnr"],
        "recomposition PSNR": score["recomposition_psnr"],
    }


def score_generated(engine: Engine, truth: ClipBatch, index: int) -> Score:
    """How well the generated layers make up the generated blended picture, and how much that picture varies."""
    model, layout = engine.folder.manifest, engine.folder.layout("generate")
    prompts = dict(zip(PROMPT_ORDER, truth.captions[index], strict=True))
    clip = Clip(layout=layout, prompts=prompts, given={}, seed=index, height=model.height, width=model.width)
    with torch.inference_mode():
        made = make_clip(engine, clip, engine.folder.sampler("generate"))
    fit = Fit(width=model.width, height=model.height, columns=model.width, rows=model.height)
    stack = layer_stack(made, [None] * layout.num_frames, layout, fit)
    over, blended = (
        color.to_display(pixels, LINEAR).clip(0.0, 1.0) for pixels in (layers.recompose(stack), stack.layers["blended"])
    )
    return {
        "recomposition PSNR": psnr(over, blended),
        "matte covers": float((stack.layers["foreground"][..., 3] > 0.5).mean()),
        "spread of the picture": float(blended.std()),
    }


def shown(scores: list[Score], against: list[Score] | None) -> str:
    """The mean of each score and, in brackets, by how much it is above the other's, with the standard error of that."""
    cells = []
    for name in scores[0]:
        cell = f"{name} {mean(score[name] for score in scores):.3f}"
        if against is not None:
            above = [one[name] - other[name] for one, other in zip(scores, against, strict=True)]
            cell += f" ({mean(above):+.4f} +- {stdev(above) / len(above) ** 0.5:.4f})"
        cells.append(cell)
    return ", ".join(cells)


def compare(engine: Engine, task: Task, own: Sampler, count: int) -> None:
    """Prints a line for each way of running `task` with the steps of `own`."""
    print(f"{task}, {own.num_steps} steps, {count} clips", flush=True)
    score, truth = SCORED[task], heldout_clips(count)
    scores: dict[str, list[Score]] = {}
    for way in ways(own):
        if task == "generate" and way.half:
            continue  # it has no condition
        run = changed(engine, way)
        scores[way.name] = [score(run, truth, index) for index in range(count)]
        print(f"  {way.name:30}", shown(scores[way.name], scores.get(way.against or "")), flush=True)


SCORED: dict[Task, Callable[[Engine, ClipBatch, int], Score]] = {
    "decompose": score_decomposed,
    "generate": score_generated,
}


def main(clips: int = 64, clips_at_50: int = 16) -> None:
    engine = load_engine(find_model("mini"))
    for task in SCORED:
        own = engine.folder.sampler(task)
        compare(engine, task, own, clips)
        compare(engine, task, replace(own, num_steps=50), clips_at_50)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
