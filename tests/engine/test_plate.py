"""Image plates: every kind of path and file, and geometry, alpha, colour and timing as the file says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import gradient, write_image, write_parts, write_sequence

from layerflow import exr, layers
from layerflow.errors import PlateError
from layerflow.layers import LayerStack, PictureFormat
from layerflow.plate import open_plate
from layerflow.plate.find import choose, ranges
from layerflow.timecode import as_fps


def shown(path: Path | str, **options: object) -> np.ndarray:
    plate = open_plate(str(path), **options)  # type: ignore[arg-type]
    return plate.read(plate.frames[0])


@pytest.mark.parametrize("source", ["dog.%04d.exr", "dog.####.exr", "dog.#.exr", "dog.%d.exr", ""])
def test_patterns_and_a_folder_mean_the_whole_sequence(tmp_path: Path, source: str) -> None:
    write_sequence(tmp_path)
    (tmp_path / "notes.txt").write_text("ignored")
    (tmp_path / ".dog.1005.exr.part").write_text("ignored")
    plate = open_plate(str(tmp_path / source))
    assert plate.frames == (1001, 1002, 1003, 1004)
    assert (plate.format.width, plate.format.height, plate.num_channels) == (24, 16, 3)
    for index, frame in enumerate(plate.frames):
        assert plate.read(frame) == pytest.approx(gradient(shift=index / 100), abs=1e-3)


@pytest.mark.parametrize("folder", ["with space", "quo'te\"", "🐶 é", "shot#1", "50%"])
def test_odd_folder_and_file_names(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    pattern = write_sequence(tmp_path / folder, name=folder)
    assert open_plate(str(tmp_path / folder)).frames == (1001, 1002, 1003, 1004)
    assert open_plate(str(tmp_path / folder / f"{folder}.1001.exr")).frames == (1001,)
    if "#" not in folder:
        assert len(open_plate(pattern).frames) == 4


def test_one_numbered_file_is_just_that_file(tmp_path: Path) -> None:
    write_sequence(tmp_path)
    plate = open_plate(str(tmp_path / "dog.1003.exr"))
    assert plate.frames == (1003,)
    assert any("dog.1003.exr alone is the plate" in note for note in plate.notes)


def test_a_still_without_a_number_is_frame_1(tmp_path: Path) -> None:
    write_image(tmp_path / "still.exr", gradient())
    assert open_plate(str(tmp_path / "still.exr")).frames == open_plate(str(tmp_path)).frames == (1,)


def test_range_is_inclusive_and_holes_outside_it_do_not_matter(tmp_path: Path) -> None:
    pattern = write_sequence(tmp_path, count=6)
    (tmp_path / "dog.1005.exr").unlink()
    plate = open_plate(pattern, first_frame=1002, last_frame=1004)
    assert plate.frames == (1002, 1003, 1004)
    with pytest.raises(PlateError, match="frame 1001 is outside the plate, 1002-1004"):
        plate.read(1001)


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 60), st.integers(0, 60))
def test_choose_gives_the_range_or_names_what_is_missing(available: set[int], first: int, last: int) -> None:
    wanted = set(range(first, last + 1))
    if wanted and wanted <= available:
        assert choose("p", available, first, last) == tuple(sorted(wanted))
    else:
        with pytest.raises(PlateError) as caught:
            choose("p", available, first, last)
        if wanted and min(available) <= first and last <= max(available) and len(wanted - available) < 10:
            assert f"frames {ranges(wanted - available)} are missing" in str(caught.value)


def test_ranges_are_compact() -> None:
    assert ranges([1010, 1004, 1006, 1005]) == "1004-1006, 1010"
    assert ranges(range(0, 100, 2)).endswith("38 and 30 more")


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (16, 8192)])
@pytest.mark.parametrize("suffix", ["exr", "png", "tif"])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    pixels = gradient(*size)
    write_image(tmp_path / f"a.{suffix}", pixels, "half" if suffix == "exr" else "uint16")
    assert shown(tmp_path / f"a.{suffix}") == pytest.approx(pixels, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "sample", "tolerance", "options"),
    [
        ("a.exr", "float", 0, {}),
        ("a.tif", "uint16", 1e-5, {}),
        ("a.tif", "float", 0, {}),
        ("a.png", "uint16", 1e-5, {}),
        ("a.png", "uint8", 2e-3, {}),
        ("a.dpx", "uint16", 1e-3, {"oiio__BitsPerSample": 10}),
        ("a.dpx", "uint16", 1e-5, {"oiio__BitsPerSample": 16}),
        ("a.jpg", "uint8", 0.03, {"Compression": "jpeg:98"}),
    ],
)
def test_kinds_of_file_and_their_assumed_colour(
    tmp_path: Path, name: str, sample: str, tolerance: float, options: dict[str, object]
) -> None:
    pixels = gradient(64, 64)
    plate = open_plate(str(write_image(tmp_path / name, pixels, sample, **options)))  # type: ignore[arg-type]
    assert plate.read(1) == pytest.approx(pixels, abs=tolerance)
    is_float = sample == "float"
    assert plate.colorspace == ("ACEScg" if is_float else "sRGB Encoded Rec.709 (sRGB)")
    assert any("does not say its colour space; taken as ACEScg" in note for note in plate.notes) == is_float
    assert any("is taken as sRGB; if it is log" in note for note in plate.notes) == name.endswith(".dpx")
    named = open_plate(str(tmp_path / name), colorspace="ACEScg")
    assert not any("taken as ACEScg" in note or "taken as sRGB" in note for note in named.notes)


def test_named_colour_space_wins_over_the_header_and_the_header_over_the_guess(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    OpenEXR.File({"colorInteropID": "lin_rec709_scene"}, {"RGB": gradient()}).write(str(path))
    assert open_plate(str(path)).colorspace == "Linear Rec.709 (sRGB)"
    assert open_plate(str(path), colorspace="lin_ap0").colorspace == "ACES2065-1"
    rec2020 = (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329)
    OpenEXR.File({"chromaticities": rec2020}, {"RGB": gradient()}).write(str(path))
    plate = open_plate(str(path))
    assert plate.colorspace == "Linear Rec.2020" and not any("colour space" in note for note in plate.notes)


def test_grey_and_palette_become_rgb(tmp_path: Path) -> None:
    from PIL import Image

    pixels = (gradient() * 255).astype(np.uint8)
    Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert shown(tmp_path / "palette.png") == pytest.approx(pixels / 255, abs=0.1)
    for name, sample in (("grey.exr", "half"), ("grey.png", "uint16"), ("grey.tif", "uint16"), ("grey.jpg", "uint8")):
        write_image(tmp_path / name, gradient(channels=1), sample, **({"names": ("Y",)} if sample == "half" else {}))
        picture = shown(tmp_path / name)
        assert picture.shape == (16, 24, 3)
        assert picture == pytest.approx(gradient(channels=1).repeat(3, -1), abs=0.03)


def test_grey_with_alpha(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((4, 5, 2), (200, 100), np.uint8), "LA").save(tmp_path / "la.png")
    assert shown(tmp_path / "la.png") == pytest.approx(
        np.full((4, 5, 4), np.array([200, 200, 200, 100]) / 255), abs=1e-6
    )


def test_alpha_comes_out_straight_whatever_the_file_holds(tmp_path: Path) -> None:
    straight = np.full((4, 5, 4), [0.8, 0.4, 0.2, 0.5], np.float32)
    premultiplied = layers.premultiply(straight)
    write_image(tmp_path / "associated.exr", premultiplied)
    write_image(tmp_path / "straight.exr", straight, layerflow__alphaMode="straight")
    write_image(tmp_path / "associated.tif", premultiplied, "uint16")
    write_image(tmp_path / "straight.tif", straight, "uint16", oiio__UnassociatedAlpha=1)
    write_image(tmp_path / "straight.png", straight, "uint16", oiio__UnassociatedAlpha=1)
    for path in sorted(tmp_path.iterdir()):
        plate = open_plate(str(path))
        assert plate.has_alpha and plate.num_channels == 4
        assert plate.read(1) == pytest.approx(straight, abs=2e-3), path.name


def test_alpha_outside_0_to_1_is_clamped(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2, 4), np.float32)
    pixels[0, :, 3] = (-0.5, 1.5)
    write_image(tmp_path / "a.exr", pixels)
    assert shown(tmp_path / "a.exr")[0, :, 3].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("origin", "size", "full"),
    [
        ((2, 3), (5, 4), (0, 0, 24, 16)),  # inside
        ((-4, -2), (40, 30), (0, 0, 24, 16)),  # overscan
        ((-4, 6), (10, 30), (0, 0, 24, 16)),  # across the edges
        ((5, 5), (6, 6), (3, 3, 24, 16)),  # display window not at the origin
        ((-20, -10), (6, 6), (-24, -16, 24, 16)),  # all negative
    ],
)
def test_data_window_is_seen_in_the_working_window(
    tmp_path: Path, origin: tuple[int, int], size: tuple[int, int], full: tuple[int, int, int, int]
) -> None:
    pixels = gradient(size[1], size[0]) + 1
    write_image(tmp_path / "a.exr", pixels, "float", origin=origin, full=full)
    plate = open_plate(str(tmp_path / "a.exr"))
    assert plate.format.display_window == full and plate.format.data_window == (*origin, *size)
    left, top, width, height = plate.format.working_window
    assert (left, top) == (min(origin[0], full[0]), min(origin[1], full[1]))
    assert left + width == max(origin[0] + size[0], full[0] + full[2])
    assert top + height == max(origin[1] + size[1], full[1] + full[3])
    expected = np.zeros((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            row, column = y + top - origin[1], x + left - origin[0]
            if 0 <= row < size[1] and 0 <= column < size[0]:
                expected[y, x] = pixels[row, column]
    assert np.array_equal(plate.read(1), expected)


def test_the_working_window_holds_the_data_windows_of_all_frames(tmp_path: Path) -> None:
    """Frame 1 has overscan on the left, frame 2 on the right and none of the picture's left half."""
    for number, left in ((1, -4), (2, 12)):
        write_image(tmp_path / f"a.{number}.exr", gradient(16, 24) + number, origin=(left, 0), full=(0, 0, 24, 16))
    plate = open_plate(str(tmp_path / "a.#.exr"))
    assert plate.format.working_window == plate.format.overscan == (-4, 0, 40, 16)
    assert plate.data_windows == {1: (-4, 0, 24, 16), 2: (12, 0, 24, 16)}
    first, second = plate.read(1), plate.read(2)
    assert (first[:, :24] >= 1).all() and not first[:, 24:].any()
    assert (second[:, 16:] >= 2).all() and not second[:, :16].any()
    alone = open_plate(str(tmp_path / "a.#.exr"), first_frame=2)
    assert alone.format.working_window == (0, 0, 36, 16)


