"""Movies: decoded frame by frame, found by presentation time. Frames count from 1."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter

from layerflow.wire import containers
from layerflow_desktop.models import color, color_tags
from layerflow_desktop.models.image_clip import PLATE
from layerflow_desktop.models.image_file import finite
from layerflow_desktop.models.opening import File, Files
from layerflow_desktop.models.picture import ClipError, Picture

_UNTAGGED: Final = 2
_READ_ON = 16  # frames that are decoded on the way rather than sought past: threads ask a little out of order
_KEPT = 12  # decoded frames that stay at hand, for the same reason


class MovieClip:
    """The frames of one movie file."""

    layers = (PLATE,)

    def __init__(self, text: str, files: Files, file: File, colorspace: str, target: str) -> None:
        """Reads what is in the file, and decodes its first frame. Raises ClipError."""
        self.text, self.name, self.colorspace = text, files.name, target
        self._files, self._file, self._wished = files, file, colorspace
        try:
            self._decoder = _Decoder(file.path)
            first = self._decoder.frame(0)
        except FFmpegError as error:
            raise ClipError(f"{self.name} is damaged or cut short ({error.strerror}); export it again") from error
        self.frames = tuple(range(1, self._decoder.num_frames + 1))
        self.fps = self._decoder.fps
        self._turns = round(first.rotation / 90) % 4
        self._has_alpha = any(component.is_alpha for component in first.format.components)
        self._bits = max(component.bits for component in first.format.components)
        sides = first.width, first.height
        self.width, self.height = sides[::-1] if self._turns % 2 else sides
        aspect = float(self._decoder.sample_aspect)
        self.pixel_aspect = 1 / aspect if self._turns % 2 else aspect
        self._tags = self._decoder.tags()
        self.source_colorspace = colorspace or color_tags.of_movie(*self._decoder.code_points(), self._tags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MovieClip) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self._file, self.source_colorspace, self.colorspace

    @property
    def num_seeks(self) -> int:
        """How often another place of the movie had to be looked for."""
        return self._decoder.num_seeks

    def read(self, frame: int) -> Picture:
        """The picture of a frame. Raises ClipError."""
        if not 1 <= frame <= len(self.frames):
            raise ClipError(f"frame {frame} is outside of {self.name}, 1-{len(self.frames)}; choose within that")
        try:
            decoded = self._decoder.frame(frame - 1)
        except FFmpegError as error:
            raise ClipError(f"frame {frame} of {self.name} is damaged ({error.strerror}); export it again") from error
        coded = _coded(decoded, self._has_alpha, self._bits)
        half = color.half_of_code_values(coded, self.source_colorspace, self.colorspace)
        return Picture({PLATE: finite(np.rot90(half, self._turns))})

    def header(self, frame: int) -> dict[str, str]:
        """The tags of the movie."""
        return dict(self._tags)

    def refreshed(self) -> Self:
        """The movie as it is now; itself where it was not touched. Raises ClipError."""
        file = self._files.listed().get(1)
        if file is None:
            raise ClipError(f"{self.name} is not there any more; export it again or choose another clip")
        if file == self._file:
            return self
        return type(self)(self.text, self._files, file, self._wished, self.colorspace)


class _Decoder:
    """A movie's frames by their place in time, decoded in order as far as that goes. Used from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._container = av.open(
            str(path.absolute()),
            format=_demuxer(path),
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
        self._stream = self._video_stream()
        self._times = self._index()
        self._upcoming: Iterator[VideoFrame] = iter(())
        self._next = -1  # the place of what is decoded next; -1: unknown
        self._kept: OrderedDict[int, VideoFrame] = OrderedDict()
        self.num_seeks = 0

    @property
    def num_frames(self) -> int:
        return len(self._times)

    @property
    def sample_aspect(self) -> Fraction:
        return self._stream.sample_aspect_ratio or Fraction(1)

    @property
    def fps(self) -> float:
        """Frames per second: as the movie states it, unless its frames' times say otherwise."""
        stated = self._stream.average_rate or self._stream.guessed_rate
        span = self._times[-1] - self._times[0]
        if not span:
            return float(stated or 24)
        measured = float((len(self._times) - 1) / (span * (self._stream.time_base or Fraction(1, 1000))))
        return float(stated) if stated and abs(float(stated) / measured - 1) < 0.01 else measured

    def code_points(self) -> tuple[int, int]:
        """Primaries and transfer, of ITU-T H.273."""
        context = self._stream.codec_context
        return int(context.color_primaries), int(context.color_trc)

    def tags(self) -> dict[str, str]:
        texts: dict[str, str] = {}
        for tags in (*(stream.metadata for stream in self._container.streams), self._container.metadata):
            texts.update(tags)
        return texts

    def frame(self, place: int) -> VideoFrame:
        """The frame at `place`, from 0. Raises FFmpegError or ClipError."""
        with self._lock:
            if place not in self._kept:
                try:
                    self._decode(place)
                except (FFmpegError, ClipError):
                    self._next = -1  # what comes after the damage is looked for anew
                    raise
            self._kept.move_to_end(place)
            return self._kept[place]

    def _video_stream(self) -> av.VideoStream:
        if not self._container.streams.video:
            raise ClipError(f"{self._path.name} has no picture; export it again")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise ClipError(f"{self._path.name} is of an unknown codec; export it as ProRes, DNxHR, H.264 or H.265")
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # never conceal a damaged frame
        return stream

    def _index(self) -> list[int]:
        packets = [packet for packet in self._container.demux(self._stream) if packet.size and not packet.is_discard]
        times = sorted({packet.pts for packet in packets if packet.pts is not None})
        if not times:
            raise ClipError(f"{self._path.name} has no frames; export it again")
        return times

    def _decode(self, place: int) -> None:
        """Has the frame at `place` among the kept."""
        if self._next < 0 or not self._next <= place <= self._next + _READ_ON:
            self._seek(self._times[place])
        if not self._decode_until(place):  # some files seek past what is asked for
            self._seek(self._times[0])
            if not self._decode_until(place):
                raise ClipError(f"frame {place + 1} of {self._path.name} cannot be decoded; export it again")

    def _seek(self, time: int) -> None:
        self._next = -1
        self.num_seeks += 1
        self._container.seek(time, stream=self._stream, backward=True)
        self._upcoming = self._container.decode(self._stream)

    def _decode_until(self, place: int) -> bool:
        time = self._times[place]
        for frame in self._upcoming:
            if frame.pts is None or frame.pts > time:
                break
            if frame.pts == time:
                if frame.is_corrupt:  # the decoder has painted over the damage
                    raise ClipError(f"frame {place + 1} of {self._path.name} is damaged; export it again")
                self._keep(place, frame)
                self._next = place + 1
                return True
            if self._next >= 0 and frame.pts == self._times[self._next]:
                self._keep(self._next, frame)
                self._next += 1
        self._next = -1
        return False

    def _keep(self, place: int, frame: VideoFrame) -> None:
        self._kept[place] = frame
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def _demuxer(path: Path) -> str:
    """The one demuxer to use, by the file's first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(containers.NUM_BYTES)
    except OSError as error:
        raise ClipError(f"{path.name} cannot be read ({error.strerror}); check its permissions") from error
    if found := containers.demuxer_of(start):
        return found
    raise ClipError(f"{path.name} is not a movie in spite of its name; export it again as MOV, MP4, MKV or MXF")


def _coded(frame: VideoFrame, has_alpha: bool, bits: int) -> Any:
    """Code values [H, W, 3 | 4] of 16 bits, straight, of the whole range."""
    matrix = int(frame.colorspace)
    if matrix == _UNTAGGED:
        matrix = int(Colorspace.ITU709 if frame.height >= 720 or frame.width >= 1280 else Colorspace.ITU601)
    # Planes, for FFmpeg repeats chroma in packed pixels rather than filling it in; and a reformatter of its own, for
    # that of a frame is made when first used, and two threads may have the frame.
    layout = "gbrap16le" if has_alpha else "gbrp16le"
    pixels = VideoReformatter().reformat(frame, format=layout, src_colorspace=matrix).to_ndarray()
    if has_alpha and bits < 16:  # FFmpeg only shifts alpha, so that what is opaque falls short of 65535
        whole = 65535 / ((2**bits - 1) << (16 - bits))
        pixels[..., 3] = np.minimum(np.rint(pixels[..., 3] * whole), 65535).astype(np.uint16)
    return pixels
