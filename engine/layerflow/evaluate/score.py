"""How well a model does its tasks, on clips whose layers are known and with words for sprites it has seen.

Scored is what an artist gets and, beside it, the model's own layers (`model_*`), both straight and in linear light,
compared display-referred, as the held-out clips were made. Every score is of a clip, then averaged over those that
have it. What each task is scored on is in `rows`, what each name means in `names`, how to read it in docs/evaluate.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from layerflow.errors import ModelError
from layerflow.evaluate.examples import Example
from layerflow.evaluate.layer_scores import Scores, trivial_scores
from layerflow.evaluate.probe import bundled_probe
from layerflow.evaluate.rows import PROBED, ROWS, Row, Trial, stack_scores
from layerflow.evaluate.truth import Truth
from layerflow.layers import LayerStack
from layerflow.layout import TASKS, Task
from layerflow.models.load import Engine, load_engine
from layerflow.models.shelf import find_model
from layerflow.training.clips import ClipBatch
from layerflow.training.heldout import heldout_clips
from layerflow.wire import Event

OnEvent = Callable[[Event], None]


@dataclass(kw_only=True)
class Evaluation:
    """What was measured."""

    scores: Scores = field(default_factory=dict)  # by "ROW.NAME"
    examples: dict[str, list[Example]] = field(default_factory=dict)  # by row, in the order of the clips
    notes: list[str] = field(default_factory=list)  # what was not measured, and why


def evaluate_model(
    model: str,
    *,
    num_clips: int = 64,
    steps: int | None = None,
    seed: int = 0,
    on_event: OnEvent = lambda event: None,
) -> Scores:
    """Mean scores of decomposition on the held-out clips, and of the trivial answers, by their names alone.

    Raises as `evaluate_tasks` does.
    """
    found = evaluate_tasks(
        model,
        tasks=("decompose",),
        rows=("decompose",),
        num_clips=num_clips,
        steps=steps,
        seed=seed,
        on_event=on_event,
    )
    return {name.removeprefix("decompose."): value for name, value in found.scores.items()}


def evaluate_tasks(
    model: str,
    *,
    tasks: Sequence[Task] = (),
    rows: Collection[str] = (),
    num_clips: int = 64,
    steps: int | None = None,
    seed: int = 0,
    on_event: OnEvent = lambda event: None,
) -> Evaluation:
    """Scores of `tasks`, or of all that the model does: of all `rows` about them, or of those that are named.

    `seed` is the noise's; the clips are always the same. Raises ModelError, also for a task that is asked for and that
    the model does not do, and for a model of clips of another length.
    """
    engines, lacking = _engines(model, tasks or TASKS, asked=bool(tasks))
    found = Evaluation(notes=[f"{task} was not scored: {why}" for task, why in lacking.items()])
    able = _able(engines, rows, found.notes)
    truth = {
        count: heldout_clips(num_clips, num_foregrounds=count)
        for count in {row.num_foregrounds for row in able.values()}
    }
    for number, (name, row) in enumerate(able.items()):
        engine = engines[row.task]
        trial = Trial(engine=engine, clips=_fitting(truth[row.num_foregrounds], engine), steps=steps, seed=seed)
        scores = []
        for index in range(num_clips):
            clip, example = row.score(trial, index)
            scores.append(clip)
            found.examples.setdefault(name, []).append(example)
            on_event(Event("step", done=number * num_clips + index + 1, total=len(able) * num_clips))
        found.scores |= {f"{name}.{key}": value for key, value in mean_scores(scores).items()}
    if "generate" in able:
        found.scores |= {f"generate.{layer}_prompt_ceiling": bundled_probe(layer).ceiling for layer in PROBED}
    return found


def _able(engines: Mapping[Task, Engine], rows: Collection[str], notes: list[str]) -> dict[str, Row]:
    """Those of `rows`, or of all, that there is a model for; `notes` gets a sentence on each that it cannot do."""
    able: dict[str, Row] = {}
    for name, row in ROWS.items():
        if row.task not in engines or (rows and name not in rows):
            continue
        folder = engines[row.task].folder
        if row.num_foregrounds <= folder.most_foregrounds(row.task):
            able[name] = row
        else:
            notes.append(f"{name} was not scored: model {folder.manifest.name} makes one foreground at a time")
    return able


def score_clip(stack: LayerStack, truth: ClipBatch, index: int) -> Scores:
    """The scores of one decomposed clip: of its layers, of what they come to over each other, and trivial ones."""
    known = Truth.of(truth, index)
    return stack_scores(stack, known) | trivial_scores(known)


def mean_scores(scores: Sequence[Mapping[str, float]]) -> Scores:
    """The mean of each score over the clips that have it."""
    names = dict.fromkeys(chain.from_iterable(scores))
    return {name: float(np.mean([each[name] for each in scores if name in each])) for name in names}


def _engines(model: str, tasks: Sequence[Task], *, asked: bool) -> tuple[dict[Task, Engine], dict[Task, ModelError]]:
    """What does each task, loaded once; and why nothing does, of those that were not `asked` for."""
    loaded: dict[str, Engine] = {}
    found: dict[Task, Engine] = {}
    lacking: dict[Task, ModelError] = {}
    for task in tasks:
        try:
            folder = find_model(model, task)
            folder.layout(task)
        except ModelError as error:
            lacking[task] = error
            continue
        place = str(folder.path)
        if place not in loaded:
            loaded[place] = load_engine(folder)
        found[task] = loaded[place]
    if lacking and (asked or not found):
        raise next(iter(lacking.values()))
    return found, lacking


def _fitting(truth: ClipBatch, engine: Engine) -> ClipBatch:
    length, folder = truth.blended.shape[1], engine.folder
    own = next(iter(folder.manifest.layouts.values())).num_frames
    if own != length:
        name = folder.manifest.name
        raise ModelError(f"held-out clips have {length} frames and model {name} makes {own}; score one of {length}")
    return truth
