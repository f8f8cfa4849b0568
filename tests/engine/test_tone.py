"""The curve between a plate and the model's picture of it: known answers, its way back, and who gets which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from layerflow import color
from layerflow.assemble import Frame, assemble, model_pictures
from layerflow.errors import ColorError
from layerflow.layers import HALF_MAX
from layerflow.layout import LAYERS, task_layouts
from layerflow.preprocess import Fit, to_tensor, to_unit
from layerflow.tone import KNEE, PEAK, PLAIN, SCENE, Tone, tone_of

LINEAR = "lin_rec709"


def grey(*values: float) -> np.ndarray:
    return np.repeat(np.array([values], np.float32)[..., None], 3, axis=-1)


def bent(light: float) -> float:
    """The curve's formula in double precision, its constant by bisection."""
    encoded = 1.055 * light ** (1 / 2.4) - 0.055 if light > 0.0031308 else 12.92 * light
    if encoded <= KNEE:
        return encoded
    top = (1.055 * PEAK ** (1 / 2.4) - 0.055 - KNEE) / (1 - KNEE)
    low, high = 1e-6, 100.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.log1p(middle * top) > middle else (low, middle)
    return KNEE + (1 - KNEE) * np.log1p(low * (encoded - KNEE) / (1 - KNEE)) / low


@pytest.mark.parametrize("light", [0.0, 0.001, 0.18, 0.5, 0.6, 0.7, 1.0, 2.0, 7.5, 16.0])
def test_the_curve_is_the_documented_one(light: float) -> None:
    assert SCENE.to_display(grey(light), LINEAR).ravel() == pytest.approx(bent(light), abs=3e-5)


def test_peak_is_display_white_and_nothing_is_beyond() -> None:
    shown = SCENE.to_display(grey(PEAK, 1000.0, HALF_MAX, -3.0, 0.0), LINEAR)[..., 0]
    assert shown == pytest.approx(np.array([[1.0, 1.0, 1.0, 0.0, 0.0]]), abs=1e-4)


def test_nothing_changes_below_the_knee_and_its_slope_is_smooth() -> None:
    dark = grey(*np.linspace(0, 0.6, 50))
    assert np.array_equal(SCENE.to_display(dark, LINEAR), PLAIN.to_display(dark, LINEAR))
    near = color.from_display(grey(KNEE - 0.01, KNEE, KNEE + 0.01), LINEAR)
    below, above = np.diff(SCENE.to_display(near, LINEAR)[0, :, 0])
    assert below == pytest.approx(0.01, rel=0.01) and above == pytest.approx(0.01, rel=0.15)


@given(arrays(np.float32, (3, 4, 4), elements=st.floats(0, PEAK, width=32)))
def test_light_up_to_the_peak_comes_back(pixels: np.ndarray) -> None:
    back = SCENE.from_display(SCENE.to_display(pixels, "ACEScg"), LINEAR)
    seen = color.convert(pixels, "ACEScg", LINEAR)
    seen, back = seen[..., :3], back[..., :3]
    inside = ((seen >= 0) & (seen <= PEAK * 0.999)).all(-1)
    np.testing.assert_allclose(back[inside], seen[inside], rtol=1e-3, atol=1e-4)


@given(arrays(np.float32, (2, 6), elements=st.floats(-10, 70000, width=32)))
def test_more_light_is_never_darker(values: np.ndarray) -> None:
    rising = np.sort(values.ravel())
    assert (np.diff(SCENE.to_display(grey(*rising), LINEAR)[0, :, 0]) >= -1e-6).all()


def test_who_has_light_above_white() -> None:
    assert {tone_of(name) for name in ("ACEScg", LINEAR, "ACEScct", "scene_linear", "Rec.2100-PQ - Display")} == {SCENE}
    assert {tone_of(name) for name in ("sRGB", "sRGB - Display", "g24_rec709_tx", "srgb_p3d65_scene", "Raw")} == {PLAIN}
    with pytest.raises(ColorError):
        tone_of("nope")


def test_a_display_plate_is_only_encoded() -> None:
    pixels = np.random.default_rng(1).random((5, 7, 4), np.float32)
    own = color.display_space()
    assert np.array_equal(tone_of(own).to_display(pixels, own), pixels)
    assert np.array_equal(PLAIN.from_display(pixels, "ACEScg"), color.from_display(pixels, "ACEScg"))


def test_what_is_lost_is_told_by_its_share() -> None:
    def lost(tone: Tone, pixels: np.ndarray, source: str) -> float:
        shown, share = tone.to_display_and_lost(pixels, source)
        assert np.array_equal(shown, tone.to_display(pixels, source))
        return share

    assert lost(SCENE, grey(0.0, 1.0, 4.0, PEAK), LINEAR) == 0.0
    assert lost(SCENE, grey(17.0, 1.0, -0.1, 2.0), LINEAR) == 0.5
    bright = grey(0.5, 1.2, 1.0, 0.0)
    assert lost(PLAIN, bright, "sRGB") == 0.25
    assert np.array_equal(bright, grey(0.5, 1.2, 1.0, 0.0))  # the plate's own pixels stay as they are
    alpha = np.full((1, 4, 1), 3.0, np.float32)
    assert lost(PLAIN, np.concatenate([grey(0.5, 1.0, 1.0, 0.0), alpha], axis=-1), "sRGB") == 0.0  # alpha is no light


def test_a_plate_that_the_model_repeats_comes_back_as_light() -> None:
    """What the model sees of a bright plate, given back as its background, is that plate."""
    light = np.random.default_rng(2).random((16, 24, 3), np.float32) * 12
    frame, layout = Frame(pixels=light, colorspace=LINEAR), task_layouts(8, 2)["decompose"]
    same = Fit(width=24, height=16, columns=24, rows=16)
    seen = to_unit(model_pictures(frame, layout, same)["blended"])
    white = to_tensor(np.ones((1, 16, 24, 3), np.float32))[0]
    made = dict.fromkeys(LAYERS, white) | {"background": seen}
    out = assemble(made, frame, layout, same, LINEAR)
    np.testing.assert_allclose(out["background"], light, rtol=2e-3, atol=1e-3)
    assert out["foreground"][..., :3] == pytest.approx(PEAK, rel=1e-3)


@pytest.mark.parametrize(("knee", "peak"), [(0.9, 4.0), (0.5, 1000.0)])
def test_another_knee_and_peak_come_back_too(knee: float, peak: float) -> None:
    other, light = Tone(shoulder=True, knee=knee, peak=peak), grey(*np.geomspace(0.01, peak * 0.999, 30))
    shown = other.to_display(light, LINEAR)
    assert shown.max() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(other.from_display(shown, LINEAR), light, rtol=1e-3)
