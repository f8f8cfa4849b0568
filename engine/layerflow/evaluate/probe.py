"""Whether a layer shows what its prompt asks for: the right words among sixteen.

There is no CLIP here, so a probe is fitted on renders of the sprites and photographs that the bundled model learns
from: linear discriminants of small pictures (Fisher 1936; Rao 1948), and the place of each label's mean among them. A
picture's label is the one of the candidates whose mean lies in its direction. On fresh renders of seen sprites, moved,
turned and tinted anew, that is right more often than a ridge regression onto the text encoder's embeddings; what it is
worth there is kept with it as its ceiling. It knows nothing but what it was fitted on.

Pictures are display-referred in [0, 1]; letters: N clips, F frames, D features, K directions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from layerflow.layers import Pixels

Probed = Literal["foreground", "background"]
Features = NDArray[np.float32]

CANDIDATES = 16
SIDE = 24  # pixels of a cut-out foreground
MARGIN = 1.1  # its sides, of those of what is there
THERE = 0.3  # alpha of that
BANDS = 8  # a background is seen in, from top to bottom
SLOPES = 8  # directions its edges are told apart by, in half as many bands
COMPONENTS, DIRECTIONS = 256, 64  # principal ones first, so that the covariance within a label can be told
SHRINK = 1e-3  # of its mean variance, added to all


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A fitted probe."""

    labels: tuple[str, ...]
    mean: Features  # [D] of all pictures
    directions: Features  # [D, K]
    centres: Features  # [labels, K], of length 1
    ceiling: float  # share of fresh real renders that are told right among CANDIDATES

    def likeness(self, features: Features | None) -> Features:
        """Cosine of the clip with `features` [F, D] to each label, [labels]; all 0 where nothing is to be seen."""
        if features is None:
            return np.zeros(len(self.labels), np.float32)
        place = unit((features - self.mean) @ self.directions)
        return np.asarray(self.centres @ unit(place.mean(axis=0)), np.float32)

    def is_right(self, features: Features | None, label: int, others: Sequence[int]) -> bool:
        """Whether `label` is nearer than all `others`; never where there is nothing to be seen."""
        likeness = self.likeness(features)
        return bool(likeness[label] > max(likeness[other] for other in others))

    def save(self, path: Path) -> None:
        """Writes it, in half floats, as safetensors."""
        told = {"labels": json.dumps(self.labels, ensure_ascii=False), "ceiling": f"{self.ceiling:.4f}"}
        numbers = {name: getattr(self, name).astype(np.float16) for name in ("mean", "directions", "centres")}
        save_file(numbers, path, metadata=told)

    @classmethod
    def load(cls, path: Path) -> Probe:
        """What `save` wrote."""
        with safe_open(path, framework="numpy") as held:
            told = held.metadata()
            numbers = {name: held.get_tensor(name).astype(np.float32) for name in held.keys()}  # noqa: SIM118
        return cls(labels=tuple(json.loads(told["labels"])), ceiling=float(told["ceiling"]), **numbers)


@cache
def bundled_probe(layer: Probed) -> Probe:
    """The probe that ships with the package, made by `benchmarks/probe.py`."""
    with as_file(files("layerflow.evaluate") / "heldout" / f"{layer}_probe.safetensors") as path:
        return Probe.load(path)


def fit(features: Features, rows: NDArray[np.int64], labels: Sequence[str]) -> Probe:
    """The probe of pictures `features` [N, D], which show `labels[rows]`; its ceiling is not known yet."""
    mean = features.mean(axis=0)
    centred = features - mean
    principal = _largest_directions(centred, COMPONENTS)
    inside = centred @ principal
    means = np.stack([inside[rows == row].mean(axis=0) for row in range(len(labels))])
    within = inside - means[rows]
    whitening = _whitening(within.T @ within / len(within))
    middle = means.mean(axis=0)
    spread = (means - middle) @ whitening
    _, _, leading = np.linalg.svd(spread, full_matrices=False)
    chosen = leading[:DIRECTIONS].T
    directions = (principal @ whitening @ chosen).astype(np.float32)
    shifted = mean + principal @ middle  # so that the labels' means are around 0
    return Probe(
        labels=tuple(labels),
        mean=shifted.astype(np.float32),
        directions=directions,
        centres=unit((spread @ chosen).astype(np.float32)),
        ceiling=float("nan"),
    )


