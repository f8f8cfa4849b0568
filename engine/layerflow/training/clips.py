"""Layered clips for training: sprite clips and background clips drawn once, then paired at random.

Letters: N clips, L layers (foreground, alpha, background, blended), F frame, H W pixels. Colours are sRGB-encoded; the
blended picture is composited in scene-linear light, so that a linear straight `over` of the layers gives it back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerflow.training.captions import background_caption, blended_caption, foreground_caption
from layerflow.training.render import (
    Floats,
    Pixels,
    RenderConfig,
    one_thread,
    procedural_photo,
    render_background,
    render_foreground,
)

LAYERS = ("foreground", "alpha", "background", "blended")
Captions = tuple[str, ...]  # in the order of layout.ALL_PROMPTS


@dataclass(frozen=True, kw_only=True)
class Source:
    """One sprite or photo to draw clips of. A sprite's `pixels` are frames [F, h, w, 4]; a photo's are [h, w, 3]."""

    label: str
    pixels: Pixels
    tags: tuple[str, ...] = ()
    loops: bool = True  # a clip may start at any frame

    def frames(self, num_frames: int, rng: np.random.Generator) -> Pixels:
        """`num_frames` consecutive frames of a sprite, from a random one when it loops."""
        start = rng.integers(len(self.pixels)) if self.loops else 0
        return self.pixels[(start + np.arange(num_frames)) % len(self.pixels)]

    @property
    def moves(self) -> bool:
        """True for a sprite that is truly animated."""
        return self.pixels.ndim == 4 and len(self.pixels) > 1


@dataclass(frozen=True, kw_only=True)
class ClipBatch:
    """Layered clips. `foreground` is straight; `blended` is float32 in [0, 1] and not rounded."""

    foreground: Pixels  # [N, F, H, W, 3]
    alpha: Pixels  # [N, F, H, W, 1]
    background: Pixels  # [N, F, H, W, 3]
    blended: Floats  # [N, F, H, W, 3]
    captions: tuple[Captions, ...]
    second: Pixels | None = None  # [N, F, H, W, 4], straight, a foreground behind the other

    def tensors(self) -> Floats:
        """Float32 [N, L, F, H, W, 3] in [-1, 1] for the codec: foreground over mid grey, alpha as three channels."""
        num_clips, *shape = self.background.shape
        layers = np.empty((num_clips, len(LAYERS), *shape), np.float32)
        scale, shift = np.float32(2 / 255), np.float32(-1)
        np.multiply(self.alpha, scale, out=layers[:, 1])
        layers[:, 1] += shift
        opacity = np.take(_unit_table(), self.alpha)
        np.multiply(self.foreground, scale, out=layers[:, 0])
        layers[:, 0] += shift
        layers[:, 0] *= opacity  # 2 * ((c - 0.5) * a + 0.5) - 1 = (2 c - 1) * a
        np.multiply(self.background, scale, out=layers[:, 2])
        layers[:, 2] += shift
        np.multiply(self.blended, np.float32(2), out=layers[:, 3])
        layers[:, 3] += shift
        return layers

    def first(self, num_clips: int) -> ClipBatch:
        """The first `num_clips` of these clips."""
        return ClipBatch(
            foreground=self.foreground[:num_clips],
            alpha=self.alpha[:num_clips],
            background=self.background[:num_clips],
            blended=self.blended[:num_clips],
            captions=self.captions[:num_clips],
            second=None if self.second is None else self.second[:num_clips],
        )


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Which cached clips are laid over each other, and which of their frames are shown."""

    front: NDArray[np.int64]  # [N] cached foregrounds
    behind: NDArray[np.int64]  # [N] cached backgrounds
    times: NDArray[np.int64]  # [N, F] frames; one frame throughout in a frozen clip
    captions: tuple[Captions, ...]
    second: NDArray[np.int64] | None = None  # [N] cached foregrounds between the two


