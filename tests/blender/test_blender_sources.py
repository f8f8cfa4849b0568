"""What real Blender's strips show: which files the engine reads by itself, and what is rendered of all others."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from shots_on_disk import FIRST, pixels, plate

from layerflow import color

pytestmark = pytest.mark.blender


@pytest.fixture
def blender(alone, tmp_path):
    """A Blender with the plate as a strip, at frames 11 to 18 of channel 2."""
    names = plate(tmp_path / "plate")
    alone.do("set_scene", resolution_x=480, resolution_y=320, resolution_percentage=50, frame_start=1, frame_end=40)
    alone.do("add_images", "plate", str(tmp_path / "plate"), names, 2, 11)
    return alone


def movie(path: Path, count: int = 12, rate: int = 24) -> Path:
    """A movie that gets redder with every frame."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=rate, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for index in range(count):
            picture = np.full((48, 64, 3), (20 * index, 90, 40), np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        made.mux(stream.encode())
    return path


def linear(path: Path) -> np.ndarray:
    """[H, W, 3] of an sRGB file, in Linear Rec. 709."""
    return color.convert(pixels(path)[..., :3], "sRGB", "lin_rec709")


def test_a_trimmed_sequence_is_read_from_the_frame_it_shows_first(blender, tmp_path):
    blender.do("change_strip", "plate", frame_offset_start=3, frame_offset_end=1)
    found = blender.do("source", "plate")
    assert found == {
        "first": 14,
        "last": 17,
        "media": [str(tmp_path / "plate/plate.####.png"), 1004, "sRGB"],
        "why": "",
    }


@pytest.mark.parametrize("skipped", [0, 2])
def test_a_trimmed_movie_is_read_from_the_frame_it_shows_first(blender, tmp_path, skipped):
    path = movie(tmp_path / "movie.mp4")
    blender.do("add_movie", "movie", str(path), 3, 100, animation_offset_start=skipped, frame_offset_start=3)
    found = blender.do("source", "movie")
    assert (found["first"], found["media"]) == (103, [str(path), 4 + skipped, "sRGB"])
    blender.do("render_strip", "movie", 103, str(tmp_path / "seen.exr"))
    seen = color.convert(pixels(tmp_path / "seen.exr")[160:161, 240:241], "lin_rec709", "sRGB") * 255
    assert abs(seen[0, 0, 0] - 20 * (3 + skipped)) < 3  # the frame that Blender shows there


def test_a_movie_of_another_frame_rate_is_rendered(blender, tmp_path):
    path = movie(tmp_path / "movie.mp4", rate=25)
    blender.do("add_movie", "movie", str(path), 3, 100)
    assert blender.do("source", "movie")["why"] == "its frame rate is not the scene's"
    blender.do("set_scene", fps=25)
    assert blender.do("source", "movie")["why"] == ""


def test_one_file_is_a_still(blender, tmp_path):
    blender.do("add_images", "still", str(tmp_path / "plate"), [f"plate.{FIRST}.png"], 3, 1, frame_final_end=20)
    found = blender.do("source", "still")
    assert (found["first"], found["last"], found["media"][1]) == (1, 19, None)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"use_reverse_frames": True}, "backwards"),
        ({"strobe": 3}, "strobe"),
        ({"color_multiply": 0.5}, "colours"),
        ({"color_saturation": 0.0}, "colours"),
        ({"frame_offset_end": -4}, "longer"),
        ({"colorspace_settings__name": "AgX Log"}, "colour space"),
        ({"alpha_mode": "PREMUL"}, "alpha"),
    ],
)
def test_what_the_sequencer_changes_is_rendered(blender, change, why):
    blender.do("change_strip", "plate", **change)
    found = blender.do("source", "plate")
    assert found["media"] is None and why in found["why"]


def test_modifiers_animation_and_other_kinds_of_strips_are_rendered(blender):
    if blender.version == "4.5":  # 5.0 crashes where a script adds one without a window
        blender.do("add_modifier", "plate")
        assert "modifiers" in blender.do("source", "plate")["why"]
    blender.do("add_scene_strip", "inner", [1, 0, 0], 3, 11)
    assert blender.do("source", "inner") == {"first": 11, "last": 18, "media": None, "why": "it is a scene strip"}
    blender.do("add_color", "colour", [1, 0, 0], 4, 11)
    assert "color strip" in blender.do("source", "colour")["why"]


def test_an_animated_strip_is_rendered_as_it_is_at_every_frame(blender, tmp_path):
    assert blender.do("source", "plate")["why"] == ""
    blender.do("slide", "plate", 11, 0.0, 15, 40.0)
    assert blender.do("source", "plate")["why"] == "it is animated"
    for frame, by in ((11, 0), (15, 40)):
        blender.do("render_strip", "plate", frame, str(tmp_path / "seen.exr"))
        expected = linear(tmp_path / "plate" / f"plate.{FIRST + frame - 11}.png")
        np.testing.assert_allclose(pixels(tmp_path / "seen.exr")[:, by:], expected[:, : 480 - by], atol=1e-4)


