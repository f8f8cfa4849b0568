"""Layered clips out of dataset folders, for the trainer: stored layers, and pairs pasted on the fly.

Every clip of a batch follows from one number that the caller's generator draws, so a batch has the same bits whatever
was read before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from layerflow import layers
from layerflow.data.clip import Captions, LayeredClip, as_codes, layered, straight
from layerflow.data.copy_paste import ClipShape, CopyPaste, CopyPasteConfig, window
from layerflow.data.light import Floats, Pixels
from layerflow.data.manifest import Layer, Manifest, Record, read_manifest
from layerflow.data.pictures import covering, fitting, one_thread, resized
from layerflow.data.store import read_png
from layerflow.data.words import blended_caption
from layerflow.errors import PlateError

CACHE_BYTES = 1 << 30
_CUT = 0.15  # how much of a stored clip's height a random crop may leave out


class PictureCache:
    """Pictures read not long ago, at most `num_bytes` of them."""

    def __init__(self, num_bytes: int = CACHE_BYTES) -> None:
        self._room, self._used = num_bytes, 0
        self._held: OrderedDict[tuple[Path, int], Pixels] = OrderedDict()

    def read(self, path: Path, max_side: int) -> Pixels:
        """The PNG at `path`, no side above `max_side`. Raises PlateError."""
        key = path, max_side
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        picture = read_png(path)
        picture = resized(picture, *fitting(picture.shape[0], picture.shape[1], max_side))
        self._held[key] = picture
        self._used += picture.nbytes
        while self._used > self._room:
            self._used -= self._held.popitem(last=False)[1].nbytes
        return picture


@dataclass(frozen=True, kw_only=True)
class StoredSource:
    """A layer of an item as a source to paste."""

    folder: Path
    layer: Layer
    num_frames: int
    max_side: int
    cache: PictureCache = field(repr=False)

    @property
    def caption(self) -> str:
        """What it shows."""
        return self.layer.caption

    def read(self, frame: int) -> Pixels:
        """Frame `frame`, from 0: uint8 [h, w, 3 | 4] straight sRGB. Raises PlateError."""
        return self.cache.read(self.folder / (self.layer.files % (frame + 1)), self.max_side)


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """An item of layers that belong together, and what its dataset says of light."""

    folder: Path
    record: Record
    linear: bool


class LayeredFolder:
    """Layered clips of one size out of dataset folders: `batch` is what the trainer asks its data for."""

    def __init__(
        self,
        folders: Path | Sequence[Path],
        shape: ClipShape | None = None,
        *,
        held_out: bool = False,
        frozen: float = 0.5,
        config: CopyPasteConfig | None = None,
    ) -> None:
        """Open `folders`: their training part, or the one that is held out. Raises PlateError.

        A share `frozen` of the clips shows one frame throughout. Foregrounds of any folder are pasted over backgrounds
        of any, by `config` or by the first folder's recipe.
        """
        self.shape, self.frozen = shape or ClipShape(), frozen
        self._cache = PictureCache()
        paths = [folders] if isinstance(folders, Path) else list(folders)
        manifests = {path: read_manifest(path) for path in paths}
        self._stored = {
            kind: [
                _Stored(folder=path, record=record, linear=manifest.linear)
                for path, manifest in manifests.items()
                for record in manifest.part("layers", held_out=held_out)
                if _has(record, self.shape) and (kind == "any" or (record.kind == "clip") == (kind == "moving"))
            ]
            for kind in ("any", "moving", "still")
        }
        self._pasted = _pasted(manifests, self.shape, config or _config(manifests), self._cache, held_out=held_out)
        if not self._stored["any"] and "any" not in self._pasted:
            part = "held-out" if held_out else "training"
            raise PlateError(
                f"the {part} part of {', '.join(map(str, paths))} has no layers, and no foregrounds with backgrounds; "
                "make it with --backgrounds, or with another --hold-out"
            )

    def batch(
        self, rng: np.random.Generator, size: int, *, frozen: float | None = None, sprites: str = "any"
    ) -> tuple[Floats, list[Captions]]:
        """Float32 [N, G, F, H, W, 3] in [-1, 1] and captions, layers in the order of `layout.LAYERS`.

        With two foregrounds: foreground, its alpha, the second, its alpha, background, blended. `sprites` picks clips
        whose foreground came as "moving" footage, as a "still", or "any". Raises PlateError.
        """
        shape = self.shape
        num_layers = 2 * shape.num_foregrounds + 2
        out = np.empty((size, num_layers, shape.num_frames, shape.height, shape.width, 3), np.float32)
        captions: list[Captions] = []
        for place, clip in zip(out, self.clips(rng, size, frozen=frozen, sprites=sprites), strict=True):
            clip.tensors(place)
            captions.append(clip.captions)
        return out, captions

    def clips(
        self, rng: np.random.Generator, size: int, *, frozen: float | None = None, sprites: str = "any"
    ) -> Iterator[LayeredClip]:
        """Clips as pictures, one after another; see `batch`."""
        share = self.frozen if frozen is None else frozen
        seeds = rng.integers(2**63, size=size)
        return (self._clip(int(seed), share, sprites) for seed in seeds)

    def _clip(self, seed: int, frozen: float, sprites: str) -> LayeredClip:
        rng = np.random.default_rng(seed)
        stored, pasted = self._stored[sprites], self._pasted.get(sprites)
        num_pasted = len(pasted.foregrounds) if pasted else 0
        if len(stored) + num_pasted == 0:
            raise PlateError(f"the dataset has no {sprites} clips; add some, or leave that part of the training out")
        place = int(rng.integers(len(stored) + num_pasted))
        stays, frame = rng.random() < frozen, int(rng.integers(self.shape.num_frames))
        clip = pasted.clip(rng) if pasted and place >= len(stored) else self._read(stored[place], rng)
        return clip.held(frame) if stays else clip

    def _read(self, stored: _Stored, rng: np.random.Generator) -> LayeredClip:
        """A window of a stored item, cut to the shape at a random place, mirrored or not."""
        record, shape = stored.record, self.shape
        times = window(record.frames, shape.num_frames, rng)
        cut, mirrored = _crop(record, shape, rng), bool(rng.random() < 0.5)

        def frames(layer: Layer) -> Pixels:
            paths = [stored.folder / (layer.files % (time + 1)) for time in times]
            pictures = [cut.of(self._cache.read(path, cut.max_side)) for path in paths]
            whole = np.stack(pictures)
            return np.ascontiguousarray(whole[:, :, ::-1]) if mirrored else whole

        assert record.background is not None  # its role says so, and the manifest was checked
        with one_thread():
            fronts = [frames(layer) for layer in record.foregrounds]
            background = frames(record.background)
        return _merged(record, fronts, background, shape.num_foregrounds, linear=stored.linear)


@dataclass(frozen=True, kw_only=True)
class _Crop:
    """A place of a picture, by its size when it is scaled to (height, width)."""

    max_side: int
    height: int
    width: int
    y: int
    x: int
    shape: ClipShape

    def of(self, picture: Pixels) -> Pixels:
        """What of `picture` lies there."""
        scaled = resized(picture, self.height, self.width)
        return scaled[self.y : self.y + self.shape.height, self.x : self.x + self.shape.width]


def _crop(record: Record, shape: ClipShape, rng: np.random.Generator) -> _Crop:
    covered = covering(shape.height, shape.width, (record.height, record.width))
    grown = 1 / (1 - rng.uniform(0, _CUT))
    height, width = round(covered[0] * grown), round(covered[1] * grown)
    limit = max(covered) * 2  # so that the cache holds no more than is seen
    return _Crop(
        max_side=limit,
        height=height,
        width=width,
        y=int(rng.integers(height - shape.height + 1)),
        x=int(rng.integers(width - shape.width + 1)),
        shape=shape,
    )


def _merged(record: Record, fronts: list[Pixels], background: Pixels, wanted: int, *, linear: bool) -> LayeredClip:
    """A clip of the `wanted` topmost foregrounds; what lies below them is part of the background."""
    names = [layer.caption for layer in record.foregrounds]
    behind = record.background.caption if record.background else ""
    for lower in reversed(fronts[wanted:]):
        light = layers.over(straight(lower, linear=linear), straight(_opaque(background), linear=linear))
        background = as_codes(light, linear=linear)[..., :3]
    if names[wanted:]:
        behind = f"{behind} with {' and '.join(names[wanted:])}"
    blended = record.blended_caption or blended_caption(names[:wanted], behind)
    return layered(fronts[:wanted], background, (*names[:wanted], behind, blended), linear=linear)


def _opaque(background: Pixels) -> Pixels:
    return np.concatenate([background, np.full_like(background[..., :1], 255)], axis=-1)


def _has(record: Record, shape: ClipShape) -> bool:
    return len(record.foregrounds) >= shape.num_foregrounds


def _config(manifests: dict[Path, Manifest]) -> CopyPasteConfig:
    found = next((manifest.recipe for manifest in manifests.values() if manifest.recipe), {})
    try:
        return CopyPasteConfig(**found)
    except (TypeError, ValueError) as error:
        raise PlateError(f"the dataset's recipe is damaged ({error}); make the dataset again") from error


def _pasted(
    manifests: dict[Path, Manifest], shape: ClipShape, config: CopyPasteConfig, cache: PictureCache, *, held_out: bool
) -> dict[str, CopyPaste]:
    """What can be pasted, by the kind of foreground; empty where there are no pairs."""
    front_side = round(shape.height * config.max_scale * (1 + config.max_zoom)) + 1
    back_side = round(2 * max(shape.canvas) / max(config.min_crop, 0.1))

    def sources(role: str, max_side: int, kinds: tuple[str, ...]) -> list[StoredSource]:
        return [
            StoredSource(folder=path, layer=record.layers[0], num_frames=record.frames, max_side=max_side, cache=cache)
            for path, manifest in manifests.items()
            for record in manifest.items
            if record.role == role and record.held_out == held_out and record.kind in kinds
        ]

    backgrounds = sources("background", back_side, ("clip", "still"))
    by_kind = {"any": ("clip", "still"), "moving": ("clip",), "still": ("still",)}
    fronts = {name: sources("foreground", front_side, kinds) for name, kinds in by_kind.items()}
    return {
        name: CopyPaste(foregrounds=found, backgrounds=backgrounds, shape=shape, config=config)
        for name, found in fronts.items()
        if found and backgrounds
    }
