"""Writers of small test pictures, independent of the code under test."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenEXR
import OpenImageIO as oiio

RATE = Fraction(24000, 1001)


def gradient(height: int = 16, width: int = 24, channels: int = 3, shift: float = 0.0) -> np.ndarray:
    """[H, W, C] float32 in [0, 1], different in every frame by `shift`."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    planes = [x / max(width - 1, 1), y / max(height - 1, 1), 0 * x + 0.25 + shift, 0 * x + 0.5]
    return np.stack(planes[:channels], -1).clip(0, 1).astype(np.float32)


def write_image(
    path: Path,
    pixels: np.ndarray,
    sample: str = "half",
    *,
    names: tuple[str, ...] | None = None,
    full: tuple[int, int, int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
    **attributes: object,
) -> Path:
    """Writes `pixels` [H, W, C] by OpenImageIO; `full` is the display window, `origin` that of the data window."""
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, sample)
    if names:
        spec.channelnames = names
    spec.x, spec.y = origin
    if full:
        spec.full_x, spec.full_y, spec.full_width, spec.full_height = full
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(path.suffix[1:])
    assert output.open(str(path), spec) and output.write_image(pixels), output.geterror()
    output.close()
    return path


def write_sequence(
    folder: Path, *, first: int = 1001, count: int = 4, suffix: str = "exr", name: str = "dog", **options: object
) -> str:
    """Writes `name.%04d.suffix`; returns its pattern."""
    sample = "half" if suffix == "exr" else "uint8"
    for number in range(first, first + count):
        path = folder / f"{name}.{number:04}.{suffix}"
        write_image(path, gradient(shift=(number - first) / 100), sample, **options)  # type: ignore[arg-type]
    return str(folder / f"{name}.%04d.{suffix}")


def write_parts(path: Path, parts: Mapping[str, Mapping[str, np.ndarray]]) -> Path:
    """Writes a multi-part EXR: part name -> channel name -> pixels."""
    made = [OpenEXR.Part({"type": OpenEXR.scanlineimage}, dict(planes), name=name) for name, planes in parts.items()]
    OpenEXR.File(made).write(str(path))
    return path


def write_deep(path: Path) -> Path:
    """Writes a deep EXR of one sample per pixel."""
    spec = oiio.ImageSpec(4, 4, 5, oiio.FLOAT)
    spec.channelnames, spec.deep = ("R", "G", "B", "A", "Z"), True
    data = oiio.DeepData()
    data.init(16, 5, (oiio.TypeFloat,) * 5, spec.channelnames)
    for pixel in range(16):
        data.set_samples(pixel, 1)
        for channel in range(5):
            data.set_deep_value(pixel, channel, 0, 0.5)
    output = oiio.ImageOutput.create("exr")
    assert output.open(str(path), spec) and output.write_deep_image(data), output.geterror()
    output.close()
    return path


def movie_frame(index: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """[H, W, C] 8-bit; its grey level tells the frame: 20 + 9 * index."""
    pixels = np.full((height, width, channels), min(20 + 9 * index, 250), np.uint8)
    pixels[: height // 4, :, :3] = (200, 40, 40)
    if channels == 4:
        pixels[..., 3] = 255
        pixels[:, : width // 2, 3] = 64
    return pixels


def write_movie(
    path: Path,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    count: int = 12,
    size: tuple[int, int] = (64, 48),
    options: Mapping[str, str] | None = None,
    times: tuple[int, ...] | None = None,
    rate: Fraction = RATE,
    matrix: str = "ITU709",
    tags: Mapping[str, str] | None = None,
    noise: bool = False,
    tagged: bool = True,
    sound: bool = False,
    code_points: tuple[int, int] | None = None,
) -> Path:
    """Writes a movie of `movie_frame`s; `times` (in frames) makes an uneven one; `code_points` name its colours."""
    alpha = pix_fmt.startswith("yuva")
    container_options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    if path.suffix == ".mov" and tags:
        container_options = {"movflags": "use_metadata_tags"}
    with av.open(str(path), "w", container_options=container_options) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        silence = container.add_stream("pcm_s16le", rate=48000) if sound else None
        stream.codec_context.time_base = 1 / rate
        if tagged and matrix == "ITU709":
            stream.codec_context.colorspace = 1
        if code_points:
            stream.codec_context.color_primaries, stream.codec_context.color_trc = code_points
        for index in range(count):
            array = movie_frame(index, size[1], size[0], 4 if alpha else 3)
            array = np.random.default_rng(index).integers(0, 255, array.shape, np.uint8) if noise else array
            frame = av.VideoFrame.from_ndarray(array, format="rgba" if alpha else "rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix)
            frame.pts, frame.time_base = (times[index] if times else index), 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if silence is not None:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), format="s16", layout="mono")
            samples.sample_rate = 48000
            container.mux([*silence.encode(samples), *silence.encode(None)])
    return path
