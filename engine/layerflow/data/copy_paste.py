"""Layered clips made on the fly: foregrounds with alpha pasted over backgrounds, moving, lit and focused at random.

Clip i of seed s follows from (s, i) alone: whatever made it before, and in which process, its bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from layerflow import layers
from layerflow.data.clip import LayeredClip, as_codes, layered, straight
from layerflow.data.light import Floats, Pixels, shown, taken, to_codes
from layerflow.data.looks import defocused, draw_look
from layerflow.data.motion import Movement, Path, Pose, placed, sized
from layerflow.data.pictures import covering, one_thread
from layerflow.data.shadow import OWNERS, Owner, Shadow, darkened, under
from layerflow.data.words import blended_caption


class Source(Protocol):
    """A still or a clip to paste, or to paste over."""

    @property
    def caption(self) -> str:
        """What it shows."""
        ...

    @property
    def num_frames(self) -> int:
        """1 for a still."""
        ...

    def read(self, frame: int) -> Pixels:
        """Frame `frame`, from 0: uint8 [h, w, 3 | 4] straight sRGB."""
        ...


@dataclass(frozen=True, kw_only=True)
class CopyPasteConfig:
    """How far pictures may differ from how they came. Lengths are shares of the canvas height unless said otherwise."""

    min_scale: float = 0.35
    max_scale: float = 1.0
    still: float = 0.25  # share of foregrounds that do not move over the canvas, and of backgrounds that do not pan
    max_drift: float = 0.5
    max_turn: float = 0.2  # radians
    max_zoom: float = 0.15  # change of size over a clip
    bounce: float = 0.2  # share of foregrounds that hop
    mirror: bool = True
    min_crop: float = 0.6  # of the background's height
    colour: float = 0.1  # largest change of one channel's gain
    exposure: float = 0.3  # stops, up or down over a clip, of all layers together
    shutter: float = 0.5  # of a frame; 0 is no motion blur
    defocus: float = 0.25  # share of clips with the foreground or the background out of focus
    max_defocus: float = 0.03
    shadows: Owner = "background"
    shadowed: float = 0.6  # share of foregrounds that cast a shadow
    linear: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(f"scales must rise from above 0, got {self.min_scale} to {self.max_scale}")
        if self.shadows not in OWNERS:
            raise ValueError(f"shadows belong to one of {', '.join(OWNERS)}; got {self.shadows!r}")
        for name in ("still", "bounce", "min_crop", "defocus", "shadowed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """How large and long clips are, and of how many foregrounds."""

    num_frames: int = 8
    height: int = 64
    width: int = 96
    num_foregrounds: int = 1

    def __post_init__(self) -> None:
        if min(self.num_frames, self.height, self.width, self.num_foregrounds) < 1:
            raise ValueError(f"a clip has frames, a size and a foreground, got {self}")

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True, kw_only=True)
class CopyPaste:
    """A map-style dataset of `length` layered clips, for a torch DataLoader or by itself."""

    foregrounds: Sequence[Source]
    backgrounds: Sequence[Source]
    shape: ClipShape
    config: CopyPasteConfig
    seed: int = 0
    length: int = 1_000_000

    def __post_init__(self) -> None:
        if not self.foregrounds or not self.backgrounds:
            raise ValueError(
                f"pasting needs foregrounds and backgrounds, got {len(self.foregrounds)} and {len(self.backgrounds)}"
            )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> LayeredClip:
        """Clip `index`."""
        if not 0 <= index < self.length:
            raise IndexError(f"clip {index} of {self.length}")
        return self.clip(np.random.default_rng([self.seed, index]))

    def clip(self, rng: np.random.Generator) -> LayeredClip:
        """The clip that follows from the state of `rng`."""
        many = len(self.foregrounds) >= self.shape.num_foregrounds
        fronts = rng.choice(len(self.foregrounds), self.shape.num_foregrounds, replace=not many)
        behind = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        return paste([self.foregrounds[int(front)] for front in fronts], behind, rng, self.shape, self.config)


def paste(
    foregrounds: Sequence[Source],
    background: Source,
    rng: np.random.Generator,
    shape: ClipShape,
    config: CopyPasteConfig,
) -> LayeredClip:
    """One clip of `foregrounds`, top first, over `background`."""
    exposure = rng.uniform(-1, 1) * config.exposure
    stops = (-exposure / 2, exposure / 2)
    blurred = int(rng.integers(len(foregrounds) + 1)) if rng.random() < config.defocus else -1
    with one_thread():
        below = _background(background, rng, shape, config, stops, out_of_focus=blurred == len(foregrounds))
        fronts: list[Floats] = []
        for number in reversed(range(len(foregrounds))):  # from the lowest, so that shadows fall on what is there
            front, shadow = _foreground(foregrounds[number], rng, shape, config, stops, out_of_focus=blurred == number)
            if config.shadows == "foreground":
                front = under(front, shadow)
            elif config.shadows == "background":
                below = darkened(below, shadow)
                fronts = [darkened(lower, shadow) for lower in fronts]
            fronts.insert(0, front)
    captions = tuple(source.caption for source in foregrounds)
    return layered(
        [as_codes(front, linear=config.linear) for front in fronts],
        to_codes(shown(below, linear=config.linear)),
        (*captions, background.caption, blended_caption(captions, background.caption)),
        linear=config.linear,
    )


def window(num_source: int, num_frames: int, rng: np.random.Generator) -> list[int]:
    """`num_frames` consecutive frames of a source from a random one on; there and back where it is too short."""
    if num_source == 1:
        return [0] * num_frames
    if num_source >= num_frames:
        first = int(rng.integers(num_source - num_frames + 1))
        return list(range(first, first + num_frames))
    there_and_back = [*range(num_source), *range(num_source - 2, 0, -1)]
    first = int(rng.integers(len(there_and_back)))
    return [there_and_back[(first + number) % len(there_and_back)] for number in range(num_frames)]


def _foreground(
    source: Source,
    rng: np.random.Generator,
    shape: ClipShape,
    config: CopyPasteConfig,
    stops: tuple[float, float],
    *,
    out_of_focus: bool,
) -> tuple[Floats, Floats]:
    """Premultiplied [F, H, W, 4], and the light [F, H, W] that its shadow takes."""
    path = _foreground_path(rng, shape, config)
    mirrored = config.mirror and rng.random() < 0.5
    look = draw_look(rng, config.colour, stops)
    shadow = _draw_shadow(rng) if rng.random() < config.shadowed and config.shadows != "none" else None
    radius = rng.uniform(0.3, 1) * config.max_defocus * shape.height if out_of_focus else 0.0
    times = window(source.num_frames, shape.num_frames, rng)
    pictures: list[Floats] = []
    taken_light = np.zeros((shape.num_frames, *shape.canvas), np.float32)
    small = _Shrunk(source, path, lambda cut: shape.height * cut[0] / max(cut), linear=config.linear)
    for number, time in enumerate(times):
        cut, way = small.read(time)
        picture = placed(
            cut,
            way,
            number,
            shape.num_frames,
            shape.canvas,
            mirrored=mirrored,
            shutter=config.shutter,
        )
        picture = defocused(picture, radius, filled=False)
        if shadow is not None:
            lift = path.at(number / max(1, shape.num_frames - 1)).lift
            taken_light[number] = shadow.taken(np.ascontiguousarray(picture[..., 3]), lift)
        pictures.append(picture)
    return look.applied(np.stack(pictures)), taken_light


def _background(
    source: Source,
    rng: np.random.Generator,
    shape: ClipShape,
    config: CopyPasteConfig,
    stops: tuple[float, float],
    *,
    out_of_focus: bool,
) -> Floats:
    """Opaque [F, H, W, 3]."""
    times = window(source.num_frames, shape.num_frames, rng)
    first = source.read(times[0])
    crop = rng.uniform(config.min_crop, 1.0)
    covered = covering(shape.height, shape.width, first.shape[:2])
    path = _background_path(rng, shape, config, (covered[0] / crop, covered[1] / crop))
    mirrored = config.mirror and rng.random() < 0.5
    look = draw_look(rng, config.colour, stops)
    radius = rng.uniform(0.3, 1) * config.max_defocus * shape.height if out_of_focus else 0.0
    pictures: list[Floats] = []
    small = _Shrunk(source, path, lambda cut: covered[0] / crop, linear=config.linear)
    for number, time in enumerate(times):
        whole, way = small.read(time)
        picture = placed(
            whole,
            way,
            number,
            shape.num_frames,
            shape.canvas,
            mirrored=mirrored,
            shutter=config.shutter,
            filled=True,
        )
        pictures.append(defocused(picture, radius, filled=True))
    return look.applied(np.stack(pictures))


class _Shrunk:
    """A source's frames no larger than a path shows them, premultiplied; each made once a clip."""

    def __init__(self, source: Source, path: Path, height: Callable[[tuple[int, int]], float], *, linear: bool) -> None:
        """Frames of `source`, `height` pixels high (a function of their own size) where the path's scale is 1."""
        self._source, self._path, self._height, self._linear = source, path, height, linear
        self._made: dict[int, tuple[Floats, Path]] = {}

    def read(self, frame: int) -> tuple[Floats, Path]:
        """Frame `frame` [h, w, 3 | 4], and the path for it at that size."""
        if frame not in self._made:
            picture = self._source.read(frame)
            has_alpha = picture.shape[-1] == 4
            values = (
                layers.premultiply(straight(picture, linear=self._linear))
                if has_alpha
                else taken(picture, linear=self._linear)
            )
            self._made[frame] = sized(values, self._height(picture.shape[:2]), self._path)
        return self._made[frame]


