"""Plates into the model's picture and back: what is where stays there, whatever the shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layerflow.preprocess import (
    Fit,
    bucket,
    cover_crop,
    resize,
    signed_foreground,
    to_pixels,
    to_signed,
    to_tensor,
    to_unit,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS, COLUMNS = 32, 48
KINDS = ("bucket", "pad", "crop")
ODD_SIZES = [(31, 17), (17, 31), (1, 1), (1, 500), (500, 1), (16, 8192), (32, 48), (64, 96), (1080, 1920), (33, 49)]


def fit(height: int, width: int, kind: str = "pad", aspect: float = 1.0) -> Fit:
    return Fit(width=width, height=height, columns=COLUMNS, rows=ROWS, kind=kind, aspect=aspect)


def spot(height: int, width: int, y: float, x: float, size: float) -> torch.Tensor:
    """A soft spot at (y, x), given as shares of height and width; `size` in pixels."""
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    distance = (rows[:, None] - y * height) ** 2 + (columns - x * width) ** 2
    return torch.exp(-distance / (2 * size**2))[None, None]


def centre(picture: torch.Tensor) -> tuple[float, float]:
    """Where the weight of a picture is, in pixels."""
    weight = picture[0, 0].clamp(min=0.01) - 0.01
    rows, columns = torch.arange(weight.shape[0]) + 0.5, torch.arange(weight.shape[1]) + 0.5
    return float((weight.sum(1) * rows).sum() / weight.sum()), float((weight.sum(0) * columns).sum() / weight.sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("height", "width"), [(96, 96), (60, 200), (200, 60), (64, 96), (97, 131), (131, 97), (99, 100)]
)
@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_a_spot_comes_back_where_it_was(height: int, width: int, kind: str, aspect: float) -> None:
    placed = fit(height, width, kind, aspect)
    there = spot(height, width, 0.5 + 3 / height, 0.5 - 2 / width, min(height, width) / 12)
    back = placed.to_plate(placed.to_model(there))
    assert back.shape == there.shape
    one_model_pixel = min(height / placed.scaled[0], width / placed.scaled[1])
    for before, after in zip(centre(there), centre(back), strict=True):
        assert abs(before - after) < 0.1 * one_model_pixel


def test_a_spot_lands_at_the_same_share_of_the_model_s_picture() -> None:
    """A square plate in a picture of 3:2 fills the middle 32 columns; cropped, it fills all and loses rows."""
    square = spot(64, 64, 0.375, 0.75, 3)
    assert fit(64, 64).scaled == (32, 32) and fit(64, 64, "crop").scaled == (48, 48)
    assert centre(fit(64, 64).to_model(square)) == pytest.approx((0.375 * 32, 8 + 0.75 * 32), abs=0.1)
    assert centre(fit(64, 64, "crop").to_model(square)) == pytest.approx((0.375 * 48 - 8, 0.75 * 48), abs=0.1)


@pytest.mark.parametrize(
    ("plate", "picture"),
    [
        ((720, 480), (720, 480)),  # the model's own
        ((6000, 4000), (720, 480)),
        ((1920, 1080), (768, 432)),
        ((1080, 1920), (432, 768)),
        ((3840, 2160), (768, 432)),
        ((2048, 858), (912, 384)),  # 2.39:1
        ((1, 1), (592, 592)),
        ((1440, 1080), (688, 512)),  # 4:3
        ((17, 31), (432, 784)),
        ((8192, 16), (1152, 288)),  # no more than 4:1
        ((16, 8192), (288, 1152)),
    ],
)
def test_the_bucket_of_a_plate(plate: tuple[int, int], picture: tuple[int, int]) -> None:
    """What a model of 720x480 makes in steps of 16 pixels: about as many, in about the plate's shape."""
    width, height = plate
    assert bucket(width / height, columns=720, rows=480, step=16) == picture


@given(st.floats(1e-4, 1e4), st.sampled_from([(720, 480), (96, 64), (480, 720), (16, 16)]))
def test_a_bucket_is_near_in_shape_and_area(ratio: float, own: tuple[int, int]) -> None:
    columns, rows = bucket(ratio, columns=own[0], rows=own[1], step=16)
    assert columns % 16 == rows % 16 == 0 and min(columns, rows) >= 16
    if own == (720, 480):
        assert abs(math.log(columns * rows / (720 * 480))) < 0.05
        assert abs(math.log(columns / rows / min(max(ratio, 0.25), 4))) < 0.05
    assert bucket(own[0] / own[1], columns=own[0], rows=own[1], step=16) == own


