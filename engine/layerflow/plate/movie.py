"""Movies, decoded frame-accurately by presentation time. Frames count from 1."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, Self

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from layerflow import color, color_tags, timecode, window
from layerflow.errors import PlateError
from layerflow.layers import PictureFormat, Pixels
from layerflow.wire import containers

_UNTAGGED: Final = 2


class MovieReader:
    """The frames of one movie file; raises PlateError on opening when they cannot all be had."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._open()
            self._times = self._index()
            first = self._frame(0)
        except FFmpegError as error:
            raise PlateError(f"{path.name} is damaged or cut short ({error.strerror}); export it again") from error
        self._turns = round(first.rotation / 90) % 4
        self.has_alpha = any(component.is_alpha for component in first.format.components)
        self._bits = max(component.bits for component in first.format.components)
        self.fps = self._even_rate()
        self._refuse_cut()
        self.notes = self._notes(first)

    def reopened(self) -> Self:
        """The same movie with a decoder of its own, for another thread. Raises PlateError."""
        other = copy.copy(self)
        try:
            other._open()
        except FFmpegError as error:
            raise PlateError(f"{self._path.name} cannot be opened again ({error.strerror}); put it back") from error
        return other

    @property
    def num_frames(self) -> int:
        """How many frames the movie shows."""
        return len(self._times)

    def format(self, first_frame: int, rate: Fraction | None) -> PictureFormat:
        """Geometry and timing of the movie from `first_frame` on; `rate` replaces its own frame rate."""
        width, height = self._stream.width, self._stream.height
        aspect = self._stream.sample_aspect_ratio
        if self._turns % 2:
            width, height, aspect = height, width, aspect and 1 / aspect
        start = self.header().get("timecode", "")
        code = timecode.advance(start, first_frame - 1, self.fps) if timecode.is_timecode(start) else None
        return PictureFormat(
            width=width, height=height, pixel_aspect=float(aspect or 1), fps=rate or self.fps, timecode=code
        )

    def header(self) -> dict[str, str]:
        """The movie's and its streams' metadata."""
        texts: dict[str, str] = {}
        for tags in (*(stream.metadata for stream in self._container.streams), self._container.metadata):
            texts.update(tags)
        return texts

    def colorspace(self) -> tuple[str, str]:
        """The colour space that the movie's tags name, sRGB where they name none, and a note where that is a guess."""
        space, note = color_tags.of_camera(self.header())
        if space or note:
            return space or color.display_space(), note
        context = self._stream.codec_context
        return color_tags.of_code_points(int(context.color_primaries), int(context.color_trc), bits=self._bits)

    def read(self, frame: int) -> Pixels:
        """Frame `frame` (from 1), [H, W, 3 | 4] float32 as encoded, [0, 1], straight alpha."""
        try:
            return np.rot90(_rgb(self._frame(frame - 1), self.has_alpha), self._turns).copy()
        except FFmpegError as error:
            raise PlateError(
                f"frame {frame} of {self._path.name} is damaged ({error.strerror}); export it again"
            ) from error

    def _open(self) -> None:
        self._container = av.open(
            str(self._path.absolute()),
            format=_demuxer(self._path),
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
        self._stream = self._video_stream()
        self._upcoming: Iterator[VideoFrame] = iter(())
        self._next = -1

    def _video_stream(self) -> av.VideoStream:
        if not self._container.streams.video:
            raise PlateError(f"{self._path.name} has no video track; export it again with picture")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise PlateError(f"{self._path.name} is of an unknown codec; export it as ProRes, DNxHR, H.264 or H.265")
        window.check_area(stream.width, stream.height, self._path.name)
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # never conceal a damaged frame
        return stream

    def _index(self) -> list[int]:
        packets = [packet for packet in self._container.demux(self._stream) if packet.size and not packet.is_discard]
        times = sorted(packet.pts for packet in packets if packet.pts is not None)
        if not times:
            raise PlateError(f"{self._path.name} has no frames; export it again")
        if len(set(times)) < len(packets):
            raise PlateError(f"{self._path.name} has frames without a time of their own; export it again")
        return times

    def _refuse_cut(self) -> None:
        """Raises PlateError when the header promises more time than the frames fill."""
        length = self._stream.duration and self._stream.duration * (self._stream.time_base or Fraction(1, 1000))
        if len(self._container.streams) == 1 and self._container.duration:  # else another track may be the longer one
            length = Fraction(self._container.duration, av.time_base)
        promised = round((length or 0) * self.fps)
        if self.num_frames < promised:
            raise PlateError(
                f"{self._path.name} is cut short: {self.num_frames} of {promised} frames are there; copy it again"
            )

    def _even_rate(self) -> Fraction:
        """Frames per second; raises PlateError when the frames are not evenly spaced in time."""
        base = self._stream.time_base or Fraction(1, 1000)
        stated = self._stream.average_rate or self._stream.guessed_rate
        if len(self._times) == 1:
            return Fraction(stated or 24)
        mean = (self._times[-1] - self._times[0]) / (len(self._times) - 1)
        steps = np.diff(np.array(self._times))
        if np.abs(steps - mean).max() > max(1.0, 0.05 * mean):
            raise PlateError(
                f"{self._path.name} has a variable frame rate; export it with a constant one, or as an image sequence"
            )
        measured = 1 / (Fraction(mean).limit_denominator(1_000_000) * base)
        close = stated is not None and abs(float(stated / measured) - 1) < 0.01
        return Fraction(stated) if close and stated is not None else measured.limit_denominator(1001)

    def _notes(self, first: VideoFrame) -> tuple[str, ...]:
        notes = []
        if first.interlaced_frame:
            notes.append(f"{self._path.name} is interlaced; deinterlace it first for clean edges")
        return tuple(notes)

    def _frame(self, index: int) -> VideoFrame:
        """Frame `index` (from 0). Reading on is cheap; anything else seeks to the key frame before."""
        if index != self._next:
            self._seek(self._times[index])
        frame = self._decode_until(self._times[index])
        if frame is None:  # some files seek past the frame asked for
            self._seek(self._times[0])
            frame = self._decode_until(self._times[index])
        if frame is None:
            raise PlateError(f"frame {index + 1} of {self._path.name} cannot be decoded; export it again")
        if frame.is_corrupt:  # the decoder has painted over the damage
            raise PlateError(f"frame {index + 1} of {self._path.name} is damaged; export it again")
        self._next = index + 1
        return frame

    def _seek(self, time: int) -> None:
        self._next = -1
        self._container.seek(time, stream=self._stream, backward=True)
        self._upcoming = self._container.decode(self._stream)

    def _decode_until(self, time: int) -> VideoFrame | None:
        for frame in self._upcoming:
            if frame.pts is not None and frame.pts >= time:
                return frame if frame.pts == time else None
        return None


def _demuxer(path: Path) -> str:
    """The one demuxer to use, by the file's first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(containers.NUM_BYTES)
    except OSError as error:
        raise PlateError(f"{path.name} cannot be read ({error.strerror}); check its permissions") from error
    if not start:
        raise PlateError(f"{path.name} is empty (0 bytes); export or copy it again")
    if found := containers.demuxer_of(start):
        return found
    raise PlateError(f"{path.name} is not a movie in spite of its name; export it again as MOV, MP4, MKV or MXF")


def _rgb(frame: VideoFrame, has_alpha: bool) -> Pixels:
    matrix = int(frame.colorspace)
    if matrix == _UNTAGGED:
        matrix = int(Colorspace.ITU709 if frame.height >= 720 or frame.width >= 1280 else Colorspace.ITU601)
    planes = frame.reformat(format="gbrapf32le" if has_alpha else "gbrpf32le", src_colorspace=matrix)
    pixels = np.asarray(planes.to_ndarray(), np.float32).clip(0.0, 1.0)
    if has_alpha:
        bits = max(component.bits for component in frame.format.components)
        pixels[..., 3] = (pixels[..., 3] * (65535 / ((2**bits - 1) << (16 - bits)))).clip(0.0, 1.0)
    return pixels