def _foreground_path(rng: np.random.Generator, shape: ClipShape, config: CopyPasteConfig) -> Path:
    scale = float(rng.uniform(config.min_scale, config.max_scale))
    room = np.maximum(np.array([shape.width, shape.height]) * 0.5 - scale * shape.height * 0.3, 2.0)
    place = rng.uniform(-1, 1, 2) * room
    step = rng.uniform(-1, 1, 2) * config.max_drift * shape.height * np.array([1.0, 0.4])
    zoom = float(1 + rng.uniform(-1, 1) * config.max_zoom)
    turns = rng.uniform(-1, 1, 2) * config.max_turn
    start = Pose(x=float(place[0]), y=float(place[1]), scale=scale, turn=float(turns[0]))
    ends = np.clip(place + step, -room, room)
    end = Pose(x=float(ends[0]), y=float(ends[1]), scale=scale * zoom, turn=float(turns[0] + turns[1] / 2))
    movement = _draw_movement(rng, config.still, config.bounce)
    hops, height = int(rng.integers(1, 4)), float(rng.uniform(0.05, 0.25)) * shape.height
    return Path(movement=movement, start=start, end=end, hops=hops, height=height)


def _background_path(
    rng: np.random.Generator, shape: ClipShape, config: CopyPasteConfig, size: tuple[float, float]
) -> Path:
    """A pan inside of what a picture of `size` (height, width) shows more than the canvas, and a slow zoom in."""
    zoom = float(1 + rng.uniform(0, 1) * config.max_zoom)
    start_scale, end_scale = (1.0, zoom) if rng.random() < 0.5 else (zoom, 1.0)
    room = np.maximum((np.array([size[1] - shape.width, size[0] - shape.height]) - 2) / 2, 0.0)
    place = rng.uniform(-1, 1, 2) * room
    step = rng.uniform(-1, 1, 2) * config.max_drift * shape.height * np.array([1.0, 0.4])
    end = np.clip(place + step, -room, room)
    return Path(
        movement=_draw_movement(rng, config.still, 0.0),
        start=Pose(x=float(place[0]), y=float(place[1]), scale=start_scale, turn=0.0),
        end=Pose(x=float(end[0]), y=float(end[1]), scale=end_scale, turn=0.0),
    )


def _draw_movement(rng: np.random.Generator, still: float, bounce: float) -> Movement:
    draw = rng.random()
    if draw < still:
        return "still"
    if draw < still + bounce * (1 - still):
        return "bounce"
    return "ease" if rng.random() < 0.5 else "drift"


def _draw_shadow(rng: np.random.Generator) -> Shadow:
    strength, softness = float(rng.uniform(0.25, 0.7)), float(rng.uniform(0.01, 0.05))
    side = float(rng.uniform(-1, 1))
    if rng.random() < 0.5:
        return Shadow(kind="drop", strength=strength, softness=softness, x=side * 0.1, y=float(rng.uniform(0.02, 0.12)))
    return Shadow(kind="contact", strength=strength, softness=softness, x=side * 0.5, y=float(rng.uniform(0.1, 0.3)))
