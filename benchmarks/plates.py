"""Mattes and layers at a plate's size, before and after they are refined against it.

`python benchmarks/plates.py synthetic [WIDTH HEIGHT FRAMES MODEL...]`: shots of known layers, 3840 x 2160 and 3 frames
each, for models of the size of 2B and of mini.
What a model would make of them, the true layers as small as the model is, with noise, is enlarged, refined and solved.
Printed are the measures of the matte (SAD, gradient and connectivity in thousands; MSE and dtSSD times a thousand),
PSNR of the background as the model would see it, the recomposed plate's largest error and megapixels per second of
one core's time.

`python benchmarks/plates.py real FOLDER OUTPUT`: `layerflow decompose` by the bundled model on every plate of a folder,
each a folder of its own with the plate in bl/ and hard mattes in mask/; OUTPUT gets contact sheets.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
import torch

from layerflow import exr, layers, recomposition, refine, shots
from layerflow.color import to_display
from layerflow.difference import Difference
from layerflow.evaluate.mattes import MatteScore, iou
from layerflow.evaluate.synthetic import COLORSPACE, KINDS, LayeredShot, Truth
from layerflow.layers import Pixels
from layerflow.plate import open_plate
from layerflow.preprocess import resize, to_pixels, to_tensor
from layerflow.tone import SCENE
from layerflow.wire import Request
from layerflow.wire.request import CHOICES

T = TypeVar("T")
Estimate = tuple[refine.Matte, Pixels, Pixels]  # with foreground and background

COLUMNS = {"2B": 720, "mini": 96}  # of a model's picture
REFINES = CHOICES["refine"]
TOKEN = 16  # model pixels
NOISE = 0.02  # of a display value, and of alpha at its edge
DRIFT, CELLS = 0.04, 6  # of a display value, from one of so many cells across to the next; with NOISE about 27 dB


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a model would make of a frame, enlarged; straight, scene-linear."""

    matte: Pixels  # [H, W]
    foreground: Pixels  # [H, W, 3]
    background: Pixels


def guess(truth: Truth, columns: int, seed: int) -> Guess:
    """The true layers at the model's size, noisy and in blocks as its tokens are, and back."""
    rng = np.random.default_rng(seed)
    height, width = truth.alpha.shape
    rows = max(1, round(height * columns / width))
    return Guess(
        matte=guessed_matte(truth.alpha, rows, columns, rng),
        foreground=_seen_small(truth.foreground, rows, columns, rng),
        background=_seen_small(truth.background, rows, columns, rng),
    )


