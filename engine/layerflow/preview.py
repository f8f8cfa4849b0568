"""Pictures to judge a result by at a glance: a movie and a contact sheet, display-referred sRGB, 8 bit.

Both take stacks one after another, so that a long shot never sits in memory whole. They show the display window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
from av.error import FFmpegError
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from layerflow import color, layers, window
from layerflow.errors import OutputError
from layerflow.files import as_os_error, atomic_path
from layerflow.layers import LayerStack, PictureFormat, Pixels

Picture = NDArray[np.uint8]

_CHECKER_SIZE = 8
_CHECKER_GREYS = (0.35, 0.55)  # display-referred
_GAP = 4
_COMPRESSION = {".jpg": "jpeg:85"}
_DEPTHS = {"uint8": oiio.UINT8, "uint16": oiio.UINT16}
# x264's macroblock tree reads memory that it never wrote where a picture is less than some 128 pixels wide and high:
# a shot's movie would not always have the same bytes.
_ENCODING = {"crf": "18", "preset": "fast", "mbtree": "0"}
_ITU709 = 1  # the code of primaries, curve and matrix alike
_LIMITED = 1


def write_movie(path: Path, stacks: Iterable[LayerStack], fps: Fraction, *, max_width: int = 1920) -> None:
    """Writes an H.264 MP4 of 2 x 2 pictures: blended, frontmost foreground over checker; its alpha, background.

    Raises OutputError.
    """
    with atomic_path(path) as part:
        try:
            _encode(part, (_grid(stack, index, max_width) for stack, index in _frames(stacks)), fps)
        except FFmpegError as error:
            raise as_os_error(error) or OutputError(
                f"{path} could not be written ({error.strerror}); try another folder"
            ) from error


def write_contact_sheet(
    path: Path, stacks: Iterable[LayerStack], *, frames: Sequence[int] | None = None, column_width: int = 240
) -> None:
    """Writes a PNG with a column per frame (only those in `frames`, when given) and a row per picture.

    Rows: blended, each foreground over checker, its alpha, background, recomposed. Raises OutputError.
    """
    columns: list[Picture] = []
    for stack, index in _frames(stacks):
        if frames is None or stack.frames[index] in frames:
            columns.append(_column(stack, index, column_width, labelled=not columns))
    if not columns:
        raise ValueError("a contact sheet needs at least one frame")
    write_picture(path, np.concatenate(columns, axis=1))


def pick_frames(frames: Sequence[int], count: int = 5) -> tuple[int, ...]:
    """At most `count` of `frames`, evenly spread, first and last included."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return tuple(frames[place] for place in places)


def _frames(stacks: Iterable[LayerStack]) -> Iterator[tuple[LayerStack, int]]:
    return ((stack, index) for stack in stacks for index in range(len(stack.frames)))


def _fit(form: PictureFormat, max_width: int, max_height: int) -> tuple[int, int]:
    """Width and height, pixel aspect taken out, that fit; both even, as H.264 wants them."""
    scale = min(max_width / (form.width * form.pixel_aspect), max_height / form.height)
    sides = form.width * form.pixel_aspect * scale, form.height * scale
    width, height = (max(2, round(side / 2) * 2) for side in sides)
    return width, height


def _pictures(stack: LayerStack, index: int, width: int, height: int) -> dict[str, Pixels]:
    """Label -> display-referred [height, width, 3] in [0, 1]."""
    working, display = stack.format.working_window, stack.format.display_window
    shown = {name: window.reframe(pixels[index], working, display) for name, pixels in stack.layers.items()}
    small = {name: _resize(pixels, width, height) for name, pixels in shown.items()}
    frame = LayerStack(
        layers={name: pixels[None] for name, pixels in small.items()},
        frames=(stack.frames[index],),
        format=PictureFormat(width=width, height=height),
        colorspace=stack.colorspace,
    )
    show = _viewer(stack.colorspace)
    recomposed = layers.recompose(frame)[0]
    pictures = {"blended": show(layers.opaque(small.get("blended", recomposed)))}
    for name in frame.foregrounds:
        pictures[name] = over_checker(show(small[name]))
        if small[name].shape[-1] == 4:
            pictures[f"{name} alpha"] = small[name][..., 3:].clip(0.0, 1.0).repeat(3, axis=-1)
    if "background" in small:
        pictures["background"] = show(layers.opaque(small["background"]))
    return pictures | {"recomposed": show(recomposed)}


def _viewer(colorspace: str) -> Callable[[Pixels], Pixels]:
    return lambda pixels: color.to_display(pixels, colorspace).clip(0.0, 1.0)


