"""Layers handed on: read back number by number, never over anything, never half."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest

from layerflow import color, deliveries, exr, layers, prores
from layerflow.cli.app import run
from layerflow.cli.deliver import _KINDS
from layerflow.comp import Comp, Placement, comped
from layerflow.layers import LayerStack, PictureFormat
from layerflow.plate.movie import MovieReader

HEIGHT, WIDTH, FRAMES = 18, 33, (1001, 1002, 1003)
FORM = PictureFormat(width=WIDTH, height=HEIGHT, fps=Fraction(24000, 1001), timecode="01:00:00:23", pixel_aspect=2.0)
MOVED = {"layers": [{"name": "foreground", "offset_x": 3.5, "opacity": 0.5}, {"name": "background"}]}


def smooth(shift: float, *sizes: float) -> np.ndarray:
    """Waves [F, H, W, C] that a codec keeps, of colours that a display has."""
    y, x = np.indices((HEIGHT, WIDTH)) / (HEIGHT, WIDTH)[0]
    planes = [0.5 + 0.4 * np.sin(size * (x + y) + shift + np.arange(len(FRAMES))[:, None, None]) for size in sizes]
    waves = color.from_display(np.stack(planes, axis=-1, dtype=np.float32), "ACEScg")
    return waves.astype(np.float16).astype(np.float32)


@pytest.fixture(scope="module")
def stack() -> LayerStack:
    """Smooth layers, half-float exact; the matte has clean 0 and 1 too."""
    foreground = smooth(0.0, 2.0, 3.0, 1.0, 2.5)
    foreground[:, :4, :, 3], foreground[:, -4:, :, 3] = 0, 1
    named = {"foreground": foreground, "background": smooth(1.0, 1.0, 2.0, 3.0)}
    named["blended"] = layers.over(named["foreground"], named["background"])
    return LayerStack(layers=named, frames=FRAMES, format=FORM)


@pytest.fixture
def shot(stack: LayerStack, tmp_path: Path) -> Path:
    """Its frames on disk."""
    (tmp_path / "shot").mkdir()
    for index, frame in enumerate(FRAMES):
        path = tmp_path / "shot" / f"dog.{frame}.exr"
        exr.write_frame(path, stack, index, header={"layerflow:seed": "7"})
    return tmp_path / "shot" / "dog.####.exr"


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    path = tmp_path / "comp.json"
    path.write_text(json.dumps(MOVED))
    return path


def deliver(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict], str]:
    code = run(["deliver", *map(str, arguments), "--json"])
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


def made(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[Path]:
    code, said, _ = deliver(capsys, *arguments)
    assert code == 0, said
    files = [Path(path) for path in said[-1]["files"]]
    assert all(path.is_file() for path in files)
    return files


def channels(path: Path) -> dict[str, np.ndarray]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: channel.pixels.copy() for name, channel in file.channels().items()}


def in_order(stack: LayerStack, index: int) -> LayerStack:
    return comped(exr.frame_of(stack, index), Comp.from_dict(MOVED))


def test_the_command_line_has_every_kind() -> None:
    assert _KINDS == deliveries.KINDS


def test_layered_exr_without_a_comp_keeps_every_bit_and_the_header(capsys, shot, tmp_path) -> None:
    files = made(capsys, shot, "--as", "exr", "-o", tmp_path / "out/x.%04d.exr")
    assert [path.name for path in files] == [f"x.{frame}.exr" for frame in FRAMES]
    for path in files:
        source = shot.with_name(f"dog.{path.name.split('.')[1]}.exr")
        before, after = channels(source), channels(path)
        assert before.keys() == after.keys()
        assert all((before[name].view(np.uint16) == after[name].view(np.uint16)).all() for name in before)
        was, header = exr.read_header(source), exr.read_header(path)
        assert {name: header[name] for name in was} == was
        assert header["layerflow:deliveredFrom"] == source.name


def test_layered_exr_in_a_comp(capsys, shot, tmp_path, moved, stack) -> None:
    files = made(capsys, shot, "--as", "exr", "-o", tmp_path / "x.%04d.exr", "--comp", moved)
    for index, path in enumerate(files):
        got, expected = exr.read_stack([path]), in_order(stack, index)
        np.testing.assert_array_equal(got.layers["background"], stack.layers["background"][index][None])
        np.testing.assert_allclose(got.layers["foreground"], expected.layers["foreground"], atol=2e-3)
        np.testing.assert_allclose(got.layers["blended"], expected.layers["blended"], atol=1e-3)
        np.testing.assert_allclose(layers.recompose(got), got.layers["blended"], atol=2e-3)
        assert json.loads(exr.read_header(path)["layerflow:comp"])["layers"][0]["offset_x"] == 3.5


def test_recompose_takes_the_same_comp(capsys, shot, tmp_path, moved, stack) -> None:
    arguments = [str(shot), "-o", str(tmp_path / "x.%04d.exr"), "--comp", str(moved), "--json"]
    assert run(["recompose", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    for index, path in enumerate(report["frames"]):
        expected = in_order(stack, index).layers["blended"]
        np.testing.assert_allclose(exr.read_stack([Path(path)]).layers["blended"], expected, atol=1e-3)
    assert report["max_error"] > 0.1


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
def test_a_sequence_for_every_layer(capsys, shot, tmp_path, stack, alpha) -> None:
    files = made(capsys, shot, "--as", "exr-layers", "-o", tmp_path / "x.%04d.exr", "--alpha", alpha)
    assert [path.name for path in files[:3]] == [
        f"x.{name}.1001.exr" for name in ("foreground", "background", "blended")
    ]
    assert len(files) == 9
    planes = channels(files[3])
    rgba = np.stack([planes[letter] for letter in "RGBA"], axis=-1).astype(np.float32)
    expected = stack.layers["foreground"][1]
    expected = layers.premultiply(expected).astype(np.float16) if alpha == "premultiplied" else expected
    np.testing.assert_array_equal(rgba, expected)


def test_png_is_exact(capsys, shot, tmp_path, stack) -> None:
    files = made(capsys, shot, "--as", "png-layers", "-o", tmp_path / "x.%04d.png", "--layer", "foreground")
    assert [path.name for path in files] == [f"x.foreground.{frame}.png" for frame in FRAMES]
    config = oiio.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    for index, path in enumerate(files):
        source = oiio.ImageInput.open(str(path), config)
        shown = color.to_display(stack.layers["foreground"][index], "ACEScg").clip(0, 1)
        assert source.spec().format == oiio.UINT16 and source.spec().get_string_attribute("oiio:ColorSpace") in (
            "sRGB",
            "srgb_rec709_scene",
        )
        np.testing.assert_array_equal(
            source.read_image(oiio.UINT16), (shown * 65535 + np.float32(0.5)).astype(np.uint16)
        )
        source.close()


def decoded(path: Path) -> tuple[av.container.InputContainer, list[np.ndarray]]:
    """The movie, and its frames [H, W, 4] of 0 to 1: Y', Cb, Cr and alpha."""
    container = av.open(str(path))
    frames = []
    for frame in container.decode(container.streams.video[0]):
        high = float(2 ** frame.format.components[0].bits - 1)
        planes = [
            np.frombuffer(bytes(plane), np.uint16).reshape(frame.height, -1)[:, : frame.width] for plane in frame.planes
        ]
        frames.append(np.stack(planes, axis=-1) / high)
    return container, frames