def share_right(probe: Probe, clips: Sequence[Features | None], rows: Sequence[int], rng: np.random.Generator) -> float:
    """The share of `clips`, features [F, D] each, whose label `rows` is told from 15 others; see `candidates`."""
    told = [
        probe.is_right(clip, row, candidates(row, len(probe.labels), rng))
        for clip, row in zip(clips, rows, strict=True)
    ]
    return float(np.mean(told))


def candidates(row: int, num_labels: int, rng: np.random.Generator) -> list[int]:
    """At random, the labels that label `row` has to be told from: one less than CANDIDATES, where there are so many."""
    others = np.delete(np.arange(num_labels), row)
    return [int(other) for other in rng.permutation(others)[: CANDIDATES - 1]]


def foreground_features(clip: Pixels) -> Features | None:
    """[F, D] of the frames of a straight foreground [F, H, W, 4] that show something; None where none does.

    What is there is cut out with a margin and made SIDE pixels wide and high; its colour over grey, and its alpha.
    """
    cut = [cut_out(frame) for frame in clip]
    seen = [each.reshape(-1) for each in cut if each is not None]
    return np.stack(seen) if seen else None


def background_features(clip: Pixels) -> Features:
    """[F, D] of the frames of a background [F, H, W, 3]: of its bands the colours, and how many edges run which way.

    Small pictures of it did worse: a photograph is cropped, mirrored and panned, and a class is of few photographs.
    """
    return np.stack([np.concatenate([_colours(frame), _slopes(frame)]) for frame in clip.astype(np.float32)])


FEATURES: dict[Probed, Callable[[Pixels], Features | None]] = {
    "foreground": foreground_features,
    "background": background_features,
}


def cut_out(frame: Pixels) -> Pixels | None:
    """What is there of a straight frame [H, W, 4], [SIDE, SIDE, 4]; None where alpha is nowhere above THERE."""
    rows, columns = (np.flatnonzero((frame[..., 3] > THERE).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    scale = SIDE / (MARGIN * max(bottom - top, right - left))
    alpha = frame[..., 3:]
    held = np.concatenate([(frame[..., :3] - np.float32(0.5)) * alpha, alpha], axis=-1).astype(np.float32)
    if scale < 1:  # no finer than what it becomes
        held = np.asarray(cv2.GaussianBlur(held, (0, 0), 0.4 / scale), np.float32)
    move = np.array([[scale, 0, (SIDE - scale * (left + right)) / 2], [0, scale, (SIDE - scale * (top + bottom)) / 2]])
    return np.asarray(cv2.warpAffine(held, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR), np.float32)


def unit(vectors: NDArray[np.floating]) -> Features:
    """`vectors` [..., K], each of length 1; of no length where it was 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def _colours(frame: Pixels) -> Features:
    """Mean and deviation of each band and channel."""
    bands = np.array_split(frame, BANDS)
    told = [measure(band, axis=(0, 1)) for measure in (np.mean, np.std) for band in bands]
    return np.concatenate(told).astype(np.float32)


def _slopes(frame: Pixels) -> Features:
    """Root of the mean gradient of each band by its direction, shared between the two nearest ones; sign left out."""
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    across, down = (cv2.Sobel(luma, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strength = np.hypot(across, down)
    place = (np.arctan2(down, across) % np.pi) / np.pi * SLOPES
    off = np.abs(place[..., None] - np.arange(SLOPES))
    weight = (1 - np.minimum(off, SLOPES - off)).clip(0, 1) * strength[..., None]
    bands = [band.mean(axis=(0, 1)) for band in np.array_split(weight, BANDS // 2)]
    return np.asarray(np.sqrt(np.concatenate(bands)), np.float32)


def _largest_directions(centred: Features, count: int) -> NDArray[np.float64]:  # [N, D] -> [D, count]
    if len(centred) < centred.shape[1]:
        return np.asarray(np.linalg.svd(centred, full_matrices=False)[2][:count].T, np.float64)
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(centred))
    return np.asarray(vectors[:, ::-1][:, :count])


def _whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """What makes every direction as wide as every other one."""
    held = covariance + SHRINK * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(held)
    return np.asarray(vectors / np.sqrt(values))
