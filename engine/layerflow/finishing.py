"""From the model's layers of a window to its frames on disk. Made for a thread of its own: nothing here changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from layerflow.assemble import Frame, assemble
from layerflow.delivery import Delivery
from layerflow.denoisers import raise_if
from layerflow.frame_windows import Window
from layerflow.layout import Layout
from layerflow.plate import Plate
from layerflow.preprocess import Fit


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """What the frames of a shot are made with, besides their layers."""

    plate: Plate | None  # that no other thread reads
    layout: Layout
    fit: Fit
    delivery: Delivery
    stopped: Callable[[], bool]

    def write(self, window: Window, made: Mapping[str, Tensor], header: Mapping[str, str]) -> tuple[str, ...]:
        """Writes the new frames of `window`, of layers `[F, 3, h, w]`; sentences on what was assumed and repaired.

        Raises OutputError, PlateError, and Interrupted between two frames.
        """
        notes: dict[str, None] = {}
        for frame in window.new:
            index = window.frames.index(frame)
            notes |= dict.fromkeys(self._write(frame, {name: clip[index] for name, clip in made.items()}, header))
        return tuple(notes)

    def _write(self, number: int, made: Mapping[str, Tensor], header: Mapping[str, str]) -> tuple[str, ...]:
        raise_if(self.stopped)
        frame = None if self.plate is None else self._read(self.plate, number)
        layers = assemble(made, frame, self.layout, self.fit, self.delivery.colorspace)
        seen = {} if frame is None else {"layerflow:plateSha256": frame.sha256()}
        raise_if(self.stopped)
        repairs = self.delivery.write(number, layers, {**header, **seen})
        return (*(self.plate.notes if self.plate else ()), *repairs)

    def _read(self, plate: Plate, number: int) -> Frame:
        return Frame(pixels=plate.read(number), colorspace=plate.colorspace)
