"""From a plate to the model's pictures, and from the model's pictures to comp-ready layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from layerflow import color, layers
from layerflow.assemble import (
    SOLID,
    Frame,
    assemble,
    behind,
    given_layers,
    layer_pictures,
    made_layer,
    model_pictures,
    pictures_and_clipped,
    stacked,
    takes_apart,
)
from layerflow.layout import LAYERS, VARIANTS, Layout, further_layouts, task_layouts
from layerflow.preprocess import Fit, resize, to_pixels, to_tensor
from layerflow.tone import PLAIN, SCENE, Tone

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUTS = task_layouts(8, 2)
ROWS, COLUMNS = 16, 24
SAME = Fit(width=COLUMNS, height=ROWS, columns=COLUMNS, rows=ROWS)
LARGER = Fit(width=61, height=37, columns=COLUMNS, rows=ROWS)
LINEAR = "lin_rec709"


def random_frame(channels: int, height: int = ROWS, width: int = COLUMNS, space: str = LINEAR) -> Frame:
    pixels = np.random.default_rng(1).random((height, width, channels), np.float32)
    return Frame(pixels=pixels, colorspace=space)


def made(**pictures: np.ndarray) -> dict[str, torch.Tensor]:
    """What a model might have made: grey, where a picture is not given."""
    grey = np.full((ROWS, COLUMNS, 3), 0.5, np.float32)
    return {name: to_tensor(pictures.get(name, grey)[None])[0] for name in LAYERS}


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("generate", set()),
        ("decompose", {"blended"}),
        ("background", {"foreground", "alpha"}),
        ("foreground", {"background"}),
    ],
)
def test_what_the_plate_gives(task: str, expected: set[str]) -> None:
    assert given_layers(LAYOUTS[task]) == expected
    pictures = model_pictures(random_frame(4), LAYOUTS[task], SAME)
    assert set(pictures) == expected and all(picture.shape == (3, ROWS, COLUMNS) for picture in pictures.values())


def test_the_model_sees_display_values() -> None:
    """Linear 0.214 is 0.5 on display, which is 0 for the model; what is four stops above white is white."""
    pixels = np.full((ROWS, COLUMNS, 3), 0.21404114, np.float32)
    pixels[:, :12] = 40.0
    seen = model_pictures(Frame(pixels=pixels, colorspace=LINEAR), LAYOUTS["decompose"], SAME)["blended"]
    assert (seen[:, :, :12] - 1).abs().max() < 1e-6 and seen[:, :, 12:].abs().max() < 1e-3


def test_the_model_sees_a_foreground_over_grey_and_its_alpha_as_a_picture() -> None:
    pixels = np.ones((ROWS, COLUMNS, 4), np.float32)
    pixels[..., 3] = np.linspace(0, 1, COLUMNS)
    pictures = model_pictures(Frame(pixels=pixels, colorspace="sRGB - Texture"), LAYOUTS["background"], SAME)
    alpha = torch.linspace(0, 1, COLUMNS).expand(3, ROWS, -1)
    torch.testing.assert_close(pictures["alpha"], alpha * 2 - 1, atol=1e-5, rtol=0)
    torch.testing.assert_close(pictures["foreground"], alpha, atol=1e-4, rtol=0)


def test_a_model_without_alpha_sees_the_plate_as_its_foreground() -> None:
    pixels = np.full((ROWS, COLUMNS, 3), 0.75, np.float32)
    frame = Frame(pixels=pixels, colorspace="sRGB - Texture")
    pictures = model_pictures(frame, VARIANTS["fg2bg_rgb"].layout, SAME)
    assert list(pictures) == ["foreground"]
    torch.testing.assert_close(pictures["foreground"], torch.full((3, ROWS, COLUMNS), 0.5))


def test_alpha_in_a_plate_that_is_taken_apart_is_laid_over_black() -> None:
    pixels = np.ones((ROWS, COLUMNS, 4), np.float32)
    pixels[..., 3] = 0.5
    seen = model_pictures(Frame(pixels=pixels, colorspace="sRGB - Texture"), LAYOUTS["decompose"], SAME)["blended"]
    assert seen.abs().max() < 1e-5


def test_every_layer_of_a_shot_is_seen_as_what_it_is() -> None:
    """Alpha is a foreground's; a blended picture that has some is laid over black."""
    layout = next(layout for task, layout in further_layouts(8, 2) if layout.num_foregrounds == 2)
    display = {name: np.full((ROWS, COLUMNS, 4), 1.0, np.float32) for name in ("foreground", "foreground2", "blended")}
    for pixels, alpha in zip(display.values(), (0.25, 0.5, 0.75), strict=True):
        pixels[..., 3] = alpha
    display["background"] = np.full((ROWS, COLUMNS, 3), 0.125, np.float32)
    frames = {name: Frame(pixels=pixels, colorspace="sRGB - Texture") for name, pixels in display.items()}
    seen = layer_pictures(frames, layout, SAME)
    means = {name: round(float(picture.mean()), 3) for name, picture in seen.items()}
    assert means == {
        **{"foreground": 0.25, "alpha": -0.5, "foreground2": 0.5, "alpha2": 0.0},
        **{"background": -0.75, "blended": 0.5},
    }