def test_overscan_that_is_too_large_in_all_is_refused(tmp_path: Path) -> None:
    for number, left in ((1, -16000), (2, 20)):
        write_image(tmp_path / f"a.{number}.exr", gradient(1, 16001), origin=(left, 0), full=(0, 0, 24, 16))
    with pytest.raises(PlateError, match=r"all data windows together, says it is 32021x16 pixels; at most"):
        open_plate(str(tmp_path / "a.#.exr"))


def test_timing_pixel_aspect_and_metadata(tmp_path: Path) -> None:
    for number in (7, 8):
        header = {
            "framesPerSecond": Fraction(24000, 1001),
            "pixelAspectRatio": 2.0,
            "timeCode": OpenEXR.TimeCode(1, 2, 3, number, *[0] * 14),
            "camera": "A é",
        }
        OpenEXR.File(header, {"RGB": gradient()}).write(str(tmp_path / f"a.{number}.exr"))
    plate = open_plate(str(tmp_path / "a.#.exr"), first_frame=8)
    assert plate.format.fps == Fraction(24000, 1001) and plate.format.pixel_aspect == 2.0
    assert plate.format.timecode == "01:02:03:08"
    assert plate.header(8)["camera"] == "A é"
    assert open_plate(str(tmp_path / "a.#.exr"), fps=25).format.fps == 25


