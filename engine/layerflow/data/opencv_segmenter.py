"""Things that move by themselves, found without a model: camera movement taken out, the rest cut along colours.

Flow to a few frames before and after, minus what the camera makes of it, says where something moves; what both
directions agree on is not a piece of background that appears or goes. That is carried along the flow and averaged, and
GrabCut (Rother et al. 2004) over all frames at once, so that they share one pair of colour models, finds the edges.

What stands still is not found, nor is a thing apart from another that it touches.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from layerflow.data.camera import carried, flow, greys, own_movement, shrunk
from layerflow.data.light import Floats, Pixels
from layerflow.data.pictures import one_thread
from layerflow.data.segmenting import Masks, Track


@dataclass(frozen=True, kw_only=True)
class MotionSegmenter:
    """Finds what moves by itself."""

    side: int = 428  # pixels of the longer side that it works at
    gaps: tuple[int, ...] = (1, 2, 3)  # frames between those that are compared
    moving: float = 2.0  # movement, in multiples of a frame's median, that counts
    rounds: int = 3  # of averaging along the flow, and of GrabCut
    reach: float = 0.05  # of the longer side: how far from movement the thing may go on
    min_area: float = 0.002  # of the picture

    def tracks(self, frames: Pixels) -> list[Track]:
        """The moving things of `frames`, surest first; none of a single frame."""
        if len(frames) < 2:
            return []
        with one_thread():
            small = shrunk(frames, self.side)
            grey = greys(small)
            ahead = [flow(one, other) for one, other in itertools.pairwise(grey)]
            back = [flow(other, one) for one, other in itertools.pairwise(grey)]
            moving = _averaged(self._evidence(grey), ahead, back, self.rounds)
            masks = self._cut(small, moving)
            found = _linked(masks, moving, back, self.min_area)
            return [_enlarged(track, frames.shape[1:3]) for track in found]

    def _evidence(self, grey: list[Pixels]) -> Floats:
        """Own movement [F, H, W] in multiples of the frame's median."""
        rows = []
        for time in range(len(grey)):
            around = [[other for other in (time - gap, time + gap) if 0 <= other < len(grey)] for gap in self.gaps]
            seen = [[_relative(own_movement(flow(grey[time], grey[other]))) for other in both] for both in around]
            rows.append(np.median([np.minimum.reduce(both) for both in seen if both], axis=0))
        return np.stack(rows).astype(np.float32)

    def _cut(self, frames: Pixels, moving: Floats) -> Masks:
        num_frames, height, width = moving.shape
        kernel = np.ones((5, 5), np.uint8)
        seeds = [cv2.morphologyEx((row > self.moving).astype(np.uint8), cv2.MORPH_OPEN, kernel) for row in moving]
        far = 2 * round(self.reach * max(height, width)) + 1
        near = np.stack([cv2.dilate(seed, np.ones((far, far), np.uint8)) for seed in seeds]) > 0
        sure = np.stack(seeds) > 0
        if not sure.any() or near.all():
            return np.zeros(moving.shape, bool)
        trimap = np.where(sure, cv2.GC_PR_FGD, np.where(near, cv2.GC_PR_BGD, cv2.GC_BGD)).astype(np.uint8)
        tall = cv2.cvtColor(frames.reshape(-1, width, 3), cv2.COLOR_RGB2BGR)
        cut = trimap.reshape(-1, width)
        cv2.setRNGSeed(0)  # its colour models begin at random
        thing, rest = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(tall, cut, (0, 0, 0, 0), rest, thing, self.rounds, cv2.GC_INIT_WITH_MASK)
        found = (cut == cv2.GC_PR_FGD).astype(np.uint8).reshape(num_frames, height, width)
        closed = [cv2.morphologyEx(cv2.morphologyEx(f, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel) for f in found]
        return np.stack(closed) > 0


def _relative(movement: Floats) -> Floats:
    return np.asarray(movement / (np.median(movement) + np.float32(0.3)), np.float32)


def _averaged(moving: Floats, ahead: list[Floats], back: list[Floats], rounds: int) -> Floats:
    """`moving` [F, H, W] as the mean of what is carried from the frames around, again and again."""
    for _ in range(rounds):
        rows = []
        for time, row in enumerate(moving):
            seen = [row]
            if time + 1 < len(moving):
                seen.append(carried(moving[time + 1], ahead[time]))
            if time:
                seen.append(carried(moving[time - 1], back[time - 1]))
            rows.append(np.mean(seen, axis=0))
        moving = np.stack(rows).astype(np.float32)
    return moving


def _linked(masks: Masks, moving: Floats, back: list[Floats], min_area: float) -> list[Track]:
    """The connected parts of `masks` frame by frame, each linked to the one before that it overlaps most."""
    tracks: list[Masks] = []
    smallest = min_area * masks[0].size
    for time, mask in enumerate(masks):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        for number in range(1, count):
            if stats[number, cv2.CC_STAT_AREA] >= smallest:
                part = labels == number
                _link(tracks, part, time, masks.shape, back)
    scored = [Track(masks=track, score=float((moving * track).sum() / moving.size)) for track in tracks]
    return sorted(scored, key=lambda track: -track.score)


def _link(tracks: list[Masks], part: Masks, time: int, shape: tuple[int, ...], back: list[Floats]) -> None:
    best, overlap = None, 0.2
    for track in tracks:
        if time == 0:
            break
        before = carried(track[time - 1].astype(np.float32), back[time - 1]) > 0.5
        shared = (before & part).sum() / max(1, min(before.sum(), part.sum()))
        if shared > overlap:
            best, overlap = track, shared
    if best is None:
        best = np.zeros(shape, bool)
        tracks.append(best)
    best[time] |= part


def _enlarged(track: Track, size: tuple[int, int]) -> Track:
    soft = [cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0) for mask in track.masks]
    masks = [cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_CUBIC) for mask in soft]
    return Track(masks=np.stack(masks) > 0.5, score=track.score, label=track.label)
