"""Real plates with hard masks, taken apart the way an artist would: how much of each mask is found.

A folder is of plates, `NAME/bl` with masks in `NAME/mask`, or the official tree of DAVIS (Perazzi et al. 2016),
`JPEGImages/480p/NAME` with `Annotations/480p/NAME`. Masks may be black and white, or of several objects, which count
as one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

from layerflow import exr, shots
from layerflow.errors import PlateError
from layerflow.evaluate.layer_scores import Scores, centre_blob, rough_matte
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.rough import GUIDE_KIND, SHARE
from layerflow.layers import Pixels
from layerflow.plate import open_plate
from layerflow.wire import Event, Request

RAW = "ACEScg"  # of a mask: its numbers as they are
MARKED = 0.1  # in any channel, what belongs to a mask

Masks = Mapping[int, Pixels]  # [H, W] of 0 and 1 by frame


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """One plate and its masks."""

    name: str
    plate: Path
    masks: Path

    @property
    def prompt(self) -> str:
        """Its name in words: what is known of its foreground."""
        return f"a {self.name.replace('-', ' ').replace('_', ' ')}"

    def truth(self) -> Masks:
        """The masks by frame. Raises PlateError."""
        found = open_plate(str(self.masks), colorspace=RAW)
        return {
            number: (found.read(number)[..., :3].max(axis=-1) > MARKED).astype(np.float32) for number in found.frames
        }


def find_sequences(folder: Path) -> list[Sequence]:
    """The plates in `folder` that have masks, by name. Raises PlateError where there is none."""
    pictures, masks = folder / "JPEGImages" / "480p", folder / "Annotations" / "480p"
    pairs = [(each.name, each / "bl", each / "mask") for each in folder.iterdir()] if folder.is_dir() else []
    if pictures.is_dir():
        pairs = [(each.name, each, masks / each.name) for each in pictures.iterdir()]
    found = [
        Sequence(name=name, plate=plate, masks=mask) for name, plate, mask in pairs if plate.is_dir() and mask.is_dir()
    ]
    if not found:
        raise PlateError(
            f"{folder} holds no plates with masks; it should hold NAME/bl and NAME/mask, or "
            "JPEGImages/480p/NAME and Annotations/480p/NAME as DAVIS comes"
        )
    return sorted(found, key=lambda each: each.name)


def score_real(
    folder: Path,
    *,
    model: str,
    steps: int | None = None,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Scores:
    """`NAME_iou`, `NAME_rough_iou` and what the rough matte and a blob score by themselves; and `mean_*` of them.

    Every frame of every plate is taken apart at its own size by `shots.render`, without a guide and with the mask grown
    by a twentieth of the height as one. Raises as that does.
    """
    found: dict[str, Scores] = {}
    sequences = find_sequences(folder)
    for done, sequence in enumerate(sequences, 1):
        found[sequence.name] = _score(sequence, model=model, steps=steps, seed=seed)
        on_event(Event("step", done=done, total=len(sequences)))
    found["mean"] = {
        kind: float(np.mean([each[kind] for each in found.values()])) for kind in next(iter(found.values()))
    }
    return {f"{name}_{kind}": value for name, each in found.items() for kind, value in each.items()}


def _score(sequence: Sequence, *, model: str, steps: int | None, seed: int) -> Scores:
    truth = sequence.truth()
    rough = {number: rough_matte(mask, SHARE) for number, mask in truth.items()}
    blob = centre_blob(*next(iter(truth.values())).shape)
    request = Request(
        "decompose",
        plate=str(sequence.plate),
        foreground=sequence.prompt,
        model=model,
        steps=steps,
        seed=seed,
        first_frame=min(truth),
        last_frame=max(truth),
    )
    with tempfile.TemporaryDirectory() as scratch:
        _write_masks(Path(scratch) / "rough", rough)
        by_guide = replace(request, guide=f"{scratch}/rough", guide_kind=GUIDE_KIND)
        found = _mattes(request, f"{scratch}/out.%04d.exr", tuple(truth))
        guided = _mattes(by_guide, f"{scratch}/guided.%04d.exr", tuple(truth))
    alone = dict.fromkeys(truth, blob)
    kinds = {"iou": found, "rough_iou": guided, "rough_itself_iou": rough, "blob_iou": alone}
    return {name: _overlap(mattes, truth) for name, mattes in kinds.items()}


def _mattes(request: Request, pattern: str, numbers: tuple[int, ...]) -> Masks:
    made = shots.render(replace(request, output=pattern))
    return {
        number: exr.read_stack([path]).layers["foreground"][0, ..., 3]
        for number, path in zip(numbers, made.frames, strict=True)
    }


def _overlap(mattes: Masks, truth: Masks) -> float:
    """Mean over frames."""
    return float(np.mean([iou(mattes[number] > 0.5, mask > 0.5) for number, mask in truth.items()]))


def _write_masks(folder: Path, masks: Masks) -> None:
    folder.mkdir()
    for number, mask in masks.items():
        path = folder / f"rough.{number:04d}.tif"
        picture = oiio.ImageBuf(np.ascontiguousarray(mask[..., None]))
        if not picture.write(str(path), "uint8"):
            raise PlateError(f"{path} could not be written ({picture.geterror()}); free some space for temporary files")