def test_a_plate_without_a_frame_rate_is_taken_as_24_with_a_note(tmp_path: Path) -> None:
    plate = open_plate(write_sequence(tmp_path))
    assert plate.format.fps == 24 and any("taken as 24 frames per second" in note for note in plate.notes)
    assert not any("frames per second" in note for note in open_plate(write_sequence(tmp_path), fps=24).notes)


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_as_fps(rate: float, fraction: Fraction) -> None:
    assert as_fps(rate) == fraction


def test_pixels_that_are_not_finite_are_repaired_with_a_note(tmp_path: Path) -> None:
    pixels = gradient(channels=4)
    pixels[0, :3, 1], pixels[1, 0, 0], pixels[2, 0, 2], pixels[3, 0, 0] = np.nan, np.inf, 65505, -1
    write_image(tmp_path / "a.1004.exr", pixels, "float")
    plate = open_plate(str(tmp_path / "a.####.exr"))
    assert not any("NaN" in note for note in plate.notes)
    picture = plate.read(1004)
    plate.read(1004)
    assert np.isfinite(picture).all() and np.abs(picture).max() <= 65504 and picture[3, 0, 0] == -2
    assert [note for note in plate.notes if "in frame 1004" in note] == [
        "3 NaN pixels in frame 1004 were set to 0",
        "1 infinite pixel in frame 1004 was set to +-65504",
        "1 too large pixel in frame 1004 was clamped to +-65504",
    ]


