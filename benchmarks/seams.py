"""How windows of a shot should meet: `python benchmarks/seams.py [CLIPS [FRAMES [TASK ...]]]`, with plates
`python benchmarks/seams.py FOLDER`, each a folder of its own with the plate in bl/, and for plates of three times the
model's frame rate `python benchmarks/seams.py rate [CLIPS [FRAMES]]`: windows of consecutive frames against windows of
every third frame, one phase after another.

Makes CLIPS (32) held-out clips of FRAMES (32) with the bundled model, whose windows are 8 frames, in every WAY. Printed
are means over the clips, by layer as the model makes it: the change from one frame to the next (mean absolute
difference), on average and at most, also in the first 8 frames and after them. Where the truth is known: dtSSD (times a
thousand), the mean absolute error and IoU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layerflow.assemble import Frame, model_pictures, stacked
from layerflow.denoisers import LayerDenoiser, splice
from layerflow.evaluate.mattes import iou
from layerflow.frame_windows import Window, windows
from layerflow.layout import LAYERS, PROMPT_ORDER, TASKS, Layout, Task
from layerflow.models.fitting import fit_to
from layerflow.models.load import Engine, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import Clip, Conditions, decode_clip, encode_clip, sample_clip
from layerflow.plate import open_plate
from layerflow.preprocess import to_unit
from layerflow.sampler import GuidedV, Sampler, SamplerState, guided
from layerflow.seams import CrossFade, continued, shared_frames
from layerflow.training.clips import ClipBatch, Source, draw_clips
from layerflow.training.heldout import read_heldout
from layerflow.training.render import RenderConfig

FIRST = 8  # frames of a window
PHASES = 3  # a plate of 24 frames a second, a model of 8


@dataclass(frozen=True, kw_only=True)
class Way:
    """How windows meet."""

    overlap: bool = True
    fades: bool = False
    knows: bool = False  # what the window before made
    free: int = 0  # last steps in which it does not
    together: bool = False  # all windows step by step, their estimates averaged where they overlap


WAYS = {
    "apart": Way(overlap=False),
    "overlap": Way(),
    "fade": Way(fades=True),
    "know": Way(knows=True),
    "know, last step free, fade": Way(knows=True, free=1, fades=True),
    "co-denoise": Way(together=True),
    "co-denoise, last step free, fade": Way(together=True, free=1, fades=True),
}


@dataclass(frozen=True, kw_only=True)
class Take:
    """A shot to be made: its windows' clips are cut out of `given`, `[F, 3, h, w]` by layer."""

    engine: Engine
    layout: Layout
    sampler: Sampler
    clip: Clip
    num_frames: int

    def windows(self, way: Way) -> list[Window]:
        return windows(
            tuple(range(self.num_frames)), self.layout.num_frames, shared_frames(self.layout) if way.overlap else 0
        )

    def conditions(self, window: Window) -> Conditions:
        given = {name: pictures[list(window.frames)] for name, pictures in self.clip.given.items()}
        return encode_clip(self.engine, replace(self.clip, given=given))


def made(take: Take, way: Way) -> dict[str, Tensor]:
    """The model's layers of the whole shot, `[F, 3, h, w]` in [0, 1]."""
    cut, fade, out = take.windows(way), CrossFade(), []
    for window, latents in zip(cut, (together if way.together else in_a_row)(take, way, cut), strict=True):
        clips = [decode_clip(take.engine, take.layout, latents)]
        joined = fade.join(window, clips)
        (layers,) = joined if way.fades else clips
        # Without a fade the window before keeps the frames that both make, as they are what this one goes on from.
        start = 0 if way.fades else window.overlap
        out.append({name: clip[start:] for name, clip in layers.items()})
    ends = [len(window.new) if way.fades else len(window.frames) for window in cut]
    return {name: torch.cat([part[name][:end] for part, end in zip(out, ends, strict=True)]) for name in out[0]}


def in_a_row(take: Take, way: Way, cut: Sequence[Window]) -> list[Tensor]:
    """Latents `[f, C, h, w]` of every window, one after another."""
    out: list[Tensor] = []
    for window in cut:
        conditions = take.conditions(window)
        if way.knows and out:
            known = continued(take.layout, out[-1], window.overlap)
            conditions = replace(conditions, known=known)
        out.append(sampled(take, conditions, way.free))
    return out


