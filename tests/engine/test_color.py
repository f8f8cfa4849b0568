"""Colour through OCIO against the analytic sRGB curve and the AP1 matrix."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from layerflow import color
from layerflow.errors import ColorError

# linear Rec.709 (D65) to AP1 (ACES white), Bradford adaptation
REC709_TO_AP1 = np.array(
    [
        [0.613097402, 0.339523146, 0.047379451],
        [0.070193722, 0.916353879, 0.013452399],
        [0.020615593, 0.109569773, 0.869814634],
    ]
)


def srgb_to_linear(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def test_srgb_to_acescg_known_answer() -> None:
    pixel = np.array([[0.5, 0.25, 0.75]], np.float32)
    assert color.from_display(pixel, "ACEScg") == pytest.approx(np.array([[0.17326, 0.06867, 0.46448]]), abs=1e-5)


@given(arrays(np.float32, (3, 5, 4), elements=st.floats(0, 1, width=32)))
def test_srgb_to_acescg_is_the_analytic_curve_and_matrix(pixels: np.ndarray) -> None:
    result = color.from_display(pixels, "ACEScg")
    expected = srgb_to_linear(pixels[..., :3].astype(np.float64)) @ REC709_TO_AP1.T
    assert np.abs(result[..., :3] - expected).max() < 5e-5  # OCIO's fast power is 2.4e-5 off at white
    assert np.array_equal(result[..., 3], pixels[..., 3])


@given(arrays(np.float32, (2, 2, 6, 3), elements=st.floats(0, 1, width=32)))
def test_round_trip_keeps_shape_and_value(pixels: np.ndarray) -> None:
    back = color.to_display(color.from_display(pixels, "ACEScg"), "ACEScg")
    assert back.shape == pixels.shape and back.dtype == np.float32
    assert np.abs(back - pixels).max() < 1e-4


def test_convert_leaves_its_input_alone_and_never_multiplies_alpha_in() -> None:
    pixels = np.array([[0.8, 0.4, 0.2, 0.5]], np.float32)
    keep = pixels.copy()
    half, opaque = color.convert(pixels, "sRGB", "ACEScg"), color.convert(pixels[:, :3], "sRGB", "ACEScg")
    assert np.array_equal(pixels, keep) and np.array_equal(half[:, :3], opaque)
    assert color.convert(pixels, "ACEScg", "scene_linear") is not pixels


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(ColorError, match=r"no colour space 'ACESgc'.*ACEScg"):
        color.convert(np.zeros((1, 3), np.float32), "ACESgc", "sRGB")
    with pytest.raises(ColorError, match="near it"):
        color.check_name("")


def test_names_ids_and_chromaticities_agree() -> None:
    assert color.scene_linear() == color.check_name("lin_ap1_scene") == "ACEScg"
    assert color.interop_id("ACEScg") == "lin_ap1_scene"
    ap1 = color.chromaticities("ACEScg")
    assert ap1 == pytest.approx((0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767))
    assert ap1 and color.linear_space_of(ap1) == "ACEScg"
    assert color.linear_space_of((0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)) == color.check_name("lin_rec709")
    assert color.linear_space_of((0.1,) * 8) is None
    assert color.chromaticities("sRGB - Texture") is None and not color.is_linear("sRGB - Texture")
    assert color.known("sRGB") and not color.known("nope")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("/nowhere/config.ocio", "ColorError: the OCIO config in .OCIO cannot be read"),
        ("ocio://studio-config-latest", ""),
    ],
)
def test_ocio_variable_is_honoured(config: str, sentence: str) -> None:
    script = "from layerflow import color; print(color.display_space(), color.scene_linear())"
    run = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "OCIO": config}, capture_output=True, text=True
    )
    assert (run.returncode == 0) == (not sentence)
    if sentence:
        assert "ColorError: the OCIO config in $OCIO cannot be read" in run.stderr
    else:
        assert run.stdout.strip().endswith("ACEScg")