def test_the_colour_part_of_a_multi_part_exr_is_used_with_a_note(tmp_path: Path) -> None:
    plane = np.full((4, 5), 0.25, np.float32)
    write_parts(tmp_path / "parts.exr", {"depth": {"Z": plane}, "beauty": {"R": plane, "G": plane * 2, "B": plane * 3}})
    plate = open_plate(str(tmp_path / "parts.exr"))
    assert np.array_equal(plate.read(1)[0, 0], [0.25, 0.5, 0.75])
    assert "of the 2 parts, part beauty is used" in plate.notes


def test_an_only_colour_layer_is_used_with_a_note(tmp_path: Path) -> None:
    write_image(tmp_path / "a.exr", gradient(), names=("beauty.R", "beauty.G", "beauty.B"))
    plate = open_plate(str(tmp_path / "a.exr"))
    assert plate.read(1) == pytest.approx(gradient(), abs=1e-3)
    assert "its only colour layer, beauty, is used" in plate.notes


def test_our_own_frames_come_back_as_plates_layer_by_layer(tmp_path: Path) -> None:
    foreground = np.full((1, 4, 5, 4), [0.75, 0.5, 0.25, 0.5], np.float32)
    stack = LayerStack(
        layers={"foreground": foreground, "background": np.full((1, 4, 5, 3), 0.125, np.float32)},
        frames=(1001,),
        format=PictureFormat(width=5, height=4),
    )
    exr.write_frame(tmp_path / "shot.1001.exr", stack, 0, header={})
    source = str(tmp_path / "shot.%04d.exr")
    assert shown(source, layer="foreground") == pytest.approx(foreground[0])
    assert shown(source, layer="background") == pytest.approx(stack.layers["background"][0])
    assert shown(source)[..., :3] == pytest.approx(layers.recompose(stack)[0], abs=1e-3)
    with pytest.raises(PlateError, match="no layer foreground2 but the layers background, foreground"):
        open_plate(source, layer="foreground2")


def test_a_header_in_an_old_encoding_does_not_hinder(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    OpenEXR.File({"owner": "Jos?", "scene": "7"}, {"RGB": gradient()}).write(str(path))
    path.write_bytes(path.read_bytes().replace(b"Jos?", b"Jos\xe9"))
    header = open_plate(str(path)).header(1)
    assert header["scene"] == "7" and header["Copyright"] == "Jos\ufffd"
