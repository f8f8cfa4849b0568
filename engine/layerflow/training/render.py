"""Sprites and photos placed on small moving canvases. Letters: F frame, C channel, H W canvas, h w source.

Colours are sRGB-encoded throughout; compositing in scene-linear light is in `clips.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Size of a clip and how far its pictures may be moved, turned and tinted."""

    num_frames: int = 8
    height: int = 64
    width: int = 96
    min_scale: float = 0.35  # of the canvas height
    max_scale: float = 1.1
    spread: float = 1.0  # of the room that a sprite's centre may be in
    drift: float = 0.5  # share of clips whose sprite drifts, and whose background pans
    max_drift: float = 0.3  # of the canvas width, over the whole clip
    max_turn: float = 0.2  # radians
    tint: float = 0.1  # largest change of one channel's gain
    min_crop: float = 0.5  # of the photo height

    def __post_init__(self) -> None:
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(f"scales must rise from above 0, got {self.min_scale = }, {self.max_scale = }")


def render_foreground(sprite: Pixels, rng: np.random.Generator, config: RenderConfig) -> Pixels:
    """A straight RGBA clip [F, H, W, 4] of one sprite loop [F, h, w, 4]: scaled, turned, mirrored, tinted, drifting."""
    alpha = sprite[..., 3:].astype(np.float32) / 255
    colour = _tinted(sprite[..., :3], rng, config.tint)
    premultiplied = np.concatenate([colour * alpha, alpha], axis=-1)
    size = round(config.height * rng.uniform(config.min_scale, config.max_scale))
    room = config.spread * (np.array([config.width, config.height]) * 0.5 - size * 0.3)
    centres = _path(np.maximum(room, 4), rng, config)
    placed = place(
        premultiplied, (size, size), centres, rng.uniform(-1, 1) * config.max_turn, rng.random() < 0.5, config
    )
    opacity = placed[..., 3:]
    straight = placed[..., :3] / np.maximum(opacity, 1 / 255)
    return _as_bytes(np.concatenate([straight, opacity], axis=-1))


def render_background(photo: Pixels, rng: np.random.Generator, config: RenderConfig) -> Pixels:
    """An RGB clip [F, H, W, 3] of one photo [h, w, 3]: cropped, zoomed, mirrored, tinted, panning."""
    height, width = photo.shape[:2]
    factor = config.height / (height * rng.uniform(config.min_crop, 1.0))
    factor = max(factor, config.width / width, config.height / height)
    size = (round(height * factor), round(width * factor))
    room = (np.array([size[1] - config.width, size[0] - config.height]) - 1) / 2
    centres = _path(np.maximum(room, 0), rng, config)
    colour = _tinted(photo[None], rng, config.tint)
    return _as_bytes(place(colour, size, centres, 0.0, rng.random() < 0.5, config))


def procedural_photo(rng: np.random.Generator, height: int = 144, width: int = 288) -> Pixels:
    """A made-up background [height, width, 3]: a slanted gradient between two colours under soft noise."""
    ends = rng.uniform(0.05, 0.95, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    ramp = np.clip((x * np.cos(angle) + y * np.sin(angle)) / 2.0 + 0.5, 0, 1)[..., None]
    cells = (int(rng.integers(2, 9)), int(rng.integers(3, 13)))
    noise = torch.from_numpy(rng.standard_normal((1, 3, *cells)).astype(np.float32))
    smooth = functional.interpolate(noise, size=(height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    picture = ends[0] * (1 - ramp) + ends[1] * ramp + smooth * rng.uniform(0, 0.15)
    return _as_bytes(picture.astype(np.float32))


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: these pictures are too small to share out among threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def place(
    source: Floats, size: tuple[int, int], centres: Floats, angle: float, mirrored: bool, config: RenderConfig
) -> Floats:
    """Canvases [F, H, W, C]: `source` [F or 1, h, w, C] resized to `size` (antialiased), turned, and set at `centres`.

    `centres` [F, 2] are x, y in pixels from the canvas centre. Around the source is 0.
    """
    pictures = torch.from_numpy(source).permute(0, 3, 1, 2)
    pictures = functional.interpolate(pictures, size=size, mode="bilinear", antialias=True)
    num_frames = len(centres)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    into = np.diag([2.0 / size[1] * (-1 if mirrored else 1), 2.0 / size[0]]) @ turn
    theta = np.empty((num_frames, 2, 3), np.float32)
    theta[:, :, :2] = into @ np.diag([config.width / 2, config.height / 2])
    theta[:, :, 2] = -centres @ into.T
    shape = [num_frames, pictures.shape[1], config.height, config.width]
    grid = functional.affine_grid(torch.from_numpy(theta), shape, align_corners=False)
    pictures = pictures.expand(num_frames, -1, -1, -1)
    placed = functional.grid_sample(pictures, grid, mode="bilinear", align_corners=False)
    result: Floats = placed.permute(0, 2, 3, 1).numpy()
    return result


def _path(room: NDArray[np.float64], rng: np.random.Generator, config: RenderConfig) -> Floats:
    # A straight path of centres [F, 2] inside +-room; most clips that drift do so gently.
    start = rng.uniform(-1, 1, 2) * room
    moving = rng.random() < config.drift
    step = rng.uniform(-1, 1, 2) * config.max_drift * config.width * np.array([1.0, 0.4])
    end = np.clip(start + step, -room, room) if moving else start
    share = np.linspace(0, 1, config.num_frames)[:, None]
    return (start + share * (end - start)).astype(np.float32)


def _tinted(colour: Pixels, rng: np.random.Generator, tint: float) -> Floats:
    # Gain per channel and a little less or more saturation, [0, 1] float32.
    gain = rng.uniform(1 - tint, 1 + tint, 3).astype(np.float32) / np.float32(255)
    saturation = np.float32(rng.uniform(1 - 2 * tint, 1 + 2 * tint))
    tinted = colour.astype(np.float32) * gain
    grey = tinted.mean(axis=-1, keepdims=True)
    result: Floats = np.clip(grey + (tinted - grey) * saturation, 0, 1)
    return result


def _as_bytes(picture: Floats) -> Pixels:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
