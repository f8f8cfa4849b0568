"""All of an evaluation: the tasks, real plates, VBench where it is, the ceiling of the probes, and the page."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from layerflow.errors import OutputError
from layerflow.evaluate.examples import Example
from layerflow.evaluate.layer_scores import Scores
from layerflow.evaluate.page import write_page
from layerflow.evaluate.prompts import real_scores
from layerflow.evaluate.real import score_real
from layerflow.evaluate.score import Evaluation, OnEvent, evaluate_tasks
from layerflow.evaluate.vbench_scores import vbench_scores, why_absent
from layerflow.layout import Task
from layerflow.models.places import pick_device
from layerflow.preview import Picture
from layerflow.wire import Event

FPS = 8.0  # of the movies, as the held-out clips
MOVIE_LAYERS = ("foreground", "background", "blended")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be evaluated."""

    model: str
    tasks: Sequence[Task] = ()  # all that the model does
    num_clips: int = 64
    steps: int | None = None
    seed: int = 0
    pack: Path | None = None  # a packed dataset, for the ceiling of the probes on fresh renders
    davis: Path | None = None  # real plates with masks
    page: Path | None = None  # where a page goes


def evaluate(wish: Wish, *, told: str = "", on_event: OnEvent = lambda event: None) -> Evaluation:
    """All that `wish` asks for; a page says that it was made by `told`. Raises a LayerFlowError."""
    found = evaluate_tasks(
        wish.model,
        tasks=wish.tasks,
        num_clips=wish.num_clips,
        steps=wish.steps,
        seed=wish.seed,
        on_event=on_event,
    )
    if "generate" in found.examples:
        if wish.pack is not None:
            on_event(Event("stage", "telling fresh renders of the pack"))
            found.scores |= {f"generate.{name}": value for name, value in real_scores(wish.pack).items()}
        found.scores |= _by_vbench(found, wish, on_event)
    if wish.davis is not None:
        on_event(Event("stage", "taking real plates apart"))
        real = score_real(wish.davis, model=wish.model, steps=wish.steps, seed=wish.seed, on_event=on_event)
        found.scores |= {f"real.{name}": value for name, value in real.items()}
    if wish.page is not None:
        write_page(wish.page, found, model=wish.model, told=told)
    return found


def _by_vbench(found: Evaluation, wish: Wish, on_event: OnEvent) -> Scores:
    """VBench's scores of each generated layer, and a note where it is absent; the movies go to the page's folder."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if wish.page is None else wish.page / "movies"
        if wish.page is not None or why_absent() is None:
            written = {layer: write_movies(folder / layer, found.examples["generate"], layer) for layer in MOVIE_LAYERS}
        if absent := why_absent():
            found.notes.append(absent)
            return {}
        scores: Scores = {}
        for layer, prompts in written.items():
            on_event(Event("stage", f"VBench on the {layer}"))
            told = vbench_scores(folder / layer, prompts, Path(scratch) / "told", device=str(pick_device("auto")))
            scores |= {f"generate.{layer}_{dimension}": value for dimension, value in told.items()}
    return scores


def write_movies(folder: Path, examples: Sequence[Example], layer: str) -> Mapping[str, str]:
    """Writes an MP4 of that `layer` of each of `examples` into `folder`, and beside it a JSON of what it returns: their
    prompts by file name.

    Raises OutputError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prompts = {}
    for number, example in enumerate(examples):
        name = f"{number:04d}.mp4"
        _write_movie(folder / name, example.movies[layer])
        prompts[name] = example.prompts[layer]
    (folder.parent / f"{layer}.json").write_text(json.dumps(prompts, indent=1) + "\n", encoding="utf-8")
    return prompts


def _write_movie(path: Path, frames: Picture) -> None:
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    if not writer.isOpened():
        raise OutputError(f"{path} could not be written; choose another --page")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
