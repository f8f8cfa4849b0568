"""What training is fed with: clips that follow from seed and step, layers that are each other's sum, rough mattes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from layerflow.layout import ALL_LAYERS, LAYERS
from layerflow.training.clips import Source, encode_srgb, linear_table
from layerflow.training.device_supply import DeviceSupply
from layerflow.training.render import Pixels, RenderConfig
from layerflow.training.roto import rough_matte
from layerflow.training.shapes import draw_shape
from layerflow.training.supply import Sources, Supply, pictures, signed

CONFIG = RenderConfig(num_frames=4, height=32, width=48)
TWO = ("foreground", "alpha", "foreground2", "alpha2", "background", "blended")


def pixels(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def sources(**changes: object) -> Sources:
    return Sources(
        sprites=[Source(label="fox", pixels=pixels(5, 16, 16, 4))],
        stills=[Source(label="pear", pixels=pixels(1, 16, 16, 4, seed=1))],
        cutouts=[Source(label="cart", tags=("transportation",), pixels=pixels(1, 16, 16, 4, seed=2))],
        photos=[Source(label="beach", pixels=pixels(72, 96, 3, seed=3))],
        **changes,
    )


def supply(seed: int = 0, step: int = 0, **changes: object) -> Supply:
    return Supply(sources=sources(), config=CONFIG, num_clips=6, renewed=2, seed=seed, step=step, **changes)


def test_a_resumed_supply_holds_what_an_undisturbed_one_holds() -> None:
    undisturbed = supply()
    for step in range(1, 9):  # round the caches and on
        undisturbed.advance()
        resumed = supply(step=step)
        assert np.array_equal(resumed.foregrounds, undisturbed.foregrounds)
        assert np.array_equal(resumed.backgrounds, undisturbed.backgrounds)
        assert [each.label for each in resumed.shown] == [each.label for each in undisturbed.shown]


def test_advancing_draws_the_next_places_anew_and_no_other() -> None:
    fed = supply()
    before = fed.backgrounds.copy()
    fed.advance()
    assert [bool((fed.backgrounds[place] != before[place]).any()) for place in range(6)] == [True, True, *[False] * 4]
    assert (supply(seed=1).backgrounds != before).any()


@pytest.mark.parametrize("layers", [LAYERS, TWO, ("foreground", "alpha", "guide", "background", "blended")])
def test_a_batch_has_the_layers_that_are_asked_for(layers: tuple[str, ...]) -> None:
    fed = supply()
    clips, captions = fed.batch(np.random.default_rng(0), 3, layers)
    again, same = fed.batch(np.random.default_rng(0), 3, layers)
    assert clips.shape == (3, len(layers), 4, 32, 48, 3) and clips.dtype == np.float32
    assert np.array_equal(clips, again) and captions == same
    assert clips.min() >= -1 and clips.max() <= 1
    assert {len(caption) for caption in captions} == {4 if "foreground2" in layers else 3}
    for caption in captions:
        front = " and ".join((caption[0], *caption[3:]))
        assert caption[2] == f"{front} in front of {caption[1]}"


def test_two_foregrounds_are_never_the_same_clip() -> None:
    fed = supply()
    clips, _ = fed.batch(np.random.default_rng(0), 20, TWO)
    assert all((clip[1] != clip[3]).any() for clip in clips)


def test_where_a_foreground_is_made_up_it_is_whole_and_has_a_name() -> None:
    fed = Supply(sources=sources(shares=(0.0, 0.0, 0.5, 0.5)), config=CONFIG, num_clips=120)
    drawn = fed.draw(np.random.default_rng(0), 200, num_foregrounds=2, framed=True)
    assert {fed.shown[place].label for place in drawn.fronts.flat} == {"fox", "pear"}
    alpha = fed.foregrounds[np.unique(drawn.fronts), ..., 3] / 255
    assert alpha[:, :, :, [0, -1]].mean() < 0.02 and alpha.mean(axis=(1, 2, 3)).min() > 0.04
    anywhere = fed.draw(np.random.default_rng(0), 200)
    assert {fed.shown[place].label for place in anywhere.fronts.flat} == {"fox", "pear", "cart", "shape"}


def test_a_supply_with_nothing_framed_gives_what_it_has() -> None:
    fed = supply()
    fed.framed[:] = False
    assert fed.batch(np.random.default_rng(0), 4, TWO, framed=True)[0].shape[0] == 4


def test_clips_composed_on_a_device_are_those_of_the_cpu() -> None:
    fed = supply()
    there = DeviceSupply(supply(), torch.device("cpu"))
    for layers in (LAYERS, ALL_LAYERS):
        fed.advance()
        there.advance()
        expected, captions = fed.batch(np.random.default_rng(1), 5, layers)
        got, same = there.batch(np.random.default_rng(1), 5, layers)
        assert same == captions and there.step == fed.step
        np.testing.assert_allclose(got.numpy(), expected, atol=4e-4)  # the CPU encodes by a table, off by under 2e-4


def test_frozen_clips_stand_still_in_every_layer() -> None:
    still, _ = supply(frozen=1.0).batch(np.random.default_rng(0), 4, TWO)
    assert np.array_equal(still, np.broadcast_to(still[:, :, :1], still.shape))
    moving, _ = supply(frozen=0.0).batch(np.random.default_rng(0), 4, TWO)
    assert (moving[:, :, :1] != moving).any()


def test_pictures_are_laid_over_each_other_in_linear_light() -> None:
    front, middle, back = pixels(2, 1, 3, 5, 4), pixels(2, 1, 3, 5, 4, seed=1), pixels(2, 1, 3, 5, 3, seed=2)
    made = pictures([front, middle], back)
    light = linear_table()[back].astype(np.float64)
    for layer in (middle, front):
        alpha = layer[..., 3:] / 255
        light = alpha * linear_table()[layer[..., :3]] + (1 - alpha) * light
    np.testing.assert_allclose((made["blended"] + 1) / 2, encode_srgb(light.astype(np.float32)), atol=1e-5)
    assert set(made) == set(ALL_LAYERS) - {"guide"}
    np.testing.assert_allclose(made["alpha2"][..., 1], middle[..., 3] / 127.5 - 1, atol=1e-6)
    grey = (front[..., :3] / 255 - 0.5) * (front[..., 3:] / 255) + 0.5
    np.testing.assert_allclose((made["foreground"] + 1) / 2, grey, atol=1e-6)
    assert signed(back).shape == back.shape and signed(back[..., :1]).shape == back.shape


def test_what_a_hidden_foreground_is_stays_whole_behind_another() -> None:
    solid = np.full((1, 1, 4, 4, 4), 255, np.uint8)
    made = pictures([solid, pixels(1, 1, 4, 4, 4)], pixels(1, 1, 4, 4, 3))
    np.testing.assert_allclose(made["blended"], 1, atol=1e-6)
    np.testing.assert_array_equal(made["alpha2"], signed(pixels(1, 1, 4, 4, 4)[..., 3:]))


@pytest.mark.parametrize("seed", range(6))
def test_a_shape_is_some_of_its_square_and_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = draw_shape(rng, 8, 32, pixels(2, 72, 96, 3))
    again = draw_shape(np.random.default_rng(seed), 8, 32, pixels(2, 72, 96, 3))
    assert shape.shape == (8, 32, 32, 4) and shape.dtype == np.uint8
    assert np.array_equal(shape, again)
    covered = (shape[..., 3] > 100).mean(axis=(1, 2))
    assert covered.min() > 0.03 and covered.max() < 0.97


def test_half_of_the_shapes_move_and_they_look_different() -> None:
    rng = np.random.default_rng(0)
    shapes = [draw_shape(rng, 8, 32) for _ in range(24)]
    assert 4 < sum((shape != shape[:1]).any() for shape in shapes) < 20
    assert len({shape.tobytes() for shape in shapes}) == 24


def matte(top: int = 8, bottom: int = 24) -> Pixels:
    alpha = np.zeros((4, 32, 48), np.uint8)
    alpha[:, top:bottom, 16:32] = 255
    return alpha


def test_a_rough_matte_is_about_the_true_one() -> None:
    rng = np.random.default_rng(0)
    overlaps = []
    for _ in range(60):
        rough = rough_matte(matte(), rng) > 127
        overlaps.append((rough & (matte() > 0)).sum() / (rough | (matte() > 0)).sum())
    assert min(overlaps) > 0.3 and 0.6 < np.mean(overlaps) < 0.98


def test_a_rough_matte_of_nothing_is_nothing() -> None:
    rng = np.random.default_rng(1)
    assert not any(rough_matte(np.zeros((4, 32, 48), np.uint8), rng).any() for _ in range(30))