def rgb_of(frame: np.ndarray) -> np.ndarray:
    """R'G'B' of limited Y', Cb and Cr in 0 to 1, by the matrix of Rec. 709 as its standard writes it."""
    luma = (frame[..., 0] * 1023 - 64) / 876
    blue, red = ((frame[..., place] * 1023 - 512) / 896 for place in (1, 2))
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    return np.stack([r, (luma - 0.2126 * r - 0.0722 * b) / 0.7152, b], axis=-1)


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
def test_prores_keeps_colour_and_alpha(capsys, shot, tmp_path, stack, alpha) -> None:
    (path,) = made(capsys, shot, "--as", "prores", "-o", tmp_path / "x.mov", "--alpha", alpha)
    container, frames = decoded(path)
    assert len(frames) == 3
    for index, frame in enumerate(frames):
        shown = color.to_display(stack.layers["foreground"][index], "ACEScg").clip(0, 1)
        np.testing.assert_allclose(frame[..., 3], shown[..., 3], atol=1 / 1023)  # ten bits, and those without loss
        assert (frame[:4, :, 3] == 0).all() and (frame[-4:, :, 3] == 1).all()
        expected = shown[..., :3] * (shown[..., 3:] if alpha == "premultiplied" else 1)
        error = np.abs(rgb_of(frame) - expected)
        assert error.mean() < 0.004 and np.quantile(error, 0.99) < 0.03
    container.close()


def test_prores_says_what_it_is(capsys, shot, tmp_path) -> None:
    (path,) = made(capsys, shot, "--as", "prores", "-o", tmp_path / "x.mov")
    with av.open(str(path)) as container:
        (stream, *others) = container.streams
        context = stream.codec_context
        assert (context.name, stream.profile) == ("prores", "4444") and context.format.name.startswith("yuva444p")
        assert (stream.average_rate, stream.sample_aspect_ratio) == (Fraction(24000, 1001), 2)
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tuple(map(int, tags)) == (1, 1, 1, 1)
        frame = next(container.decode(stream))
        said = (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range)
        assert tuple(map(int, said)) == (1, 1, 1, 1)
        container.seek(0)
        assert [each.type for each in others] == ["data"] and stream.metadata["timecode"] == "01:00:00:23"
        times = [packet.pts * packet.time_base for packet in container.demux(stream) if packet.pts is not None]
        assert times == [Fraction(1001 * number, 24000) for number in range(3)]


