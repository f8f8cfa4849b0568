"""What refines a model's matte best: ours, or the matting of PyMatting from a trimap.

`python benchmarks/matting.py [WIDTH HEIGHT FRAMES CELL...]`: the drawn shots of plates.py, 480 x 270 and 2 frames
each, for models whose pixels are so many of the plate's wide: 5.33, as 2B's are of a 4K plate, and 20, as mini's of
1920 x 1080. PyMatting is given the picture that a model sees, and a trimap: unknown where the enlarged matte is neither
out nor in, and for a cell around. Its alpha is by closed form, nearest neighbours and large kernels (lkm), colours
by its multi-level estimate; where nothing is in by the trimap, there is none. Ours start from the model's colours. All
are solved to put the plate back together.

Printed are the measures of plates.py, PSNR of the foreground on black besides, and seconds of processor time a frame.
It needs PyMatting, of the extra `bench`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import psutil
import pymatting
from plates import COLORSPACE, Estimate, Guess, Trial, guess, neighbours, refining

from layerflow import recomposition, refine
from layerflow.difference import Difference
from layerflow.evaluate.synthetic import KINDS, LayeredShot, Truth
from layerflow.layers import Pixels
from layerflow.refine.matte import CERTAIN
from layerflow.tone import SCENE

CELLS = "5.333", "20"
ALPHAS = {
    "closed form": pymatting.estimate_alpha_cf,
    "KNN": pymatting.estimate_alpha_knn,
    "lkm": pymatting.estimate_alpha_lkm,
}


@dataclass(kw_only=True)
class Compared(Trial):
    """The scores of one way, those of its foreground too."""

    foreground: Difference = field(default_factory=Difference)
    num_frames: int = 0

    def _score(self, truth: Truth, plate: Pixels, solved: recomposition.Recomposed) -> None:
        super()._score(truth, plate, solved)
        self.num_frames += 1
        pairs = (solved.alpha, solved.foreground), (truth.alpha, truth.foreground)
        self.foreground.add(*(SCENE.to_display(alpha[..., None] * light, COLORSPACE) for alpha, light in pairs))

    def row(self) -> str:
        means = self.matte.means()
        return " | ".join(
            [
                f"{means['sad'] / 1e3:.2f}",
                f"{means['mse'] * 1e3:.2f}",
                f"{means['gradient'] / 1e3:.2f}",
                f"{means['connectivity'] / 1e3:.2f}",
                f"{means.get('dtssd', math.nan) * 1e3:.1f}",
                f"{self.background.psnr_db:.1f} dB",
                f"{self.foreground.psnr_db:.1f} dB",
                f"{self.refine_s / self.num_frames:.2f}",
            ]
        )


def trimap(soft: Pixels, cell: float) -> Pixels:
    """0, .5 or 1 for each pixel of an enlarged matte [H, W]: out, unknown or in."""
    width = 2 * math.ceil(cell) + 1
    unknown = ((soft > CERTAIN) & (soft < 1 - CERTAIN)).astype(np.uint8)
    near = cv2.dilate(unknown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    return np.where(near > 0, 0.5, soft > 0.5).astype(np.float64)


def matted(estimate: Callable[..., np.ndarray], truth: Truth, own: Guess, cell: float) -> Estimate:
    """A frame's layers by PyMatting alone."""
    picture = SCENE.to_display(truth.plate, COLORSPACE).astype(np.float64)
    alpha = estimate(picture, trimap(own.matte, cell)).clip(0, 1)
    return _coloured(picture, alpha.astype(np.float32))


def recoloured(ours: Callable[[], Estimate], truth: Truth) -> Estimate:
    """A frame's layers by our matte and PyMatting's colours."""
    return _coloured(SCENE.to_display(truth.plate, COLORSPACE).astype(np.float64), ours()[0].alpha)


def _coloured(picture: np.ndarray, alpha: Pixels) -> Estimate:
    shown = pymatting.estimate_foreground_ml(picture, alpha.astype(np.float64), return_background=True)
    front, back = (SCENE.from_display(each.clip(0, 1).astype(np.float32), COLORSPACE) for each in shown)
    return refine.Matte(alpha=alpha, uncertainty=np.zeros_like(alpha)), front, back


def ways(truths: list[Truth], guesses: list[Guess], at: int, cell: float) -> dict[str, Callable[[], Estimate]]:
    """Every way of making the layers of frame `at` of neighbours, by name."""
    ours = {kind: refining(kind, truths, guesses, at, cell) for kind in ("off", "fast", "best")}
    mixed = {"fast, its colours": partial(recoloured, ours["fast"], truths[at])}
    if not {0.0, 1.0} <= set(np.unique(trimap(guesses[at].matte, cell))):  # PyMatting asks for both
        return ours | mixed
    theirs = {name: partial(matted, call, truths[at], guesses[at], cell) for name, call in ALPHAS.items()}
    return ours | mixed | theirs


def compared(shot: LayeredShot, num_frames: int, cell: float) -> dict[str, Compared]:
    """The scores of every way on one shot."""
    columns, trials = round(shot.width / cell), dict[str, Compared]()
    for numbers, truths, at in neighbours(shot, num_frames):
        guesses = [guess(truth, columns, number) for number, truth in zip(numbers, truths, strict=True)]
        for name, way in ways(truths, guesses, at, shot.width / columns).items():
            trials.setdefault(name, Compared()).add(truths[at], way)
    return trials


def main(width: str = "480", height: str = "270", frames: str = "2", *cells: str) -> None:
    print("| shot | cell | | SAD | MSE | gradient | connectivity | dtSSD | background | foreground | s |")
    compared(LayeredShot(kind="blur", width=160, height=90), 1, 2.0)  # Numba compiles
    for cell in cells or CELLS:
        for kind in KINDS:
            shot = LayeredShot(kind=kind, width=int(width), height=int(height))
            for name, trial in compared(shot, int(frames), float(cell)).items():
                print(f"| {kind} | {float(cell):.3g} | {name} | {trial.row()} |", flush=True)


if __name__ == "__main__":
    print(f"load {psutil.getloadavg()[0]:.1f}")
    main(*sys.argv[1:])
