"""The order of layers, which are seen, and what is drawn of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.layer_stack import (
    all_put_back,
    is_untouched,
    layer_names,
    layers_for,
    locked_names,
    moved,
    moved_down,
    moved_up,
    put_back,
    scene_layers,
    visible_names,
    what_is_made_anew,
)
from layerflow_desktop.models.picture import Picture

NAMES = ("blended", "background", "foreground10", "foreground2", "foreground", "residual", "shadow")


def states(*names, **changes):
    made = tuple(LayerState(name=name) for name in names)
    return tuple(state.with_(**changes.get(state.name, {})) for state in made)


def names_of(layers):
    return tuple(state.name for state in layers)


@pytest.fixture
def picture():
    pixels = {name: np.full((2, 3, 4), place, np.float16) for place, name in enumerate(NAMES)}
    return Picture({**pixels, "background": pixels["background"][..., :3]})


def test_foregrounds_front_to_back_then_the_background():
    assert layer_names(NAMES) == ("foreground", "foreground2", "foreground10", "shadow", "background")
    assert layer_names(["plate"]) == ()


def test_new_layers_find_their_place_and_the_order_of_others_stays():
    turned = states("background", "foreground", foreground={"opacity": 0.5})
    got = layers_for(["foreground", "foreground2", "background"], turned)
    assert names_of(got) == ("background", "foreground", "foreground2")
    assert got[1].opacity == 0.5
    assert names_of(layers_for(["foreground", "foreground2"], states("foreground2"))) == ("foreground", "foreground2")
    assert names_of(layers_for(["background"], states("foreground", "background"))) == ("background",)


@given(st.permutations(["foreground", "foreground2", "foreground3", "background"]), st.integers(0, 4))
def test_layers_for_keeps_any_order_and_asks_only_once(order, count):
    old = states(*order[:count])
    got = layers_for(order, old)
    assert sorted(names_of(got)) == sorted(order)
    assert [name for name in names_of(got) if name in order[:count]] == list(order[:count])
    assert layers_for(reversed(order), got) == got


def test_solo_goes_before_the_eye():
    three = states("foreground", "foreground2", "background", foreground2={"visible": False})
    assert visible_names(three) == ("foreground", "background")
    soloed = states("foreground", "foreground2", "background", foreground2={"visible": False, "solo": True})
    assert visible_names(soloed) == ("foreground2",)


def test_order_changes():
    three = states("a", "b", "c")
    assert names_of(moved_up(three, "c")) == ("a", "c", "b")
    assert names_of(moved_up(three, "a")) == ("a", "b", "c")
    assert names_of(moved_down(three, "a")) == ("b", "a", "c")
    assert names_of(moved_down(three, "c")) == ("a", "b", "c")
    assert names_of(moved(three, "a", 2)) == ("b", "c", "a")
    assert names_of(moved(three, "c", -9)) == ("c", "a", "b")


def test_the_scene_of_untouched_layers_has_the_residual(picture):
    shown = scene_layers(picture, ())
    assert [float(layer.pixels.flat[0]) for layer in shown.layers] == [5, 4, 3, 2, 6, 1]
    assert [layer.adds for layer in shown.layers] == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    "change",
    [{"visible": False}, {"solo": True}, {"opacity": 0.9}, {"offset_x": 1.0}, {"offset_y": -1.0}, {"scale": 1.1}],
)
def test_any_touch_leaves_the_residual_out(picture, change):
    own = states("foreground", "foreground2", "foreground10", "shadow", "background", foreground2=change)
    assert not is_untouched(own)
    assert not any(layer.adds for layer in scene_layers(picture, own).layers)


def test_another_order_leaves_the_residual_out(picture):
    own = moved(layers_for(NAMES, ()), "background", 0)
    assert not any(layer.adds for layer in scene_layers(picture, own).layers)


def test_a_lock_touches_nothing():
    own = states("foreground", "background", foreground={"locked": True})
    assert is_untouched(own) and locked_names(own) == ("foreground",)


def test_everything_soloed_is_untouched():
    assert is_untouched(states("foreground", "background", foreground={"solo": True}, background={"solo": True}))


def test_where_layers_are_placed(picture):
    own = states("foreground", foreground={"opacity": 0.5, "offset_x": 3, "offset_y": -2, "scale": 2, "solo": True})
    (layer,) = scene_layers(picture, own).layers
    assert (layer.opacity, layer.offset_x, layer.offset_y, layer.scale) == (0.5, 3, -2, 2)
    assert layer.pixels is picture.layers["foreground"]


def test_what_cannot_be_seen_is_not_drawn(picture):
    own = states("foreground", "background", foreground={"opacity": 0.0}, background={"visible": False})
    drawn = [layer.pixels for layer in scene_layers(picture, own).layers]
    assert all(pixels is not picture.layers["foreground"] for pixels in drawn)
    assert all(pixels is not picture.layers["background"] for pixels in drawn)
    assert scene_layers(Picture({"plate": picture.layers["background"]}), own).layers == ()


def test_put_back_keeps_locks():
    own = moved(states("foreground", "background", foreground={"scale": 2.0, "locked": True}), "background", 0)
    back = all_put_back(own)
    assert names_of(back) == ("foreground", "background") and is_untouched(back) and back[0].locked
    assert put_back(own[1]) == LayerState(name="foreground", locked=True)


def test_words_for_what_is_made_anew():
    locked = {"locked": True}
    assert what_is_made_anew(states("foreground", "background", foreground=locked)) == (
        "Keeps foreground. Makes background anew."
    )
    three = states("foreground", "foreground2", "background", foreground=locked, foreground2=locked)
    assert what_is_made_anew(three) == "Keeps foreground and foreground 2. Makes background anew."
    assert what_is_made_anew(states("foreground")) == "Keeps nothing. Lock a layer to keep it."
    assert what_is_made_anew(states("foreground", foreground=locked)).startswith("Keeps foreground. Unlock")
    assert what_is_made_anew(()) == ""