def test_the_engine_reads_its_movie_as_the_same_layer(capsys, shot, tmp_path, stack) -> None:
    (path,) = made(capsys, shot, "--as", "prores", "-o", tmp_path / "x.mov", "--frames", "1002-1003")
    movie = MovieReader(path)
    assert (movie.fps, movie.num_frames) == (FORM.fps, 2)
    assert movie.format(1, None) == PictureFormat(
        width=WIDTH, height=HEIGHT, fps=FORM.fps, pixel_aspect=2.0, timecode="01:00:01:00"
    )
    space, _ = movie.colorspace()
    linear = color.convert(movie.read(1), space, "ACEScg")
    wanted = stack.layers["foreground"][1]
    assert np.abs(linear - wanted)[8:14].mean() < 0.01


def test_a_movie_of_one_layer_and_of_the_picture(capsys, shot, tmp_path, stack, moved) -> None:
    more = ("--comp", moved)
    (path,) = made(capsys, shot, "--as", "prores", "-o", tmp_path / "x.mov", "--layer", "blended", *more)
    container, frames = decoded(path)
    assert container.streams.video[0].format.name.startswith("yuv444p")
    container.close()
    for index, frame in enumerate(frames):
        shown = color.to_display(in_order(stack, index).layers["blended"][0], "ACEScg").clip(0, 1)
        assert np.abs(rgb_of(frame) - shown).mean() < 0.005


def test_foregrounds_in_front_are_laid_over_each_other(stack, tmp_path) -> None:
    one, two = stack.layers["foreground"], stack.layers["foreground"][..., ::-1, :]
    named = {"foreground1": one, "foreground2": two, "background": stack.layers["background"]}
    for index, frame in enumerate(FRAMES):
        exr.write_frame(tmp_path / f"two.{frame}.exr", replace(stack, layers=named), index, header={})
    sources = {frame: tmp_path / f"two.{frame}.exr" for frame in FRAMES}
    order = deliveries.Order(sources=sources, kind="prores", output=str(tmp_path / "x.mov"))
    (path,) = deliveries.deliver(order)
    container, frames = decoded(path)
    container.close()
    expected = one[0, ..., 3] + two[0, ..., 3] * (1 - one[0, ..., 3])
    np.testing.assert_allclose(frames[0][..., 3], expected, atol=1.1 / 1023)
    behind = Comp(layers=tuple(Placement(name=name) for name in ("foreground2", "background", "foreground1")))
    alone = replace(order, comp=behind, output=str(tmp_path / "y.mov"))
    container, frames = decoded(deliveries.deliver(alone)[0])
    container.close()
    np.testing.assert_allclose(frames[0][..., 3], two[0, ..., 3], atol=1.1 / 1023)


def test_a_sheet(capsys, shot, tmp_path) -> None:
    (path,) = made(capsys, shot, "--as", "sheet", "-o", tmp_path / "x.png")
    spec = oiio.ImageBuf(str(path)).spec()
    assert spec.width > spec.height / 3 and spec.width % 3 == 0


def test_every_frame_is_told_of(capsys, shot, tmp_path) -> None:
    code, said, _ = deliver(capsys, shot, "--as", "exr", "-o", tmp_path / "x.%04d.exr", "--frames", "1002-1003")
    assert code == 0 and said[:-1] == [
        {"frame": 1002, "done": 1, "total": 2},
        {"frame": 1003, "done": 2, "total": 2},
    ]
    assert said[-1]["kind"] == "exr" and len(said[-1]["files"]) == 2


def test_a_long_shot_never_sits_in_memory_whole(shot, tmp_path, monkeypatch) -> None:
    sizes = []
    read_stack = exr.read_stack
    monkeypatch.setattr(exr, "read_stack", lambda paths: sizes.append(len(paths)) or read_stack(paths))
    sources = {frame: shot.with_name(f"dog.{frame}.exr") for frame in FRAMES}
    deliveries.deliver(deliveries.Order(sources=sources, kind="prores", output=str(tmp_path / "x.mov")))
    assert set(sizes) == {1}


def test_what_is_brighter_than_white_is_told_once(capsys, shot, tmp_path, stack) -> None:
    bright = replace(stack, layers={name: pixels * 4 for name, pixels in stack.layers.items()})
    for index, frame in enumerate(FRAMES):
        exr.write_frame(tmp_path / f"bright.{frame}.exr", bright, index, header={})
    source = tmp_path / "bright.####.exr"
    _, _, said = deliver(capsys, source, "--as", "prores", "-o", tmp_path / "x.mov", "--layer", "blended")
    assert said.count("brighter than white") == 1
    _, _, said = deliver(capsys, shot, "--as", "prores", "-o", tmp_path / "y.mov", "--layer", "blended")
    assert not said


