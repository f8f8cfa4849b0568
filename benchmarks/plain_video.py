"""How well OpenCV takes plain video apart, against mattes that are known.

`python benchmarks/plain_video.py FOLDER` for a folder of plates as DAVIS gives them: `NAME/bl`
the frames, `NAME/mask` a matte of the one thing that moves. Prints the overlap of `layerflow data video`'s first track
with it, over the clip and in its worst frame, and the seconds of one core that finding it and filling its hole took.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from layerflow.data.apart import grown
from layerflow.data.filters import overlap, things
from layerflow.data.footage import open_footage
from layerflow.data.light import Pixels
from layerflow.data.opencv_inpainter import TemporalInpainter
from layerflow.data.opencv_segmenter import MotionSegmenter


def main(folder: Path) -> None:
    """Print a line per plate."""
    for plate in sorted(path for path in folder.iterdir() if (path / "mask").is_dir()):
        frames, mask = _frames(plate / "bl"), _frames(plate / "mask", raw=True)[..., 0] > 127
        started = time.process_time()
        kept, reasons = things(MotionSegmenter().tracks(frames))
        found = time.process_time()
        if not kept:
            print(f"{plate.name}: nothing was found ({'; '.join(reasons)})")
            continue
        TemporalInpainter().filled(frames, grown(kept[0].masks))
        filled = time.process_time()
        worst = min(overlap(one, other) for one, other in zip(kept[0].masks, mask, strict=True))
        print(
            f"{plate.name}: IoU {overlap(kept[0].masks, mask):.3f}, worst frame {worst:.3f}, "
            f"{found - started:.1f} core seconds to find, {filled - found:.1f} core seconds to fill"
        )


def _frames(folder: Path, *, raw: bool = False) -> Pixels:
    footage = open_footage(folder, raw=raw)
    return np.stack([footage.read(number) for number in range(footage.num_frames)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
