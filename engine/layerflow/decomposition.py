"""The frames of a window of a plate, taken apart into layers that put each of them back together exactly.

    plate -> display picture -> matte at the plate's size -> colours at the plate's size -> solved layers
      ^                                                                                           |
      └------------- what is behind a foreground is the plate of the next one -------------------┘

A frame's layers depend on its window alone: on what the model made of it, and on the plate's frames in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from layerflow import color, layers, recomposition, refine
from layerflow.assemble import Frame, Made, made_color, made_layer, made_matte
from layerflow.closeup import CloseUp
from layerflow.guides import Clamps
from layerflow.layers import Pixels, foreground_names
from layerflow.preprocess import Fit
from layerflow.recomposition import Peeled, Recomposed
from layerflow.refine import Kind, Matte

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Layered:
    """One frame's layers."""

    layers: dict[str, Pixels]  # top first; [H, W, 3], straight RGBA [H, W, 4] the foregrounds
    residual_energy: float  # sum of the residual's squares over the plate's; 0 without one


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """One window. Frames are to be asked for in their order: of each, no more is kept than the next one needs."""

    frames: tuple[int, ...]  # as the model was shown them; a short shot repeats its last
    made: Sequence[Made]  # one for each foreground, front to back
    read: Callable[[int], Frame]
    fit: Fit
    target: str  # the layers' linear space
    kind: Kind  # of refining
    guided: Callable[[int], Clamps] | None = None  # what an artist knows of a frame's alpha, whichever foreground's
    closeup: CloseUp | None = None  # of the only foreground, which is nowhere else
    _kept: dict[tuple[str, int, int], Any] = field(default_factory=dict, repr=False)

    def frame(self, number: int) -> Frame:
        """Frame `number` of the plate as it was read. Raises PlateError."""
        return self._frame(self._numbers.index(number))

    def clamps(self, number: int) -> Clamps:
        """What is known of the alpha of frame `number`, where there are guides. Raises PlateError."""
        assert self.guided is not None
        return self._once("clamps", 0, self._numbers.index(number), partial(self.guided, number))

    def layers(self, number: int) -> Layered:
        """The layers of frame `number`. Raises PlateError."""
        place = self._numbers.index(number)
        self._forget_before(place)
        plate, depths = self._plate(0, place), range(len(self.made))
        peeled = recomposition.peeled(plate, [self._solved(depth, place) for depth in depths])
        return Layered(layers=_named(peeled, plate), residual_energy=peeled.residual_energy)

    @cached_property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.frames))

    def _frame(self, place: int) -> Frame:
        return self._once("frame", 0, place, lambda: self.read(self._numbers[place]))

    def _plate(self, depth: int, place: int) -> Pixels:  # [H, W, 3] in the target space
        """What foreground number `depth` is in front of, itself included."""
        return self._once("plate", depth, place, lambda: self._make_plate(depth, place))

    def _make_plate(self, depth: int, place: int) -> Pixels:
        if depth:
            return recomposition.plate_behind(self._plate(depth - 1, place), self._solved(depth - 1, place))
        frame = self._frame(place)
        plate = color.convert(frame.pixels, frame.colorspace, self.target)
        return layers.opaque(plate) if frame.has_alpha else plate

    def _solved(self, depth: int, place: int) -> Recomposed:
        return self._once("solved", depth, place, lambda: self._solve(depth, place))

    def _solve(self, depth: int, place: int) -> Recomposed:
        plate, matte = self._plate(depth, place), self._clamped(self._matte(depth, place), place)
        tone = self._frame(place).tone
        foreground = self._enlarged(depth, place, lambda made, fit: made_color(made, fit, self.target, tone))
        background = self._enlarged(
            depth, place, lambda made, fit: made_layer(made["background"], fit, self.target, tone)
        )
        if self.kind != "off":
            foreground, background = refine.colours(plate, matte.alpha, foreground, background)
        return recomposition.solve(plate, matte.alpha, foreground, background, uncertainty=matte.uncertainty)

    def _clamped(self, matte: Matte, place: int) -> Matte:
        if self.guided is None:
            return matte
        clamps = self.clamps(self._numbers[place])
        alpha = clamps.applied(matte.alpha)
        return Matte(alpha=alpha, uncertainty=clamps.held(alpha, matte.uncertainty))

    def _matte(self, depth: int, place: int) -> Matte:
        near = range(max(place - 1, 0), min(place + 2, len(self._numbers)))
        pictures, mattes = ([make(depth, each) for each in near] for make in (self._picture, self._soft))
        cell = (self.closeup.fit if self.closeup else self.fit).cell
        return refine.matte(pictures, mattes, near.index(place), kind=self.kind, cell=cell)

    def _picture(self, depth: int, place: int) -> Pixels:  # [H, W, 3] in [0, 1]
        """The plate of foreground number `depth` as the model would see it."""
        return self._once("picture", depth, place, lambda: self._shown(self._plate(depth, place), place))

    def _shown(self, plate: Pixels, place: int) -> Pixels:
        return self._frame(place).tone.to_display(plate, self.target)

    def _soft(self, depth: int, place: int) -> Pixels:  # [H, W] in [0, 1]
        return self._once("soft", depth, place, lambda: self._make_soft(depth, place))

    def _make_soft(self, depth: int, place: int) -> Pixels:
        if self.closeup is None:
            return made_matte(self._made(depth, place), self.fit)
        nothing = np.zeros((self.fit.height, self.fit.width), np.float32)
        return self.closeup.over(nothing, made_matte(self._closer(self.closeup, place), self.closeup.fit))

    def _enlarged(self, depth: int, place: int, enlarge: Callable[[Made, Fit], Pixels]) -> Pixels:  # [H, W, 3]
        whole = enlarge(self._made(depth, place), self.fit)
        if self.closeup is None:
            return whole
        return self.closeup.over(whole, enlarge(self._closer(self.closeup, place), self.closeup.fit))

    def _made(self, depth: int, place: int) -> Made:  # [3, h, w]
        return self._at(self.made[depth], place)

    def _closer(self, closeup: CloseUp, place: int) -> Made:  # [3, h, w]
        return self._at(closeup.made, place)

    def _at(self, made: Made, place: int) -> Made:
        index = self.frames.index(self._numbers[place])
        return {name: clip[index] for name, clip in made.items()}

    def _once(self, what: str, depth: int, place: int, make: Callable[[], T]) -> T:
        key = what, depth, place
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def _forget_before(self, place: int) -> None:
        for what, depth, kept in list(self._kept):
            if kept < (place - 1 if what in ("picture", "soft") else place):
                del self._kept[what, depth, kept]


def _named(peeled: Peeled, plate: Pixels) -> dict[str, Pixels]:
    names = foreground_names(len(peeled.foregrounds))
    pairs = zip(peeled.foregrounds, peeled.alphas, strict=True)
    named = {name: layers.with_alpha(colour, alpha) for name, (colour, alpha) in zip(names, pairs, strict=True)}
    named |= {"background": peeled.background, "blended": plate}
    return named if peeled.residual is None else named | {"residual": peeled.residual}
