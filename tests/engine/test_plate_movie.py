"""Movie plates: every codec artists hand over, the exact frame, the exact colour."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pictures import RATE, movie_frame, write_movie

from layerflow.errors import PlateError
from layerflow.plate import Plate, open_plate
from layerflow.plate.movie import MovieReader

CODECS = {
    "h264.mp4": {"codec": "libx264"},
    "h264.mkv": {"codec": "libx264"},
    "h264_444.mp4": {"codec": "libx264", "pix_fmt": "yuv444p"},
    "h265.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=none"}},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "dnxhr.mov": {"codec": "dnxhd", "pix_fmt": "yuv422p", "options": {"profile": "dnxhr_hq"}, "size": (256, 128)},
    "dnxhr.mxf": {"codec": "dnxhd", "pix_fmt": "yuv422p", "options": {"profile": "dnxhr_hq"}, "size": (256, 128)},
}


def which_frame(plate: Plate, frame: int) -> int:
    """The number of the frame that was really decoded, told by its grey level."""
    pixels = plate.read(frame)
    level = float(np.median(pixels[pixels.shape[0] // 2 :, :, :3])) * 255
    return round((level - 20) / 9) + 1


@pytest.mark.parametrize("name", CODECS)
def test_every_frame_is_the_one_asked_for_in_any_order(tmp_path: Path, name: str) -> None:
    plate = open_plate(str(write_movie(tmp_path / name, **CODECS[name])))  # type: ignore[arg-type]
    assert plate.frames == tuple(range(1, 13)) and not plate.has_alpha
    assert plate.colorspace == "sRGB Encoded Rec.709 (sRGB)"
    assert plate.format.fps == RATE and plate.format.pixel_aspect == 1.0
    for frame in (*plate.frames, 12, 1, 7, 6, 8, 8):
        assert which_frame(plate, frame) == frame


@pytest.mark.parametrize("name", CODECS)
def test_colour_survives_the_matrix(tmp_path: Path, name: str) -> None:
    plate = open_plate(str(write_movie(tmp_path / name, **CODECS[name])))  # type: ignore[arg-type]
    pixels = plate.read(3)
    expected = movie_frame(2, *pixels.shape[:2]) / 255
    assert pixels.dtype == np.float32 and pixels.min() >= 0 and pixels.max() <= 1
    assert pixels[2, 2] == pytest.approx(expected[2, 2], abs=0.02)
    assert pixels[-2, -2] == pytest.approx(expected[-2, -2], abs=0.02)


@pytest.mark.parametrize(("size", "matrix"), [((64, 48), "ITU601"), ((1280, 720), "ITU709")])
def test_an_untagged_movie_is_rec_601_when_small_and_rec_709_when_large(
    tmp_path: Path, size: tuple[int, int], matrix: str
) -> None:
    path = write_movie(tmp_path / "a.mp4", matrix=matrix, tagged=False, pix_fmt="yuv444p", size=size, count=2)
    plate = open_plate(str(path))
    assert plate.read(1)[2, 2] == pytest.approx(np.array([200, 40, 40]) / 255, abs=0.02)


def test_prores_4444_alpha_is_straight_and_reaches_one(tmp_path: Path) -> None:
    options = {"profile": "4444", "alpha_bits": "16"}
    path = write_movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuva444p10le", options=options)
    plate = open_plate(str(path))
    assert plate.has_alpha and plate.num_channels == 4
    pixels = plate.read(5)
    assert pixels[30, 50, 3] == pytest.approx(1.0, abs=1e-4) and pixels[30, 10, 3] == pytest.approx(64 / 255, abs=2e-3)
    assert pixels[30, 10, :3] == pytest.approx((20 + 9 * 4) / 255, abs=0.02)


def test_range_timecode_and_metadata(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", tags={"timecode": "01:00:00:20"})
    plate = open_plate(str(path), first_frame=5, last_frame=9)
    assert plate.frames == (5, 6, 7, 8, 9) and which_frame(plate, 7) == 7
    assert plate.format.timecode == "01:00:01:00"
    assert "encoder" in {key.lower() for key in plate.header(5)}
    with pytest.raises(PlateError, match="frame 10 is outside the plate, 5-9"):
        plate.read(10)


def test_a_folder_with_one_movie_and_a_named_rate(tmp_path: Path) -> None:
    write_movie(tmp_path / "a b 🐶.mov", codec="prores_ks", pix_fmt="yuv422p10le", count=1)
    plate = open_plate(str(tmp_path), fps=23.976, colorspace="ACEScg")
    assert plate.frames == (1,) and plate.format.fps == Fraction(24000, 1001) and plate.colorspace == "ACEScg"


def test_a_long_group_of_pictures_is_seeked_right(tmp_path: Path) -> None:
    plate = open_plate(
        str(write_movie(tmp_path / "a.mp4", count=25, options={"g": "250", "bf": "3"}, rate=Fraction(25)))
    )
    assert [which_frame(plate, frame) for frame in (25, 2, 24, 3)] == [25, 2, 24, 3]


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_sound_that_lasts_longer_does_not_make_the_picture_cut_short(tmp_path: Path, suffix: str) -> None:
    assert len(open_plate(str(write_movie(tmp_path / f"a.{suffix}", sound=True))).frames) == 12


def test_a_trimmed_track_counts_from_its_first_shown_frame(tmp_path: Path) -> None:
    """An edit list hides the first three frames; nothing is cut short, and frame 1 is the first one shown."""
    path = write_movie(tmp_path / "a.mp4", options={"g": "4", "bf": "0"})
    data = bytearray(path.read_bytes())
    struct.pack_into(">Ii", data, data.index(b"elst") + 12, 375, 3003)
    path.write_bytes(data)
    plate = open_plate(str(path))
    assert plate.frames == tuple(range(1, 10))
    assert [which_frame(plate, frame) for frame in (1, 9, 5, 2)] == [4, 12, 8, 5]


def test_a_movie_from_a_turned_camera_stands_upright(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mp4", pix_fmt="yuv444p")
    data, upright = path.read_bytes(), struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    track = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:track] + clockwise + data[track + len(upright) :])
    plate = open_plate(str(path))
    pixels = plate.read(1)
    assert pixels.shape == (64, 48, 3) and (plate.format.width, plate.format.height) == (48, 64)
    assert pixels[32, 46] == pytest.approx(np.array([200, 40, 40]) / 255, abs=0.02)  # top has become right
    assert pixels[32, 2] == pytest.approx(20 / 255, abs=0.02)


def test_a_reopened_movie_reads_the_same_beside_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in turns by two readers in two places, neither of which seeks or looks the movie through again."""
    path = write_movie(tmp_path / "clip.mov", options={"g": "12"})
    plate = open_plate(str(path))
    alone = [plate.read(frame) for frame in range(1, 13)]
    plate.read(1)
    other = plate.reopened()
    other.read(5)
    sought: list[int] = []
    monkeypatch.setattr(MovieReader, "_seek", lambda self, time: sought.append(time))
    monkeypatch.setattr(MovieReader, "_index", lambda self: pytest.fail("looked through again"))
    for frame in range(2, 8):
        assert np.array_equal(plate.read(frame), alone[frame - 1])
        assert np.array_equal(other.read(frame + 4), alone[frame + 3])
    assert not sought
    other.reopened()


def test_a_movie_that_is_gone_cannot_be_reopened(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "clip.mov")
    plate = open_plate(str(path))
    path.unlink()
    with pytest.raises(PlateError, match=r"clip\.mov cannot be read"):
        plate.reopened()