def guessed_matte(alpha: Pixels, rows: int, columns: int, rng: np.random.Generator) -> Pixels:
    """What a model of that size would make of the true `alpha` [H, W], enlarged."""
    small = _shrunk(alpha[..., None], rows, columns)[..., 0]
    blocks = rng.normal(0, NOISE, (rows // TOKEN + 1, columns // TOKEN + 1)).repeat(TOKEN, 0).repeat(TOKEN, 1)
    soft = 4 * small * (1 - small)
    noisy = small + soft * (blocks[:rows, :columns] + rng.normal(0, NOISE, small.shape))
    return _enlarged(noisy.clip(0, 1)[..., None], *alpha.shape)[..., 0]


def _seen_small(light: Pixels, rows: int, columns: int, rng: np.random.Generator) -> Pixels:
    small = _shrunk(SCENE.to_display(light, COLORSPACE), rows, columns)
    drift = to_tensor(rng.normal(0, DRIFT, (1, CELLS, CELLS, 3)).astype(np.float32))
    off = to_pixels(resize(drift, rows, columns))[0] + rng.normal(0, NOISE, small.shape)
    return SCENE.from_display(_enlarged((small + off).clip(0, 1), *light.shape[:2]), COLORSPACE)


def _shrunk(pixels: Pixels, rows: int, columns: int) -> Pixels:
    return to_pixels(torch.nn.functional.interpolate(to_tensor(pixels[None]), (rows, columns), mode="area"))[0]


def _enlarged(pixels: np.ndarray, rows: int, columns: int) -> Pixels:
    return to_pixels(resize(to_tensor(pixels[None].astype(np.float32)), rows, columns))[0].clip(0, 1)


def refining(kind: str, truths: list[Truth], guesses: list[Guess], at: int, cell: float) -> Callable[[], Estimate]:
    """What refines frame `at` of neighbours."""
    plate, own = truths[at].plate, guesses[at]
    pictures = [SCENE.to_display(one.plate, COLORSPACE) for one in truths]

    def refined() -> Estimate:
        made = refine.matte(pictures, [one.matte for one in guesses], at, kind=kind, cell=cell)
        if kind == "off":
            return made, own.foreground, own.background
        return made, *refine.colours(plate, made.alpha, own.foreground, own.background)

    return refined


@dataclass(kw_only=True)
class Trial:
    """One way of refining one shot: its scores so far."""

    matte: MatteScore = field(default_factory=MatteScore)
    background: Difference = field(default_factory=Difference)
    worst_ulp: float = 0.0
    megapixels: float = 0.0
    refine_s: float = 0.0
    solve_s: float = 0.0

    def add(self, truth: Truth, estimate: Callable[[], Estimate]) -> None:
        """Makes the layers of a frame, puts them back together and takes their scores."""
        plate = truth.plate
        (made, front, back), refine_s = _timed(estimate)
        solved, solve_s = _timed(
            lambda: recomposition.solve(plate, made.alpha, front, back, uncertainty=made.uncertainty)
        )
        self.refine_s, self.solve_s = self.refine_s + refine_s, self.solve_s + solve_s
        self.megapixels += truth.alpha.size / 1e6
        self._score(truth, plate, solved)

    def _score(self, truth: Truth, plate: Pixels, solved: recomposition.Recomposed) -> None:
        self.matte.add(solved.alpha, truth.alpha)
        shown = [SCENE.to_display(light, COLORSPACE) for light in (solved.background, truth.background)]
        self.background.add(*shown)
        weight = solved.alpha[..., None].astype(np.float64)
        error = np.abs(weight * solved.foreground + (1 - weight) * solved.background - plate)
        ulp = np.spacing(np.abs(plate).astype(np.float16))
        self.worst_ulp = max(self.worst_ulp, float((error / ulp).max()))

    def row(self) -> str:
        """The scores as cells of a table."""
        means = self.matte.means()
        measures = [
            f"{means['sad'] / 1e3:.1f}",
            f"{means['mse'] * 1e3:.2f}",
            f"{means['gradient'] / 1e3:.2f}",
            f"{means['connectivity'] / 1e3:.1f}",
            f"{means.get('dtssd', math.nan) * 1e3:.1f}",
            f"{self.background.psnr_db:.1f} dB",
            f"{self.worst_ulp:.2f}",
            f"{self.megapixels / self.refine_s:.1f}",
            f"{self.megapixels / self.solve_s:.0f}",
        ]
        return " | ".join(measures)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call gives and the processor time that it took, of all threads."""
    started = time.process_time()
    return call(), time.process_time() - started


def synthetic(width: str = "3840", height: str = "2160", frames: str = "3", *models: str) -> None:
    print("| shot | model | refine | SAD | MSE | Grad | Conn | dtSSD | background | ulp | refine MP/s | solve MP/s |")
    for kind in KINDS:
        shot = LayeredShot(kind=kind, width=int(width), height=int(height))
        for model in models or COLUMNS:
            columns = COLUMNS[model]
            trials = {name: Trial() for name in REFINES}
            for numbers, truths, at in neighbours(shot, int(frames)):
                guesses = [guess(truth, columns, number) for number, truth in zip(numbers, truths, strict=True)]
                for name, trial in trials.items():
                    trial.add(truths[at], refining(name, truths, guesses, at, int(width) / columns))
            for name, trial in trials.items():
                print(f"| {kind} | {model} | {name} | {trial.row()} |", flush=True)


def neighbours(shot: LayeredShot, num_frames: int) -> Iterator[tuple[list[int], list[Truth], int]]:
    """For each frame it and the ones beside it, and its place among them."""
    held = {number: shot.frame(number) for number in range(min(2, num_frames))}
    for number in range(num_frames):
        if number + 1 < num_frames:
            held[number + 1] = held.get(number + 1) or shot.frame(number + 1)
        held.pop(number - 2, None)
        yield list(held), list(held.values()), list(held).index(number)


def real(folder: str, output: str) -> None:
    print("| plate | refine | matte IoU | worst frame | of true mattes as small | recomposed, 8-bit PSNR | seconds |")
    for plate in sorted(path for path in Path(folder).iterdir() if (path / "bl").is_dir()):
        for name in REFINES:
            started = time.monotonic()
            pattern = Path(output) / f"{plate.name}-{name}" / f"{plate.name}.%04d.exr"
            request = Request(task="decompose", plate=str(plate / "bl"), output=str(pattern), refine=name, preview=True)
            made = shots.render(request, overwrite=True)
            seconds = time.monotonic() - started
            overlaps, error = scores(made.frames, plate)
            psnr = "exact" if error.psnr_db is None else f"{error.psnr_db:.1f} dB"
            true = np.mean(overlaps_of_true(plate, name))
            print(
                f"| {plate.name} | {name} | {np.mean(overlaps):.3f} | {min(overlaps):.3f} | {true:.3f} | {psnr} |"
                f" {seconds:.0f} |",
                flush=True,
            )


def overlaps_of_true(folder: Path, kind: str) -> list[float]:
    """Matte IoU of each frame, had the bundled model found the true matte at its own size."""
    plate, mask, columns = open_plate(str(folder / "bl")), open_plate(str(folder / "mask")), COLUMNS["mini"]
    pictures = [to_display(plate.read(number)[..., :3], plate.colorspace) for number in plate.frames]
    truth = [(mask.read(number)[..., 0] > 0.5).astype(np.float32) for number in plate.frames]
    rng, cell = np.random.default_rng(0), plate.format.width / columns
    soft = [guessed_matte(alpha, round(plate.format.height / cell), columns, rng) for alpha in truth]
    made = []
    for at, alpha in enumerate(truth):
        near = slice(max(at - 1, 0), at + 2)
        found = refine.matte(pictures[near], soft[near], min(at, 1), kind=kind, cell=cell)
        made.append(iou(found.alpha > 0.5, alpha > 0.5))
    return made


def scores(frames: tuple[Path, ...], folder: Path) -> tuple[list[float], Difference]:
    """Matte IoU of each frame, and how far the recomposed frames are from the plate on a display of 8 bits."""
    plate, mask = open_plate(str(folder / "bl")), open_plate(str(folder / "mask"))
    overlaps, error = [], Difference()
    for number, path in zip(plate.frames, frames, strict=True):
        stack = exr.read_stack([path])
        overlaps.append(iou(stack.layers["foreground"][0, ..., 3] > 0.5, mask.read(number)[..., 0] > 0.5))
        shown = to_display(layers.recompose(stack)[0], stack.colorspace)
        error.add(_of_8_bits(shown), _of_8_bits(to_display(plate.read(number)[..., :3], plate.colorspace)))
    return overlaps, error


def _of_8_bits(shown: Pixels) -> Pixels:
    return np.rint(shown.clip(0, 1) * 255) / np.float32(255)


if __name__ == "__main__":
    print(f"load {psutil.getloadavg()[0]:.1f}")
    {"synthetic": synthetic, "real": real}[sys.argv[1]](*sys.argv[2:])
