"""What guides are worth on real plates, by the bundled model.

`python benchmarks/guides.py FOLDER`: every plate of a folder, each a folder of its own with the plate in bl/ and hard
mattes in mask/, is taken apart without a guide and with three that are made of its mattes: a trimap (unknown for 12
pixels either way of the edge), a roto (moved 3 pixels, its corners rounded) and a garbage box (25 pixels around).
Printed is the IoU of the delivered matte at 0.5: with the guide, with bounds alone, and of the guide by itself.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import OpenImageIO as oiio
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter, shift

from layerflow import exr, shots
from layerflow.evaluate.mattes import iou
from layerflow.guides import Clamps, hint_of, of_garbage, of_roto, of_trimap
from layerflow.layers import Pixels
from layerflow.plate import open_plate
from layerflow.preprocess import Fit
from layerflow.shot import Shot
from layerflow.wire import Request

BAND, MOVED, SOFTENED, AROUND = 12, 3, 4, 25  # pixels


def trimap(matte: Pixels) -> Pixels:
    """`matte` [H, W] of 0 and 1, unknown about its edge."""
    size = 2 * BAND + 1
    return (minimum_filter(matte, size) + maximum_filter(matte, size)) / 2


def roto(matte: Pixels) -> Pixels:
    """`matte` as a hurried hand might draw it."""
    moved = shift(matte, (MOVED, -MOVED), order=0)
    return (gaussian_filter(moved, SOFTENED) > 0.4).astype(np.float32)


def garbage(matte: Pixels) -> Pixels:
    """A box around `matte`."""
    box = np.zeros_like(matte)
    rows, columns = np.nonzero(matte)
    if rows.size:
        top, left = max(rows.min() - AROUND, 0), max(columns.min() - AROUND, 0)
        box[top : rows.max() + AROUND + 1, left : columns.max() + AROUND + 1] = 1
    return box


GUIDES = {"trimap": (trimap, of_trimap), "roto": (roto, of_roto), "garbage": (garbage, of_garbage)}


def alone(clamps: Clamps) -> Pixels:
    """What a guide says of alpha by itself."""
    height, width = clamps.low.shape
    hint = hint_of([clamps], Fit(width=width, height=height, columns=width, rows=height))
    return hint.alpha[0, 0].numpy()


def write(path: Path, matte: Pixels) -> None:
    """One frame of a matte, as a TIFF of floats."""
    path.parent.mkdir(exist_ok=True)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), oiio.ImageSpec(*matte.shape[::-1], 1, "float")), output.geterror()
    output.write_image(np.ascontiguousarray(matte[..., None], np.float32))
    output.close()


def made(plate: Path, name: str, folder: Path, **fields: str) -> list[Pixels]:
    """The mattes that the bundled model makes of `plate`."""
    request = Request("decompose", plate=str(plate), foreground=f"a {name}", output=f"{folder}/out.%04d.exr", **fields)
    result = shots.render(request, overwrite=True)
    return [exr.read_stack([path]).layers["foreground"][0, ..., 3] for path in result.frames]


def measure(folder: Path, scratch: Path) -> None:
    """Prints the rows of one plate."""
    masks, name = open_plate(str(folder / "mask"), colorspace="ACEScg"), folder.name
    truth = {frame: (masks.read(frame)[..., 0] > 0.5).astype(np.float32) for frame in masks.frames}

    def score(mattes: list[Pixels]) -> float:
        return float(np.mean([iou(a > 0.5, t > 0.5) for a, t in zip(mattes, truth.values(), strict=True)]))

    unguided = score(made(folder / "bl", name, scratch))
    for kind, (draw, bounds) in GUIDES.items():
        guides = {frame: draw(matte) for frame, matte in truth.items()}
        for frame, guide in guides.items():
            write(scratch / kind / f"guide.{frame:04d}.tif", guide)
        margin = {"margin": max(2, round(0.01 * max(guides[masks.frames[0]].shape)))}
        fields = {"guide": str(scratch / kind), "guide_kind": kind}
        by_itself = score([alone(bounds(guide, **margin)) for guide in guides.values()])
        guided = score(made(folder / "bl", name, scratch, **fields))
        with mock.patch.object(Shot, "hint", lambda *_: None):
            bounded = score(made(folder / "bl", name, scratch, **fields))
        print(f"| {name} | {kind} | {unguided:.3f} | {bounded:.3f} | {guided:.3f} | {by_itself:.3f} |", flush=True)


def main(folder: Path) -> None:
    print("| plate | guide | without | bounds alone | guided | the guide by itself |\n|---|---|---|---|---|---|")
    for each in sorted(path for path in folder.iterdir() if (path / "mask").is_dir()):
        with tempfile.TemporaryDirectory() as scratch:
            measure(each, Path(scratch))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
