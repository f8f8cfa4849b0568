"""Layers that were solved put the plate back together, as the half floats of an EXR and in a compositor's float32."""

from __future__ import annotations

import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from layerflow import exr, layers, recomposition
from layerflow.layers import HALF_MAX, LayerStack, PictureFormat, Pixels
from layerflow.recomposition import Recomposed, solve

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "recomposition.py"


def half(values: Pixels) -> Pixels:
    return values.astype(np.float16).astype(np.float32)


def over(made: Recomposed) -> Pixels:
    """As a compositor does it, in float32."""
    weight = made.alpha[..., None]
    return made.foreground * weight + made.background * (1 - weight)


def allowed(plate: Pixels) -> Pixels:
    """One unit in the last place of the plate as half floats, and 1e-4 of it."""
    size = np.abs(plate.astype(np.float64))
    last = np.maximum(2.0 ** (np.floor(np.log2(np.maximum(size, 2**-30))) - 10), 2.0**-24)
    return last + 1e-4 * size


def assert_holds(made: Recomposed, plate: Pixels, estimates: tuple[Pixels, Pixels, Pixels], near: float) -> None:
    alpha, foreground, background = estimates
    for layer in (made.alpha, made.foreground, made.background):
        assert layer.dtype == np.float32
        np.testing.assert_array_equal(layer, half(layer))
    assert (np.abs(over(made).astype(np.float64) - plate) < allowed(plate)).all()
    assert made.residual is None
    assert made.residual_energy == 0
    assert made.alpha.min() >= 0 and made.alpha.max() <= 1
    assert (np.abs(made.alpha - alpha) <= near + 2**-11).all()
    clear, solid = made.alpha == 0, made.alpha == 1
    np.testing.assert_array_equal(made.background[clear], half(plate)[clear])
    np.testing.assert_array_equal(made.foreground[solid], half(plate)[solid])
    for layer, estimate in ((made.foreground, foreground), (made.background, background)):
        assert (layer >= half(np.minimum(plate, 0))).all()  # no darker than the plate, and so nowhere below 0 by itself
        top = 4 * np.maximum(np.maximum(estimate, plate), 0)
        assert (layer <= top * (1 + 2**-10) + 2**-23).all()
    again = solve(plate, made.alpha, made.foreground, made.background, uncertainty=near)
    np.testing.assert_array_equal(again.alpha, made.alpha)
    np.testing.assert_array_equal(again.foreground, made.foreground)
    np.testing.assert_array_equal(again.background, made.background)
    assert again.num_moved == 0


def any_half(rng: np.random.Generator, *shape: int) -> Pixels:
    """Finite half floats, every bit pattern as likely."""
    bits = rng.integers(0, 2**16, shape, dtype=np.uint16)
    values = bits.view(np.float16).astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(HALF_MAX))


@pytest.mark.parametrize("near", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_any_halves_put_the_plate_back_together(seed: int, near: float) -> None:
    rng = np.random.default_rng(seed)
    plate, foreground, background = (any_half(rng, 150, 151, 3) for _ in range(3))
    alpha = np.abs(any_half(rng, 150, 151))
    alpha = np.where(alpha > 1, 1 - 1 / np.maximum(alpha, 1), alpha)  # as dense near 1 as near 0
    assert_holds(
        solve(plate, alpha, foreground, background, uncertainty=near), plate, (alpha, foreground, background), near
    )


@pytest.mark.parametrize("near", [0.0, 0.1])
def test_float32_plates_come_back_within_half_floats(near: float) -> None:
    rng = np.random.default_rng(1)
    plate = rng.lognormal(-2, 3, (90, 91, 3)).astype(np.float32).clip(0, 6e4)
    foreground, background = (plate * rng.lognormal(0, 1, plate.shape).astype(np.float32) for _ in range(2))
    alpha = rng.random(plate.shape[:2], np.float32)
    made = solve(plate, alpha, foreground, background, uncertainty=near)
    assert_holds(made, plate, (alpha, foreground, background), near)


halves = st.floats(-HALF_MAX, HALF_MAX, width=16)
colours = arrays(np.float32, (2, 3, 3), elements=halves.map(np.float32))


@settings(max_examples=150, deadline=None)
@given(
    plate=colours,
    foreground=colours,
    background=colours,
    alpha=arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)),
    near=st.sampled_from([0.0, 2.0**-10, 0.3, 1.0]),
)
def test_no_pixel_is_left_open(plate: Pixels, foreground: Pixels, background: Pixels, alpha: Pixels, near: float):
    made = solve(plate, alpha, foreground, background, uncertainty=near)
    assert_holds(made, plate, (alpha, foreground, background), near)


