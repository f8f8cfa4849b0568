"""A window of a plate taken apart: exact at the plate's size whatever the model made, and no frame kept too long."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recomposition import allowed, half

from layerflow import color, layers
from layerflow.assemble import Frame
from layerflow.decomposition import Decomposition, Layered
from layerflow.layers import HALF_MAX, LayerStack, PictureFormat, Pixels, foreground_names
from layerflow.layout import LAYERS
from layerflow.preprocess import Fit
from layerflow.refine import Kind

pytestmark = pytest.mark.usefixtures("one_thread")

LINEAR = "lin_rec709"
SIZES = [(1, 1), (17, 31), (64, 96), (3, 200)]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def made(count: int, seed: int) -> dict[str, torch.Tensor]:
    """What a model might make of `count` frames: blotches, and a matte that is clear and solid in places."""
    clips = {name: noise(count, 3, 16, 24, seed=seed + place) for place, name in enumerate(LAYERS)}
    clips["alpha"] = (clips["alpha"].mean(1, keepdim=True).expand(-1, 3, -1, -1) * 3 - 1).clamp(0, 1)
    return clips


class Plates:
    """A plate of high dynamic range that remembers which of its frames were read."""

    def __init__(self, rows: int, columns: int, channels: int = 3) -> None:
        self.shape, self.reads = (rows, columns, channels), list[int]()

    def read(self, number: int) -> Frame:
        self.reads.append(number)
        pixels = np.random.default_rng(number).lognormal(-1, 2, self.shape).astype(np.float32)
        pixels[..., 3:] = pixels[..., 3:].clip(0, 1)
        return Frame(pixels=half(pixels), colorspace=LINEAR)


def decomposition(
    plates: Plates, *, depth: int = 1, frames: tuple[int, ...] = (7,), target: str = LINEAR, kind: Kind = "fast"
):
    rows, columns, _ = plates.shape
    return Decomposition(
        frames=frames,
        made=[made(len(frames), 10 * each) for each in range(depth)],
        read=plates.read,
        fit=Fit(width=columns, height=rows, columns=24, rows=16),
        target=target,
        kind=kind,
    )


def recomposed(layered: Layered) -> Pixels:
    """By the layers' own arithmetic, of half floats as an EXR has them."""
    frame = {name: half(pixels.clip(-HALF_MAX, HALF_MAX))[None] for name, pixels in layered.layers.items()}
    height, width = layered.layers["blended"].shape[:2]
    form = PictureFormat(width=width, height=height)
    return layers.recompose(LayerStack(layers=frame, frames=(1,), format=form))[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_layers_are_the_plate(size: tuple[int, int], depth: int, kind: Kind) -> None:
    plates = Plates(*size)
    layered = decomposition(plates, depth=depth, kind=kind).layers(7)
    assert list(layered.layers) == [*foreground_names(depth), "background", "blended"]
    plate = plates.read(7).pixels
    np.testing.assert_array_equal(layered.layers["blended"], plate)
    assert (np.abs(recomposed(layered).astype(np.float64) - plate) < allowed(plate)).all()
    assert layered.residual_energy == 0


def test_the_plate_is_the_background_where_the_matte_is_clear_and_the_foreground_where_it_is_solid() -> None:
    plates = Plates(64, 96)
    layered = decomposition(plates).layers(7)
    plate, rgba = plates.read(7).pixels, layered.layers["foreground"]
    clear, solid = rgba[..., 3] == 0, rgba[..., 3] == 1
    assert clear.mean() > 0.02 and solid.mean() > 0.02
    np.testing.assert_array_equal(layered.layers["background"][clear], plate[clear])
    np.testing.assert_array_equal(rgba[..., :3][solid], plate[solid])


def test_in_another_linear_space_the_converted_plate_comes_back() -> None:
    plates = Plates(17, 31)
    layered = decomposition(plates, target="ACEScg").layers(7)
    plate = color.convert(plates.read(7).pixels, LINEAR, "ACEScg")
    assert (np.abs(recomposed(layered).astype(np.float64) - plate) < allowed(plate)).all()


def test_a_plate_with_alpha_is_laid_over_black() -> None:
    plates = Plates(17, 31, channels=4)
    layered = decomposition(plates).layers(7)
    plate = layers.opaque(plates.read(7).pixels)
    assert (np.abs(recomposed(layered).astype(np.float64) - plate) < allowed(plate)).all()


@settings(max_examples=20, deadline=None)
@given(level=st.floats(0, 1), seed=st.integers(0, 99))
def test_any_even_matte(level: float, seed: int) -> None:
    plates = Plates(5, 7)
    window = decomposition(plates, frames=(seed,))
    window.made[0]["alpha"][:] = level
    layered, plate = window.layers(seed), plates.read(seed).pixels
    assert (np.abs(recomposed(layered).astype(np.float64) - plate) < allowed(plate)).all()


def test_each_frame_is_read_once_and_let_go_of() -> None:
    plates = Plates(5, 7)
    window = decomposition(plates, depth=2, frames=tuple(range(20, 28)))
    kept = []
    for number in range(20, 28):
        window.layers(number)
        assert window.frame(number).sha256() == plates.read(number).sha256()
        kept.append(len(window._kept))
    assert sorted(set(plates.reads)) == list(range(20, 28)) and len(plates.reads) == 16  # one is this test's own
    assert max(kept[3:]) == kept[3]


def test_frames_that_are_asked_for_alone_are_the_same() -> None:
    """As when a shot goes on in the middle of a window."""
    frames = tuple(range(20, 26))
    window = decomposition(Plates(9, 11), depth=2, frames=frames)
    whole = {number: window.layers(number) for number in frames}
    alone = decomposition(Plates(9, 11), depth=2, frames=frames).layers(24)
    for name, pixels in alone.layers.items():
        np.testing.assert_array_equal(pixels, whole[24].layers[name])


def test_a_short_shot_repeats_its_last_frame() -> None:
    window = decomposition(Plates(5, 7), frames=(3, 4, 4, 4), kind="off")  # refining looks at the frames beside it
    first = {name: clip[1] for name, clip in window.made[0].items()}
    last = decomposition(Plates(5, 7), frames=(4,), kind="off")
    for name, picture in first.items():
        last.made[0][name][:] = picture
    for name, pixels in last.layers(4).layers.items():
        np.testing.assert_array_equal(pixels, window.layers(4).layers[name])


def test_light_that_halves_do_not_hold_is_a_residual() -> None:
    plates = Plates(5, 7)
    bright = plates.read(7)
    bright.pixels[2, 3] = 120000.0
    plates.read = lambda number: bright  # type: ignore[method-assign]
    layered = decomposition(plates, depth=2).layers(7)
    assert list(layered.layers)[-1] == "residual"
    assert layered.residual_energy == pytest.approx(((120000 - 65504) / 120000) ** 2, rel=0.05)
    np.testing.assert_allclose(recomposed(layered)[2, 3], 120000, rtol=2**-10)


def test_names() -> None:
    assert foreground_names(1) == ("foreground",)
    assert foreground_names(3) == ("foreground1", "foreground2", "foreground3")
