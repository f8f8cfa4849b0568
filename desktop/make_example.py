"""Makes what the desktop app offers at its first start: the example plate as a small movie, and a rough roto of it.

The roto is what somebody draws in a minute: the true matte with its corners cut, grown by a few pixels.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "desktop/layerflow_desktop/example"
RATE = Fraction(8)
ITU709, LIMITED = 1, 1
GROWN, CUT = 17, 4.0  # pixels


def main() -> None:
    """Writes both movies: H.264, Rec. 709, tagged so that nobody has to guess."""
    plates = [_picture(path) for path in sorted((ROOT / "examples/plate").glob("plate.*.png"))]
    mattes = [_roto(path) for path in sorted((ROOT / "examples/truth").glob("matte.*.png"))]
    _write(FOLDER / "parrot.mov", plates, crf=14)
    _write(FOLDER / "parrot-roto.mov", mattes, crf=23)


def _write(path: Path, pictures: list[av.VideoFrame], crf: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": str(crf), "preset": "veryslow"})
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = ITU709
        context.color_range = LIMITED
        for number, picture in enumerate(pictures):
            frame = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.pts, frame.time_base = number, 1 / RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _roto(path: Path) -> av.VideoFrame:
    """A polygon of few corners around the matte, [H, W, 3]."""
    matte = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    grown = cv2.dilate((matte > 127).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GROWN, GROWN)))
    outlines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = np.zeros_like(matte)
    for outline in outlines:
        cv2.fillPoly(drawn, [cv2.approxPolyDP(outline, CUT, closed=True)], 255, cv2.LINE_AA)
    return av.VideoFrame.from_ndarray(np.repeat(drawn[..., None], 3, axis=-1), format="rgb24")


def _picture(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as source:
        return next(source.decode(video=0))


if __name__ == "__main__":
    main()
