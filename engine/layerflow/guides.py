"""What an artist's mattes say of a plate's own: a guide where the foreground is, a hold-out where it must not be.

A guide is soft (`roto`), or it says of each pixel that it is in, out or unknown (`trimap`), or only where there cannot
be foreground (`garbage`). Whatever it says becomes two bounds for the alpha of every pixel, at the plate's size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, maximum_filter1d, minimum_filter1d
from torch import Tensor

from layerflow.errors import PlateError
from layerflow.hints import Hint
from layerflow.layers import PictureFormat, Pixels
from layerflow.layout import Layout
from layerflow.plate.matte import MatteSequence, open_matte
from layerflow.preprocess import Fit, to_signed, to_tensor
from layerflow.window import Window
from layerflow.wire import Request, parse_matte

GUIDED_BY = "layerflow:guideSha256"  # of a frame's header: all that its guides say

GuideKind = Literal["roto", "trimap", "garbage"]

SURE = 0.02  # as near to 0 or 1 a guide means it: JPEG, video and 8 bits do not get nearer
BETWEEN = 0.5  # how far what lies between two borders is believed to begin with
MARGIN = 0.01  # of the plate's longer side: how far a roto may be off
MIN_MARGIN = 2  # plate pixels


@dataclass(frozen=True, kw_only=True)
class Clamps:
    """Bounds of one frame's alpha, [H, W] in [0, 1] each; where they meet, alpha is known."""

    low: Pixels
    high: Pixels
    guess: Pixels | None = None  # what alpha is about, where a guide says more than its bounds

    def applied(self, alpha: Pixels) -> Pixels:
        """`alpha` [H, W] within the bounds."""
        return alpha.clip(self.low, self.high)

    def held(self, alpha: Pixels, uncertainty: Pixels) -> Pixels:
        """How wrong the applied `alpha` may be, [H, W]: `uncertainty`, but never so much that it leaves the bounds."""
        room = np.minimum(
            np.where(self.low > 0, alpha - self.low, np.float32(1)),
            np.where(self.high < 1, self.high - alpha, np.float32(1)),
        )
        return np.minimum(uncertainty, room)

    def part(self, area: Window) -> Clamps:
        """Those of `area` (x, y, width, height), from the upper left corner."""
        x, y, width, height = area
        low, high, guess = (
            None if plane is None else plane[y : y + height, x : x + width]
            for plane in (self.low, self.high, self.guess)
        )
        assert low is not None and high is not None
        return Clamps(low=low, high=high, guess=guess)

    def sha256(self) -> str:
        """Hex digest of all that they say: tells one guide from another."""
        digest = hashlib.sha256()
        for plane in (self.low, self.high, self.guess):
            digest.update(b"" if plane is None else np.ascontiguousarray(plane).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Guides:
    """The mattes of a request, over the plate of `format`. Frames are read when asked for."""

    guide: MatteSequence | None
    kind: GuideKind
    holdout: MatteSequence | None
    format: PictureFormat

    @property
    def files(self) -> tuple[Path, ...]:
        """What they are read from."""
        return tuple(path for matte in (self.guide, self.holdout) if matte is not None for path in matte.files)

    def reopened(self) -> Guides:
        """The same for another thread. Raises PlateError."""
        guide, holdout = (matte and matte.reopened() for matte in (self.guide, self.holdout))
        return replace(self, guide=guide, holdout=holdout)

    def at(self, frame: int) -> Clamps:
        """What is known of the alpha of plate frame `frame`. Raises PlateError."""
        _, _, width, height = self.format.working_window
        clamps = free(height, width)
        if self.guide is not None:
            matte = _over(self.guide, frame, self.format)
            clamps = _KINDS[self.kind](matte, _margin(self.format))
        return clamps if self.holdout is None else held_out(clamps, _over(self.holdout, frame, self.format))


def guides_of(request: Request, form: PictureFormat, frames: tuple[int, ...]) -> Guides | None:
    """The mattes that `request` goes by for the `frames` of a plate; None for none. Raises PlateError."""
    if request.guide is None and request.holdout is None:
        return None
    guide, holdout = (
        _opened(what, text, form, frames) for what, text in (("guide", request.guide), ("holdout", request.holdout))
    )
    return Guides(guide=guide, kind=cast(GuideKind, request.guide_kind), holdout=holdout, format=form)


def guide_picture(clamps: Sequence[Clamps], fit: Fit) -> Tensor:  # [F, 3, h, w] in [-1, 1]
    """What a model that has learned to go by a rough matte is shown of the guides of a clip's frames.

    Of a guide that only says where there can be foreground, that; of another what it guesses.
    """
    rough = [each.high if each.guess is None else each.guess for each in clamps]
    return to_signed(_shrunk(rough, fit)).expand(-1, 3, -1, -1)


def free(height: int, width: int) -> Clamps:
    """Bounds that bind nothing."""
    low = np.zeros((height, width), np.float32)
    return Clamps(low=low, high=low + 1)


def of_trimap(matte: Pixels, margin: int = 0) -> Clamps:
    """0 is out, 1 is in, all between is unknown."""
    inside, outside = matte >= 1 - SURE, matte <= SURE
    return Clamps(low=_ones(inside), high=_ones(~outside))


def of_garbage(matte: Pixels, margin: int = 0) -> Clamps:
    """0 is out, all else is unknown."""
    outside = matte <= SURE
    return Clamps(low=np.zeros_like(matte), high=_ones(~outside))


def of_roto(matte: Pixels, margin: int) -> Clamps:
    """In and out are believed from `margin` pixels behind the edge on; nearer to it the matte is a guess."""
    inside = _window(matte, margin, minimum_filter1d) >= 1 - SURE
    outside = _window(matte, margin, maximum_filter1d) <= SURE
    low, high = _ones(inside), _ones(~outside)
    return Clamps(low=low, high=high, guess=matte.clip(low, high))


_KINDS: dict[GuideKind, Callable[[Pixels, int], Clamps]] = {
    "roto": of_roto,
    "trimap": of_trimap,
    "garbage": of_garbage,
}


def held_out(clamps: Clamps, holdout: Pixels) -> Clamps:
    """`clamps` with no more alpha than `holdout` [H, W] leaves, whatever a guide says."""
    high = np.minimum(clamps.high, np.where(holdout >= 1 - SURE, np.float32(0), 1 - holdout))
    guess = None if clamps.guess is None else np.minimum(clamps.guess, high)
    return Clamps(low=np.minimum(clamps.low, high), high=high, guess=guess)


def hint_of(clamps: Sequence[Clamps], fit: Fit) -> Hint:
    """A clip's alpha as a guide has it, of what it says of each frame."""
    low, high = (_shrunk([getattr(each, name) for each in clamps], fit) for name in ("low", "high"))
    inside, outside = low >= 1 - SURE, high <= SURE
    alpha = torch.stack(
        [
            _between(*bounds) if each.guess is None else _shrunk([each.guess], fit)[0]
            for each, *bounds in zip(clamps, inside, outside, strict=True)
        ]
    )
    certain = (inside | outside).float()
    trust = torch.tensor([BETWEEN if each.guess is None else 1.0 for each in clamps])[:, None, None, None]
    return Hint(alpha=alpha.clamp(low, high), certain=certain, trust=certain.maximum(trust))


def hint_for(layout: Layout, clamps: Sequence[Clamps], fit: Fit) -> Hint:
    """As `hint_of`; to a model that is shown the guide as a layer of its own, no more than what is certain."""
    hint = hint_of(clamps, fit)
    return replace(hint, trust=hint.certain) if "guide" in layout.layers else hint


def given_guide(layout: Layout, clamps: Sequence[Clamps], fit: Fit) -> dict[str, Tensor]:
    """The guide as such a layer; nothing for a model that has none."""
    return {"guide": guide_picture(clamps, fit)} if "guide" in layout.layers else {}


def _shrunk(planes: Sequence[Pixels], fit: Fit) -> Tensor:  # [H, W] each -> [F, 1, h, w]
    return fit.to_model(to_tensor(np.stack(planes)[..., None])).clamp(0.0, 1.0)


def _between(inside: Tensor, outside: Tensor) -> Tensor:  # [1, h, w] bool
    """Alpha that falls from what is inside to what is outside evenly: all that two borders say of what is between.

    Where only one of them is there, it goes as far away from that as it can.
    """
    to_inside, to_outside = (_distance(where[0].numpy()) for where in (inside, outside))
    if not inside.any():
        to_inside = to_outside.max() - to_outside
    if not outside.any():
        to_outside = to_inside.max() - to_inside
    whole = to_inside + to_outside
    return torch.from_numpy(np.where(whole > 0, to_outside / np.maximum(whole, 1e-6), 0.5))[None].float()


def _distance(where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far each pixel is from the nearest one in `where`; 0 everywhere without one."""
    return distance_transform_edt(~where) if where.any() else np.zeros(where.shape)


def _ones(where: NDArray[np.bool_]) -> Pixels:
    return where.astype(np.float32)


def _window(matte: Pixels, margin: int, choose: Callable[..., Pixels]) -> Pixels:
    """The least or the greatest of the pixels no farther than `margin`, along rows and columns."""
    return choose(choose(matte, 2 * margin + 1, axis=0, mode="nearest"), 2 * margin + 1, axis=1, mode="nearest")


def _margin(form: PictureFormat) -> int:
    return max(MIN_MARGIN, round(MARGIN * max(form.display_window[2:])))


def _opened(what: str, text: str | None, form: PictureFormat, frames: tuple[int, ...]) -> MatteSequence | None:
    if text is None:
        return None
    source, channel = parse_matte(text)
    matte = open_matte(what, source, channel, frames)
    _check_shape(what, matte, form)
    return matte


def _check_shape(what: str, matte: MatteSequence, form: PictureFormat) -> None:
    """Raises PlateError unless the matte is of the plate's shape, to within a pixel and one percent."""
    (_, _, columns, rows), (_, _, width, height) = matte.display, form.display_window
    if abs(columns / width * height - rows) > max(1.0, 0.01 * rows):
        raise PlateError(
            f"the {what} is {columns}x{rows} and the plate {width}x{height}, which is another shape; "
            "render it at the plate's size, or scale all of it"
        )


def _over(matte: MatteSequence, frame: int, form: PictureFormat) -> Pixels:  # [H, W] of the working window
    """Frame `frame` of `matte`, at the plate's size; scaled linearly, so that no value leaves its neighbours'."""
    (x, y, columns, rows), (left, top, width, height) = matte.display, form.working_window
    across, down = columns / form.width, rows / form.height
    area = (
        x + round((left - form.x) * across),
        y + round((top - form.y) * down),
        max(1, round(width * across)),
        max(1, round(height * down)),
    )
    pixels = matte.read(frame, area)
    if pixels.shape == (height, width):
        return pixels
    scaled = nnf.interpolate(to_tensor(pixels[None, ..., None]), (height, width), mode="bilinear", antialias=True)
    return scaled[0, 0].clamp(0.0, 1.0).numpy()
