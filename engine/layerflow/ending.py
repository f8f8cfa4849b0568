"""The end of a layered shot, which another one goes on from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from layerflow import timecode, window
from layerflow.assemble import Frame, layer_pictures, stacked
from layerflow.errors import OutputError, PlateError, RequestError
from layerflow.exr import read_header
from layerflow.files import FramePattern
from layerflow.layers import PictureFormat, foreground_names, is_foreground, z_order
from layerflow.layout import Layout
from layerflow.plate import Plate, layer_names, open_plate
from layerflow.preprocess import Fit
from layerflow.seams import shared_frames
from layerflow.wire import Request

GOES_ON_FROM = "layerflow:endingSha256"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The layers of a shot that has frames to be added."""

    plates: Mapping[str, Plate]  # by layer of the model: each foreground, background and blended
    num_frames: int  # to be added
    length: int  # how many frames at its end the model is shown
    shared: int  # how many of them the first window makes too

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers of the frames to be added."""
        last = self._any.frames[-1]
        return tuple(range(last + 1, last + 1 + self.num_frames))

    @property
    def tail(self) -> tuple[int, ...]:
        """Numbers of the frames that are known to the first window."""
        return self._any.frames[-self.shared :]

    def checked_apart(self, pattern: FramePattern) -> FramePattern:
        """`pattern`, where the frames are to go. Raises OutputError for the very sequence that goes on."""
        if pattern.path(self.tail[-1]).absolute() in {path.absolute() for path in self._any.files}:
            raise OutputError(
                f"{pattern} is the shot that is to go on; choose another output, so that it stays what it was"
            )
        return pattern

    @property
    def format(self) -> PictureFormat:
        """That of the shot, with the timecode of the first frame to be added."""
        form, ahead = self._any.format, len(self._any.frames)
        start = form.timecode and timecode.advance(form.timecode, ahead, form.fps)
        return replace(form, data_window=None, timecode=start)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        return self._any.files[-self.length :]

    def sha256(self) -> str:
        """Hex digest of the files that are gone on from."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def clips(self, layout: Layout, fit: Fit) -> dict[str, Tensor]:
        """The last frames of every layer as the model sees them, `[F, 3, h, w]` in [-1, 1]. Raises PlateError.

        A shot that is shorter than that begins with its first frame for longer.
        """
        numbers = self._any.frames[-layout.num_frames :]
        numbers = numbers[:1] * (layout.num_frames - len(numbers)) + numbers
        shown = {number: self._shown(number, layout, fit) for number in dict.fromkeys(numbers)}
        return stacked([shown[number] for number in numbers])

    @property
    def _any(self) -> Plate:
        return self.plates["blended"]

    def _shown(self, number: int, layout: Layout, fit: Fit) -> dict[str, Tensor]:
        form = self._any.format
        read = {
            name: Frame(
                pixels=window.reframe(plate.read(number), form.working_window, form.display_window),
                colorspace=plate.colorspace,
            )
            for name, plate in self.plates.items()
        }
        return layer_pictures(read, layout, fit)


def ending_of(request: Request, layout: Layout) -> Ending | None:
    """The end of the shot that `request` is to go on from; None where it starts anew.

    Raises PlateError, and RequestError for a shot or a model that there is no way to go on with.
    """
    if request.extend is None:
        return None
    source = str(request.plate)
    shared = shared_frames(layout)
    if not shared:
        raise RequestError(f"model {request.model} makes each window of a piece and cannot go on from another shot")
    plates = {
        name: open_plate(source, layer=layer, last_frame=_last(request))
        for name, layer in _layers_of(source, layout).items()
    }
    if not all(plates[name].has_alpha for name in layout.foregrounds) and "alpha" in layout.layers:
        raise PlateError(f"the foreground of {source} has no alpha channel; extend a shot that has one")
    return Ending(
        plates=plates,
        num_frames=request.extend,
        length=layout.num_frames,
        shared=min(shared, len(plates["blended"].frames)),
    )


def check_same_ending(made: Path, request: Request, layout: Layout) -> None:
    """Raises PlateError when the frame `made` went on from a shot that is no longer what it was."""
    before, ending = read_header(made).get(GOES_ON_FROM), ending_of(request, layout)
    if ending and before is not None and before != ending.sha256():
        raise PlateError(
            f"the end of {request.plate} has changed since {made} went on from it; put it back, or extend it anew"
        )


def _layers_of(source: str, layout: Layout) -> dict[str, str | None]:
    """The layers of the shot `source` by what the model calls them; None is the blended picture.

    Raises RequestError where they are others than the model's.
    """
    there, count = layer_names(source), layout.num_foregrounds
    fronts = [name for name in z_order(there) if is_foreground(name)]
    if fronts != [*foreground_names(count)] or "background" not in there:
        has = ", ".join(there) or "none"
        wanted = "one foreground" if count == 1 else f"{count} foregrounds"
        raise RequestError(
            f"{source} has the layers {has}; extend a shot of {wanted} over a background, with a prompt for each"
        )
    return dict(zip(layout.foregrounds, fronts, strict=True)) | {"background": "background", "blended": None}


def _last(request: Request) -> int | None:
    """The last frame of the shot as it was when the request was first carried out."""
    return None if request.first_frame is None else request.first_frame - 1