def over_checker(shown: Pixels) -> Pixels:
    """Display-referred pixels [h, w, 3 | 4] over a grey checkerboard, blended as displays do."""
    if shown.shape[-1] == 3:
        return shown
    y, x = np.indices(shown.shape[:2]) // _CHECKER_SIZE
    checker = np.array(_CHECKER_GREYS, np.float32)[(x + y) % 2, None].repeat(3, axis=-1)
    return layers.over(shown, checker)


def _resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Straight `pixels` [H, W, 3 | 4] scaled in linear light, as premultiplied colour."""
    if pixels.shape[:2] == (height, width):
        return pixels
    has_alpha = pixels.shape[-1] == 4
    held = oiio.ImageBuf(np.ascontiguousarray(layers.premultiply(pixels) if has_alpha else pixels))
    scaled = oiio.ImageBufAlgo.resize(held, "triangle", roi=oiio.ROI(0, width, 0, height, 0, 1, 0, pixels.shape[-1]))
    out = np.asarray(scaled.get_pixels(oiio.FLOAT), np.float32)
    return layers.unpremultiply(out) if has_alpha else out


def _grid(stack: LayerStack, index: int, max_width: int) -> Picture:
    """The movie's 2 x 2 picture, never larger than the shot."""
    form = stack.format
    pictures = _pictures(stack, index, *_fit(form, min(max_width // 2, form.width), min(max_width // 2, form.height)))
    black = np.zeros_like(pictures["blended"])
    front = next(iter(stack.foregrounds), "foreground")
    names = ("blended", front, f"{front} alpha", "background")
    shown = [pictures.get(name, black) for name in names]
    rows = [np.concatenate(pair, axis=1) for pair in (shown[:2], shown[2:])]
    return to_bytes(np.concatenate(rows))


def to_bytes(pixels: Pixels) -> Picture:
    """8 bits of display-referred `pixels` in [0, 1]."""
    return (pixels * 255 + 0.5).astype(np.uint8)


def _encode(part: Path, pictures: Iterator[Picture], fps: Fraction) -> None:
    first = next(pictures, None)
    if first is None:
        raise ValueError("a preview movie needs at least one frame")
    with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=_ENCODING)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        _tag(stream.codec_context)
        for number, picture in enumerate(_with_first(first, pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _tag(context: Any) -> None:
    context.color_primaries = context.color_trc = context.colorspace = _ITU709
    context.color_range = _LIMITED


def _with_first(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from rest


def _column(stack: LayerStack, index: int, width: int, *, labelled: bool) -> Picture:
    """One frame's pictures under each other; the first column carries the rows' names."""
    rows = []
    for name, pixels in _pictures(stack, index, *_fit(stack.format, width, 2 * width)).items():
        text = name if labelled else ""
        if name == "blended":
            text = f"{text}  {stack.frames[index]}".strip()
        rows.append(np.pad(_labelled(pixels, text), ((0, _GAP), (0, _GAP), (0, 0))))
    return to_bytes(np.concatenate(rows))


def _labelled(pixels: Pixels, text: str) -> Pixels:
    """`pixels` [h, w, 3] with `text` in the upper left corner, on a dark strip; bare where no font is found."""
    size = max(10, pixels.shape[1] // 18)
    if not text or pixels.shape[0] < 2 * size:
        return pixels
    area = oiio.ImageBufAlgo.text_size(text, size)
    if not area.defined:
        return pixels
    strip = pixels.copy()
    strip[: size + 6, : area.width + 10] *= 0.25
    buffer = oiio.ImageBuf(strip)
    oiio.ImageBufAlgo.render_text(buffer, 5, size + 1, text, size, "", (1.0, 1.0, 1.0))
    return np.asarray(buffer.get_pixels(oiio.FLOAT), np.float32).clip(0.0, 1.0)


def write_picture(path: Path, picture: NDArray[np.uint8 | np.uint16], *, durable: bool = True) -> None:
    """Writes `picture` [h, w, 3 | 4], sRGB of 8 or 16 bit and straight, in the format that `path` ends with.

    Raises OutputError.
    """
    with atomic_path(path, durable=durable) as part:
        height, width, channels = picture.shape
        spec = oiio.ImageSpec(width, height, channels, _DEPTHS[picture.dtype.name])
        spec.attribute("oiio:ColorSpace", "sRGB")
        spec.attribute("oiio:UnassociatedAlpha", 1)
        spec.attribute("compression", _COMPRESSION.get(path.suffix, ""))
        output = oiio.ImageOutput.create(path.name)
        written = output is not None and output.open(str(part), spec) and output.write_image(picture) and output.close()
        if not written:
            error = RuntimeError(output.geterror() if output is not None else oiio.geterror())
            raise as_os_error(error) or OutputError(f"{path} could not be written ({error}); try another folder")
