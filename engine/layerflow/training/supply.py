"""What training is fed with: layered clips from caches that are drawn anew, a few clips a step, for as long as it runs.

Every clip of a cache follows from the seed, its place and how often that place was drawn, so a resumed training has the
clips of an undisturbed one.

Letters: N clips, L layers, F frame, H W pixels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerflow.training.captions import background_caption, blended_caption, foreground_caption
from layerflow.training.clips import Source, laid_over, read_group
from layerflow.training.render import (
    Floats,
    Pixels,
    RenderConfig,
    one_thread,
    procedural_photo,
    render_background,
    render_foreground,
)
from layerflow.training.roto import rough_matte
from layerflow.training.shapes import draw_shape

Captions = tuple[str, ...]  # in the order of layout.ALL_PROMPTS
PROCEDURAL = 0.1  # share of backgrounds that are made up
FRAMED = 0.35  # share of foregrounds that words can ask for, drawn as somebody would frame them
ANIMATED = 0.8  # share of those that are animated
_UNIT = (np.arange(256) / 255).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What foregrounds and backgrounds are drawn of, and how often a foreground is of which kind."""

    sprites: Sequence[Source]  # animated
    stills: Sequence[Source]
    cutouts: Sequence[Source]
    photos: Sequence[Source]
    shares: tuple[float, ...] = (0.42, 0.14, 0.16, 0.28)  # sprites, stills, cut-outs, made-up shapes

    @classmethod
    def of_pack(cls, pack: Path, *, held_out: bool = False) -> Sources:
        """The training part of a packed dataset, in memory, or the part that is held out."""

        def group(name: str) -> list[Source]:
            return [_in_memory(one) for one in read_group(pack, name, held_out=held_out)]

        return cls(sprites=group("sprites"), stills=group("stills"), cutouts=group("cutouts"), photos=group("photos"))

    def foreground(self, rng: np.random.Generator, config: RenderConfig) -> Source:
        """One foreground, drawn at random."""
        kind = int(rng.choice(len(self.shares), p=self.shares))
        if kind == len(self.shares) - 1:
            photo = _one(self.photos, rng).pixels
            return Source(label="shape", pixels=draw_shape(rng, config.num_frames, config.height, photo[None]))
        return _one((self.sprites, self.stills, self.cutouts)[kind], rng)

    def subject(self, rng: np.random.Generator) -> Source:
        """One that words can ask for: a sprite, still or animated."""
        return _one(self.sprites if rng.random() < ANIMATED else self.stills, rng)

    def background(self, rng: np.random.Generator) -> Source:
        """One background, drawn at random."""
        if rng.random() < PROCEDURAL:
            return Source(label="gradient", pixels=procedural_photo(rng))
        return _one(self.photos, rng)


def _in_memory(source: Source) -> Source:
    return replace(source, pixels=np.ascontiguousarray(source.pixels))