def test_files_that_are_not_numbered_one_by_one_are_rendered(blender, tmp_path):
    folder = str(tmp_path / "plate")
    blender.do("add_images", "odd", folder, [f"plate.{FIRST}.png", f"plate.{FIRST + 2}.png"], 3, 1)
    assert "numbered" in blender.do("source", "odd")["why"]


def test_a_strip_is_rendered_alone_and_the_scene_is_as_it_was(blender, tmp_path):
    blender.do("add_color", "above", [1, 0, 0], 3, 11)
    blender.do("change_strip", "plate", mute=True, blend_type="MULTIPLY", blend_alpha=0.2)
    blender.do("mute_channel", 2)
    before = blender.do("scene_state")
    blender.do("render_strip", "plate", 13, str(tmp_path / "in" / "plate.0013.exr"))
    assert blender.do("scene_state") == before
    spec = oiio.ImageBuf(str(tmp_path / "in" / "plate.0013.exr")).spec()
    assert (spec.width, spec.height, spec.nchannels, str(spec.format)) == (480, 320, 3, "float")
    expected = linear(tmp_path / "plate" / f"plate.{FIRST + 2}.png")
    np.testing.assert_allclose(pixels(tmp_path / "in" / "plate.0013.exr"), expected, atol=1e-4)
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["plate.0013.exr"]


def test_scenes_metas_and_effects_are_rendered(blender, tmp_path):
    seen = str(tmp_path / "seen.exr")
    blender.do("add_scene_strip", "inner", [0.5, 0.0, 0.25], 3, 11)
    blender.do("render_strip", "inner", 12, seen)
    inner = pixels(seen)[100, 100]
    assert inner[0] > inner[2] > inner[1]
    blender.do("add_3d_scene", "world", [0.25, 0.5, 0.75], 4, 11)
    blender.do("render_strip", "world", 12, seen)
    np.testing.assert_allclose(pixels(seen)[100, 100], (0.25, 0.5, 0.75), atol=1e-3)
    blender.do("blur", "soft", "plate", 5, 11, 8)
    blender.do("render_strip", "soft", 11, seen)
    expected = linear(tmp_path / "plate" / f"plate.{FIRST}.png")
    np.testing.assert_allclose(pixels(seen), expected, atol=1e-3)  # a blur of nothing
    blender.do("remove", "soft")
    blender.do("nest", "meta", "plate")
    blender.do("render_strip", "meta", 11, seen)
    np.testing.assert_allclose(pixels(seen), expected, atol=1e-4)
    blender.do("render_strip", "plate", 11, seen)
    np.testing.assert_allclose(pixels(seen), expected, atol=1e-4)


def test_alpha_is_rendered_where_it_is_wanted_and_a_matte_as_its_numbers(blender, tmp_path):
    matte = np.zeros((320, 480, 4), np.float32)
    matte[:, :240] = (0.5, 0.5, 0.5, 0.5)
    buffer = oiio.ImageBuf(oiio.ImageSpec(480, 320, 4, oiio.UINT8))
    buffer.specmod().attribute("oiio:UnassociatedAlpha", 1)
    buffer.set_pixels(oiio.ROI(), matte)
    buffer.write(str(tmp_path / "matte.png"))
    blender.do("add_images", "matte", str(tmp_path), ["matte.png"], 3, 11)
    seen = str(tmp_path / "seen.exr")
    blender.do("render_strip", "matte", 11, seen, alpha=True)
    found = pixels(seen)
    half = 128 / 255
    light = color.convert(np.full((1, 1, 3), half, np.float32), "sRGB", "lin_rec709")[0, 0, 0]
    np.testing.assert_allclose(found[10, 10], [light * half] * 3 + [half], atol=2e-3)
    np.testing.assert_allclose(found[10, 400], 0, atol=1e-6)
    blender.do("render_strip", "matte", 11, seen, alpha=True, raw=True)
    np.testing.assert_allclose(pixels(seen)[10, 10, 3], half, atol=2e-3)
    buffer = oiio.ImageBufAlgo.channels(buffer, (0, 1, 2))
    buffer.write(str(tmp_path / "grey.png"))
    blender.do("add_images", "grey", str(tmp_path), ["grey.png"], 4, 11)
    blender.do("render_strip", "grey", 11, seen, raw=True)
    np.testing.assert_allclose(pixels(seen)[10, [10, 400]], [[half] * 3, [0] * 3], atol=2e-3)


def test_a_mask_is_rendered(blender, tmp_path):
    blender.do("mask_strip", "mask", 3, 11, 8)
    blender.do("render_strip", "mask", 12, str(tmp_path / "seen.exr"), raw=True)
    found = pixels(tmp_path / "seen.exr")[..., 0]
    np.testing.assert_allclose(found[160, [20, 460]], (1, 0), atol=1e-3)
