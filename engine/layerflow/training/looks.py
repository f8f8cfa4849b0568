"""Teaches a text encoder what words look like, before a video model is to hear them.

Word vectors know that a fox is an animal and not that it is orange, and a small video model would have to learn that of
every name by the way, from a loss that is mostly about something else. From a caption a linear map of what the encoder
says is to give the thing's picture, as principal components; the encoder keeps what it learns so and the map is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from layerflow.text import T5Text
from layerflow.training.captions import background_caption, foreground_caption
from layerflow.training.clips import Source
from layerflow.training.supply import Sources

SIDE = 24  # pixels of a thing's picture
PLACE = (12, 8)  # columns and rows of a background's
COMPONENTS = {"foreground": 64, "background": 24}
BATCH = {"foreground": 96, "background": 24}
ANIMATED = 3.0  # how much likelier an animated sprite is than a still one
LR, MAP_LR, WARMUP, DECAY = 1e-3, 3e-3, 50, 0.3
FRAMES = 4  # of an animated sprite, whose mean is its picture

Floats = NDArray[np.float32]


def teach_looks(text: T5Text, sources: Sources, *, steps: int = 4500, seed: int = 0) -> list[float]:
    """Trains the encoder of `text`; the error of each step, as a share of what it would be without any words.

    Things are those with names that tell, sprites and stills, and backgrounds are photographs.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    things, photos = [*sources.sprites, *sources.stills], list(sources.photos)
    looks = {
        "foreground": principal([thing_picture(each) for each in things], COMPONENTS["foreground"]),
        "background": principal([place_picture(each) for each in photos], COMPONENTS["background"]),
    }
    likely = np.array([ANIMATED] * len(sources.sprites) + [1.0] * len(sources.stills))
    maps = nn.ModuleDict({name: nn.Linear(text.encoder.config.d_model, own.shape[1]) for name, own in looks.items()})
    optimizer = torch.optim.AdamW(
        [{"params": text.encoder.parameters(), "lr": LR}, {"params": maps.parameters(), "lr": MAP_LR}],
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_scale(step, steps))
    errors = []
    for _ in range(steps):
        rows = {
            "foreground": rng.choice(len(things), BATCH["foreground"], p=likely / likely.sum()),
            "background": rng.integers(len(photos), size=BATCH["background"]),
        }
        captions = {
            "foreground": [f"0, {_of_thing(things[row], rng)}" for row in rows["foreground"]],
            "background": [f"1, {_of_place(photos[row], rng)}" for row in rows["background"]],
        }
        loss = sum(_error(maps[name](said(text, captions[name])), own[rows[name]]) for name, own in looks.items())
        optimizer.zero_grad()
        assert isinstance(loss, Tensor)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        nn.utils.clip_grad_norm_(text.encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        errors.append(float(loss.detach()) / len(looks))
    return errors


def said(text: T5Text, captions: Sequence[str]) -> Tensor:  # -> [N, width]
    """The mean of what the encoder says of each caption, with gradients."""
    tokens = text.ids(list(captions))
    hidden: Tensor = text.encoder(tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
    return hidden.mean(dim=1)


def thing_picture(source: Source) -> Floats:
    """A sprite over mid-grey with its alpha, small, the mean of a few frames: [SIDE * SIDE * 4]."""
    frames = source.pixels[:: max(1, len(source.pixels) // FRAMES)].astype(np.float32) / 255
    held = np.concatenate([(frames[..., :3] - 0.5) * frames[..., 3:], frames[..., 3:]], axis=-1).mean(axis=0)
    return np.asarray(cv2.resize(held, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32).reshape(-1)


def place_picture(source: Source) -> Floats:
    """A photograph, very small: [columns * rows * 3]."""
    small = cv2.resize(source.pixels, PLACE, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(-1) / np.float32(255)


def principal(pictures: Sequence[Floats], components: int) -> Tensor:  # -> [N, components]
    """Principal components of the pictures, around their mean, the first one of unit variance."""
    every = np.stack(pictures)
    centred = every - every.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    told = centred @ directions[:components].T
    return torch.from_numpy(told / max(float(told[:, 0].std()), 1e-6))


def lr_scale(step: int, steps: int) -> float:
    """A short rise, then 1, and a linear fall to 0 over the last part."""
    return min(1.0, (step + 1) / WARMUP) * min(1.0, (1 - step / steps) / DECAY)


def _error(made: Tensor, looks: Tensor) -> Tensor:
    return (made - looks).square().sum(dim=1).mean() / looks.square().sum(dim=1).mean()


def _of_thing(source: Source, rng: np.random.Generator) -> str:
    return foreground_caption(source.label, source.tags, rng)


def _of_place(source: Source, rng: np.random.Generator) -> str:
    return background_caption(source.label, source.pixels, rng)