class LayeredClips:
    """An endless supply of layered clips, from caches of rendered foregrounds and backgrounds."""

    def __init__(self, foregrounds: Pixels, backgrounds: Pixels, texts: ClipTexts) -> None:
        """Keep caches `foregrounds` [N, F, H, W, 4] straight and `backgrounds` [N, F, H, W, 3], with what they show."""
        self.foregrounds, self.backgrounds, self.texts = foregrounds, backgrounds, texts
        moving = np.array(texts.moving)
        self._rows = {"any": np.arange(len(moving)), "moving": np.flatnonzero(moving), "still": np.flatnonzero(~moving)}

    def batch(
        self, rng: np.random.Generator, size: int, *, frozen: float = 0.5, sprites: str = "any"
    ) -> tuple[Floats, list[Captions]]:
        """Float32 [N, L, F, H, W, 3] in [-1, 1] with their captions; a share `frozen` shows one frame throughout.

        `sprites` picks the foregrounds: "any", "moving" (animated sprites) or "still" (high-quality stills).
        """
        clips = self.layers(rng, size, frozen=frozen, sprites=sprites)
        return clips.tensors(), list(clips.captions)

    def layers(self, rng: np.random.Generator, size: int, *, frozen: float = 0.5, sprites: str = "any") -> ClipBatch:
        """Paired clips as pictures; see `batch`."""
        return self._composed(self.draw(rng, size, frozen=frozen, sprites=sprites))

    def draw(self, rng: np.random.Generator, size: int, *, frozen: float = 0.5, sprites: str = "any") -> Pairs:
        """Random pairs of cached clips; see `batch`."""
        front = rng.choice(self._rows[sprites], size)
        behind = rng.integers(len(self.backgrounds), size=size)
        return self._pairs(front, behind, rng, frozen)

    def paired(
        self,
        front: NDArray[np.int64],
        behind: NDArray[np.int64],
        rng: np.random.Generator,
        *,
        frozen: float,
        second: NDArray[np.int64] | None = None,
    ) -> ClipBatch:
        """Clips of the cached foregrounds `front` over the cached backgrounds `behind`, row by row.

        With the foregrounds `second`, the same clips with these in between.
        """
        pairs = self._pairs(front, behind, rng, frozen)
        return self._composed(pairs if second is None else self._with_second(pairs, second, rng))

    def _pairs(
        self, front: NDArray[np.int64], behind: NDArray[np.int64], rng: np.random.Generator, frozen: float
    ) -> Pairs:
        size, num_frames = len(front), self.foregrounds.shape[1]
        times = np.broadcast_to(np.arange(num_frames), (size, num_frames)).copy()
        still = rng.random(size) < frozen
        times[still] = rng.integers(num_frames, size=(size, 1))[still]
        captions = tuple(self._captions(f, b, rng) for f, b in zip(front, behind, strict=True))
        return Pairs(front=front, behind=behind, times=times, captions=captions)

    def _with_second(self, pairs: Pairs, second: NDArray[np.int64], rng: np.random.Generator) -> Pairs:
        captions = []
        for (first, background, _), place in zip(pairs.captions, second, strict=True):
            behind = self._foreground_caption(int(place), rng)
            captions.append((first, background, blended_caption(f"{first} and {behind}", background), behind))
        return replace(pairs, second=second, captions=tuple(captions))

    def _composed(self, pairs: Pairs) -> ClipBatch:
        second = None if pairs.second is None else self.foregrounds[pairs.second[:, None], pairs.times]
        return compose(
            self.foregrounds[pairs.front[:, None], pairs.times],
            self.backgrounds[pairs.behind[:, None], pairs.times],
            pairs.captions,
            second=second,
        )

    def _captions(self, front: int, behind: int, rng: np.random.Generator) -> Captions:
        foreground = self._foreground_caption(front, rng)
        background = background_caption(self.texts.backgrounds[behind], self.backgrounds[behind, 0, ::4, ::4], rng)
        return foreground, background, blended_caption(foreground, background)

    def _foreground_caption(self, place: int, rng: np.random.Generator) -> str:
        label, tags = self.texts.foregrounds[place]
        return foreground_caption(label, tags, rng)


@dataclass(frozen=True, kw_only=True)
class ClipTexts:
    """What the cached clips show: label and tags per foreground, class per background, which sprites are animated."""

    foregrounds: tuple[tuple[str, tuple[str, ...]], ...]
    backgrounds: tuple[str, ...]
    moving: tuple[bool, ...]


def draw_clips(
    sprites: Sequence[Source],
    photos: Sequence[Source],
    rng: np.random.Generator,
    num_clips: int,
    *,
    config: RenderConfig | None = None,
    procedural: float = 0.1,
) -> LayeredClips:
    """`num_clips` rendered foregrounds and as many backgrounds, every source in turn; a share of the latter made up."""
    config = config or RenderConfig()
    shape = (num_clips, config.num_frames, config.height, config.width)
    foregrounds, backgrounds = np.empty((*shape, 4), np.uint8), np.empty((*shape, 3), np.uint8)
    front, labels = [sprites[i % len(sprites)] for i in range(num_clips)], []
    with one_thread():
        for i, sprite in enumerate(front):
            foregrounds[i] = render_foreground(sprite.frames(config.num_frames, rng), rng, config)
            photo = photos[i % len(photos)]
            if rng.random() < procedural:
                photo = Source(label="gradient", pixels=procedural_photo(rng))
            backgrounds[i] = render_background(photo.pixels, rng, config)
            labels.append(photo.label)
    texts = ClipTexts(
        foregrounds=tuple((s.label, s.tags) for s in front),
        backgrounds=tuple(labels),
        moving=tuple(s.moves for s in front),
    )
    return LayeredClips(foregrounds, backgrounds, texts)