def test_a_bucket_shows_the_whole_plate_and_nothing_else() -> None:
    placed = fit(30, 50, "bucket")
    assert placed.scaled == (ROWS, COLUMNS) and placed.corner == (0, 0)
    half = torch.zeros(1, 1, 30, 50)
    half[..., 25:] = 1.0
    seen = placed.to_model(half)
    assert (seen[..., : COLUMNS // 2 - 3].abs() < 1e-3).all() and (
        (seen[..., COLUMNS // 2 + 3 :] - 1).abs() < 1e-3
    ).all()


def test_pixels_become_square_for_the_model() -> None:
    """A round spot through an anamorphic lens is half as wide in pixels; the model sees it round."""
    squeezed = fit(96, 72, aspect=2.0)
    assert squeezed.scaled == (32, 48)
    rows, columns = torch.arange(96) + 0.5, torch.arange(72) + 0.5
    seen = squeezed.to_model(torch.exp(-((rows[:, None] - 48) ** 2 / 200 + (columns - 36) ** 2 / 50))[None, None])[0, 0]
    high, wide = (float((seen.amax(axis) > 0.5).sum()) for axis in (1, 0))
    assert high == wide


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width"), ODD_SIZES)
def test_constant_pictures_stay_constant(height: int, width: int, kind: str) -> None:
    placed = fit(height, width, kind)
    picture = torch.full((1, 4, height, width), 0.25)
    seen = placed.to_model(picture)
    assert seen.shape == (1, 4, ROWS, COLUMNS)
    torch.testing.assert_close(seen, torch.full_like(seen, 0.25), atol=1e-5, rtol=0)
    torch.testing.assert_close(placed.to_plate(seen), picture, atol=1e-5, rtol=0)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    kind=st.sampled_from(KINDS),
    aspect=st.sampled_from([0.5, 1.0, 1.5, 2.0]),
)
@settings(max_examples=60)
def test_any_size_goes_in_and_comes_out(height: int, width: int, kind: str, aspect: float) -> None:
    placed = fit(height, width, kind, aspect)
    rows, columns = placed.scaled
    assert (rows >= ROWS and columns >= COLUMNS) if kind == "crop" else (rows <= ROWS and columns <= COLUMNS)
    picture = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    seen = placed.to_model(picture)
    assert seen.shape == (2, 3, ROWS, COLUMNS) and seen.isfinite().all()
    assert placed.to_plate(seen).shape == picture.shape


def test_a_plate_of_the_model_s_own_size_is_not_touched() -> None:
    picture = torch.rand(2, 3, ROWS, COLUMNS)
    for kind in KINDS:
        assert torch.equal(fit(ROWS, COLUMNS, kind).to_model(picture), picture)
        assert torch.equal(fit(ROWS, COLUMNS, kind).to_plate(picture), picture)


def test_what_was_added_at_the_edges_does_not_come_back() -> None:
    placed = fit(32, 32)
    seen = placed.to_model(torch.zeros(1, 3, 32, 32))
    seen[..., :8] = seen[..., 40:] = 9.0
    assert (placed.to_plate(seen) == 0).all()


def test_what_a_crop_never_saw_is_the_held_edge() -> None:
    placed = fit(96, 96, "crop")
    made = torch.arange(float(ROWS))[None, None, :, None].expand(1, 1, ROWS, COLUMNS)
    back = placed.to_plate(made)[0, 0, :, 0]
    assert back[:8].sub(0).abs().max() < 0.2 and back[-8:].sub(31).abs().max() < 0.2


def test_foreground_is_over_grey() -> None:
    rgb = torch.tensor([1.0, 0.5, 0.0])[None, :, None, None]
    for alpha, expected in ((0.0, [0.0, 0.0, 0.0]), (0.5, [0.5, 0.0, -0.5]), (1.0, [1.0, 0.0, -1.0])):
        assert signed_foreground(rgb, torch.full((1, 1, 1, 1), alpha)).flatten().tolist() == expected


@given(st.floats(-2, 3))
def test_signed_and_unit_are_each_other_s_way_back(value: float) -> None:
    assert float(to_unit(to_signed(torch.tensor(value)))) == pytest.approx(value, abs=1e-6)


def test_cover_crop_keeps_the_centre_and_cuts_the_longer_side() -> None:
    picture = spot(60, 200, 0.5, 0.5, 6)
    cropped = cover_crop(picture, 30, 40)
    assert cropped.shape == (1, 1, 30, 40) and centre(cropped) == pytest.approx((15, 20), abs=0.2)
    assert torch.equal(cover_crop(picture, 60, 200), picture)
    assert cover_crop(picture.mT, 30, 40).shape == (1, 1, 30, 40)


def test_resizing_is_antialiased() -> None:
    """Fine stripes become grey, not coarse stripes."""
    stripes = torch.tensor([0.0, 1.0]).repeat(200)[None, None, None].expand(1, 1, 8, 400)
    assert float((resize(stripes, 8, 37) - 0.5).abs()[..., 2:-2].max()) < 0.06


def test_tensors_and_pixels_hold_the_same() -> None:
    pixels = np.random.default_rng(0).random((2, 5, 7, 4), np.float32)
    tensor = to_tensor(pixels)
    assert tensor.shape == (2, 4, 5, 7) and tensor.is_contiguous()
    assert np.array_equal(to_pixels(tensor), pixels) and to_pixels(tensor.double()).dtype == np.float32