def pixel(alpha: float, foreground: float, background: float, plate: float, near: float = 0.0) -> Recomposed:
    grey = [np.full((1, 1, 3), value, np.float32) for value in (plate, foreground, background)]
    return solve(grey[0], np.full((1, 1), alpha, np.float32), grey[1], grey[2], uncertainty=near)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((0.25, 1.0, 1.0, 1.5), (0.25, 1.2, 1.6)),  # alike: 1/4 and 3/4 of .5 / (1/16 + 9/16)
        ((0.5, 3.0, 1.0, 3.0), (0.5, 4.5, 1.5)),  # three times the colour takes three times the error
        ((0.5, 2.0, 1.0, 1.5), (0.5, 2.0, 1.0)),  # right already
        ((0.0, 0.3, 0.9, 0.5), (0.0, 0.3, 0.5)),
        ((1.0, 0.3, 0.9, 0.5), (1.0, 0.5, 0.9)),
        ((0.5, 0.2, 0.3, -0.25), (0.5, -0.25, -0.25)),  # as negative as the plate, no more
        ((0.0, 0.2, 0.3, -0.25), (0.0, 0.2, -0.25)),
        ((0.5, 0.0, 0.0, 0.0), (0.5, 0.0, 0.0)),
        ((0.5, HALF_MAX, 0.0, HALF_MAX), (0.5, HALF_MAX, HALF_MAX)),
        ((2.0, 0.3, 0.9, 0.5), (1.0, 0.5, 0.9)),  # alpha is clipped
    ],
)
def test_known_answers(given_: tuple[float, float, float, float], expected: tuple[float, float, float]) -> None:
    made = pixel(*given_)
    for found, answer in zip((made.alpha, made.foreground, made.background), expected, strict=True):
        np.testing.assert_allclose(found, answer, rtol=3e-3)


@pytest.mark.parametrize(
    ("near", "expected"),
    [
        (0.5, (0.75, 0.0, 1.0)),  # black before white, seen as .25: the estimates are right and alpha is .75
        (0.1, (0.6, 0.0, 0.625)),  # as far as it may, and the rest in the background
        (0.0, (0.5, 0.0, 0.5)),
    ],
)
def test_alpha_takes_what_colours_cannot(near: float, expected: tuple[float, float, float]) -> None:
    made = pixel(0.5, 0.0, 1.0, 0.25, near)
    for found, answer in zip((made.alpha, made.foreground, made.background), expected, strict=True):
        np.testing.assert_allclose(found, answer, atol=2**-10)
    assert made.num_moved == (near > 0)
    mirrored = pixel(0.5, 1.0, 0.0, 0.25, near)
    np.testing.assert_allclose(1 - mirrored.alpha, expected[0], rtol=2**-10)
    np.testing.assert_allclose(mirrored.foreground, made.background, rtol=2**-9)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((0.8, 0.05, 0.5, 0.02), 0.958),  # the estimates would have it at 1.07
        ((0.3, 0.001, 0.5, 0.1), 0.785),  # at .80
    ],
)
def test_alpha_moves_no_further_than_the_colours_need(
    given_: tuple[float, float, float, float], expected: float
) -> None:
    made = pixel(*given_, 0.6)
    np.testing.assert_allclose(made.alpha, expected, atol=0.003)
    np.testing.assert_allclose(made.foreground, 0.0, atol=1e-3)  # just at its limit


