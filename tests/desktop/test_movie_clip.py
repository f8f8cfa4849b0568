"""Movies: the frame that was asked for, in any order and from two threads, as the engine sees it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from pictures import RATE, write_movie

from layerflow import color as engine_color
from layerflow.plate import open_plate
from layerflow_desktop.models.clips import open_clip
from layerflow_desktop.models.movie_clip import MovieClip
from layerflow_desktop.models.picture import ClipError

CODECS = {
    "h264.mp4": {"codec": "libx264"},
    "h264_444.mkv": {"codec": "libx264", "pix_fmt": "yuv444p"},
    "h265.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "dnxhr.mxf": {"codec": "dnxhd", "pix_fmt": "yuv422p", "options": {"profile": "dnxhr_hq"}, "size": (256, 128)},
    "prores4444.mov": {
        "codec": "prores_ks",
        "pix_fmt": "yuva444p10le",
        "options": {"profile": "4444", "alpha_bits": "16"},
    },
}


def movie(path: Path, **options: object) -> MovieClip:
    clip = open_clip(str(write_movie(path, **options)))  # type: ignore[arg-type]
    assert isinstance(clip, MovieClip)
    return clip


def shown(clip: MovieClip, frame: int) -> np.ndarray:
    pixels = clip.read(frame).layers["plate"]
    assert pixels.dtype == np.float16 and pixels.flags.c_contiguous
    return engine_color.to_display(pixels.astype(np.float32), clip.colorspace)


def which_frame(clip: MovieClip, frame: int) -> int:
    """The number of the frame that was really decoded, told by its grey level."""
    pixels = shown(clip, frame)
    return round((float(np.median(pixels[pixels.shape[0] // 2 :, :, :3])) * 255 - 20) / 9) + 1


@pytest.mark.parametrize("name", CODECS)
def test_every_frame_is_the_one_asked_for_and_looks_as_the_engine_reads_it(tmp_path: Path, name: str) -> None:
    clip = movie(tmp_path / name, **CODECS[name])
    plate = open_plate(str(tmp_path / name))
    assert clip.frames == plate.frames == tuple(range(1, 13))
    assert (clip.name, clip.layers, clip.source_colorspace) == (name, ("plate",), plate.colorspace)
    assert (clip.width, clip.height) == (plate.format.width, plate.format.height)
    assert clip.fps == pytest.approx(float(RATE))
    for frame in (*clip.frames, 12, 1, 7, 6, 8, 8):
        assert which_frame(clip, frame) == frame
        np.testing.assert_allclose(shown(clip, frame), plate.read(frame), atol=1 / 255)


@pytest.mark.parametrize("name", ["h264.mp4", "prores.mov"])
def test_reading_on_looks_for_no_other_place(tmp_path: Path, name: str) -> None:
    clip = movie(tmp_path / name, count=30, **CODECS[name])
    before = clip.num_seeks
    for frame in clip.frames:
        clip.read(frame)
    assert clip.num_seeks == before == 1  # for the first frame, when it was opened


def test_frames_in_a_slightly_wrong_order_look_for_no_other_place(tmp_path: Path) -> None:
    clip = movie(tmp_path / "a.mp4", count=24)
    for frame in (2, 1, 4, 3, 6, 5, 9, 7, 8, 12, 11, 10):
        assert which_frame(clip, frame) == frame
    assert clip.num_seeks == 1
    assert which_frame(clip, 24) == 24 and which_frame(clip, 2) == 2
    assert clip.num_seeks >= 2


def test_two_threads_read_one_movie(tmp_path: Path) -> None:
    clip = movie(tmp_path / "a.mp4", count=24)
    found: dict[int, int] = {}

    def read(frames: range) -> None:
        for frame in frames:
            found[frame] = which_frame(clip, frame)

    threads = [threading.Thread(target=read, args=(range(first, 25, 2),)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {frame: frame for frame in clip.frames}


def test_alpha_of_prores_4444_is_straight_and_reaches_one(tmp_path: Path) -> None:
    clip = movie(tmp_path / "a.mov", **CODECS["prores4444.mov"])
    pixels = clip.read(5).layers["plate"]
    assert pixels.shape == (48, 64, 4)
    assert pixels[30, 50, 3] == 1.0 and pixels[30, 10, 3] == pytest.approx(64 / 255, abs=2e-3)
    assert shown(clip, 5)[30, 10, :3] == pytest.approx((20 + 9 * 4) / 255, abs=0.02)


@pytest.mark.parametrize("codes", [(9, 16), (9, 18), (12, 13), (1, 1), (9, 8)])
def test_code_points_name_the_space_as_for_the_engine(tmp_path: Path, codes: tuple[int, int]) -> None:
    clip = movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", code_points=codes)
    assert clip.source_colorspace == open_plate(str(tmp_path / "a.mov")).colorspace


def test_the_space_can_be_named_and_the_target_chosen(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le")
    clip = open_clip(str(path), "arri_logc4", "ACES2065-1")
    plate = open_plate(str(path), colorspace="arri_logc4")
    expected = engine_color.convert(plate.read(4), plate.colorspace, "ACES2065-1")
    np.testing.assert_allclose(clip.read(4).layers["plate"], expected, rtol=0.02, atol=1e-3)


def test_a_movie_that_was_written_anew_is_another_clip(tmp_path: Path) -> None:
    clip = movie(tmp_path / "a.mp4")
    assert clip.refreshed() is clip
    write_movie(tmp_path / "a.mp4", count=5)
    newer = clip.refreshed()
    assert newer != clip and newer.frames == (1, 2, 3, 4, 5)
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(ClipError, match="not there any more"):
        clip.refreshed()


def test_tags_are_the_header(tmp_path: Path) -> None:
    clip = movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", tags={"timecode": "01:00:00:20"})
    assert clip.header(3)["timecode"] == "01:00:00:20"


def test_what_is_wrong_with_a_movie_is_one_sentence(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mp4")
    clip = open_clip(str(path))
    with pytest.raises(ClipError, match=r"frame 13 is outside of a\.mp4, 1-12"):
        clip.read(13)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ClipError, match=r"^a\.mp4 [^\n]*; export it again$"):
        open_clip(str(path))
    path.write_bytes(b"")
    with pytest.raises(ClipError, match="not a movie in spite of its name"):
        open_clip(str(path))


def test_a_damaged_frame_names_itself_and_the_others_can_be_read(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", noise=True)
    content = bytearray(path.read_bytes())
    starts = [place for place in range(len(content)) if content[place : place + 4] == b"icpf"]
    content[starts[6] + 4 : starts[7] - 8] = bytes(starts[7] - starts[6] - 12)
    path.write_bytes(bytes(content))
    clip = open_clip(str(path))
    with pytest.raises(ClipError, match=r"^frame 7 of a\.mov "):
        clip.read(7)
    for frame in (6, 8, 12):
        clip.read(frame)
