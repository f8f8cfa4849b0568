"""From the model's layers of a window to its frames on disk. Made for a thread of its own: nothing here changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from layerflow.assemble import Frame, Made, assemble, takes_apart
from layerflow.closeup import CloseUp
from layerflow.decomposition import Decomposition
from layerflow.delivery import Delivery
from layerflow.denoisers import raise_if
from layerflow.frame_windows import Window
from layerflow.guides import GUIDED_BY, Guides
from layerflow.kept import Kept
from layerflow.layers import Pixels
from layerflow.layout import Layout
from layerflow.plate import Plate
from layerflow.preprocess import Fit
from layerflow.refine import Kind

RESIDUAL_ENERGY = "layerflow:residualEnergy"


@dataclass(frozen=True, kw_only=True)
class Finishing:
    """What the frames of a shot are made with, besides their layers."""

    plate: Plate | None  # that no other thread reads
    guides: Guides | None  # nor these
    kept: Kept | None  # nor these
    layout: Layout
    fit: Fit
    delivery: Delivery
    refine: Kind
    stopped: Callable[[], bool]

    def write(
        self, window: Window, made: Sequence[Made], header: Mapping[str, str], closeup: CloseUp | None = None
    ) -> tuple[str, ...]:
        """Writes the new frames of `window`, of the clips that were `made`; sentences on what was assumed and repaired.

        Raises OutputError, PlateError, and Interrupted between two frames.
        """
        apart = takes_apart(self.layout)
        write = self._write_apart(window, made, closeup) if apart else self._write_assembled(window, made)
        notes: dict[str, None] = {}
        for frame in window.new:
            raise_if(self.stopped)
            notes |= dict.fromkeys(write(frame, header))
        return tuple(notes)

    def _write_apart(
        self, window: Window, made: Sequence[Made], closeup: CloseUp | None
    ) -> Callable[..., tuple[str, ...]]:
        decomposition = Decomposition(
            frames=window.frames,
            made=made,
            read=self._read,
            fit=self.fit,
            target=self.delivery.colorspace,
            kind=self.refine,
            guided=None if self.guides is None else self.guides.at,
            closeup=closeup,
        )

        def write(number: int, header: Mapping[str, str]) -> tuple[str, ...]:
            layered, seen = decomposition.layers(number), _seen(decomposition.frame(number))
            if self.guides:
                seen[GUIDED_BY] = decomposition.clamps(number).sha256()
            notes = self._deliver(number, layered.layers, {**header, **seen, **_residual(layered.residual_energy)})
            return (*notes, *_residual_note(number, layered.residual_energy))

        return write

    def _write_assembled(self, window: Window, made: Sequence[Made]) -> Callable[..., tuple[str, ...]]:
        (clips,) = made

        def write(number: int, header: Mapping[str, str]) -> tuple[str, ...]:
            index = window.frames.index(number)
            frame = None if self.plate is None else self._read(number)
            pictures = {name: clip[index] for name, clip in clips.items()}
            layers = assemble(pictures, frame, self.layout, self.fit, self.delivery.colorspace)
            if self.kept:
                layers = self.kept.with_new(layers, number, self.delivery.colorspace)
            return self._deliver(number, layers, {**header, **({} if frame is None else _seen(frame))})

        return write

    def _deliver(self, number: int, layers: Mapping[str, Pixels], header: Mapping[str, str]) -> tuple[str, ...]:
        raise_if(self.stopped)
        repairs = self.delivery.write(number, layers, header)
        return (*(self.plate.notes if self.plate else ()), *repairs)

    def _read(self, number: int) -> Frame:
        assert self.plate is not None
        raise_if(self.stopped)
        return Frame(pixels=self.plate.read(number), colorspace=self.plate.colorspace)


def _seen(frame: Frame) -> dict[str, str]:
    return {"layerflow:plateSha256": frame.sha256()}


def _residual(energy: float) -> dict[str, str]:
    return {RESIDUAL_ENERGY: f"{energy:.3e}"} if energy else {}


def _residual_note(number: int, energy: float) -> tuple[str, ...]:
    if not energy:
        return ()
    return (
        f"frame {number} is brighter than its layers can be; what they lack, {energy:.1e} of its energy, is in its "
        "residual layer",
    )