@pytest.mark.parametrize(("kind", "name"), [("exr", "x.%04d.exr"), ("png-layers", "x.%04d.png"), ("prores", "x.mov")])
def test_what_is_there_is_not_replaced_unasked(capsys, shot, tmp_path, kind, name) -> None:
    first = made(capsys, shot, "--as", kind, "-o", tmp_path / name)
    before = first[-1].read_bytes()
    first[-1].write_text("mine")
    code, said, _ = deliver(capsys, shot, "--as", kind, "-o", tmp_path / name)
    assert code == 6 and "already there; pass --overwrite" in said[-1]["error"]
    assert first[-1].read_text() == "mine"
    assert made(capsys, shot, "--as", kind, "-o", tmp_path / name, "--overwrite") == first
    if kind != "prores":  # whose header has the time
        assert first[-1].read_bytes() == before


def test_what_is_read_is_never_replaced(capsys, shot) -> None:
    code, said, _ = deliver(capsys, shot, "--as", "exr", "-o", str(shot).replace("####", "%04d"), "--overwrite")
    assert code == 6 and "one of the files that are read" in said[-1]["error"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--as", "exr", "-o", "x.exr"], 6, "exactly one %04d"),
        (["--as", "png-layers", "-o", "x.%04d.exr"], 6, "must end in .%04d.png"),
        (["--as", "prores", "-o", "x.mp4"], 6, "must end in .mov"),
        (["--as", "sheet", "-o", "x.tif"], 6, "must end in .png or .jpg"),
        (["--as", "prores", "-o", "x.mov", "--layer", "shadow"], 2, "there is no layer shadow"),
        (["--as", "prores", "-o", "x.mov", "--layer", "foreground", "--layer", "background"], 2, "--layer once"),
        (["--as", "exr", "-o", "x.%04d.exr", "--layer", "foreground"], 2, "leave out --layer"),
        (["--as", "png-layers", "-o", "x.%04d.png", "--alpha", "premultiplied"], 2, "PNG has straight alpha"),
        (["--as", "exr", "-o", "x.%04d.exr", "--frames", "1000-1003"], 3, "choose within that"),
        (["--as", "exr", "-o", "x.%04d.exr", "--frames", "all"], 2, "written like 1001-1016"),
        (["--as", "exr", "-o", "x.%04d.exr", "--comp", "none.json"], 2, "cannot be read"),
        (["--as", "tiff", "-o", "x.%04d.exr"], 2, "'tiff' is not one of"),
        (["--as", "exr"], 2, "Missing option"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_nothing(
    capsys, shot, tmp_path, monkeypatch, arguments, exit_code, words
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said, err = deliver(capsys, shot, *arguments)
    assert code == exit_code and words in said[-1]["error"] and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["shot"]


def test_a_comp_that_hides_every_foreground_has_no_movie(capsys, shot, tmp_path) -> None:
    (tmp_path / "c.json").write_text('{"layers": [{"name": "foreground", "visible": false}]}')
    code, said, _ = deliver(capsys, shot, "--as", "prores", "-o", tmp_path / "x.mov", "--comp", tmp_path / "c.json")
    assert (
        code == 2 and "no foreground is to be seen; choose with --layer from background, blended" in said[-1]["error"]
    )


def test_a_timecode_that_drops_frames_needs_its_rate() -> None:
    assert prores.written_timecode("01:00:00;02", Fraction(30000, 1001)) == "01:00:00;02"
    assert prores.written_timecode("01:00:00;02", Fraction(24)) == "01:00:00:02"


SLOW = """
import sys, time
from layerflow import exr
read = exr.read_stack
def slow(paths):
    (path,) = paths
    if "1003" in path.name:
        print("waiting", flush=True)
        time.sleep(60)
    return read(paths)
exr.read_stack = slow
from layerflow.cli import main
main()
"""


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    ("kind", "name", "left"), [("prores", "x.mov", []), ("exr", "x.%04d.exr", ["x.1001.exr", "x.1002.exr"])]
)
def test_stopped_in_the_middle_no_file_is_half(shot, tmp_path, wish, kind, name, left) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", SLOW, "deliver", str(shot), "--as", kind, "-o", str(out / name), "--json"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        while process.stdout.readline() != "waiting\n":
            pass
        process.send_signal(wish)
        said, _ = process.communicate(timeout=30)
    names = sorted(path.name for path in out.iterdir())
    if wish is signal.SIGKILL:
        names = [each for each in names if not each.endswith(".part")]  # which the next run takes away
    else:
        assert process.returncode == 130 and json.loads(said.splitlines()[-1])["exit_code"] == 130
    assert names == left
    assert all(exr.verify_frame(out / each) for each in left)
