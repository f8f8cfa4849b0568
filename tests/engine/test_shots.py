"""Whole shots on a model of random weights: the right files with the right layers, from any plate."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from pictures import gradient, write_image, write_movie
from rendering import PROMPTS, channels, contents, header, render, write_plate

from layerflow import exr
from layerflow.errors import ColorError, ModelError, PlateError, RequestError
from layerflow.models.folder import open_model
from layerflow.sampler import Sampler, SamplerState
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERED = {f"foreground.{c}" for c in "RGBA"} | {f"background.{c}" for c in "RGB"} | set("RGBA")
GIVEN = {"decompose": ("", 3), "background": ("foreground.", 4), "foreground": ("background.", 3)}


@pytest.mark.parametrize("task", GIVEN)
def test_a_task_on_a_plate(tiny_model: Path, tmp_path: Path, task: str) -> None:
    prefix, num_channels = GIVEN[task]
    plate = write_plate(tmp_path / "plate", channels=num_channels)
    result = render(tiny_model, tmp_path / "out", task=task, plate=plate, seed=3)
    assert [path.name for path in result.frames] == [f"dog.{number}.exr" for number in range(1001, 1012)]
    assert set(contents(tmp_path / "out")) == {path.name for path in result.frames}
    for path in result.frames:
        made, given = channels(path), channels(tmp_path / "plate" / path.name)
        assert set(made) == LAYERED and all(np.isfinite(plane).all() for plane in made.values())
        assert (made["A"] == 1).all() and 0 <= made["foreground.A"].min() <= made["foreground.A"].max() <= 1
        for letter in "RGBA"[:num_channels]:
            assert np.array_equal(made[prefix + letter], given[letter])
    assert (result.seed, result.model, result.backend) == (3, "tiny", "eager")


def test_generate(tiny_model: Path, tmp_path: Path) -> None:
    result = render(
        tiny_model, tmp_path, task="generate", width=64, height=20, num_frames=10, first_frame=95, fps=23.976
    )
    assert [path.name for path in result.frames] == [f"dog.{number:04}.exr" for number in range(95, 105)]
    made, head = channels(result.frames[0]), header(result.frames[0])
    assert set(made) == LAYERED and made["R"].shape == (20, 64)
    rate = head["framesPerSecond"]
    assert (rate.numerator, rate.denominator) == (24000, 1001)


def test_frames_differ_in_time_and_by_seed(tiny_model: Path, tmp_path: Path) -> None:
    first, second = (
        render(tiny_model, tmp_path / str(seed), task="generate", seed=seed, num_frames=8).frames for seed in (1, 2)
    )
    seen = [channels(path)["background.R"].tobytes() for path in (*first, *second)]
    assert len(set(seen)) == 16


@pytest.mark.parametrize(("task", "num_channels"), [("decompose", 3), ("background", 4)])
@pytest.mark.parametrize("memory", ["full", "balanced", "low"])
def test_a_released_layout_with_a_video_vae(
    released_model: Path, tmp_path: Path, task: str, num_channels: int, memory: str
) -> None:
    plate = write_plate(tmp_path / "plate", channels=num_channels, count=16)
    result = render(released_model, tmp_path / "out", task=task, plate=plate, steps=1, memory=memory)
    assert len(result.frames) == 16 and set(channels(result.frames[-1])) == LAYERED


def test_the_header_says_how_a_frame_was_made(tiny_model: Path, tmp_path: Path) -> None:
    odd = "a \U0001f415 says “שלום”; rm -rf $HOME `id`\nand more " * 300
    plate = write_plate(tmp_path / "pläte \U0001f3ac", count=3)
    result = render(tiny_model, tmp_path / "out", plate=plate, seed=2**63 - 1, blended=odd, colorspace="ACEScg")
    head = exr.read_header(result.frames[1])
    said = json.loads(head["layerflow:request"])
    assert (said["plate"], said["first_frame"], said["last_frame"]) == (plate, 1001, 1003)
    assert said["blended"] == odd and said["foreground"] == PROMPTS["foreground"]
    assert not {"output", "preview", "per_layer"} & set(said)
    assert (head["layerflow:seed"], head["layerflow:frame"]) == (str(2**63 - 1), "1002")
    assert head["layerflow:modelSha256"] == open_model(tiny_model).sha256
    assert (head["layerflow:device"], head["layerflow:precision"]) == ("cpu", "float32")
    assert "torch 2." in head["layerflow:libraries"] and head["layerflow:alphaMode"] == "straight"
    assert header(result.frames[1])["framesPerSecond"] == 25


@pytest.mark.parametrize("count", [1, 5, 8, 9, 16])
def test_a_plate_of_any_length(tiny_model: Path, tmp_path: Path, count: int) -> None:
    plate = write_plate(tmp_path / "plate", count=count)
    said: list[Event] = []
    result = render(tiny_model, tmp_path / "out", plate=plate, on_event=said.append)
    assert len(result.frames) == count and all(exr.verify_frame(path) for path in result.frames)
    steps = [event for event in said if event.kind == "step"]
    num_windows = 1 if count <= 8 else -(-(count - 4) // 4)  # each shares 4 frames with the one before
    assert [event.done for event in steps] == list(range(1, 3 * num_windows + 1))
    assert {event.total for event in steps} == {3 * num_windows}
    assert [(event.done, event.total) for event in said if event.kind == "frame"][-1] == (count, count)


def test_frames_do_not_depend_on_windows_that_do_not_make_them(tiny_model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=11)
    long = render(tiny_model, tmp_path / "long", plate=plate).frames
    short = render(tiny_model, tmp_path / "short", plate=plate, first_frame=1001, last_frame=1008).frames
    for a, b in zip(long[:4], short, strict=False):  # the rest is made by the next window too
        made, again = channels(a), channels(b)
        assert all(np.array_equal(made[name], again[name]) for name in LAYERED)


def test_a_movie(tiny_model: Path, tmp_path: Path) -> None:
    movie = write_movie(
        tmp_path / "clip.mov", codec="prores_ks", pix_fmt="yuv422p10le", tags={"timecode": "01:00:00:00"}
    )
    result = render(tiny_model, tmp_path / "out", plate=str(movie), first_frame=3, last_frame=5)
    assert [path.name for path in result.frames] == ["dog.0003.exr", "dog.0004.exr", "dog.0005.exr"]
    stamps = [exr.read_header(path)["smpte:TimeCode"] for path in result.frames]
    assert stamps == ["01:00:00:02", "01:00:00:03", "01:00:00:04"]


@pytest.mark.parametrize("fit", ["bucket", "pad", "crop"])
@pytest.mark.parametrize("size", [(1, 1), (31, 17), (16, 1000)])
def test_odd_sizes(tiny_model: Path, tmp_path: Path, size: tuple[int, int], fit: str) -> None:
    plate = write_plate(tmp_path / "plate", count=2, size=size)
    result = render(tiny_model, tmp_path / "out", plate=plate, fit=fit)
    assert channels(result.frames[1])["background.G"].shape == size


@pytest.mark.parametrize("task", ["decompose", "generate"])
def test_the_model_s_picture_has_the_shape_of_the_plate(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """A portrait plate of wide pixels is square: of 32x48 pixels in steps of 16, 2 x 3 patches, it gets 2 x 2."""
    sizes, start = [], Sampler.start

    def noted(self: Sampler, shape: tuple[int, ...], generator: torch.Generator) -> SamplerState:
        sizes.append(shape[-2:])
        return start(self, shape, generator)

    monkeypatch.setattr(Sampler, "start", noted)
    if task == "generate":
        render(tiny_model, tmp_path / "out", task=task, num_frames=1, width=40, height=40)
    else:
        write_image(tmp_path / "a.exr", np.full((40, 20, 3), 0.25, np.float32), PixelAspectRatio=2.0)
        render(tiny_model, tmp_path / "out", plate=str(tmp_path / "a.exr"))
    assert sizes == [(4, 4)]


def test_windows_and_pixel_aspect_of_the_plate_are_kept(tiny_model: Path, tmp_path: Path) -> None:
    pixels = np.full((12, 20, 3), 0.25, np.float32)
    write_image(tmp_path / "a.exr", pixels, full=(-4, -2, 30, 18), origin=(3, 1), PixelAspectRatio=2.0)
    head = header(render(tiny_model, tmp_path / "out", plate=str(tmp_path / "a.exr")).frames[0])
    assert [list(corner) for corner in head["displayWindow"]] == [[-4, -2], [25, 15]]
    assert [list(corner) for corner in head["dataWindow"]] == [[3, 1], [22, 12]]
    assert head["pixelAspectRatio"] == 2.0


@pytest.mark.parametrize("task", ["decompose", "background"])
def test_overscan_is_made_and_goes_back_to_each_frame_s_own_window(tiny_model: Path, tmp_path: Path, task: str) -> None:
    areas = {1: (-6, -4, 36, 24), 2: (-6, 2, 20, 10), 3: (2, 2, 10, 6)}
    for number, (x, y, width, height) in areas.items():
        pixels = np.random.default_rng(number).random((height, width, 4 if task == "background" else 3), np.float32)
        attributes = {"oiio__ColorSpace": "ACEScg", "layerflow__alphaMode": "straight"}
        write_image(tmp_path / f"a.{number}.exr", pixels, full=(0, 0, 24, 16), origin=(x, y), **attributes)
    plate = str(tmp_path / "a.#.exr")
    result = render(tiny_model, tmp_path / "out", task=task, plate=plate, per_layer=True, preview=True)
    for number, path in zip(areas, result.frames, strict=True):
        head, made, given = header(path), channels(path), channels(tmp_path / f"a.{number}.exr")
        x, y, width, height = areas[number]
        assert [list(corner) for corner in head["displayWindow"]] == [[0, 0], [23, 15]]
        assert [list(corner) for corner in head["dataWindow"]] == [[x, y], [x + width - 1, y + height - 1]]
        prefix = "foreground." if task == "background" else ""
        assert all(np.array_equal(made[prefix + letter], given[letter]) for letter in given)
    assert made["background.R"].any()  # in the overscan of another frame it was made, too
    assert channels(result.per_layer["background"][0])["R"][:4].any()


def test_pixels_that_are_no_numbers(tiny_model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=3)
    wild = np.array([np.nan, np.inf, -np.inf, -3.0, 65504.0, 1e-8], np.float32)
    pixels = np.resize(wild, (16, 24, 3)).astype(np.float32)
    write_image(tmp_path / "plate" / "dog.1002.exr", pixels, oiio__ColorSpace="ACEScg", FramesPerSecond=25.0)
    result = render(tiny_model, tmp_path / "out", plate=plate, per_layer=True)
    for path in (tmp_path / "out").iterdir():
        assert all(np.isfinite(plane).all() and np.abs(plane).max() <= 65504 for plane in channels(path).values())
    assert any("NaN pixels in frame 1002 were set to 0" in note for note in result.warnings)
    assert any("infinite pixels in frame 1002" in note for note in result.warnings)
    assert sum("partly beyond display black or white, frame 1002 most" in note for note in result.warnings) == 1
    assert len(set(result.warnings)) == len(result.warnings)


def test_a_prompt_that_is_too_long_is_told(tiny_model: Path, tmp_path: Path) -> None:
    result = render(tiny_model, tmp_path, task="generate", foreground="a red dog in the garden at night", num_frames=1)
    assert result.warnings == (
        "the foreground prompt is 3 tokens too long; shorten it, the model does not see: garden at night",
    )


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
def test_per_layer_and_preview(tiny_model: Path, tmp_path: Path, alpha: str) -> None:
    plate = write_plate(tmp_path / "plate", count=3, size=(48, 64))
    result = render(tiny_model, tmp_path / "out", plate=plate, per_layer=True, preview=True, alpha=alpha)
    assert set(result.per_layer) == {"foreground", "background", "blended"}
    for index, path in enumerate(result.frames):
        whole = channels(path)
        for name, paths in result.per_layer.items():
            alone, prefix = channels(paths[index]), "" if name == "blended" else f"{name}."
            assert paths[index].name == f"dog.{name}.{1001 + index}.exr" and set(alone) == set("RGBA")
            assert all(np.array_equal(alone[c], whole[prefix + c]) for c in "RGB")
    with av.open(str(result.preview_movie)) as movie:
        assert movie.streams.video[0].average_rate == 25 and len(list(movie.decode(video=0))) == 3
    assert oiio.ImageInput.open(str(result.contact_sheet)).spec().nchannels == 3
    assert result.contact_sheet.name == "dog.contact-sheet.png" and result.preview_movie.name == "dog.preview.mp4"


def test_premultiplied_output_is_the_straight_one_times_alpha(tiny_model: Path, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "plate", count=1)
    straight, premultiplied = (
        channels(render(tiny_model, tmp_path / alpha, plate=plate, alpha=alpha).frames[0])
        for alpha in ("straight", "premultiplied")
    )
    expected = straight["foreground.R"] * straight["foreground.A"]
    np.testing.assert_allclose(premultiplied["foreground.R"], expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"task": "background"}, PlateError, "needs a foreground with an alpha channel"),
        ({"named": "nowhere"}, ModelError, "there is no model 'nowhere'"),
        ({"named": "n" * 5000}, ModelError, "there is no model"),
        ({"output_colorspace": "ACESgc"}, ColorError, "no colour space 'ACESgc'"),
        ({"output_colorspace": "sRGB - Texture"}, ColorError, "not scene-linear"),
        ({"device": "cuda:99"}, RequestError, "no device 'cuda:99'"),
        ({"device": "meta"}, RequestError, "no device 'meta'"),
        ({"device": "toaster"}, RequestError, "no device 'toaster'"),
        ({"backend": "magic"}, RequestError, "no backend 'magic'; here are: eager"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_step(tiny_model, tmp_path, changes, error, sentence) -> None:
    changes = dict(changes)
    said: list[Event] = []
    model = changes.pop("named", tiny_model)
    with pytest.raises(error, match=sentence):
        render(model, tmp_path / "out", plate=write_plate(tmp_path / "plate"), on_event=said.append, **changes)
    assert not contents(tmp_path / "out") and not any(event.kind == "step" for event in said)


def test_a_task_that_the_model_was_not_made_for(tmp_path: Path) -> None:
    from tiny import write_tiny_model

    from layerflow.layout import task_layouts

    model = write_tiny_model(tmp_path / "model", layouts={"decompose": task_layouts(8, 2)["decompose"]})
    with pytest.raises(ModelError, match="model tiny cannot generate; it can: decompose"):
        render(model, tmp_path / "out", task="generate")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("task", ["background", "foreground"])
def test_a_shot_starts_from_the_layer_of_another(tiny_model: Path, tmp_path: Path, task: str) -> None:
    first = render(tiny_model, tmp_path / "first", plate=write_plate(tmp_path / "plate", count=2))
    kept = {"background": "foreground", "foreground": "background"}[task]
    second = render(tiny_model, tmp_path / "second", task=task, plate=str(first.frames[0].with_name("dog.%04d.exr")))
    before, after = channels(first.frames[1]), channels(second.frames[1])
    named = [name for name in before if name.startswith(f"{kept}.")]
    assert named
    for name in named:
        np.testing.assert_array_equal(before[name], after[name])
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    assert f"its layer {kept} is used" in second.warnings and f"its layer {kept} is used" not in first.warnings


def test_generate_up_to_a_last_frame(tiny_model: Path, tmp_path: Path) -> None:
    made = render(tiny_model, tmp_path / "out", task="generate", last_frame=3)
    assert [path.name for path in made.frames] == ["dog.0001.exr", "dog.0002.exr", "dog.0003.exr"]
    with pytest.raises(RequestError, match="comes before the first frame"):
        render(tiny_model, tmp_path / "none", task="generate", last_frame=0)
    with pytest.raises(RequestError, match="1000000000 frames are more than 100000; say with --frames"):
        render(tiny_model, tmp_path / "none", task="generate", last_frame=10**9)


def test_a_generated_picture_larger_than_any_plate_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"16384x16384 pixels are more than 134 million; choose a smaller --width"):
        render(tiny_model, tmp_path, task="generate", width=16384, height=16384, num_frames=1)
    assert not contents(tmp_path)


def test_a_photo_numbered_by_its_time(tiny_model: Path, tmp_path: Path) -> None:
    """As telephones name them; every digit of the number counts."""
    photo = write_image(tmp_path / "PXL_20240612_101010123.png", gradient(), "uint8")
    made = render(tiny_model, tmp_path / "out", plate=str(photo))
    assert [path.name for path in made.frames] == ["dog.101010123.exr"]