@pytest.mark.parametrize("fit", [SAME, LARGER])
@pytest.mark.parametrize(
    ("task", "name", "channels"),
    [("decompose", "blended", 3), ("foreground", "background", 3), ("background", "foreground", 4)],
)
def test_what_the_plate_gave_comes_out_bit_for_bit(task: str, name: str, channels: int, fit: Fit) -> None:
    frame = random_frame(channels, fit.height, fit.width)
    frame.pixels[0, 0] = 60000.0 if channels == 3 else (60000.0, -7.0, 1e-9, 0.0)
    out = assemble(made(), frame, LAYOUTS[task], fit, LINEAR)
    assert list(out) == ["foreground", "background", "blended"]
    assert np.array_equal(out[name], frame.pixels) and out[name] is not frame.pixels
    assert {key: pixels.shape for key, pixels in out.items()} == {
        key: (fit.height, fit.width, 4 if key == "foreground" else 3) for key in out
    }


def test_what_the_plate_gave_is_converted_once() -> None:
    frame = random_frame(3)
    out = assemble(made(), frame, LAYOUTS["decompose"], SAME, "ACEScg")
    assert np.array_equal(out["blended"], color.convert(frame.pixels, LINEAR, "ACEScg"))


@given(seed=st.integers(0, 1000))
def test_straight_colour_comes_back_from_grey(seed: int) -> None:
    """The model's foreground is (c - 0.5) a + 0.5; in linear light, out comes c itself wherever alpha is solid."""
    rng = np.random.default_rng(seed)
    colour, alpha = rng.random((ROWS, COLUMNS, 3), np.float32), rng.random((ROWS, COLUMNS), np.float32)
    pictures = made(
        foreground=layers.grey_from_straight(colour, alpha), alpha=alpha[..., None].repeat(3, -1).astype(np.float32)
    )
    rgba = assemble(pictures, None, LAYOUTS["generate"], SAME, LINEAR)["foreground"]
    np.testing.assert_allclose(rgba[..., 3], alpha, atol=1e-6)
    expected = color.from_display(colour, LINEAR)
    assert np.abs(rgba[..., :3] - expected)[alpha > SOLID].max() < 1e-5


def test_colour_reaches_outward_under_zero_alpha() -> None:
    """Around a red square nothing grey is left to bleed into a blur of straight colour."""
    alpha = np.zeros((ROWS, COLUMNS, 3), np.float32)
    alpha[4:12, 8:16] = 1.0
    red = np.broadcast_to(np.array([1.0, 0.0, 0.0], np.float32), alpha.shape)
    pictures = made(foreground=layers.grey_from_straight(red, alpha[..., 0]), alpha=alpha)
    rgba = assemble(pictures, None, LAYOUTS["generate"], LARGER, LINEAR)["foreground"]
    assert rgba[..., 0].min() > 0.99 and rgba[..., 1:3].max() < 0.01
    assert rgba[..., 3].min() == 0.0 and rgba[..., 3].max() == 1.0


