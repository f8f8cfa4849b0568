"""ProRes 4444 movies with alpha: display-referred, Rec. 709, ten bits a channel and alpha coded in sixteen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from layerflow import layers
from layerflow.errors import OutputError
from layerflow.files import as_os_error, atomic_path
from layerflow.layers import PictureFormat, Pixels

Planes = NDArray[np.uint16]

_ITU709, _LIMITED = 1, 1  # the code of primaries, curve and matrix alike; of the range
_LUMA = np.array((0.2126, 0.7152, 0.0722))
_OPTIONS = {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"}
_WITH_ALPHA, _OPAQUE = "yuva444p10le", "yuv444p10le"


def write_movie(
    path: Path,
    pictures: Iterable[Pixels],
    form: PictureFormat,
    *,
    alpha: Literal["straight", "premultiplied"] = "straight",
) -> None:
    """Writes `pictures` [H, W, 3 | 4], straight display-referred sRGB, as a ProRes 4444 movie.

    All have as many channels; with four it has alpha. Premultiplied is multiplied as displays do it, for editors that
    blend that way. Frame rate, pixel aspect and timecode are those of `form`. Values outside of [0, 1] are cut off.
    Raises OutputError.
    """
    with atomic_path(path) as part, _movie_errors(path):
        _encode(part, iter(pictures), form, is_premultiplied=alpha == "premultiplied")


@contextmanager
def _movie_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FFmpegError as error:
        raise as_os_error(error) or OutputError(
            f"{path} could not be written ({error.strerror}); try another folder"
        ) from error


def _encode(part: Path, pictures: Iterator[Pixels], form: PictureFormat, *, is_premultiplied: bool) -> None:
    first = next(pictures, None)
    if first is None:
        raise ValueError("a movie needs at least one frame")
    with av.open(str(part), "w", format="mov") as container:
        if form.timecode is not None:
            container.metadata["timecode"] = written_timecode(form.timecode, form.fps)
        stream = _stream(container, first, form)
        for number, picture in enumerate(_with_first(first, pictures)):
            frame = _frame(picture, is_premultiplied)
            frame.pts, frame.time_base = number, 1 / form.fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _stream(container: Any, first: Pixels, form: PictureFormat) -> Any:
    stream = container.add_stream("prores_ks", rate=form.fps, options=_OPTIONS)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = _WITH_ALPHA if first.shape[-1] == 4 else _OPAQUE
    stream.time_base = 1 / form.fps
    context = stream.codec_context
    context.sample_aspect_ratio = Fraction(form.pixel_aspect).limit_denominator(1000)
    context.color_primaries = context.color_trc = context.colorspace = _ITU709
    context.color_range = _LIMITED
    return stream


def written_timecode(text: str, fps: Fraction) -> str:
    """A timecode as a movie of this rate can hold it: only 30 and 60 over 1.001 drop frame numbers."""
    drops = fps in (Fraction(30000, 1001), Fraction(60000, 1001))
    return text if drops else ":".join((text[:2], text[3:5], text[6:8], text[9:]))


def _with_first(first: Pixels, rest: Iterator[Pixels]) -> Iterator[Pixels]:
    yield first
    yield from rest


def _frame(picture: Pixels, is_premultiplied: bool) -> Any:
    clipped = picture.clip(0.0, 1.0)
    has_alpha = clipped.shape[-1] == 4
    if has_alpha and is_premultiplied:
        clipped = layers.premultiply(clipped)
    planes = luma_and_chroma(clipped[..., :3])
    if has_alpha:
        planes.append(_as_bits(clipped[..., 3] * np.float32(1023)))
    frame: Any = av.VideoFrame(clipped.shape[1], clipped.shape[0], _WITH_ALPHA if has_alpha else _OPAQUE)
    frame.color_primaries = frame.color_trc = frame.colorspace = _ITU709  # ProRes says it in every frame as well
    frame.color_range = _LIMITED
    for plane, values in zip(frame.planes, planes, strict=True):
        padded = np.zeros((values.shape[0], plane.line_size // 2), "<u2")
        padded[:, : values.shape[1]] = values
        plane.update(padded.tobytes())
    return frame


def luma_and_chroma(rgb: Pixels) -> list[Planes]:
    """Y', Cb and Cr of `rgb` [H, W, 3] in [0, 1], ten bits of limited range, by the matrix of Rec. 709."""
    luma = rgb @ _LUMA.astype(np.float32)
    blue = (rgb[..., 2] - luma) / np.float32(2 * (1 - _LUMA[2]))
    red = (rgb[..., 0] - luma) / np.float32(2 * (1 - _LUMA[0]))
    return [_as_bits(64 + 876 * luma), _as_bits(512 + 896 * blue), _as_bits(512 + 896 * red)]


def _as_bits(values: Pixels) -> Planes:
    return np.rint(values).astype(np.uint16)
