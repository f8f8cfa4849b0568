"""Layers that stay while another is made: to the bit, in their order; the picture is all of them over each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rendering import channels, header, render, write_plate
from test_shots_apart import over, rgb
from tiny import write_tiny_model, write_tiny_released

from layerflow import exr, shots
from layerflow.cli.app import run
from layerflow.errors import PlateError, RequestError
from layerflow.kept import kept_of
from layerflow.layers import LayerStack, PictureFormat, over_premultiplied, premultiply, z_order
from layerflow.wire import Request

pytestmark = pytest.mark.usefixtures("one_thread")

TWO = {"foreground": "", "foregrounds": ("a red dog", "the garden")}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def apart(model, tmp_path_factory) -> Path:
    """A plate taken apart into two foregrounds and a background."""
    folder = tmp_path_factory.mktemp("apart")
    render(model, folder / "layers", plate=write_plate(folder / "plate", count=3, size=(37, 61), dim=9.0), **TWO)
    return folder / "layers" / "dog.%04d.exr"


def bits(path: Path, layer: str) -> list[bytes]:
    planes = channels(path)
    return [planes[name].tobytes() for name in sorted(planes) if name.startswith(f"{layer}.")]


def source(apart: Path, number: int) -> Path:
    return Path(str(apart) % number)


@pytest.mark.parametrize(
    ("task", "keep", "stays", "made"),
    [
        ("background", (), ("foreground1", "foreground2"), "background"),
        ("background", ("foreground1",), ("foreground1",), "background"),
        ("background", ("foreground2",), ("foreground2",), "background"),
        ("foreground", (), ("background",), "foreground1"),
        ("foreground", ("background", "foreground2"), ("foreground2", "background"), "foreground1"),
        ("foreground", ("background", "foreground1"), ("foreground1", "background"), "foreground2"),
    ],
)
def test_what_is_kept_is_kept_to_the_bit(model, apart, tmp_path, task, keep, stays, made) -> None:
    result = render(model, tmp_path, task=task, plate=str(apart), keep=keep)
    order = z_order((*stays, made))
    for number, path in enumerate(result.frames, start=1001):
        assert header(path)["layerflow:layers"] == ",".join((*order, "blended"))
        for layer in stays:
            assert bits(path, layer) == bits(source(apart, number), layer) != []
        assert bits(path, made) != bits(source(apart, number), made)
        fronts = tuple(name for name in order if name != "background")
        np.testing.assert_allclose(rgb(channels(path), ""), over(path, fronts), rtol=2e-3, atol=1e-4)


def test_the_model_is_shown_what_is_in_front_or_behind(model, apart) -> None:
    def shown(task: str, *keep: str) -> np.ndarray:
        return kept_of(Request(task, plate=str(apart), foreground="f", background="b", keep=keep)).shown.read(1001)

    stack = exr.read_stack([source(apart, 1001)])
    first, second, background = (stack.layers[name][0] for name in ("foreground1", "foreground2", "background"))
    np.testing.assert_array_equal(shown("foreground", "background"), background)
    np.testing.assert_array_equal(shown("foreground", "background", "foreground1"), background)
    np.testing.assert_allclose(
        shown("foreground", "background", "foreground2"), over_premultiplied(premultiply(second), background), rtol=1e-6
    )
    np.testing.assert_array_equal(shown("background", "foreground2"), second)
    both = over_premultiplied(premultiply(first), premultiply(second))
    np.testing.assert_allclose(premultiply(shown("background")), both, rtol=1e-5, atol=1e-6)


def test_it_goes_on_and_is_made_again_to_the_same_bits(model, apart, tmp_path) -> None:
    result = render(model, tmp_path / "out", task="background", plate=str(apart), keep=("foreground1",))
    result.frames[1].unlink()
    render(model, tmp_path / "out", task="background", plate=str(apart), keep=("foreground1",), resume=True)
    again = shots.rerun(str(result.frames[0]), output=str(tmp_path / "again" / "dog.%04d.exr"))
    for one, other in zip(result.frames, again.frames, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_an_rgba_plate_has_no_layers_to_keep(model, tmp_path) -> None:
    plate = write_plate(tmp_path / "plate", count=1, channels=4)
    (path,) = render(model, tmp_path / "out", task="background", plate=plate).frames
    assert header(path)["layerflow:layers"] == "foreground,background,blended"
    np.testing.assert_allclose(rgb(channels(path), ""), over(path, ("foreground",)), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("task", "keep", "sentence"),
    [
        (
            "background",
            ("foreground7",),
            "has no foreground7 to keep; its layers are foreground1, foreground2, background",
        ),
        ("foreground", ("foreground1",), "keep that too"),
        ("foreground", ("foreground1", "foreground2", "background"), "leave one out of keep"),
    ],
)
def test_what_cannot_be_kept_is_one_sentence(model, apart, tmp_path, task, keep, sentence) -> None:
    with pytest.raises(RequestError, match=sentence):
        render(model, tmp_path / "out", task=task, plate=str(apart), keep=keep)
    assert not (tmp_path / "out").exists()


def test_a_plate_without_layers_has_none_to_keep(model, tmp_path) -> None:
    plate = write_plate(tmp_path / "plate", count=1)
    with pytest.raises(RequestError, match="no background to keep; it has no layers"):
        render(model, tmp_path / "out", task="foreground", plate=plate, keep=("background",))


def test_a_foreground_without_alpha_cannot_go_over_others(model, tmp_path) -> None:
    pixels = np.full((1, 9, 9, 3), 0.5, np.float32)
    stack = LayerStack(
        layers={"foreground1": pixels, "foreground2": pixels, "background": pixels},
        frames=(1,),
        format=PictureFormat(width=9, height=9),
    )
    exr.write_frame(tmp_path / "flat.0001.exr", stack, 0, header={})
    with pytest.raises(PlateError, match=r"foreground1 of .* has no alpha channel"):
        render(model, tmp_path / "out", task="background", plate=str(tmp_path / "flat.0001.exr"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"task": "decompose", "keep": ("background",)}, "keep is for edit, background and foreground"),
        ({"task": "background", "keep": ("sky",)}, "'sky' cannot be kept"),
        ({"task": "background", "keep": ("background",)}, "cannot be kept while it is made"),
        ({"task": "background", "keep": ("foreground\n",)}, "cannot be kept"),
    ],
)
def test_a_request_says_what_it_cannot_keep(values, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        Request(**{"plate": "dog.%04d.exr", "foreground": "a", "background": "b", **values})


def test_the_command_keeps(model, apart, tmp_path) -> None:
    output = str(tmp_path / "out" / "dog.%04d.exr")
    options = ["--background", "the night", "--keep", "foreground2", "--model", str(model), "-o", output]
    assert run(["background", str(apart), *options]) == 0
    assert bits(Path(output % 1002), "foreground2") == bits(source(apart, 1002), "foreground2")


def test_layers_of_a_model_without_alpha_start_the_next_shot(tmp_path) -> None:
    """Nothing goes over anything there: blended is the model's own."""
    model = write_tiny_released(tmp_path / "model", kind="rgb")
    render(model, tmp_path / "shot", task="generate", num_frames=1, steps=1)
    layered = str(tmp_path / "shot" / "dog.0001.exr")
    for task, stays, made in (("background", "foreground", "background"), ("foreground", "background", "foreground")):
        (path,) = render(model, tmp_path / task, task=task, plate=layered, steps=1).frames
        assert bits(path, stays) == bits(Path(layered), stays) != []
        planes = channels(path)
        assert not np.array_equal(rgb(planes, ""), rgb(planes, "foreground.")), made
        assert f"{made}.R" in planes and "foreground.A" not in planes