@pytest.mark.parametrize("tone", [PLAIN, SCENE])
def test_a_large_plate_gets_the_layers_that_a_small_one_gets(tone: Tone) -> None:
    """Brought into linear light at a fraction of the size; to within what the eye sees of a gradient."""
    coarse = torch.rand(1, 3, ROWS // 4, COLUMNS // 4, generator=torch.Generator().manual_seed(2))
    picture = resize(coarse, ROWS, COLUMNS).clamp(0, 1)
    large = Fit(width=COLUMNS * 9, height=ROWS * 9, columns=COLUMNS, rows=ROWS)
    at_once = tone.from_display(to_pixels(large.to_plate(picture).clamp(0, 1))[0], LINEAR)
    made = made_layer(picture[0], large, LINEAR, tone)
    assert made.shape == at_once.shape == (ROWS * 9, COLUMNS * 9, 3)
    error = np.abs(tone.to_display(made, LINEAR) - tone.to_display(at_once, LINEAR))
    assert error.mean() < 0.005 and error.max() < 0.2 and made.min() >= 0


def test_a_matte_without_any_foreground_is_no_trouble() -> None:
    black = np.zeros((ROWS, COLUMNS, 3), np.float32)
    out = assemble(made(alpha=black), None, LAYOUTS["generate"], LARGER, "ACEScg")
    assert all(np.isfinite(pixels).all() for pixels in out.values()) and (out["foreground"][..., 3] == 0).all()


def test_alpha_is_the_mean_of_its_three_channels_and_within_range() -> None:
    alpha = np.zeros((ROWS, COLUMNS, 3), np.float32)
    alpha[..., 0], alpha[:, :12] = 0.9, 1.7
    out = assemble(made(alpha=alpha), None, LAYOUTS["generate"], SAME, LINEAR)["foreground"][..., 3]
    np.testing.assert_allclose(out[:, 12:], 0.3, atol=1e-6)
    assert (out[:, :12] == 1.0).all()


@pytest.mark.parametrize(
    ("layout", "expected"),
    [*((layout, task == "decompose") for task, layout in LAYOUTS.items()), (VARIANTS["seg_rgb"].layout, False)],
)
def test_a_plate_is_taken_apart_where_a_matte_is_made_of_it(layout: Layout, expected: bool) -> None:
    assert takes_apart(layout) is expected


def test_the_rest_of_the_plate_is_the_plate_outside_the_matte_and_what_was_made_inside() -> None:
    alpha = np.zeros((ROWS, COLUMNS, 3), np.float32)
    alpha[:, :12] = 1.0
    plate = torch.rand(1, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(1)) * 2 - 1
    clip = {name: picture[None] for name, picture in made(alpha=alpha).items()}
    rest = behind({"blended": plate}, clip)
    assert list(rest) == ["blended"]
    torch.testing.assert_close(rest["blended"][..., 12:], plate[..., 12:])
    assert rest["blended"][..., :12].abs().max() < 1e-6  # mid-grey


def test_a_model_without_alpha_gives_its_foreground_as_it_is() -> None:
    pictures = {name: picture for name, picture in made().items() if name != "alpha"}
    out = assemble(pictures, random_frame(3), VARIANTS["seg_rgb"].layout, SAME, LINEAR)
    assert out["foreground"].shape == (ROWS, COLUMNS, 3)
    np.testing.assert_allclose(out["foreground"], 0.21404114, atol=1e-4)


def test_the_share_that_the_model_cannot_see() -> None:
    pixels = np.full((10, 10, 3), 0.5, np.float32)
    frame = Frame(pixels=pixels, colorspace=LINEAR)
    assert pictures_and_clipped(frame, LAYOUTS["decompose"], SAME)[1] == 0.0
    pixels[0, :3, 1], pixels[1, :2, 2] = 17.0, -0.1
    pictures, clipped = pictures_and_clipped(frame, LAYOUTS["decompose"], SAME)
    assert clipped == pytest.approx(0.05)
    assert pictures["blended"].equal(model_pictures(frame, LAYOUTS["decompose"], SAME)["blended"])


def test_stacking_keeps_frames_in_order() -> None:
    clip = stacked([{"blended": torch.full((3, 2, 2), float(number))} for number in range(3)])
    assert clip["blended"].shape == (3, 3, 2, 2) and clip["blended"][:, 0, 0, 0].tolist() == [0.0, 1.0, 2.0]
