"""What the model makes of light above white: `python benchmarks/tone.py [NUM_CLIPS]`, 12 of the held-out ones.

The clips become scene-linear plates, as they are and with their whites raised, through the bundled model and each
curve. Printed are the scores of the matte and of the model's own background, as a display shows it at three exposures.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch

from layerflow import color, layers
from layerflow.assemble import Frame, model_pictures, stacked
from layerflow.evaluate.made import layer_stack
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.pictures import psnr
from layerflow.layers import Pixels
from layerflow.models.load import load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import Clip, make_clip, pick_sampler
from layerflow.preprocess import Fit
from layerflow.tone import PLAIN, Tone
from layerflow.training.heldout import heldout_clips

LINEAR = color.DEFAULT_LINEAR
PLACES = ((0.9, 16), (0.8, 4), (0.8, 16), (0.8, 64), (0.8, 1000), (0.6, 16))
TONES = {"clipped": PLAIN} | {f"{knee}, {peak}": Tone(shoulder=True, knee=knee, peak=peak) for knee, peak in PLACES}
STOPS = (0, 2, 4)


@dataclass(frozen=True, kw_only=True)
class Seen(Frame):
    """A frame that the model sees by `view`, whatever its colour space."""

    view: Tone

    @property
    def tone(self) -> Tone:
        return self.view


class Trial:
    """The bundled model and clips of known layers."""

    def __init__(self, num_clips: int) -> None:
        self.num_clips = num_clips
        self.folder = find_model("mini", "decompose")
        self.engine = load_engine(self.folder)
        self.truth = heldout_clips(num_clips)

    def scores(self, tone: Tone, gain: float) -> Pixels:
        """Mean IoU and MAE of the matte, and PSNR of the background at each of STOPS."""
        return np.mean([self.score(index, tone, gain) for index in range(self.num_clips)], axis=0)

    def score(self, index: int, tone: Tone, gain: float) -> list[float]:
        truth, layout, model = self.truth, self.folder.layout("decompose"), self.folder.manifest
        alpha = truth.alpha[index].astype(np.float32) / 255
        front, back = (raised(pixels[index], gain) for pixels in (truth.foreground, truth.background))
        plates = layers.over(np.concatenate([front, alpha], axis=-1), back)
        frames = [Seen(pixels=np.ascontiguousarray(plate), colorspace=LINEAR, view=tone) for plate in plates]
        fit = Fit(width=plates.shape[2], height=plates.shape[1], columns=model.width, rows=model.height)
        clip = Clip(
            layout=layout,
            prompts=dict(zip(("foreground", "background", "blended"), truth.captions[index], strict=True)),
            given=stacked([model_pictures(frame, layout, fit) for frame in frames]),
            seed=0,
            height=model.height,
            width=model.width,
        )
        sampler = pick_sampler(self.folder.sampler("decompose"), steps=None, guidance=None, kind=None)
        with torch.inference_mode():
            stack = layer_stack(make_clip(self.engine, clip, sampler), frames, layout, fit)
        matte = stack.layers["foreground"][..., 3]
        seen = [psnr(shown(stack.layers["background"], stops), shown(back, stops)) for stops in STOPS]
        return [iou(matte > 0.5, alpha[..., 0] > 0.5), float(np.abs(matte - alpha[..., 0]).mean()), *seen]


def raised(picture: np.ndarray, gain: float) -> Pixels:
    """The scene-linear light of 8-bit sRGB, its white `1 + gain`."""
    light = color.from_display(picture.astype(np.float32) / 255, LINEAR)
    return (light + gain * light**6).astype(np.float32)


def shown(light: Pixels, stops: int) -> Pixels:
    return color.to_display((light * 2.0**-stops).astype(np.float32), LINEAR).clip(0.0, 1.0)


def main(num_clips: str = "12") -> None:
    trial = Trial(int(num_clips))
    for gain in (0, 15, 200):
        for name, tone in TONES.items():
            overlap, mae, *seen = trial.scores(tone, gain)
            print(f"| {name} | {1 + gain} | {overlap:.3f} | {mae:.3f} | {' | '.join(f'{db:.1f} dB' for db in seen)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
