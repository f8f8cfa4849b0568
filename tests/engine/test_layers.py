"""Alpha arithmetic: known answers, properties, and edges without a fringe."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter, zoom

from layerflow import layers
from layerflow.layers import LayerStack, PictureFormat

UNIT = st.floats(0, 1, width=16)
LIGHT = st.floats(-1, 100, width=16)
HALF_EPS = 2.0**-10


def rgba(alpha: st.SearchStrategy[float] = UNIT) -> st.SearchStrategy[np.ndarray]:
    color = arrays(np.float32, (4, 3), elements=LIGHT)
    return st.builds(lambda c, a: np.concatenate([c, a], -1), color, arrays(np.float32, (4, 1), elements=alpha))


def soft_disc(height: int = 96, width: int = 128) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.clip((30 - np.hypot(x - width / 2, y - height / 2)) / 8, 0, 1).astype(np.float32)


def test_over_known_answer() -> None:
    foreground, background = np.array([0.8, 0.2, 0.05, 0.5], np.float32), np.array([0.05, 0.3, 0.6], np.float32)
    assert layers.over(foreground, background) == pytest.approx([0.425, 0.25, 0.325], abs=1e-6)


@given(rgba(), rgba())
def test_over_straight_equals_over_premultiplied(top: np.ndarray, under: np.ndarray) -> None:
    straight = layers.premultiply(layers.over(top, under))
    premultiplied = layers.over_premultiplied(layers.premultiply(top), layers.premultiply(under))
    assert np.allclose(straight, premultiplied, rtol=1e-5, atol=1e-4)
    assert np.allclose(
        layers.over(top, under[:, :3]), top[:, :3] * top[:, 3:] + under[:, :3] * (1 - top[:, 3:]), atol=1e-4
    )


@given(rgba(), rgba(), rgba())
def test_over_is_associative(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    over = layers.over_premultiplied
    assert np.allclose(over(over(a, b), c), over(a, over(b, c)), rtol=1e-4, atol=1e-3)


@given(rgba())
def test_alpha_one_hides_and_alpha_zero_shows(top: np.ndarray) -> None:
    under = np.full((4, 3), 0.25, np.float32)
    top[:, 3] = [0, 0, 1, 1]
    assert np.array_equal(layers.over(top, under), np.concatenate([under[:2], top[2:, :3]]))


@given(rgba(alpha=st.floats(HALF_EPS, 1, width=16)))
def test_premultiply_round_trips_within_half_float(pixels: np.ndarray) -> None:
    back = layers.unpremultiply(layers.premultiply(pixels))
    assert np.allclose(back, pixels, rtol=HALF_EPS / 2, atol=1e-6)


@given(arrays(np.float32, (4, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_unpremultiply_never_leaves_half_float_range(pixels: np.ndarray) -> None:
    assert np.abs(layers.unpremultiply(pixels)[:, :3]).max() <= max(layers.HALF_MAX, 0)


def test_unpremultiply_keeps_a_glow() -> None:
    glow = np.array([0.5, 0.25, 0.125, 0.0], np.float32)
    assert np.array_equal(layers.unpremultiply(glow), glow)


@given(arrays(np.float32, (6, 3), elements=UNIT), arrays(np.float32, (6,), elements=st.floats(1 / 64, 1, width=16)))
def test_straight_from_grey_undoes_grey_from_straight(color: np.ndarray, alpha: np.ndarray) -> None:
    back = layers.straight_from_grey(layers.grey_from_straight(color, alpha), alpha)
    assert np.abs(back - color).max() < 1e-4


def test_grey_known_answers() -> None:
    grey, alpha = np.array([[0.75, 0.5, 0.0], [0.9, 0.1, 0.5]], np.float32), np.array([0.5, 0.0], np.float32)
    assert np.array_equal(layers.straight_from_grey(grey, alpha), np.array([[1, 0.5, 0], [0.5, 0.5, 0.5]], np.float32))
    white = np.ones((1, 3), np.float32)
    assert np.array_equal(layers.grey_from_straight(white, np.zeros(1, np.float32)), white * np.float32(0.5))


@given(arrays(np.float32, (5, 3), elements=st.floats(-4, 4, width=32)), arrays(np.float32, (5,), elements=UNIT))
def test_straight_from_grey_stays_in_unit_range(grey: np.ndarray, alpha: np.ndarray) -> None:
    straight = layers.straight_from_grey(grey, alpha)
    assert straight.dtype == np.float32 and straight.min() >= 0 and straight.max() <= 1


def test_bleed_shows_no_fringe_after_blur_or_resize() -> None:
    """A foreground of one colour, blurred and resized as straight colour, over that same colour: nothing may show."""
    alpha = soft_disc()
    truth = np.array([0.8, 0.3, 0.1], np.float32)
    color = np.where(alpha[..., None] > 0, truth, 0).astype(np.float32)
    fringe = {}
    for name, picture in (("raw", color), ("bled", layers.bleed(color, alpha))):
        blurred = layers.with_alpha(gaussian_filter(picture, (4, 4, 0)), gaussian_filter(alpha, 4))
        smaller = layers.with_alpha(zoom(picture, (0.37, 0.37, 1), order=1), zoom(alpha, 0.37, order=1))
        comps = [layers.over(part, np.broadcast_to(truth, (*part.shape[:-1], 3))) for part in (blurred, smaller)]
        fringe[name] = max(float(np.abs(comp - truth).max()) for comp in comps)
    assert fringe["raw"] > 0.05
    assert fringe["bled"] < 1e-5


def test_bleed_keeps_solid_colour_and_invents_none() -> None:
    alpha = soft_disc()
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32)
    color = np.stack([x / 128, y / 96, 0.5 + 0 * x], -1).astype(np.float32)
    shown = color[alpha >= 1 / 128]
    filled = layers.bleed(np.where(alpha[..., None] > 0, color, -5).astype(np.float32), alpha)
    assert np.array_equal(filled[alpha >= 1 / 128], shown)
    assert (filled >= shown.min(0) - 1e-5).all() and (filled <= shown.max(0) + 1e-5).all()
    assert abs(filled[0, 0, 0] - shown[:, 0].mean()) < 0.3


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (1, 50), (33, 1)])
def test_bleed_of_odd_sizes_and_of_several_frames(size: tuple[int, int]) -> None:
    alpha = np.zeros((2, *size), np.float32)
    alpha[0, 0, 0] = 1
    color = np.where(alpha[..., None] > 0, np.float32(0.25), np.float32(0)).repeat(3, -1)
    filled = layers.bleed(color, alpha)
    assert filled[0] == pytest.approx(0.25, abs=1e-6)
    assert np.array_equal(filled[1], color[1])


@given(arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_sanitise_leaves_only_finite_half_floats(pixels: np.ndarray) -> None:
    clean, repairs = layers.sanitise(pixels)
    assert np.isfinite(clean.astype(np.float16)).all()
    assert bool(repairs) == (not np.array_equal(clean, pixels))


def test_sanitise_counts_pixels() -> None:
    pixels = np.zeros((2, 3, 3), np.float32)
    pixels[0, 0], pixels[0, 1, 0], pixels[1, 1, 2], pixels[1, 2, 1] = np.nan, -np.inf, 65505.5, -1.5
    clean, repairs = layers.sanitise(pixels)
    assert repairs.sentences("frame 7") == (
        "1 NaN pixel in frame 7 was set to 0",
        "1 infinite pixel in frame 7 was set to +-65504",
        "1 too large pixel in frame 7 was clamped to +-65504",
    )
    assert clean[0, 1, 0] == -65504 and clean[1, 1, 2] == 65504 and clean[1, 2, 1] == -1.5


def stack_of(**named: np.ndarray) -> LayerStack:
    height, width = next(iter(named.values())).shape[1:3]
    return LayerStack(layers=named, frames=(1001,), format=PictureFormat(width=width, height=height))


@settings(max_examples=20)
@given(rgba(), rgba(), arrays(np.float32, (4, 3), elements=LIGHT))
def test_recompose_lays_foregrounds_top_first(first: np.ndarray, second: np.ndarray, background: np.ndarray) -> None:
    stack = stack_of(foreground=first[None, None], foreground2=second[None, None], background=background[None, None])
    expected = layers.over(first, layers.over(second, background))
    assert np.array_equal(layers.recompose(stack)[0, 0], expected)


def test_recompose_without_a_background_is_over_black() -> None:
    stack = stack_of(foreground=np.full((1, 1, 1, 4), 0.5, np.float32))
    assert np.array_equal(layers.recompose(stack), np.full((1, 1, 1, 3), 0.25, np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0, "height": 1},
        {"width": 1, "height": 1, "pixel_aspect": float("nan")},
        {"width": 1, "height": 1, "fps": 24.0},
        {"width": 1, "height": 1, "fps": Fraction(0)},
        {"width": 1, "height": 1, "timecode": "noon"},
        {"width": 1, "height": 1, "data_window": (0, 0, 0, 4)},
    ],
)
def test_picture_format_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        PictureFormat(**wrong)  # type: ignore[arg-type]


def test_layer_stack_is_checked() -> None:
    good = np.zeros((2, 4, 6, 3), np.float32)
    form = PictureFormat(width=6, height=4)
    LayerStack(layers={"background": good}, frames=(1, 2), format=form)
    for name in ("left", "2nd", "a.b", "a b", "", "RGBA"):
        with pytest.raises(ValueError, match="layer's name"):
            LayerStack(layers={name: good}, frames=(1, 2), format=form)
    for pixels in (good[:1], good.astype(np.float64), good[..., :1], good[:, :, :5]):
        with pytest.raises(ValueError, match="must be float32"):
            LayerStack(layers={"background": pixels}, frames=(1, 2), format=form)
    with pytest.raises(ValueError, match="rise"):
        LayerStack(layers={"background": good}, frames=(2, 2), format=form)
    with pytest.raises(ValueError, match="at least one"):
        LayerStack(layers={}, frames=(1,), format=form)


@given(rgba(), arrays(np.float32, (4, 3), elements=LIGHT))
def test_reveal_is_the_plate_under_no_alpha_and_the_background_under_some(
    front: layers.Pixels, plate: layers.Pixels
) -> None:
    background, alpha = front[..., :3], front[..., 3]
    plate = np.broadcast_to(plate, background.shape).astype(np.float32)
    shown = layers.reveal(background, plate, alpha, solid=0.25)
    np.testing.assert_array_equal(shown[alpha == 0], plate[alpha == 0])
    np.testing.assert_array_equal(shown[alpha >= 0.25], background[alpha >= 0.25])
    between = (shown - np.minimum(background, plate) >= -1e-4) & (shown - np.maximum(background, plate) <= 1e-4)
    assert between.all()