def training_clips(pack: Path, rng: np.random.Generator, num_clips: int = 5120) -> LayeredClips:
    """Clips of the packed dataset's training part: two thirds animated sprites, one third stills."""
    sprites, stills, photos = read_pack(pack, held_out=False)
    share = min(len(stills), len(sprites) // 2)
    rounds = -(-num_clips // (len(sprites) + share))
    order: list[Source] = []
    for _ in range(rounds):
        order += [*sprites, *(stills[i] for i in rng.permutation(len(stills))[:share])]
    return draw_clips(order, photos, rng, num_clips)


def read_pack(pack: Path, *, held_out: bool) -> tuple[list[Source], list[Source], list[Source]]:
    """Animated sprites, stills and photos of the packed dataset: the part held out of training, or the other."""
    sprites, stills, photos = (read_group(pack, name, held_out=held_out) for name in ("sprites", "stills", "photos"))
    return sprites, stills, photos


def read_group(pack: Path, name: str, *, held_out: bool) -> list[Source]:
    """The sources of one file of the packed dataset, "sprites" and so on; see `read_pack`."""
    records = json.loads((pack / "captions.json").read_text(encoding="utf-8"))[name]
    held = set(json.loads((pack / "split.json").read_text(encoding="utf-8"))[name])
    pixels = np.load(pack / f"{name}.npy", mmap_mode="r")
    rows = [i for i, record in enumerate(records) if (record["id"] in held) == held_out]
    return [_source(records[i], pixels[i]) for i in rows]


def compose(
    foreground: Pixels, background: Pixels, captions: Sequence[Captions], *, second: Pixels | None = None
) -> ClipBatch:
    """Layers and blended picture of `foreground` [N, F, H, W, 4] straight over `background` [N, F, H, W, 3].

    With a `second` foreground, that is between the two.
    """
    return ClipBatch(
        foreground=foreground[..., :3],
        alpha=foreground[..., 3:],
        background=background,
        blended=laid_over([foreground] if second is None else [foreground, second], background),
        captions=tuple(captions),
        second=second,
    )


def laid_over(fronts: Sequence[Pixels], background: Pixels) -> Floats:
    """sRGB values in [0, 1] of `fronts` [..., 4] straight, the first on top, over `background` [..., 3].

    In scene-linear light; what has nothing in front of it stays as it is.
    """
    shown = np.take(_unit_table(), background)
    seen = np.flatnonzero(np.logical_or.reduce([front[..., 3] for front in fronts]))
    light = np.take(linear_table(), background.reshape(-1, 3)[seen])
    for front in reversed(fronts):
        pixels = front.reshape(-1, 4)[seen]
        weight = np.take(_unit_table(), pixels[:, 3:])
        light = light + weight * (np.take(linear_table(), pixels[:, :3]) - light)
    shown.reshape(-1, 3)[seen] = encode_srgb(light)
    return shown


@cache
def linear_table() -> Floats:
    """Scene-linear light of each 8-bit sRGB code, float32 [256]. IEC 61966-2-1."""
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encode_srgb(linear: Floats) -> Floats:
    """sRGB codes in [0, 1] of scene-linear light in [0, 1], by a table of 2^16 steps (off by less than 2e-4)."""
    index = (linear * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    return np.take(_srgb_table(), index)


@cache
def _srgb_table() -> Floats:
    linear = np.arange(65536) / 65535
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


@cache
def _unit_table() -> Floats:
    return (np.arange(256) / 255).astype(np.float32)


def _source(record: dict[str, object], pixels: Pixels) -> Source:
    if pixels.shape[-1] == 4 and pixels.ndim == 3:
        pixels = pixels[None]
    frames = record.get("num_frames")
    if isinstance(frames, int) and pixels.ndim == 4:
        pixels = pixels[:frames]
    tags = record.get("tags")
    return Source(label=str(record["label"]), pixels=pixels, tags=tuple(tags) if isinstance(tags, list) else ())