def sampled(take: Take, conditions: Conditions, free: int) -> Tensor:
    """As `sample_clip`, which leaves the last step free; with 0, none is."""
    if free or conditions.known is None:
        return sample_clip(take.engine, conditions, take.sampler)
    guided_v, state = guidance(take, conditions), start(take, conditions)
    while state.step < take.sampler.num_steps:
        state = take.sampler.step(state, guided_v, settle=conditions.known.put)
    return splice(take.layout, state.latents, conditions.given)[0]


def start(take: Take, conditions: Conditions) -> SamplerState:
    return take.sampler.start((1, take.layout.num_predicted, *conditions.given.shape[2:]), conditions.generator)


def guidance(take: Take, conditions: Conditions) -> GuidedV:
    denoiser = LayerDenoiser(network=take.engine.network, layout=take.layout, given=conditions.given)
    return guided(denoiser, conditions.text, take.sampler.guidance)


def together(take: Take, way: Way, cut: Sequence[Window]) -> list[Tensor]:
    """Latents of all windows, each of which takes a step before any takes the next."""
    every = [take.conditions(window) for window in cut]
    guides, states = [guidance(take, each) for each in every], [start(take, each) for each in every]
    for step in range(take.sampler.num_steps):
        estimates = [estimate(take, *each) for each in zip(states, guides, strict=True)]
        if step < take.sampler.num_steps - way.free:
            average(estimates, take.layout)
        states = [
            take.sampler.step(state, guided_v, settle=always(own))
            for guided_v, state, own in zip(guides, states, estimates, strict=True)
        ]
    return [splice(take.layout, state.latents, each.given)[0] for state, each in zip(states, every, strict=True)]


def estimate(take: Take, state: SamplerState, guided_v: GuidedV) -> Tensor:
    """The clean latents of a window, by what it sees in its next step."""
    estimate = take.sampler.step(state, guided_v).previous
    assert estimate is not None
    return estimate.clone()