def test_alpha_goes_the_way_in_which_the_estimates_explain_the_plate() -> None:
    plate, foreground, background = (
        np.float32([[colour]]) for colour in ([0.02, 0.3, 0.3], [0.0015, 1.0, 1.0], [0.1, 0.01, 0.01])
    )
    made = solve(plate, np.full((1, 1), 0.5, np.float32), foreground, background, uncertainty=0.5)
    np.testing.assert_allclose(made.alpha, 0.358, atol=0.003)  # red alone would rather have .775
    np.testing.assert_allclose(made.foreground[..., 0], 0.0, atol=1e-4)


def test_alpha_stays_where_no_alpha_helps() -> None:
    assert pixel(0.5, 0.2, 0.3, -0.25, 0.2).num_moved == 0


def test_alpha_stays_where_colours_are_within_range() -> None:
    made = pixel(0.5, 0.3, 0.2, 0.3, 0.5)
    assert made.alpha[0, 0] == 0.5
    assert made.num_moved == 0


def test_no_other_admissible_colours_are_closer() -> None:
    rng = np.random.default_rng(2)
    plate, foreground, background = (rng.lognormal(-1, 1.5, (12, 13, 3)).astype(np.float32) for _ in range(3))
    alpha = half(rng.uniform(0.02, 0.98, (12, 13)).astype(np.float32))
    made = solve(plate, alpha, foreground, background)
    weight = alpha[..., None].astype(np.float64)

    def cost(front: Pixels, back: Pixels) -> Pixels:
        first = (front - foreground) ** 2 / np.maximum(foreground, 1 / 256)
        return first + (back - background) ** 2 / np.maximum(background, 1 / 256)

    ours = cost(made.foreground.astype(np.float64), made.background.astype(np.float64))
    share = np.linspace(0, 1, 2001)[:, None, None, None]
    front = share * 4 * np.maximum(foreground, plate)
    back = (plate - weight * front) / (1 - weight)
    fits = (back >= 0) & (back <= 4 * np.maximum(background, plate))
    best = np.where(fits, cost(front, back), np.inf).min(axis=0)
    assert np.isfinite(best).mean() > 0.9
    assert (ours <= best * 1.02 + 1e-3 * (plate + foreground + background)).all()


def test_light_beyond_half_floats_goes_into_a_residual() -> None:
    plate = np.full((2, 3, 3), 0.5, np.float32)
    plate[0, 0] = 100000.0
    made = solve(plate, np.full((2, 3), 0.5, np.float32), plate * 0 + 0.4, plate * 0 + 0.6)
    assert made.residual is not None
    np.testing.assert_array_equal(made.residual[0, 0], 100000.0 - 65504.0)
    assert np.count_nonzero(made.residual) == 3
    np.testing.assert_allclose((over(made) + made.residual)[0, 0], 100000.0, rtol=1e-4)
    assert made.residual_energy == pytest.approx((34496 / 100000) ** 2, rel=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (0, 4), (1, 8192), (90, 91)])
@pytest.mark.parametrize("level", [0.0, 1.0, None])
def test_any_size_clear_solid_or_between(size: tuple[int, int], level: float | None) -> None:
    rng = np.random.default_rng(3)
    plate, foreground, background = (rng.lognormal(0, 1, (*size, 3)).astype(np.float32) for _ in range(3))
    alpha = rng.random(size, np.float32) if level is None else np.full(size, level, np.float32)
    made = solve(plate, alpha, foreground, background, uncertainty=0.1)
    assert made.foreground.shape == made.background.shape == plate.shape
    if level == 0.0:
        np.testing.assert_array_equal(made.background, half(plate))
        np.testing.assert_array_equal(made.foreground, half(foreground))
    elif level == 1.0:
        np.testing.assert_array_equal(made.foreground, half(plate))
        np.testing.assert_array_equal(made.background, half(background))
    elif plate.size:
        assert_holds(made, plate, (alpha, foreground, background), 0.1)


