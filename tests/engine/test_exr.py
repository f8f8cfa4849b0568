"""Layered EXR: survives write, read and recompose, and other readers see the right layers."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from pictures import gradient, write_image

from layerflow import exr, layers
from layerflow.errors import OutputError, PlateError
from layerflow.layers import LayerStack, PictureFormat

HEADER = {"layerflow:seed": str(2**63 - 1), "layerflow:request": '{"foreground": "a 🐶 \\"dog\\""}' + "x" * 100_000}


def make_stack(num_frames: int = 2, height: int = 17, width: int = 31, **form: object) -> LayerStack:
    """A shot of known foreground, alpha (0 and 1 and between) and background, and their exact composite."""
    rng = np.random.default_rng(3)
    color = rng.random((num_frames, height, width, 3), np.float32) * 4
    background = rng.random((num_frames, height, width, 3), np.float32)
    alpha = np.clip(rng.random((num_frames, height, width), np.float32) * 2 - 0.5, 0, 1)
    foreground = layers.with_alpha(color, alpha)
    return LayerStack(
        layers={"foreground": foreground, "background": background, "blended": layers.over(foreground, background)},
        frames=tuple(range(1001, 1001 + num_frames)),
        format=PictureFormat(width=width, height=height, **form),  # type: ignore[arg-type]
    )


def write_all(folder: Path, stack: LayerStack, **options: object) -> list[Path]:
    paths = [folder / f"shot.{frame}.exr" for frame in stack.frames]
    for index, path in enumerate(paths):
        assert exr.write_frame(path, stack, index, header=HEADER, **options) == ()  # type: ignore[arg-type]
    return paths


def test_known_shot_survives_write_read_and_recompose(tmp_path: Path) -> None:
    stack = make_stack()
    back = exr.read_stack(write_all(tmp_path, stack))
    truth, alpha = stack.layers["blended"], stack.layers["foreground"][..., 3:]
    ulp = np.spacing(truth.astype(np.float16)).astype(np.float32)
    for picture in (layers.recompose(back), back.layers["blended"]):
        error = np.abs(picture - truth)
        hard = np.broadcast_to((alpha == 0) | (alpha == 1), error.shape)
        assert hard.any() and not hard.all()
        assert (error < ulp)[hard].all()
        assert error[~hard].max() < 2e-3
    assert back.frames == (1001, 1002) and back.colorspace == "ACEScg"
    assert list(back.layers) == ["foreground", "background", "blended"]


def test_premultiplied_files_read_back_straight(tmp_path: Path) -> None:
    stack = make_stack()
    back = exr.read_stack(write_all(tmp_path, stack, alpha="premultiplied"))
    solid = stack.layers["foreground"][..., 3] > 0.1
    assert np.allclose(back.layers["foreground"][solid], stack.layers["foreground"][solid], atol=2e-2)
    raw = OpenEXR.File(str(tmp_path / "shot.1001.exr"), separate_channels=True).channels()
    pixels, truth = raw["foreground.R"].pixels.astype(np.float32), stack.layers["foreground"][0]
    assert np.allclose(pixels, truth[..., 0] * truth[..., 3], atol=2e-3)


def test_openexr_and_openimageio_see_the_same_named_layers(tmp_path: Path) -> None:
    stack = make_stack(num_frames=1)
    path = write_all(tmp_path, stack)[0]
    names = ["R", "G", "B", "A", "background.R", "background.G", "background.B"]
    names += ["foreground.R", "foreground.G", "foreground.B", "foreground.A"]
    buffer = oiio.ImageBuf(str(path))
    assert list(buffer.spec().channelnames) == names and buffer.spec().format == oiio.HALF
    assert buffer.nsubimages == 1
    channels = OpenEXR.File(str(path), separate_channels=True).channels()
    expected = np.concatenate(
        [stack.layers["blended"], np.ones((1, 17, 31, 1)), stack.layers["background"], stack.layers["foreground"]], -1
    )[0].astype(np.float16)
    for column, name in enumerate(names):
        assert np.array_equal(channels[name].pixels, expected[..., column]), name
        assert np.array_equal(buffer.get_pixels(oiio.HALF)[..., column], expected[..., column]), name


def test_header_carries_colour_timing_and_strings(tmp_path: Path) -> None:
    stack = make_stack(fps=Fraction(24000, 1001), timecode="01:00:00:23", pixel_aspect=2.0)
    path = write_all(tmp_path, stack)[1]
    header = OpenEXR.File(str(path)).header()
    assert header["framesPerSecond"] == Fraction(24000, 1001) and header["pixelAspectRatio"] == 2.0
    assert str(header["timeCode"]).startswith("(1, 0, 1, 0, 0")
    assert header["colorInteropID"] == "lin_ap1_scene" and header["chromaticities"][0] == pytest.approx(0.713)
    assert header["compression"] == OpenEXR.ZIPS_COMPRESSION
    text = exr.read_header(path)
    assert {name: text[name] for name in HEADER} == HEADER
    assert text["layerflow:alphaMode"] == "straight" and text["layerflow:frame"] == "1002"
    back = exr.read_stack([path]).format
    assert back == replace(stack.format, timecode="01:00:01:00")


def test_data_window_of_the_plate_is_kept(tmp_path: Path) -> None:
    stack = make_stack(x=-3, y=5, data_window=(0, 2, 100, 10))
    path = write_all(tmp_path, stack)[0]
    header = OpenEXR.File(str(path)).header()
    assert [corner.tolist() for corner in header["displayWindow"]] == [[-3, 5], [27, 21]]
    assert [corner.tolist() for corner in header["dataWindow"]] == [[0, 5], [27, 11]]
    back = exr.read_stack([path])
    assert back.layers["background"].shape == (1, 17, 31, 3)
    assert np.array_equal(
        back.layers["background"][0, :7, 3:], stack.layers["background"][0, :7, 3:].astype(np.float16)
    )
    assert not back.layers["background"][0, 7:].any() and not back.layers["background"][0, :, :3].any()


def test_overscan_is_written_and_read(tmp_path: Path) -> None:
    """A display window of 20x10 in layers of 31x17; two frames whose data windows differ."""
    made = make_stack()
    areas = {1001: (-5, -3, 31, 17), 1002: (-5, 2, 20, 6)}
    form = PictureFormat(width=20, height=10, overscan=(-5, -3, 31, 17))
    paths = []
    for index, frame in enumerate(made.frames):
        stack = replace(made, format=replace(form, data_window=areas[frame]))
        paths.append(tmp_path / f"shot.{frame}.exr")
        exr.write_frame(paths[-1], stack, index, header=HEADER)
        header = OpenEXR.File(str(paths[-1])).header()
        assert [corner.tolist() for corner in header["displayWindow"]] == [[0, 0], [19, 9]]
        x, y, width, height = areas[frame]
        assert [corner.tolist() for corner in header["dataWindow"]] == [[x, y], [x + width - 1, y + height - 1]]
    back, truth = exr.read_stack(paths), made.layers["background"].astype(np.float16)
    assert back.format.working_window == (-5, -3, 31, 17)
    assert np.array_equal(back.layers["background"][0], truth[0])
    assert np.array_equal(back.layers["background"][1, 5:11, :20], truth[1, 5:11, :20])
    assert not back.layers["background"][1, :5].any() and not back.layers["background"][1, :, 20:].any()
    assert exr.read_stack(paths[1:]).layers["background"].shape == (1, 10, 25, 3)


def test_a_data_window_far_from_the_picture_is_none(tmp_path: Path) -> None:
    write_image(tmp_path / "a.exr", gradient() + 1, full=(0, 0, 24, 16), origin=(9000, 0))
    back = exr.read_stack([tmp_path / "a.exr"])
    assert back.layers["blended"].shape == (1, 16, 24, 3) and not back.layers["blended"].any()


def test_pixels_no_half_float_can_hold_are_repaired_and_reported(tmp_path: Path) -> None:
    stack = make_stack(num_frames=1)
    stack.layers["background"][0, 0, 0] = np.nan
    stack.layers["foreground"][0, 1, :2, 1] = 1e6
    notes = exr.write_frame(tmp_path / "a.exr", stack, 0, header={})
    assert notes == (
        "2 too large pixels in foreground of frame 1001 were clamped to +-65504",
        "1 NaN pixel in background of frame 1001 was set to 0",
    )
    for part in OpenEXR.File(str(tmp_path / "a.exr")).channels().values():
        assert np.isfinite(part.pixels).all()


def test_further_layers_keep_their_order(tmp_path: Path) -> None:
    stack = make_stack(num_frames=1)
    foreground, background = stack.layers["foreground"], stack.layers["background"]
    named = {"foreground": foreground, "foreground10": foreground, "foreground2": foreground, "background": background}
    many = replace(stack, layers={**named, "residual": background})
    back = exr.read_stack(write_all(tmp_path, many))
    assert list(back.layers) == [*named, "residual", "blended"]
    assert np.allclose(back.layers["blended"], layers.recompose(many), atol=4e-3)


def test_one_layer_alone_is_a_plain_rgba_file(tmp_path: Path) -> None:
    stack = make_stack()
    for layer in ("foreground", "background"):
        path = tmp_path / f"{layer}.exr"
        exr.write_layer_frame(path, stack, 1, layer, header=HEADER)
        spec = oiio.ImageBuf(str(path)).spec()
        assert spec.channelnames == ("R", "G", "B", "A")
        back = exr.read_stack([path])
        assert list(back.layers) == [layer] and back.frames == (1002,)
        expected = stack.layers[layer][1]
        assert np.array_equal(back.layers[layer][0, ..., : expected.shape[-1]], expected.astype(np.float16))


def test_a_foreign_layered_exr_is_read_as_premultiplied(tmp_path: Path) -> None:
    path = tmp_path / "comp.1004.exr"
    pixels = np.full((2, 3, 4), 0.25, np.float16)
    channels = {"foreground": pixels, "left": pixels, "RGB": pixels[..., :3].copy()}
    OpenEXR.File({"chromaticities": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)}, channels).write(str(path))
    back = exr.read_stack([path])
    assert list(back.layers) == ["foreground", "blended"] and back.frames == (1004,)
    assert np.array_equal(back.layers["foreground"][0, 0, 0], [1, 1, 1, 0.25])
    assert back.colorspace == "Linear Rec.709 (sRGB)"


def test_damaged_files_are_refused_and_fail_verification(tmp_path: Path) -> None:
    path = write_all(tmp_path, make_stack(num_frames=1))[0]
    assert exr.verify_frame(path)
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:-10], b"", b"text\n" * 100):
        path.write_bytes(data)
        assert not exr.verify_frame(path)
        with pytest.raises(
            PlateError, match=r"shot\.1001\.exr is (damaged|not a readable EXR).*render the frame again"
        ):
            exr.read_stack([path])
    assert not exr.verify_frame(tmp_path / "none.exr")


def test_frames_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    paths = write_all(tmp_path, make_stack())
    other = write_all(tmp_path, replace(make_stack(num_frames=1, width=32), frames=(1003,)))
    with pytest.raises(PlateError, match="frame 1003 differs from frame 1001"):
        exr.read_stack(paths + other)
    with pytest.raises(PlateError, match="two of the files are frame 1001"):
        exr.read_stack([paths[0], paths[0]])
    with pytest.raises(PlateError, match="no EXR frames"):
        exr.read_stack([])
    depth = tmp_path / "z.exr"
    OpenEXR.File({}, {"Z": np.ones((4, 4), np.float32)}).write(str(depth))
    with pytest.raises(PlateError, match="no red, green and blue"):
        exr.read_stack([depth])


def test_a_header_that_lies_about_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = write_all(tmp_path, make_stack(num_frames=1))[0]
    lie = struct.pack("<4i", 0, 0, 30, 16), struct.pack("<4i", 0, 0, 99_999, 99_999)
    path.write_bytes(path.read_bytes().replace(*lie))
    with pytest.raises(PlateError):
        exr.read_stack([path])


def test_a_full_disk_leaves_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f'Failed to write pixel data to image file "a". {os.strerror(errno.ENOSPC)}.')

    monkeypatch.setattr("layerflow.exr.OpenEXR.File.write", fail)
    with pytest.raises(OutputError, match="disk is full"):
        exr.write_frame(tmp_path / "a.exr", make_stack(), 0, header={})
    assert list(tmp_path.iterdir()) == []


def test_a_header_may_not_replace_what_layerflow_writes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layerflow:alphaMode"):
        exr.write_frame(tmp_path / "a.exr", make_stack(), 0, header={"layerflow:alphaMode": "none"})
    assert list(tmp_path.iterdir()) == []
