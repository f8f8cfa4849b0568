"""What a comp does with layers: answers known on paper, a slow reference, and what holds for any picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerflow import layers
from layerflow.comp import Comp, Placement, comped, placed_layer, read_comp
from layerflow.errors import RequestError
from layerflow.layers import LayerStack, PictureFormat

HEIGHT, WIDTH = 7, 10
FORMAT = PictureFormat(width=WIDTH, height=HEIGHT)


def stack_of(seed: int = 0, *, residual: bool = False, fronts: int = 1, **form: object) -> LayerStack:
    rng = np.random.default_rng(seed)
    _, _, width, height = PictureFormat(width=WIDTH, height=HEIGHT, **form).working_window  # type: ignore[arg-type]
    named = {name: rng.random((1, height, width, 4), np.float32) for name in layers.foreground_names(fronts)}
    named["background"] = rng.random((1, height, width, 3), np.float32) * 2
    if residual:
        named["residual"] = rng.random((1, height, width, 3), np.float32) / 8
    stack = LayerStack(layers=named, frames=(1,), format=PictureFormat(width=WIDTH, height=HEIGHT, **form))  # type: ignore[arg-type]
    return LayerStack(layers={**named, "blended": layers.recompose(stack)}, frames=(1,), format=stack.format)


def comp(*placements: Placement) -> Comp:
    return Comp(layers=placements)


def slow(rgba: np.ndarray, one: Placement) -> np.ndarray:
    """Premultiplied `rgba` [H, W, 4] where the comp puts it, pixel by pixel in double precision."""
    height, width, _ = rgba.shape
    premultiplied = layers.premultiply(rgba).astype(np.float64)
    out = np.zeros_like(premultiplied)

    def at(y: int, x: int) -> np.ndarray:
        return premultiplied[y, x] if 0 <= y < height and 0 <= x < width else np.zeros(4)

    for y in range(height):
        for x in range(width):
            u = (x + 0.5 - width / 2 - one.offset_x) / one.scale + width / 2 - 0.5
            v = (y + 0.5 - height / 2 - one.offset_y) / one.scale + height / 2 - 0.5
            left, top = int(np.floor(u)), int(np.floor(v))
            across, down = u - left, v - top
            upper = at(top, left) * (1 - across) + at(top, left + 1) * across
            lower = at(top + 1, left) * (1 - across) + at(top + 1, left + 1) * across
            out[y, x] = upper * (1 - down) + lower * down
    return out * one.opacity


offsets = st.floats(-30, 30, allow_nan=False, width=32)
placements = st.builds(
    Placement,
    name=st.just("foreground"),
    opacity=st.floats(0.01, 1),
    offset_x=offsets,
    offset_y=offsets,
    scale=st.floats(0.05, 20),
)


@settings(deadline=None, max_examples=60)
@given(one=placements, seed=st.integers(0, 99))
def test_a_placed_layer_is_that_of_the_slow_reference(one: Placement, seed: int) -> None:
    pixels = stack_of(seed).layers["foreground"]
    placed = placed_layer(pixels, one, FORMAT)[0]
    np.testing.assert_allclose(layers.premultiply(placed), slow(pixels[0], one), atol=2e-5)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), fronts=st.integers(1, 3), residual=st.booleans(), named=st.integers(0, 4))
def test_a_comp_that_changes_nothing_gives_the_very_same(seed: int, fronts: int, residual: bool, named: int) -> None:
    stack = stack_of(seed, fronts=fronts, residual=residual)
    order = [*layers.foreground_names(fronts), "background", "residual", "blended"][:named]
    same = comp(*(Placement(name=name) for name in order))
    assert not same.changes(stack) and comped(stack, same) is stack


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), fronts=st.integers(1, 3), number=st.integers(0, 3))
def test_opacity_0_is_hidden(seed: int, fronts: int, number: int) -> None:
    stack = stack_of(seed, fronts=fronts)
    name = (*layers.foreground_names(fronts), "background")[min(number, fronts)]
    rest = [each for each in (*layers.foreground_names(fronts), "background") if each != name]

    def of(one: Placement) -> LayerStack:
        by_name = {each: Placement(name=each) for each in rest} | {name: one}
        return comped(stack, comp(*(by_name[each] for each in (*layers.foreground_names(fronts), "background"))))

    hidden, faded = of(Placement(name=name, visible=False)), of(Placement(name=name, opacity=0.0))
    assert list(hidden.layers) == list(faded.layers) == [*rest, "blended"]
    np.testing.assert_array_equal(hidden.layers["blended"], faded.layers["blended"])
    left = {each: stack.layers[each] for each in rest}
    np.testing.assert_array_equal(hidden.layers["blended"], layers.recomposed(left))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), x=st.integers(-12, 12), y=st.integers(-9, 9))
def test_a_move_by_whole_pixels_keeps_bits(seed: int, x: int, y: int) -> None:
    pixels = stack_of(seed).layers["foreground"]
    moved = placed_layer(pixels, Placement(name="foreground", offset_x=x, offset_y=y), FORMAT)
    expected = np.zeros_like(pixels)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            if 0 <= row - y < HEIGHT and 0 <= column - x < WIDTH:
                expected[0, row, column] = pixels[0, row - y, column - x]
    np.testing.assert_array_equal(moved, expected)


def test_order_is_front_to_back() -> None:
    stack = stack_of(fronts=2)
    swapped = comped(stack, comp(Placement(name="foreground2"), Placement(name="foreground1")))
    assert list(swapped.layers) == ["foreground2", "foreground1", "background", "blended"]
    one, two, under = (stack.layers[name] for name in ("foreground1", "foreground2", "background"))
    np.testing.assert_array_equal(swapped.layers["blended"], layers.over(two, layers.over(one, under)))
    np.testing.assert_array_equal(swapped.layers["foreground1"], one)
    again = comped(swapped, comp(Placement(name="foreground2"), Placement(name="foreground1")))
    assert again is swapped  # its own order by now


def test_a_background_in_front_hides_all() -> None:
    stack = stack_of()
    front = comped(stack, comp(Placement(name="background"), Placement(name="foreground")))
    np.testing.assert_array_equal(front.layers["blended"], stack.layers["background"])


def test_a_background_that_is_moved_or_faded_has_alpha() -> None:
    stack = stack_of()
    moved = comped(stack, comp(Placement(name="foreground"), Placement(name="background", offset_x=4, opacity=0.5)))
    background = moved.layers["background"]
    assert (background[..., :4, 3] == 0).all() and (background[..., 4:, 3] == 0.5).all()
    expected = layers.over(stack.layers["foreground"], layers.opaque(background))
    np.testing.assert_array_equal(moved.layers["blended"], expected)
    np.testing.assert_array_equal(layers.recompose(moved), moved.layers["blended"])


def test_a_half_pixel_has_half_of_each() -> None:
    rgba = np.zeros((1, HEIGHT, WIDTH, 4), np.float32)
    rgba[0, 3, 4] = (1, 0.5, 0.25, 1)
    moved = placed_layer(rgba, Placement(name="foreground", offset_x=0.5), FORMAT)
    np.testing.assert_array_equal(moved[0, 3, 4], (1, 0.5, 0.25, 0.5))
    np.testing.assert_array_equal(moved[0, 3, 5], (1, 0.5, 0.25, 0.5))
    assert moved[..., 3].sum() == 1


def test_twice_the_size_is_about_the_middle_of_the_display_window() -> None:
    form = PictureFormat(width=8, height=6)
    rgba = np.ones((1, 6, 8, 4), np.float32)
    small = placed_layer(rgba, Placement(name="foreground", scale=0.5), form)[0, ..., 3]
    np.testing.assert_array_equal(small, np.pad(np.ones((3 + 1, 4)), ((1, 1), (2, 2))) * small)
    np.testing.assert_allclose((small.sum(0) @ np.arange(8), small.sum(1) @ np.arange(6)) / small.sum(), (3.5, 2.5))


def test_overscan_comes_into_the_picture() -> None:
    stack = stack_of(overscan=(-2, -1, WIDTH + 4, HEIGHT + 2), data_window=(-2, -1, WIDTH + 4, HEIGHT + 2))
    moved = comped(stack, comp(Placement(name="foreground", offset_x=2), Placement(name="background")))
    np.testing.assert_array_equal(moved.layers["foreground"][..., 2:, :], stack.layers["foreground"][..., :-2, :])
    assert moved.format.data_window == stack.format.overscan


def test_a_residual_belongs_to_the_unchanged_picture() -> None:
    stack = stack_of(residual=True)
    faded = comped(stack, comp(Placement(name="foreground", opacity=0.5)))
    assert "residual" not in faded.layers
    expected = layers.over(layers.faded(stack.layers["foreground"], 0.5), stack.layers["background"])
    np.testing.assert_array_equal(faded.layers["blended"], expected)
    without = comped(stack, comp(Placement(name="residual", visible=False)))
    expected = layers.over(stack.layers["foreground"], stack.layers["background"])
    np.testing.assert_array_equal(without.layers["blended"], expected)
    plain = stack_of()
    assert comped(plain, comp(Placement(name="residual", visible=False))) is plain  # a frame that needs none


def test_other_layers_are_kept_and_not_laid_over() -> None:
    stack = stack_of()
    named = {**stack.layers, "shadow": stack.layers["foreground"]}
    stack = LayerStack(layers=named, frames=(1,), format=FORMAT)
    faded = comped(stack, comp(Placement(name="foreground", opacity=0.5)))
    np.testing.assert_array_equal(faded.layers["shadow"], named["shadow"])


def test_nothing_to_be_seen_and_unknown_layers_are_refused() -> None:
    hidden = comp(Placement(name="foreground", visible=False), Placement(name="background", opacity=0))
    with pytest.raises(RequestError, match="every layer is hidden"):
        comped(stack_of(), hidden)
    with pytest.raises(RequestError, match="names a layer foreground7 and there is foreground, background"):
        comped(stack_of(), comp(Placement(name="foreground7")))


def test_a_file_and_back(tmp_path) -> None:
    path = tmp_path / "comp.json"
    made = comp(
        Placement(name="foreground", visible=False, opacity=0.25, offset_x=-3.5, scale=2), Placement(name="background")
    )
    path.write_text(json.dumps(made.to_dict()))
    assert read_comp(path) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", 'a comp is {"layers"'),
        ('{"layers": {}}', 'a comp is {"layers"'),
        ('{"layers": [], "more": 1}', 'a comp is {"layers"'),
        ('{"layers": ["foreground"]}', "an object with a name"),
        ('{"layers": [{"name": "foreground", "opactiy": 1}]}', "'opactiy' is nothing"),
        ('{"layers": [{"name": "a b"}]}', "name must be that of a layer"),
        ('{"layers": [{"name": 7}]}', "name must be that of a layer"),
        ('{"layers": [{"name": "a"}, {"name": "a"}]}', "got a more than once"),
        ('{"layers": [{"name": "a", "visible": 1}]}', "visible of a must be true or false"),
        ('{"layers": [{"name": "a", "opacity": 1.5}]}', "opacity of a must be a number from 0 to 1, got 1.5"),
        ('{"layers": [{"name": "a", "opacity": true}]}', "opacity of a must be a number"),
        ('{"layers": [{"name": "a", "scale": 0}]}', "scale of a must be a number from 0.01 to 100, got 0"),
        ('{"layers": [{"name": "a", "offset_x": NaN}]}', "offset_x of a must be a number"),
        ('{"layers": [{"name": "a", "offset_y": "3"}]}', "offset_y of a must be a number"),
    ],
)
def test_what_is_no_comp_is_one_sentence(tmp_path, text, words) -> None:
    path = tmp_path / "comp.json"
    path.write_text(text)
    with pytest.raises(RequestError) as refused:
        read_comp(path)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        read_comp(tmp_path / "comp.json")
    (tmp_path / "comp.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match="codec can't decode"):
        read_comp(tmp_path / "comp.json")