def test_tiles_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    plate, foreground, background = (any_half(rng, 23, 29, 3) for _ in range(3))
    alpha = np.round(rng.random((23, 29), np.float32) * 8 - 1.5).clip(0, 5) / 5
    near = rng.random((23, 29), np.float32) * 0.2
    whole = solve(plate, alpha, foreground, background, uncertainty=near)
    monkeypatch.setattr(recomposition, "TILE", 7)
    parts = solve(plate, alpha, foreground, background, uncertainty=near)
    for name in ("alpha", "foreground", "background"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert whole.num_moved == parts.num_moved > 0
    assert (np.abs(whole.alpha - alpha) <= near + 2**-11).all()


def test_it_agrees_with_the_plain_formulation() -> None:
    benchmark = runpy.run_path(str(BENCHMARK))
    for soft in (False, True):
        frame = benchmark["frame"](120, 90, soft=soft)
        made = solve(**frame)
        for found, plain in zip(
            (made.alpha, made.foreground, made.background), benchmark["plain"](**frame), strict=True
        ):
            np.testing.assert_array_equal(found, plain)


def test_what_is_given_stays_as_it_is_and_out_is_used() -> None:
    rng = np.random.default_rng(5)
    given_ = [rng.random((5, 6, 3), np.float32) for _ in range(3)]
    alpha = rng.random((5, 6), np.float32)
    before = [array.copy() for array in (*given_, alpha)]
    out = np.zeros((5, 6, 3), np.float32), np.zeros((5, 6, 3), np.float32)
    made = solve(given_[0], alpha, given_[1], given_[2], uncertainty=0.2, out=out)
    for array, copy in zip((*given_, alpha), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert made.foreground is out[0]
    assert made.background is out[1]
    wide = solve(*(np.asfortranarray(array) for array in (given_[0], alpha, given_[1], given_[2])), uncertainty=0.2)
    np.testing.assert_array_equal(wide.foreground, made.foreground)


def test_shapes_that_differ_are_refused() -> None:
    colour, alpha = np.zeros((4, 5, 3), np.float32), np.zeros((4, 5), np.float32)
    with pytest.raises(ValueError, match="colours"):
        solve(colour, alpha, colour[:2], colour)
    with pytest.raises(ValueError, match="colours"):
        solve(colour[..., :2], alpha, colour[..., :2], colour[..., :2])
    with pytest.raises(ValueError, match="alpha"):
        solve(colour, alpha[:2], colour, colour)
    with pytest.raises(ValueError, match="uncertainty"):
        solve(colour, alpha, colour, colour, uncertainty=alpha[:2])
    with pytest.raises(ValueError, match="out"):
        solve(colour, alpha, colour, colour, out=(colour.astype(np.float64), colour.copy()))
    with pytest.raises(ValueError, match="apart"):
        solve(colour, alpha, colour, colour, out=(colour.copy(), colour))


def test_the_frame_that_was_written_recomposes(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    plate = half(rng.lognormal(-1, 2, (17, 31, 3)).astype(np.float32))
    foreground, background = (plate * rng.lognormal(0, 0.4, plate.shape).astype(np.float32) for _ in range(2))
    made = solve(plate, rng.random((17, 31), np.float32), foreground, background, uncertainty=0.05)
    stack = LayerStack(
        layers={
            "foreground": layers.with_alpha(made.foreground, made.alpha)[None],
            "background": made.background[None],
            "blended": plate[None],
        },
        frames=(1001,),
        format=PictureFormat(width=31, height=17, fps=Fraction(24)),
    )
    path = tmp_path / "shot.1001.exr"
    assert exr.write_frame(path, stack, 0, header={}) == ()
    written = exr.read_stack([path])
    np.testing.assert_array_equal(written.layers["foreground"], stack.layers["foreground"])
    error = np.abs(layers.recompose(written) - written.layers["blended"])[0]
    assert (error < allowed(plate)).all()
