"""The comp of the viewer is the engine's, its parts are the whole's, and moved layers lie where they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from layerflow import layers
from layerflow_desktop.models.compositing import compose, floats_of, straight
from layerflow_desktop.models.picture import Half, Placed, Scene, Shown
from layerflow_desktop.models.probe import values_at

HEIGHT, WIDTH = 7, 9


def halves(num_channels: int, low: float = 0.0, high: float = 4.0) -> st.SearchStrategy[Half]:
    return arrays(
        np.float16, (HEIGHT, WIDTH, num_channels), elements=st.floats(low, high, width=16, allow_subnormal=False)
    )


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Half]:
    """Layers as the engine names them, from front to back."""
    count = draw(st.integers(0, 3))
    named = {}
    for name in layers.foreground_names(count) if count else ():
        named[name] = draw(halves(4))
        named[name][..., 3] = named[name][..., 3] / 4
    if draw(st.booleans()) or not named:
        named["background"] = draw(halves(3))
    if draw(st.booleans()):
        named["residual"] = draw(halves(3, -1.0, 1.0))
    return named


def shown(named: dict[str, Half]) -> Shown:
    return Shown(tuple(Placed(pixels, adds=name == "residual") for name, pixels in named.items()))


def test_half_floats_become_floats_to_the_bit() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].reshape(-1, 2)
    for pixels in (finite, finite[::3], finite[:, 1:], finite[:0]):
        found = floats_of(pixels)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.view(np.uint32), pixels.astype(np.float32).view(np.uint32))


@given(stacks())
def test_untouched_layers_come_to_what_the_engine_recomposes(named: dict[str, Half]) -> None:
    expected = layers.recomposed({name: pixels.astype(np.float32) for name, pixels in named.items()})
    composed = compose(shown(named), HEIGHT, WIDTH)
    np.testing.assert_allclose(composed[..., :3], expected, rtol=1e-6, atol=1e-6)
    assert composed.dtype == np.float32
    if "background" in named:
        assert (composed[..., 3] == 1.0).all()


@given(halves(4), halves(4), st.floats(0, 1))
def test_over_is_associative_and_opacity_multiplies_alpha(front: Half, back: Half, opacity: float) -> None:
    front[..., 3] /= 4
    back[..., 3] /= 4
    faded = front.astype(np.float32)
    faded[..., 3] *= np.float32(opacity)
    expected = layers.over_premultiplied(layers.premultiply(faded), layers.premultiply(back.astype(np.float32)))
    composed = compose(Shown((Placed(front, opacity=opacity), Placed(back))), HEIGHT, WIDTH)
    np.testing.assert_allclose(composed, expected, rtol=1e-5, atol=1e-6)


@given(stacks(), st.data())
def test_a_part_is_the_part_of_the_whole(named: dict[str, Half], data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, WIDTH - 1)), data.draw(st.integers(0, HEIGHT - 1))
    width, height = data.draw(st.integers(0, WIDTH - x)), data.draw(st.integers(0, HEIGHT - y))
    offset = data.draw(st.floats(-3, 3))
    placed = Shown(tuple(Placed(layer.pixels, 0.5, offset, 1.0, 1.3, layer.adds) for layer in shown(named).layers))
    whole = compose(placed, HEIGHT, WIDTH)
    part = compose(placed, HEIGHT, WIDTH, (x, y, width, height))
    np.testing.assert_allclose(part, whole[y : y + height, x : x + width], rtol=1e-5, atol=1e-5)


@given(stacks(), st.integers(1, 5))
def test_a_step_is_the_mean_of_its_square(named: dict[str, Half], step: int) -> None:
    whole = compose(shown(named), HEIGHT, WIDTH)
    reduced = compose(shown(named), HEIGHT, WIDTH, step=step)
    assert reduced.shape == (-(-HEIGHT // step), -(-WIDTH // step), 4)
    for row, column in np.ndindex(reduced.shape[:2]):
        square = whole[row * step : (row + 1) * step, column * step : (column + 1) * step]
        np.testing.assert_allclose(reduced[row, column], square.mean(axis=(0, 1)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_bands_of_a_large_picture_meet(step: int, rng: np.random.Generator) -> None:
    front = rng.random((500, 301, 4)).astype(np.float16)
    back = rng.random((500, 301, 3)).astype(np.float16)
    expected = layers.recomposed({"foreground": front.astype(np.float32), "background": back.astype(np.float32)})
    composed = compose(Shown((Placed(front), Placed(back))), 500, 301, step=step)[..., :3]
    means = expected[: 500 // step * step, : 301 // step * step]
    means = means.reshape(500 // step, step, 301 // step, step, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(composed[: 500 // step, : 301 // step], means, rtol=1e-5)


def test_a_layer_moved_by_whole_pixels_is_shifted_and_has_an_edge() -> None:
    pixels = np.arange(1, 1 + HEIGHT * WIDTH * 3, dtype=np.float16).reshape(HEIGHT, WIDTH, 3)
    composed = compose(Shown((Placed(pixels, offset_x=2, offset_y=-1),)), HEIGHT, WIDTH)
    np.testing.assert_array_equal(composed[:-1, 2:, :3], pixels[1:, :-2].astype(np.float32))
    assert (composed[:-1, 2:, 3] == 1.0).all()
    assert not composed[-1].any() and not composed[:, :2].any()


def test_half_a_pixel_is_half_of_each_neighbour_premultiplied() -> None:
    pixels = np.zeros((1, 4, 4), np.float16)
    pixels[0, 1] = (8.0, 8.0, 8.0, 1.0)  # its neighbour's colour does not count: its alpha is 0
    pixels[0, 2] = (2.0, 2.0, 2.0, 0.0)
    composed = compose(Shown((Placed(pixels, offset_x=0.5),)), 1, 4)
    np.testing.assert_allclose(composed[0, :, 0], [0, 4, 4, 0])
    np.testing.assert_allclose(composed[0, :, 3], [0, 0.5, 0.5, 0])


def slowly(placed: Placed, height: int, width: int) -> np.ndarray:
    """What the contract says, a pixel at a time."""
    straight_pixels = placed.pixels.astype(np.float64)
    source = np.dstack([straight_pixels[..., :3] * straight_pixels[..., 3:], straight_pixels[..., 3:]])
    out = np.zeros((height, width, 4))
    for y, x in np.ndindex(height, width):
        at_x = (x + 0.5 - width / 2 - placed.offset_x) / placed.scale + width / 2 - 0.5
        at_y = (y + 0.5 - height / 2 - placed.offset_y) / placed.scale + height / 2 - 0.5
        for row in (int(np.floor(at_y)), int(np.floor(at_y)) + 1):
            for column in (int(np.floor(at_x)), int(np.floor(at_x)) + 1):
                if 0 <= row < height and 0 <= column < width:
                    out[y, x] += source[row, column] * (1 - abs(at_y - row)) * (1 - abs(at_x - column))
    return out


@given(halves(4), st.floats(-20, 20), st.floats(-20, 20), st.floats(0.05, 20))
def test_a_scaled_layer_is_sampled_bilinearly_about_the_middle(
    pixels: Half, offset_x: float, offset_y: float, scale: float
) -> None:
    placed = Placed(pixels, offset_x=offset_x, offset_y=offset_y, scale=scale)
    composed = compose(Shown((placed,)), HEIGHT, WIDTH)
    np.testing.assert_allclose(composed, slowly(placed, HEIGHT, WIDTH), atol=2e-4)


def test_nothing_is_shown_as_nothing_and_a_region_stays_inside() -> None:
    assert not compose(Shown(()), HEIGHT, WIDTH).any()
    with pytest.raises(ValueError, match="within"):
        compose(Shown(()), HEIGHT, WIDTH, (0, 0, WIDTH + 1, 1))


def test_straight_keeps_a_glow() -> None:
    pixels = np.array([[[0.5, 0.25, 0.0, 0.5], [3.0, 3.0, 3.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(straight(pixels), layers.unpremultiply(pixels))


def test_values_under_the_pointer_are_those_of_the_files_and_of_the_comp(rng: np.random.Generator) -> None:
    front = rng.random((HEIGHT, WIDTH, 4)).astype(np.float16)
    back = rng.random((HEIGHT, WIDTH, 3)).astype(np.float16)
    scene = Scene(WIDTH, HEIGHT, Shown((Placed(front), Placed(back))), Shown((Placed(front),)), frame=1004)
    values = values_at({"foreground": front, "background": back}, scene, 3, 2)
    assert values is not None
    assert (values.x, values.y, values.frame, values.colorspace) == (3, 2, 1004, "ACEScg")
    assert values.layers["foreground"] == tuple(front[2, 3].tolist())
    assert values.layers["background"] == (*back[2, 3].tolist(), 1.0)
    expected = layers.over(front[2, 3].astype(np.float32), back[2, 3].astype(np.float32))
    assert values.comp == pytest.approx((*expected, 1.0))
    assert values.other == pytest.approx(tuple(front[2, 3].tolist()), rel=1e-5)
    assert values_at({}, scene, WIDTH, 0) is None
    assert values_at({}, scene, 0, -1) is None
