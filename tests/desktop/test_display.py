"""What the display gets is what the engine's tools make of the same light, within 1/255."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from layerflow import color as engine_color
from layerflow import layers
from layerflow_desktop.models import color, display
from layerflow_desktop.models.compositing import compose
from layerflow_desktop.models.display import ViewTransform, look_pixels
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.picture import Placed, Shown

HEIGHT, WIDTH = 30, 44


@pytest.fixture
def named(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Layers of a picture with highlights and a soft matte."""
    front = rng.lognormal(-1.5, 1.5, (HEIGHT, WIDTH, 4)).astype(np.float16)
    front[..., 3] = np.linspace(-0.2, 1.2, WIDTH).clip(0, 1)
    return {"foreground": front, "background": rng.lognormal(-1.5, 1.5, (HEIGHT, WIDTH, 3)).astype(np.float16)}


LIT = "ACES 2.0 - SDR 100 nits (Rec.709)"  # a view that has tables


def comp(named: dict[str, np.ndarray]) -> np.ndarray:
    return compose(Shown(tuple(map(Placed, named.values()))), HEIGHT, WIDTH)


def engine_shows(light: np.ndarray, transform: ViewTransform) -> np.ndarray:
    """The display values of the engine's library, with the config that the engine has."""
    shown = oiio.ImageBufAlgo.ociodisplay(
        oiio.ImageBuf(np.ascontiguousarray(light, np.float32)),
        transform.display,
        transform.view,
        transform.colorspace,
        colorconfig="ocio://studio-config-latest",
    )
    assert not shown.has_error, shown.geterror()
    return np.asarray(shown.get_pixels(oiio.FLOAT)).clip(0, 1) * 255


def differ(shown: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(shown.astype(np.float64) - expected).max())


def floats(named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: pixels.astype(np.float32) for name, pixels in named.items()}


@pytest.mark.parametrize("view", ["", "Un-tone-mapped"])
@pytest.mark.parametrize("exposure", [0.0, -2.5])
def test_a_comp_looks_as_the_engine_lays_and_shows_it(named: dict, view: str, exposure: float) -> None:
    transform = ViewTransform(view=view)
    shown = look_pixels(comp(named), ViewSettings(exposure=exposure), transform)
    expected = engine_shows(layers.recomposed(floats(named)) * 2**exposure, transform)
    assert shown.dtype == np.uint8
    assert differ(shown, expected) <= 1.0


@pytest.mark.parametrize("space", ["ACES2065-1", "lin_rec709", "sRGB - Texture"])
def test_another_working_space_is_shown_from_there(named: dict, space: str) -> None:
    transform = ViewTransform("Display P3 - Display", colorspace=space)
    assert (
        differ(look_pixels(comp(named), ViewSettings(), transform), engine_shows(comp(named)[..., :3], transform)) <= 1
    )


@pytest.mark.parametrize(
    ("background", "light"), [("black", (0, 0, 0)), ("white", (1, 1, 1)), ("custom", (0.1, 0.4, 0.9))]
)
def test_a_foreground_lies_over_the_backdrop_in_linear_light(named: dict, background: str, light: tuple) -> None:
    front = named["foreground"]
    settings = ViewSettings(background=background, background_color=(0.1, 0.4, 0.9), exposure=1.0)
    shown = look_pixels(comp({"foreground": front}), settings, ViewTransform(view=LIT))
    exposed = front.astype(np.float32)
    exposed[..., :3] *= 2
    expected = layers.over(exposed, np.broadcast_to(np.array(light, np.float32), (HEIGHT, WIDTH, 3)))
    assert differ(shown, engine_shows(expected, ViewTransform(view=LIT))) <= 1


def test_the_checkerboard_stays_where_it_is_and_no_exposure_changes_it() -> None:
    nothing = np.zeros((64, 64, 4), np.float32)
    transform = ViewTransform(view=LIT)
    board = look_pixels(nothing, ViewSettings(), transform)
    assert len(np.unique(board)) == 2
    assert (board[0, 0] != board[0, display.CHECKER_SIZE]).all()
    assert (board[0, 0] == board[display.CHECKER_SIZE, display.CHECKER_SIZE]).all()
    np.testing.assert_array_equal(board, look_pixels(nothing, ViewSettings(exposure=5), transform))
    part = look_pixels(nothing[:20, :20], ViewSettings(), transform, origin=(7, 15))
    np.testing.assert_array_equal(part, board[15:35, 7:27])
    light = engine_shows(np.full((1, 1, 3), display.CHECKER_GREYS[0], np.float32), transform)
    assert differ(board[0, 0], light[0, 0]) <= 1


def test_a_straight_view_shows_colour_as_if_nothing_were_transparent(named: dict) -> None:
    shown = look_pixels(comp({"f": named["foreground"]}), ViewSettings(alpha="straight"), ViewTransform(view=LIT))
    solid = named["foreground"][..., 3] > 0.01
    expected = engine_shows(named["foreground"][..., :3].astype(np.float32), ViewTransform(view=LIT))
    assert differ(shown[solid], expected[solid]) <= 1