def always(estimate: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _: estimate


def average(estimates: list[Tensor], layout: Layout) -> None:
    """Has neighbours agree about the latent frames that both hold: the last of one and the first of the other."""
    count = shared_frames(layout) * layout.latent_frames // layout.num_frames
    spans = range(0, layout.num_predicted, layout.latent_frames)
    for one, other in pairwise(estimates):
        for first in spans:
            last = first + layout.latent_frames
            mean = (one[:, last - count : last] + other[:, first : first + count]) / 2
            one[:, last - count : last], other[:, first : first + count] = mean, mean


def long_clips(num: int, num_frames: int, *, hold: int = 1) -> ClipBatch:
    """Held-out sprites, to and fro, over held-out photos, all of them moving as fast as in training.

    With `hold`, that many times slower: as many frames a second more.
    """
    with as_file(files("layerflow.evaluate") / "heldout") as folder:
        sprites, photos = read_heldout(folder)
    swinging = [to_and_fro(sprite, hold) for sprite in sprites]
    config = RenderConfig(num_frames=num_frames, drift=1.0, max_drift=0.15 * num_frames / 8 / hold)
    clips, rows = draw_clips(swinging, photos, np.random.default_rng(7), num, config=config, procedural=0.0), range(num)
    return clips.paired(np.array(rows), np.array(rows), np.random.default_rng(8), frozen=0.0)


def to_and_fro(sprite: Source, hold: int) -> Source:
    return replace(sprite, pixels=np.concatenate([sprite.pixels, sprite.pixels[-2:0:-1]]).repeat(hold, axis=0))


def take_of(engine: Engine, task: Task, prompts: Sequence[str], layers: dict[str, Tensor], seed: int) -> Take:
    layout, model = engine.folder.layout(task), engine.folder.manifest
    given = {name: pictures for name, pictures in layers.items() if layout.is_given(name)}
    height, width = next(iter(layers.values())).shape[-2:]
    clip = Clip(
        layout=layout,
        prompts=dict(zip(PROMPT_ORDER, prompts, strict=True)),
        given=given,
        seed=seed,
        height=height,
        width=width,
        drawn=model.fidelity.posterior,
    )
    num_frames = len(next(iter(layers.values())))
    return Take(engine=engine, layout=layout, sampler=engine.folder.sampler(task), clip=clip, num_frames=num_frames)


def scores(made: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    out = {}
    for name, clip in made.items():
        if name == "blended":
            continue
        change = (clip[1:] - clip[:-1]).abs().mean((1, 2, 3))
        out[name] = {
            "mean change": float(change.mean()),
            "largest": float(change.max()),
            "in the first window": float(change[: FIRST - 1].max()),
            "after it": float(change[FIRST - 1 :].max()),
        }
        if name in truth:
            known = to_unit(truth[name])
            wrong = (clip[1:] - clip[:-1]) - (known[1:] - known[:-1])
            out[name]["dtSSD"] = 1e3 * float(wrong.square().mean((1, 2, 3)).sqrt().mean())
            out[name]["error"] = float((clip - known).abs().mean())
        if name in truth and name == "alpha":
            out[name]["IoU"] = iou(clip.mean(1).numpy() > 0.5, known.mean(1).numpy() > 0.5)
    return out


def report(title: str, takes: Sequence[tuple[Take, dict[str, Tensor]]]) -> None:
    for name, way in WAYS.items():
        show(title, name, [scores(made(take, way), truth) for take, truth in takes])


def show(title: str, name: str, every: Sequence[dict[str, dict[str, float]]]) -> None:
    for layer in every[0]:
        figures = {key: np.mean([score[layer][key] for score in every]) for key in every[0][layer]}
        measured = " ".join(f"{key} {value:.4f}" for key, value in figures.items())
        print(f"{title:10} {name:33} {layer:10} {measured}", flush=True)


def of_clips(num: int, num_frames: int, tasks: Sequence[Task]) -> None:
    truth = long_clips(num, num_frames)
    pictures = torch.from_numpy(truth.tensors()).movedim(-1, 3)
    for task in tasks:
        engine = load_engine(find_model("mini", task))
        takes = []
        for index in range(num):
            layers = dict(zip(LAYERS, pictures[index], strict=True))
            take = take_of(engine, task, truth.captions[index], layers, index)
            takes.append((take, layers if task == "decompose" else {}))
        report(task, takes)


def of_rates(num: int, num_frames: int) -> None:
    truth, engine = long_clips(num, num_frames, hold=PHASES), load_engine(find_model("mini", "decompose"))
    pictures = torch.from_numpy(truth.tensors()).movedim(-1, 3)
    every: dict[str, list[dict[str, dict[str, float]]]] = {"consecutive": [], "every third": []}
    for index in range(num):
        layers = dict(zip(LAYERS, pictures[index], strict=True))
        take = take_of(engine, "decompose", truth.captions[index], layers, index)
        every["consecutive"].append(scores(made(take, WAYS["fade"]), layers))
        every["every third"].append(scores(interleaved(take), layers))
    for name, found in every.items():
        show("rate", name, found)


def interleaved(take: Take) -> dict[str, Tensor]:
    """The layers of a shot whose windows show every third frame."""
    out: dict[str, Tensor] = {}
    for phase in range(PHASES):
        given = {name: pictures[phase::PHASES] for name, pictures in take.clip.given.items()}
        num_frames = len(range(phase, take.num_frames, PHASES))
        part = replace(take, clip=replace(take.clip, given=given), num_frames=num_frames)
        for name, clip in made(part, WAYS["fade"]).items():
            out.setdefault(name, clip.new_empty(take.num_frames, *clip.shape[1:]))[phase::PHASES] = clip
    return out


def of_plates(folder: Path) -> None:
    engine = load_engine(find_model("mini", "decompose"))
    layout = engine.folder.layout("decompose")
    for path in sorted(path for path in folder.iterdir() if (path / "bl").is_dir()):
        plate = open_plate(str(path / "bl"))
        fit = fit_to(engine.folder, width=plate.format.width, height=plate.format.height)
        shown = [
            model_pictures(Frame(pixels=plate.read(number), colorspace=plate.colorspace), layout, fit)
            for number in plate.frames
        ]
        report(path.name, [(take_of(engine, "decompose", (path.name, "", ""), stacked(shown), 0), {})])


if __name__ == "__main__":
    with torch.inference_mode():
        if sys.argv[1:2] == ["rate"]:
            of_rates(*(*map(int, sys.argv[2:4]), *(16, 48)[len(sys.argv[2:4]) :]))
        elif sys.argv[1:] and not sys.argv[1].isdecimal():
            of_plates(Path(sys.argv[1]))
        else:
            num, num_frames = (*map(int, sys.argv[1:3]), *(32, 32)[len(sys.argv[1:3]) :])
            of_clips(num, num_frames, [task for task in TASKS if task in (sys.argv[3:] or TASKS)])
