"""Makes the plate that the desktop app offers at its first start: `examples/plate` as a small movie."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import Colorspace

ROOT = Path(__file__).resolve().parents[1]
MOVIE = ROOT / "desktop/layerflow_desktop/example/parrot.mov"
RATE = Fraction(8)
ITU709, LIMITED = 1, 1


def main() -> None:
    """Writes the movie: H.264, Rec. 709, tagged so that nobody has to guess."""
    pictures = [_picture(path) for path in sorted((ROOT / "examples/plate").glob("plate.*.png"))]
    with av.open(str(MOVIE), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "14", "preset": "veryslow"})
        stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = ITU709
        context.color_range = LIMITED
        for number, picture in enumerate(pictures):
            frame = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.pts, frame.time_base = number, 1 / RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _picture(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as source:
        return next(source.decode(video=0))


if __name__ == "__main__":
    main()