def _one(sources: Sequence[Source], rng: np.random.Generator) -> Source:
    return sources[int(rng.integers(len(sources)))]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Clips of the caches, by their places, and which of their frames are shown."""

    fronts: NDArray[np.int64]  # [foregrounds, N], the first on top
    behind: NDArray[np.int64]  # [N]
    times: NDArray[np.int64]  # [N, F]; one frame throughout in a frozen clip
    captions: tuple[Captions, ...]


@dataclass(kw_only=True)
class Supply:
    """Layered clips without end. `advance` draws some of the caches anew."""

    sources: Sources
    config: RenderConfig = field(default_factory=RenderConfig)
    num_clips: int = 3072
    renewed: int = 4  # foregrounds and backgrounds drawn anew at each step
    seed: int = 0
    frozen: float = 0.5  # share of clips that show one frame throughout
    step: int = 0  # how often it was advanced

    def __post_init__(self) -> None:
        shape = (self.num_clips, self.config.num_frames, self.config.height, self.config.width)
        self.foregrounds, self.backgrounds = np.empty((*shape, 4), np.uint8), np.empty((*shape, 3), np.uint8)
        self.guides = np.empty(shape, np.uint8)  # rough mattes of the foregrounds
        self.framed = np.zeros(self.num_clips, bool)
        self.shown = [Source(label="", pixels=np.empty(0, np.uint8))] * self.num_clips
        self.places = [""] * self.num_clips
        with one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self._draw, range(self.num_clips)))

    def advance(self) -> list[int]:
        """Draws the next few places of the caches anew, and says which."""
        places = [(self.step * self.renewed + number) % self.num_clips for number in range(self.renewed)]
        self.step += 1
        with one_thread():
            for place in places:
                self._draw(place)
        return places

    def draw(self, rng: np.random.Generator, size: int, *, num_foregrounds: int = 1, framed: bool = False) -> Drawn:
        """Which clips of the caches are laid over each other, at random, the foregrounds of one never the same.

        Where a model makes up a foreground, it is one of those `framed`: whole, not small, and what words can ask for.
        """
        places = np.arange(self.num_clips)
        if framed and self.framed.sum() >= num_foregrounds:
            places = np.flatnonzero(self.framed)
        fronts = np.stack([rng.permutation(places)[:num_foregrounds] for _ in range(size)], axis=1)
        behind = rng.integers(self.num_clips, size=size)
        times = np.broadcast_to(np.arange(self.config.num_frames), (size, self.config.num_frames)).copy()
        still = rng.random(size) < self.frozen
        times[still] = rng.integers(self.config.num_frames, size=(size, 1))[still]
        captions = tuple(self._captions(fronts[:, place], int(behind[place]), rng) for place in range(size))
        return Drawn(fronts=fronts, behind=behind, times=times, captions=captions)

    def batch(
        self, rng: np.random.Generator, size: int, layers: Sequence[str], *, framed: bool = False
    ) -> tuple[Floats, list[Captions]]:
        """Float32 [N, L, F, H, W, 3] in [-1, 1] of these layers, with their captions; `framed` as `draw` has it.

        A foreground is over mid-grey, mattes are grey. With a foreground2, that is behind the first one and whole.
        """
        drawn = self.draw(rng, size, num_foregrounds=1 + ("foreground2" in layers), framed=framed)
        fronts = [self.foregrounds[row[:, None], drawn.times] for row in drawn.fronts]
        made = pictures(fronts, self.backgrounds[drawn.behind[:, None], drawn.times])
        made["guide"] = signed(self.guides[drawn.fronts[0][:, None], drawn.times][..., None])
        return np.stack([made[name] for name in layers], axis=1), list(drawn.captions)

    def _draw(self, place: int) -> None:
        times_drawn = -(-(self.step * self.renewed - place) // self.num_clips) if self.step else 0
        rng = np.random.default_rng((self.seed, place, max(times_drawn, 0)))
        self.framed[place] = rng.random() < FRAMED
        config = framing(self.config) if self.framed[place] else self.config
        source = self.sources.subject(rng) if self.framed[place] else self.sources.foreground(rng, config)
        self.foregrounds[place] = render_foreground(source.frames(config.num_frames, rng), rng, config)
        self.guides[place] = rough_matte(self.foregrounds[place, ..., 3], rng)
        self.shown[place] = Source(label=source.label, tags=source.tags, pixels=np.empty(0, np.uint8))
        behind = self.sources.background(rng)
        self.backgrounds[place] = render_background(behind.pixels, rng, self.config)
        self.places[place] = behind.label

    def _captions(self, fronts: NDArray[np.int64], behind: int, rng: np.random.Generator) -> Captions:
        shown = [foreground_caption(self.shown[place].label, self.shown[place].tags, rng) for place in fronts]
        background = background_caption(self.places[behind], self.backgrounds[behind, 0, ::4, ::4], rng)
        return shown[0], background, blended_caption(" and ".join(shown), background), *shown[1:]


def framing(config: RenderConfig) -> RenderConfig:
    """As `config`, but that a thing is whole, of some size, near the middle and in no hurry."""
    return replace(config, min_scale=0.6, max_scale=0.9, spread=0.3, max_drift=0.1)


def pictures(fronts: Sequence[Pixels], background: Pixels) -> dict[str, Floats]:
    """What a model is shown of foregrounds [N, F, H, W, 4] straight, the first on top, over backgrounds [.., 3].

    Float32 [N, F, H, W, 3] in [-1, 1] by layer. They are laid over each other in scene-linear light.
    """
    made: dict[str, Floats] = {"background": signed(background)}
    for number, front in reversed(list(enumerate(fronts, start=1))):
        suffix = "" if number == 1 else str(number)
        opacity = np.take(_UNIT, front[..., 3:])
        made["foreground" + suffix] = signed(front[..., :3]) * opacity  # over mid-grey
        made["alpha" + suffix] = signed(front[..., 3:])
    made["blended"] = laid_over(fronts, background) * np.float32(2) - np.float32(1)
    return made


def signed(codes: Pixels) -> Floats:
    """8-bit codes [..., 1 or 3] as float32 [..., 3] in [-1, 1]."""
    values: Floats = codes.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
    return np.broadcast_to(values, (*codes.shape[:-1], 3))
