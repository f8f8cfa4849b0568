"""Clips pasted on the fly: the same bits for the same seed, layers that add up, shadows where they belong."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from sights import disc, texture

from layerflow import layers
from layerflow.data.clip import as_codes, blend, layered, straight
from layerflow.data.copy_paste import ClipShape, CopyPaste, CopyPasteConfig, paste, window
from layerflow.data.light import decode, encode, unit
from layerflow.data.looks import Look, defocused
from layerflow.data.motion import Path, Pose, placed
from layerflow.data.shadow import Shadow
from layerflow.training.clips import ClipBatch, compose


@dataclasses.dataclass(frozen=True)
class Picture:
    """A still or clip in memory."""

    caption: str
    frames: np.ndarray

    @property
    def num_frames(self):
        return len(self.frames)

    def read(self, frame):
        return self.frames[frame]


FRONTS = [Picture("a ball", disc()[None]), Picture("a hoop", np.stack([disc(x=x) for x in (-4, 0, 4)]))]
BACKS = [Picture("a meadow", texture(48, 72)[None]), Picture("a lake", texture(60, 80, 1)[None])]
SHAPE = ClipShape(num_frames=4, height=32, width=48)
# Nothing but a shadow: placed as it is, in the middle.
BARE = CopyPasteConfig(
    min_scale=0.5,
    max_scale=0.5,
    still=1.0,
    max_turn=0.0,
    max_zoom=0.0,
    colour=0.0,
    exposure=0.0,
    shutter=0.0,
    defocus=0.0,
    shadowed=1.0,
)


def dataset(seed=0, **changes):
    shape = dataclasses.replace(SHAPE, num_foregrounds=changes.pop("num_foregrounds", 1))
    config = CopyPasteConfig(**changes)
    return CopyPaste(foregrounds=FRONTS, backgrounds=BACKS, shape=shape, config=config, seed=seed, length=6)


def same(one, other):
    pictures = zip(
        (*one.foregrounds, one.background, one.blended),
        (*other.foregrounds, other.background, other.blended),
        strict=True,
    )
    return one.captions == other.captions and all(np.array_equal(a, b) for a, b in pictures)


def test_a_clip_follows_from_seed_and_number_alone():
    forward, backward = dataset(), dataset()
    there = [forward[index] for index in range(6)]
    back = [backward[index] for index in reversed(range(6))]
    assert all(same(*pair) for pair in zip(there, reversed(back), strict=True))
    assert not same(there[0], there[1])
    assert not same(there[0], dataset(seed=1)[0])


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(num_workers):
    data = dataset(num_foregrounds=2)
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=num_workers, collate_fn=lambda clip: clip)
    loaded = list(loader)
    assert all(same(clip, data[index]) for index, clip in enumerate(loaded)) and len(loaded) == 6


def test_the_end_of_a_dataset_is_an_index_error():
    with pytest.raises(IndexError):
        dataset()[6]


@pytest.mark.parametrize("num_foregrounds", [1, 2])
def test_layers_over_each_other_in_linear_light_are_the_blended_picture(num_foregrounds):
    clip = dataset(num_foregrounds=num_foregrounds)[3]
    light = decode(clip.background)
    for foreground in reversed(clip.foregrounds):
        alpha = unit(foreground[..., 3:])
        light = decode(foreground[..., :3]) * alpha + light * (1 - alpha)
    assert np.abs(encode(light) - clip.blended).max() < 2e-4
    assert clip.blended.max() > 0.1 and max(f[..., 3].max() for f in clip.foregrounds) > 200


def test_in_display_light_the_values_themselves_are_mixed():
    clip = dataset(linear=False)[3]
    (foreground,) = clip.foregrounds
    alpha = unit(foreground[..., 3:])
    mixed = unit(foreground[..., :3]) * alpha + unit(clip.background) * (1 - alpha)
    assert np.abs(mixed - clip.blended).max() < 1e-6
    assert np.abs(blend(clip.foregrounds, clip.background, linear=True) - clip.blended).max() > 0.01


def test_tensors_are_those_of_the_bundled_data():
    clip = dataset()[2]
    (foreground,) = clip.foregrounds
    batch = compose(foreground[None], clip.background[None], [clip.captions])
    assert isinstance(batch, ClipBatch)
    assert np.abs(batch.tensors()[0] - clip.tensors()).max() < 5e-4  # its tables round elsewhere
    out = np.empty_like(clip.tensors())
    assert clip.tensors(out) is out and np.array_equal(out, clip.tensors())


def test_two_foregrounds_come_with_four_captions_and_six_layers():
    clip = dataset(num_foregrounds=2)[0]
    assert clip.tensors().shape == (6, 4, 32, 48, 3) and clip.num_layers == 6
    assert len(clip.captions) == 4
    assert clip.captions[-1] == f"{clip.captions[0]} and {clip.captions[1]} in front of {clip.captions[2]}"


def test_a_clip_with_other_captions_than_layers_is_refused():
    with pytest.raises(ValueError, match="has 3 captions, got 2"):
        layered([disc()[None]], texture(40, 40)[None], ("a ball", "a meadow"), linear=True)


def test_a_held_clip_shows_one_frame():
    clip = dataset(still=0.0)[1]
    held = clip.held(2)
    assert all((held.blended[time] == clip.blended[2]).all() for time in range(4))


def shadowed(owner, **changes):
    config = dataclasses.replace(BARE, shadows=owner, **changes)
    return paste(FRONTS[:1], BACKS[0], np.random.default_rng(4), SHAPE, config)


def test_a_shadow_darkens_what_it_falls_on_and_leaves_alpha_alone():
    none, below = shadowed("none", shadowed=0.0), shadowed("background")
    # The same draws up to the shadow's own: compare against a shadow put into the foreground.
    front = shadowed("foreground")
    assert (below.background.astype(int) <= front.background).all()
    assert below.background.astype(int).sum() < 0.99 * front.background.astype(int).sum()
    assert below.foregrounds[0][..., 3].astype(int).sum() < 0.95 * front.foregrounds[0][..., 3].astype(int).sum()
    covered = disc()[..., 3].astype(float).sum() / 255 * (0.5 * SHAPE.height / 40) ** 2
    assert below.foregrounds[0][0, ..., 3].sum() / 255 <= covered * 1.05  # coverage only
    assert np.abs(below.blended - front.blended).max() < 0.02  # both are one picture
    assert none.blended.sum() > below.blended.sum()


def test_a_shadow_falls_on_the_lower_foreground_too():
    both = [FRONTS[0], Picture("a wall", np.full((1, 40, 40, 4), 255, np.uint8))]
    config = dataclasses.replace(BARE, min_scale=1.0, max_scale=1.0)
    dark = paste(both, BACKS[0], np.random.default_rng(1), SHAPE, config)
    light = paste(both, BACKS[0], np.random.default_rng(1), SHAPE, dataclasses.replace(config, shadows="foreground"))
    solid = (dark.foregrounds[1][..., 3] == 255) & (light.foregrounds[1][..., 3] == 255)
    assert solid.any()
    assert dark.foregrounds[1][solid][..., :3].min() < light.foregrounds[1][solid][..., :3].min()


def test_a_drop_shadow_lies_where_its_offset_says():
    alpha = np.zeros((40, 40), np.float32)
    alpha[10:14, 10:14] = 1
    shadow = Shadow(kind="drop", strength=0.5, softness=0.01, x=0.25, y=0.1)
    taken = shadow.taken(alpha, lift=0.0)
    rows, columns = np.nonzero(taken > 0.25)
    assert (rows.mean(), columns.mean()) == pytest.approx((15.5, 21.5), abs=0.2)
    assert taken.max() <= 0.5


def test_a_contact_shadow_lies_on_the_ground_below_what_hops():
    alpha = np.zeros((60, 40), np.float32)
    alpha[20:40, 15:25] = 1
    shadow = Shadow(kind="contact", strength=1.0, softness=0.005, x=0.0, y=0.2)
    standing, hopping = (np.nonzero(shadow.taken(alpha, lift) > 0.3)[0].max() for lift in (0.0, 12.0))
    assert standing == pytest.approx(39, abs=1) and hopping == pytest.approx(51, abs=2)


def test_motion_blur_is_the_mean_of_the_way():
    source = np.zeros((8, 8, 1), np.float32)
    source[3:5, 3:5] = 1
    pose = Pose(x=0.0, y=0.0, scale=1.0, turn=0.0)
    path = Path(movement="drift", start=dataclasses.replace(pose, x=-8.0), end=dataclasses.replace(pose, x=8.0))
    sharp = placed(source, path, 1, 3, (16, 32))[..., 0]
    blurred = placed(source, path, 1, 3, (16, 32), shutter=1.0)[..., 0]
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=0.02)
    assert (blurred > 0.01).sum() > 3 * (sharp > 0.01).sum()
    assert np.array_equal(placed(source, path.frozen(), 0, 3, (16, 32)), placed(source, path.frozen(), 2, 3, (16, 32)))


def test_paths_ease_and_bounce():
    start, end = Pose(x=0.0, y=0.0, scale=1.0, turn=0.0), Pose(x=10.0, y=0.0, scale=2.0, turn=1.0)
    drift = Path(movement="drift", start=start, end=end)
    ease = Path(movement="ease", start=start, end=end)
    bounce = Path(movement="bounce", start=start, end=end, hops=2, height=5.0)
    assert drift.at(0.25).x == 2.5 and ease.at(0.25).x < 2.0 and ease.at(0.5).x == 5.0
    assert [round(bounce.at(time).lift, 6) for time in (0, 0.25, 0.5, 0.75)] == [0, 5, 0, 5]
    assert ease.at(1.0) == end


def test_defocus_keeps_the_light_and_spreads_it():
    picture = np.zeros((21, 21, 4), np.float32)
    picture[10, 10] = 1
    soft = defocused(picture, 3.0, filled=False)
    assert soft.sum() == pytest.approx(4.0, rel=1e-5)
    assert soft[10, 12, 0] == pytest.approx(soft[10, 10, 0]) and soft[10, 15].sum() == 0


def test_a_look_never_makes_more_light_than_the_matte_lets_through():
    premultiplied = layers.premultiply(straight(disc(), linear=True))[None]
    lit = Look(gain=(3.0, 3.0, 3.0), saturation=1.0, ramp_stops=1.0, ramp_turn=0.0, stops=(0.0, 0.0)).applied(
        premultiplied
    )
    assert (lit[..., :3] <= lit[..., 3:]).all() and np.array_equal(lit[..., 3], premultiplied[..., 3])
    plain = Look(gain=(1.0, 1.0, 1.0), saturation=1.0, ramp_stops=0.0, ramp_turn=0.0).applied(premultiplied)
    assert np.allclose(plain, premultiplied, atol=1e-6)


def test_codes_survive_light_and_back():
    pixels = disc()
    again = as_codes(layers.premultiply(straight(pixels, linear=True)), linear=True)
    there = pixels[..., 3] > 8
    assert np.abs(again[there].astype(int) - pixels[there]).max() <= 1
    assert not again[pixels[..., 3] == 0].any()


def test_a_short_loop_goes_there_and_back():
    times = window(3, 8, np.random.default_rng(0))
    assert len(times) == 8 and {abs(a - b) for a, b in itertools.pairwise(times)} == {1}
    assert window(9, 4, np.random.default_rng(0)) == sorted(window(9, 4, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"min_scale": 2.0}, "scales must rise"),
        ({"shadows": "elsewhere"}, "shadows belong to one of"),
        ({"still": 1.5}, "still must be between 0 and 1"),
    ],
)
def test_impossible_variations_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        CopyPasteConfig(**changes)


def test_pasting_needs_both_kinds():
    with pytest.raises(ValueError, match="got 2 and 0"):
        CopyPaste(foregrounds=FRONTS, backgrounds=[], shape=SHAPE, config=CopyPasteConfig())
