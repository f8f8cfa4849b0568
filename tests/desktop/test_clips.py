"""Clips of files: the layers that the engine wrote, plates as the engine reads them, and what is wrong said plainly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from pictures import gradient, write_deep, write_image, write_sequence

from layerflow import color as engine_color
from layerflow import exr, layers
from layerflow.layers import LayerStack, PictureFormat
from layerflow.plate import open_plate
from layerflow_desktop.models.clips import OpenedClip, open_clip
from layerflow_desktop.models.picture import ClipError


def make_stack(num_frames: int = 2, names: tuple[str, ...] = ("foreground",), **form: object) -> LayerStack:
    rng = np.random.default_rng(3)
    made = {}
    for name in names:
        made[name] = rng.random((num_frames, 17, 31, 4), np.float32) * (4, 4, 4, 1)
        made[name][..., 3] = np.clip(made[name][..., 3] * 2 - 0.5, 0, 1)
    made["background"] = rng.random((num_frames, 17, 31, 3), np.float32)
    made["residual"] = rng.random((num_frames, 17, 31, 3), np.float32) - 0.5
    return LayerStack(
        layers={name: pixels.astype(np.float32) for name, pixels in made.items()},
        frames=tuple(range(1001, 1001 + num_frames)),
        format=PictureFormat(width=31, height=17, **form),  # type: ignore[arg-type]
    )


def write_all(folder: Path, stack: LayerStack, **options: object) -> str:
    for index, frame in enumerate(stack.frames):
        exr.write_frame(folder / f"shot.{frame}.exr", stack, index, header={"layerflow:seed": "7"}, **options)  # type: ignore[arg-type]
    return str(folder / "shot.%04d.exr")


def assert_agrees(clip: OpenedClip, frame: int, pattern: str, **options: object) -> None:
    """That a plate is what the engine reads, within what half floats hold, and shows so within 1/255."""
    plate = open_plate(pattern, **options)  # type: ignore[arg-type]
    pixels = clip.read(frame).layers["plate"]
    assert pixels.dtype == np.float16 and pixels.flags.c_contiguous
    assert clip.source_colorspace == plate.colorspace
    theirs = engine_color.convert(plate.read(frame), plate.colorspace, clip.colorspace)
    np.testing.assert_allclose(pixels, theirs, rtol=6e-4, atol=2e-5)
    shown = [engine_color.to_display(linear.astype(np.float32), clip.colorspace) for linear in (pixels, theirs)]
    apart = np.abs(shown[0].clip(0, 1) - shown[1].clip(0, 1))
    assert np.quantile(apart, 0.99) < 1 / 255  # a channel near 0 beside a bright one shows the rounding of that


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
def test_layers_come_as_the_engine_reads_them(tmp_path: Path, alpha: str) -> None:
    stack = make_stack(names=("foreground1", "foreground2"), fps=Fraction(24000, 1001), pixel_aspect=2.0)
    pattern = write_all(tmp_path, stack, alpha=alpha)
    clip = open_clip(pattern)
    back = exr.read_stack([tmp_path / "shot.1001.exr", tmp_path / "shot.1002.exr"])
    assert clip.layers == ("foreground1", "foreground2", "background", "residual", "blended") == tuple(back.layers)
    assert (clip.frames, clip.width, clip.height, clip.pixel_aspect) == ((1001, 1002), 31, 17, 2.0)
    assert clip.fps == pytest.approx(24000 / 1001) and clip.colorspace == "ACEScg"
    for index, frame in enumerate(clip.frames):
        picture = clip.read(frame)
        assert list(picture.layers) == list(clip.layers)
        for name, pixels in picture.layers.items():
            assert pixels.dtype == np.float16 and pixels.flags.c_contiguous
            np.testing.assert_allclose(pixels, back.layers[name][index], rtol=1e-3, atol=1e-6)
    assert picture.num_bytes == 17 * 31 * 2 * (4 + 4 + 3 + 3 + 3)


def test_what_was_written_straight_comes_bit_for_bit(tmp_path: Path) -> None:
    stack = make_stack(1)
    pixels = open_clip(write_all(tmp_path, stack)).read(1001).layers["foreground"]
    np.testing.assert_array_equal(pixels, stack.layers["foreground"][0].astype(np.float16))


def test_one_layer_in_a_file_of_its_own_has_its_name_and_alpha(tmp_path: Path) -> None:
    stack = make_stack(1)
    exr.write_layer_frame(tmp_path / "fg.0001.exr", stack, 0, "foreground", header={}, alpha="premultiplied")
    clip = open_clip(str(tmp_path))
    assert clip.layers == ("foreground",)
    back = exr.read_stack([tmp_path / "fg.0001.exr"]).layers["foreground"][0]
    np.testing.assert_allclose(clip.read(1).layers["foreground"], back, rtol=1e-3, atol=1e-6)


def test_layers_of_another_space_are_taken_into_the_one_asked_for(tmp_path: Path) -> None:
    stack = replace(make_stack(1), colorspace="ACES2065-1")
    clip = open_clip(write_all(tmp_path, stack))
    assert (clip.source_colorspace, clip.colorspace) == ("ACES2065-1", "ACEScg")
    expected = engine_color.convert(stack.layers["foreground"][0], "ACES2065-1", "ACEScg")
    np.testing.assert_allclose(clip.read(1001).layers["foreground"], expected, rtol=5e-3, atol=5e-3)
    same = open_clip(str(tmp_path), target="lin_ap0_scene")
    assert same.colorspace == "ACES2065-1"
    np.testing.assert_allclose(same.read(1001).layers["residual"], stack.layers["residual"][0], atol=1e-3)


def test_the_display_window_is_what_is_shown(tmp_path: Path) -> None:
    stack = make_stack(1, overscan=(0, 0, 31, 17), x=0, y=0)
    inner = replace(stack, format=PictureFormat(width=21, height=11, x=5, y=3, overscan=(0, 0, 31, 17)))
    inner = replace(inner, format=replace(inner.format, data_window=(0, 0, 31, 17)))
    clip = open_clip(write_all(tmp_path, inner))
    assert (clip.width, clip.height) == (21, 11)
    pixels = clip.read(1001).layers["background"]
    np.testing.assert_array_equal(pixels, stack.layers["background"][0, 3:14, 5:26].astype(np.float16))


def test_what_the_data_window_leaves_out_is_nothing(tmp_path: Path) -> None:
    write_image(tmp_path / "a.exr", gradient(4, 6), full=(0, 0, 10, 8), origin=(2, 3))
    clip = open_clip(str(tmp_path / "a.exr"))
    pixels = clip.read(1).layers["plate"]
    assert (clip.frames, pixels.shape) == ((1,), (8, 10, 3))
    np.testing.assert_allclose(pixels[3:7, 2:8], gradient(4, 6), atol=1e-3)
    assert not pixels[:3].any() and not pixels[:, 8:].any()


@pytest.mark.parametrize("mode", ["straight", "premultiplied"])
def test_no_nan_and_no_infinity_comes_through(tmp_path: Path, mode: str) -> None:
    planes = {f"foreground.{letter}": np.full((2, 3), 0.5, np.float16) for letter in "RGBA"}
    planes["foreground.R"][0] = (np.nan, np.inf, -np.inf)
    header = {"type": OpenEXR.scanlineimage, "layerflow:alphaMode": mode}
    OpenEXR.File(header, planes).write(str(tmp_path / "a.0001.exr"))
    red = open_clip(str(tmp_path)).read(1).layers["foreground"][0, :, 0]
    np.testing.assert_array_equal(red, [0, 65504, -65504])
    wide = np.full((2, 3, 3), 1e9, np.float32)
    write_image(tmp_path / "wide.exr", wide, "float")
    assert (open_clip(str(tmp_path / "wide.exr")).read(1).layers["plate"] == 65504).all()


@pytest.mark.parametrize("suffix", ["exr", "png", "tif", "jpg", "dpx"])
def test_plates_are_what_the_engine_takes_them_for(tmp_path: Path, suffix: str) -> None:
    pattern = write_sequence(tmp_path, suffix=suffix)
    clip = open_clip(pattern)
    assert clip.layers == ("plate",) and clip.frames == (1001, 1002, 1003, 1004)
    assert (clip.name, clip.text) == (f"dog.####.{suffix}", pattern)
    for frame in (1001, 1004):
        assert_agrees(clip, frame, pattern)


@pytest.mark.parametrize(
    ("suffix", "channels"), [("exr", 1), ("exr", 2), ("exr", 4), ("png", 1), ("png", 2), ("png", 4), ("tif", 4)]
)
def test_grey_and_alpha_are_the_engines(tmp_path: Path, suffix: str, channels: int) -> None:
    names = {1: ("Y",), 2: ("Y", "A"), 4: ("R", "G", "B", "A")}[channels]
    pixels = np.ascontiguousarray(gradient(channels=4)[..., [0, 3] if channels == 2 else slice(channels)])
    write_image(tmp_path / f"a.0001.{suffix}", pixels, "half" if suffix == "exr" else "uint16", names=names)
    clip = open_clip(str(tmp_path))
    assert clip.read(1).layers["plate"].shape[-1] == (3 if channels == 1 else 4)
    assert_agrees(clip, 1, str(tmp_path))


@pytest.mark.parametrize("space", ["lin_rec709_scene", "lin_ap0_scene", "lin_p3d65_scene"])
def test_a_header_names_the_space(tmp_path: Path, space: str) -> None:
    pattern = write_sequence(tmp_path, count=1, colorInteropID=space)
    assert_agrees(open_clip(pattern), 1001, pattern)


def test_the_space_of_a_plate_can_be_named(tmp_path: Path) -> None:
    pattern = write_sequence(tmp_path, suffix="dpx", count=1)
    assert_agrees(open_clip(pattern, "arri_logc4"), 1001, pattern, colorspace="arri_logc4")
    with pytest.raises(ClipError, match="no colour space 'moonlight'"):
        open_clip(pattern, "moonlight")


def test_a_pattern_a_folder_and_any_of_its_files_are_the_same_clip(tmp_path: Path) -> None:
    pattern = write_sequence(tmp_path)
    texts = (pattern, pattern.replace("%04d", "####"), str(tmp_path), str(tmp_path / "dog.1003.exr"))
    clips = [open_clip(text) for text in texts]
    assert {clip.frames for clip in clips} == {(1001, 1002, 1003, 1004)}
    assert len(set(clips)) == 1
    assert open_clip(pattern, "lin_rec709") != clips[0]


def test_a_picture_without_a_number_is_frame_1(tmp_path: Path) -> None:
    write_image(tmp_path / "still.png", gradient(), "uint8")
    clip = open_clip(str(tmp_path / "still.png"))
    assert clip.frames == (1,) and clip.fps == 24.0
    assert_agrees(clip, 1, str(tmp_path / "still.png"))


def test_frames_that_come_while_a_job_writes_are_found(tmp_path: Path) -> None:
    stack = make_stack(3)
    exr.write_frame(tmp_path / "shot.1001.exr", stack, 0, header={})
    clip = open_clip(str(tmp_path / "shot.%04d.exr"))
    assert clip.refreshed() is clip
    exr.write_frame(tmp_path / "shot.1002.exr", stack, 1, header={})
    newer = clip.refreshed()
    assert (clip.frames, newer.frames) == ((1001,), (1001, 1002))
    assert newer == clip and hash(newer) == hash(clip)  # a cache keeps what it has
    exr.write_frame(tmp_path / "shot.1001.exr", make_stack(1, ("foreground",)), 0, header={"layerflow:seed": "8"})
    rewritten = newer.refreshed()
    assert rewritten != clip and rewritten.header(1001)["layerflow:seed"] == "8"
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(ClipError, match="no frame of shot"):
        rewritten.refreshed()


def test_the_header_of_a_frame_says_how_it_was_made(tmp_path: Path) -> None:
    clip = open_clip(write_all(tmp_path, make_stack(1)))
    header = clip.header(1001)
    assert header["layerflow:seed"] == "7" and header["layerflow:alphaMode"] == "straight"


def test_a_hole_names_its_frame(tmp_path: Path) -> None:
    pattern = write_sequence(tmp_path)
    (tmp_path / "dog.1002.exr").unlink()
    clip = open_clip(pattern)
    assert clip.frames == (1001, 1003, 1004)
    with pytest.raises(ClipError, match=r"frame 1002 is missing from dog\.####\.exr"):
        clip.read(1002)
    (tmp_path / "dog.1003.exr").unlink()
    with pytest.raises(ClipError, match=r"frame 1003 .* not there any more"):
        clip.read(1003)


@pytest.mark.parametrize("suffix", ["exr", "png", "tif", "jpg", "dpx"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6])
def test_a_frame_that_is_cut_short_names_itself(tmp_path: Path, suffix: str, share: float) -> None:
    pattern = write_sequence(tmp_path, suffix=suffix)
    path = tmp_path / f"dog.1002.{suffix}"
    rng = np.random.default_rng(0)
    write_image(path, rng.random((16, 24, 3), np.float32), "half" if suffix == "exr" else "uint8")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    clip = open_clip(pattern)
    clip.read(1001)
    with pytest.raises(ClipError, match=rf"^frame 1002 \(dog\.1002\.{suffix}\) [^\n]*; [^\n]*$"):
        clip.read(1002)


def test_a_frame_of_another_size_or_other_layers_is_said(tmp_path: Path) -> None:
    pattern = write_sequence(tmp_path, count=2)
    write_image(tmp_path / "dog.1002.exr", gradient(8, 8))
    with pytest.raises(ClipError, match=r"frame 1002 .* is 8x8 but frame 1001 is 24x16"):
        open_clip(pattern).read(1002)
    layered = tmp_path / "layered"
    layered.mkdir()
    write_all(layered, make_stack(1, ("foreground1", "foreground2")))
    exr.write_frame(layered / "shot.1002.exr", make_stack(1), 0, header={})
    with pytest.raises(ClipError, match=r"frame 1002 .* has no layer foreground1"):
        open_clip(str(layered)).read(1002)


def test_deep_pictures_and_pictures_without_colour_are_refused(tmp_path: Path) -> None:
    write_deep(tmp_path / "deep.exr")
    with pytest.raises(ClipError, match="deep EXR; flatten it"):
        open_clip(str(tmp_path / "deep.exr"))
    write_image(tmp_path / "depth.exr", gradient(channels=1), names=("Z",))
    with pytest.raises(ClipError, match="no red, green and blue, only Z"):
        open_clip(str(tmp_path / "depth.exr"))


def test_the_only_layer_of_a_foreign_picture_is_the_plate(tmp_path: Path) -> None:
    write_image(tmp_path / "a.exr", gradient(), names=("beauty.R", "beauty.G", "beauty.B"))
    assert_agrees(open_clip(str(tmp_path / "a.exr")), 1, str(tmp_path / "a.exr"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gone.exr", "there is no file or folder"),
        ("gone/shot.%04d.exr", "cannot be read"),
        ("none.%04d.exr", "no file matches"),
        ("shot.%04d.%04d.exr", "exactly one %04d"),
        ("notes.txt", "not a kind of file"),
        (".", "holds more than one"),
        ("empty", "holds nothing to look at"),
    ],
)
def test_a_path_that_leads_nowhere_is_said_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    write_sequence(tmp_path, count=1)
    write_sequence(tmp_path, count=1, name="cat")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipError, match=words) as caught:
        open_clip(str(tmp_path / text))
    assert "\n" not in str(caught.value) and ("; " in str(caught.value))


def test_layers_put_together_are_the_picture(tmp_path: Path) -> None:
    from layerflow_desktop.models.compositing import compose
    from layerflow_desktop.models.picture import Placed, Shown

    stack = make_stack(1)
    picture = open_clip(write_all(tmp_path, stack)).read(1001)
    names = ("foreground", "background", "residual")
    shown = Shown(tuple(Placed(picture.layers[name], adds=name == "residual") for name in names))
    expected = layers.recomposed({name: stack.layers[name][0].astype(np.float16).astype(np.float32) for name in names})
    np.testing.assert_allclose(compose(shown, 17, 31)[..., :3], expected, rtol=1e-6, atol=1e-6)


def test_opening_reads_one_header_and_no_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = write_sequence(tmp_path)
    opened = []
    real = oiio.ImageInput.open
    monkeypatch.setattr(
        "layerflow_desktop.models.image_file.oiio",
        type(
            "Counting",
            (),
            {
                "ImageSpec": oiio.ImageSpec,
                "ImageInput": type(
                    "I", (), {"open": staticmethod(lambda path, how: opened.append(path) or real(path, how))}
                ),
            },
        ),
    )
    open_clip(pattern)
    assert opened == [str(tmp_path / "dog.1001.exr")]
