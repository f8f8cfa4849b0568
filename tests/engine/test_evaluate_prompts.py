"""Whether a generated layer shows what its prompt asks for: the probes, on real renders and on noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layerflow.evaluate.probe import (
    CANDIDATES,
    SIDE,
    Probe,
    background_features,
    bundled_probe,
    candidates,
    cut_out,
    fit,
    foreground_features,
    share_right,
)
from layerflow.evaluate.prompts import rendered, share_of_renders, wanted
from layerflow.training.clips import Source
from layerflow.training.heldout import read_heldout
from layerflow.training.render import one_thread

HELDOUT = Path(__file__).parents[2] / "engine" / "layerflow" / "evaluate" / "heldout"
PROBES = {layer: bundled_probe(layer) for layer in ("foreground", "background")}
NUM = 20  # sprites that the tests fit on


@pytest.fixture(scope="module")
def sprites() -> list[Source]:
    return read_heldout(HELDOUT)[0][:NUM]


def fitted(sprites: list[Source], rows: list[int]) -> Probe:
    """A probe of six renders of each sprite, whose labels are those of `rows`."""
    rng, features, told = np.random.default_rng(1), [], []
    with one_thread():
        for row, sprite in zip(rows * 6, sprites * 6, strict=True):
            found = foreground_features(rendered("foreground", sprite, rng)[::3])
            features.append(found)
            told += [row] * len(found)
    return fit(np.concatenate(features), np.array(told), [sprite.label for sprite in sprites])


@pytest.fixture(scope="module")
def probe(sprites: list[Source]) -> Probe:
    return fitted(sprites, [*range(NUM)])


def test_a_probe_tells_fresh_renders(probe: Probe, sprites: list[Source]) -> None:
    assert share_of_renders("foreground", probe, sprites * 3, seed=5) > 0.9


def test_shuffled_labels_are_told_by_chance(sprites: list[Source]) -> None:
    """The same pictures under the labels of others: a right answer is then one in sixteen."""
    probe = fitted(sprites, [*np.roll(np.arange(NUM), 7)])
    rng = np.random.default_rng(6)
    with one_thread():
        clips = [foreground_features(rendered("foreground", sprite, rng)) for sprite in sprites * 3]
    assert share_right(probe, clips, [*range(NUM)] * 3, rng) < 0.2
    assert share_right(probe, clips, [*np.roll(np.arange(NUM), 7)] * 3, rng) > 0.9


def test_noise_is_told_by_chance() -> None:
    rng = np.random.default_rng(0)
    clips = [foreground_features(rng.random((2, 16, 24, 4), np.float32)) for _ in range(160)]
    rows = rng.integers(len(PROBES["foreground"].labels), size=160)
    assert share_right(PROBES["foreground"], clips, rows, rng) == pytest.approx(1 / CANDIDATES, abs=0.08)


def test_nothing_is_never_right() -> None:
    empty = foreground_features(np.zeros((3, 16, 24, 4), np.float32))
    assert empty is None
    assert not PROBES["foreground"].is_right(empty, 0, [1, 2])


def test_what_is_cut_out_is_in_the_middle_and_as_large_as_it_can_be() -> None:
    frame = np.zeros((60, 90, 4), np.float32)
    frame[10:50, 20:60] = (1.0, 0.5, 0.0, 1.0)
    cut = cut_out(frame)
    assert cut.shape == (SIDE, SIDE, 4)
    inside = cut[..., 3] > 0.5
    rows, columns = np.nonzero(inside)
    assert abs(rows.min() + rows.max() + 1 - SIDE) <= 1 and abs(columns.min() + columns.max() + 1 - SIDE) <= 1
    assert len(np.unique(rows)) == pytest.approx(SIDE / 1.1, abs=1)
    np.testing.assert_allclose(cut[SIDE // 2, SIDE // 2], (0.5, 0.0, -0.5, 1.0), atol=1e-5)


def test_where_a_sprite_is_makes_no_difference() -> None:
    frame = np.zeros((64, 96, 4), np.float32)
    frame[8:28, 10:25] = np.random.default_rng(0).random((20, 15, 4), np.float32) * 0.5 + 0.5
    moved = np.roll(frame, (25, 60), axis=(0, 1))
    np.testing.assert_allclose(cut_out(moved), cut_out(frame), atol=1e-5)


def test_a_background_is_told_by_colours_and_edges() -> None:
    flat, stripes = np.full((1, 64, 96, 3), 0.5, np.float32), np.full((1, 64, 96, 3), 0.5, np.float32)
    stripes[:, ::8] = 0.9
    across = np.swapaxes(np.full((1, 96, 64, 3), 0.5, np.float32), 1, 2)
    across[:, :, ::8] = 0.9
    plain, rows, columns = (background_features(each)[0] for each in (flat, stripes, across))
    np.testing.assert_allclose(plain[:24], 0.5, atol=1e-6)
    assert plain[24:].max() == 0.0
    slopes = [each[48:].reshape(4, 8).mean(axis=0).argmax() for each in (rows, columns)]
    assert slopes == [4, 0]  # edges that run down the picture change across it, at angle 0


def test_a_probe_survives_its_file(tmp_path: Path, probe: Probe, sprites: list[Source]) -> None:
    probe.save(tmp_path / "probe.safetensors")
    loaded = Probe.load(tmp_path / "probe.safetensors")
    features = foreground_features(sprites[0].pixels / np.float32(255))
    assert loaded.labels == probe.labels
    np.testing.assert_allclose(loaded.likeness(features), probe.likeness(features), atol=0.01)


def test_bundled_probes_are_small_and_say_what_they_are_worth() -> None:
    assert sum(path.stat().st_size for path in HELDOUT.glob("*_probe.safetensors")) < 2_000_000
    assert PROBES["foreground"].ceiling > 0.98 and 0.5 < PROBES["background"].ceiling < 0.8
    held_out = {sprite.label for sprite in read_heldout(HELDOUT)[0]}
    assert not held_out & set(PROBES["foreground"].labels)


def test_wishes_are_fixed() -> None:
    """The first ones are the same however many there are, each among sixteen of which it is one."""
    many, few = wanted(40, PROBES), wanted(3, PROBES)
    assert many[:3] == few
    assert len({aim.rows["foreground"] for aim in many}) == 40
    for aim in many:
        for layer, row in aim.rows.items():
            assert len({row, *aim.others[layer]}) == CANDIDATES
    front, behind = (PROBES[layer].labels[many[0].rows[layer]] for layer in ("foreground", "background"))
    assert many[0].prompts["foreground"].endswith(front) and behind in many[0].prompts["background"]
    assert many[0].prompts["blended"] == f"{many[0].prompts['foreground']} in front of {many[0].prompts['background']}"


def test_what_is_asked_for_is_told(probe: Probe, sprites: list[Source]) -> None:
    """A clip of the wanted label counts, one of another does not."""
    aim = wanted(1, {"foreground": probe, "background": PROBES["background"]})[0]
    row = aim.rows["foreground"]
    with one_thread():
        right, wrong = (
            rendered("foreground", sprites[each], np.random.default_rng(9))
            for each in (row, aim.others["foreground"][0])
        )
    told = [aim.told({"foreground": probe}, {"foreground": clip})["foreground_prompt"] for clip in (right, wrong)]
    assert told == [1.0, 0.0]


def test_few_labels_have_fewer_candidates() -> None:
    assert sorted(candidates(1, 4, np.random.default_rng(0))) == [0, 2, 3]