@pytest.mark.parametrize("channel", ["r", "g", "b", "luminance"])
def test_one_channel_is_grey_through_the_view(named: dict, channel: str) -> None:
    light = layers.recomposed(floats(named))
    weights = {"r": (1, 0, 0), "g": (0, 1, 0), "b": (0, 0, 1), "luminance": (0.2126, 0.7152, 0.0722)}[channel]
    grey = np.repeat((light @ np.array(weights, np.float32))[..., None], 3, axis=-1)
    shown = look_pixels(comp(named), ViewSettings(channel=channel, exposure=1), ViewTransform(view=LIT))
    assert differ(shown, engine_shows(grey * 2, ViewTransform(view=LIT))) <= 1


def test_alpha_is_shown_raw_through_exposure_alone(named: dict) -> None:
    front = named["foreground"]
    shown = look_pixels(comp({"f": front}), ViewSettings(channel="a", exposure=-1), ViewTransform(view=LIT))
    expected = np.repeat(front[..., 3:].astype(np.float64) / 2 * 255, 3, axis=-1)
    assert differ(shown, expected) <= 0.51


def test_gamma_comes_after_the_view(named: dict) -> None:
    plain = engine_shows(layers.recomposed(floats(named)), ViewTransform(view=LIT)) / 255
    shown = look_pixels(comp(named), ViewSettings(gamma=2.0), ViewTransform(view=LIT))
    assert differ(shown, np.sqrt(plain) * 255) <= 1


def test_what_is_looked_at_is_not_changed(named: dict) -> None:
    pixels = comp(named)
    before = pixels.copy()
    for channel in ("rgb", "a", "luminance"):
        for alpha in ("straight", "premultiplied"):
            look_pixels(pixels, ViewSettings(channel=channel, alpha=alpha, gamma=1.5), ViewTransform(view=LIT))
    np.testing.assert_array_equal(pixels, before)


def test_the_difference_is_opaque_and_over_black(named: dict) -> None:
    a, b = comp(named), comp({"f": named["foreground"]})
    apart = display.difference(a, b)
    np.testing.assert_allclose(apart[..., :3], np.abs(a[..., :3] - b[..., :3]))
    assert (apart[..., 3] == 1).all()
    assert not display.difference(a, a)[..., :3].any()


def test_the_wipe_has_a_on_its_left_and_turns() -> None:
    mask = display.wipe_mask(10, 6, 0.3, 0.0)
    assert mask.shape == (6, 10) and mask[:, :3].all() and not mask[:, 3:].any()
    assert display.wipe_mask(10, 6, 0.3, 180.0)[:, 7:].all() and not display.wipe_mask(10, 6, 0.3, 180.0)[:, :7].any()
    turned = display.wipe_mask(10, 6, 0.5, 90.0)
    assert turned[:3].all() and not turned[3:].any()


def test_names_of_spaces_are_the_engines() -> None:
    assert color.display_space() == engine_color.display_space()
    assert color.scene_linear() == engine_color.scene_linear()
    for name in ("lin_ap1_scene", "sRGB", "scene_linear", "arri_logc4", "nonsense", "", "srgb_p3d65_scene"):
        assert (color.known(name) or "") == (engine_color.first_known([name]) or "")
    with pytest.raises(color.ColorError, match="nonsense"):
        ViewTransform(colorspace="nonsense")


def test_displays_and_views_are_those_the_engine_has() -> None:
    config = oiio.ColorConfig("ocio://studio-config-latest")
    assert list(display.displays()) == config.getDisplayNames()
    assert display.default_display() == config.getDefaultDisplayName()
    for name in display.displays():
        assert set(display.views(name)) == set(config.getViewNames(name))
        assert display.default_view(name) in display.views(name)


def test_a_plate_looks_as_it_is_unless_a_config_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert display.default_view() == display.PLAIN_VIEW
    monkeypatch.setenv("OCIO", "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5")
    assert display.default_view() == LIT


def test_what_a_config_does_not_have_is_its_default() -> None:
    transform = ViewTransform("a display of another house", "its view")
    assert (transform.display, transform.view) == (display.default_display(), display.default_view())


def test_the_config_of_the_studio_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import PyOpenColorIO as ocio

    raw = ocio.Config.CreateRaw()
    raw.addDisplayView("House", "Plain", "raw", "")
    path = tmp_path / "house.ocio"
    path.write_text(raw.serialize())
    monkeypatch.setenv("OCIO", str(path))
    assert "House" in display.displays()
    assert display.views("House") == ("Plain",)
    monkeypatch.setenv("OCIO", str(tmp_path / "gone.ocio"))
    with pytest.raises(color.ColorError, match=r"gone\.ocio.*unset OCIO"):
        display.displays()


@pytest.mark.parametrize("language", ["glsl_1.3", "glsl_4.0", "glsl_es_3.0"])
def test_the_shader_brings_what_it_looks_up(language: display.Language) -> None:
    shader = ViewTransform(view=LIT).gpu_shader(language)
    assert f"vec4 {shader.function}(vec4" in shader.text
    assert "sampler1D" not in shader.text
    assert shader.textures
    for table in shader.textures:
        assert f" {table.sampler};" in shader.text
        assert table.dimensions in (2, 3) and table.values.dtype == np.float32
    assert "uniform float" not in shader.text  # nothing is left to be set
