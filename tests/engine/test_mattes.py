"""The measures of mattes: answers known on paper, and each formula written once more, slowly."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerflow.evaluate import mattes
from layerflow.evaluate.mattes import MatteScore, connectivity, flicker, gradient, mse, sad


def matte(seed: int, rows: int = 9, columns: int = 11) -> np.ndarray:
    """Blotches with soft edges, some of them apart."""
    rng = np.random.default_rng(seed)
    blocks = rng.random((rows // 3 + 1, columns // 3 + 1)).repeat(3, 0).repeat(3, 1)[:rows, :columns]
    return np.clip(3 * blocks - 1 + rng.normal(0, 0.1, (rows, columns)), 0, 1).astype(np.float32)


def test_equal_mattes_score_nothing() -> None:
    one = matte(1)
    assert [measure(one, one) for measure in (sad, mse, gradient, connectivity)] == [0.0] * 4
    assert flicker((one, one), (one, one)) == 0.0


def test_one_wrong_pixel_on_paper() -> None:
    truth, made = np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32)
    made[1, 2] = 0.5
    assert sad(made, truth) == 0.5 and mse(made, truth) == 0.25 / 20
    assert flicker((truth, made), (truth, truth)) == pytest.approx(math.sqrt(0.25 / 20))


def test_a_steady_error_does_not_flicker_and_has_no_slope() -> None:
    truth = matte(2) * np.float32(0.5)
    brighter = truth + np.float32(0.25)
    assert flicker((brighter, brighter), (truth, truth)) == 0.0
    assert gradient(brighter, truth) == pytest.approx(0.0, abs=1e-9)
    assert sad(brighter, truth) == pytest.approx(0.25 * truth.size)


def test_a_step_on_paper() -> None:
    """The largest slope of a unit step is that of one half of the derivative's kernel, once along it."""
    step = np.zeros((31, 31), np.float32)
    step[:, 15:] = 1.0
    place = np.arange(-4, 5)
    bell = np.exp(-(place**2) / (2 * 1.4**2))
    bell /= np.sqrt((bell**2).sum())
    fall = place * np.exp(-(place**2) / (2 * 1.4**2))
    fall /= np.sqrt((fall**2).sum())
    slope = [bell.sum() * fall[place >= 15 - column].sum() for column in range(31)]
    assert gradient(step, np.zeros_like(step)) == pytest.approx(31 * np.square(slope).sum())


def test_a_piece_apart_counts_where_it_is_not_joined() -> None:
    """Both mattes have a body; a second piece stands apart in one and is missing in the other."""
    truth = np.zeros((8, 12), np.float32)
    truth[1:7, 1:6] = 1.0
    made = truth.copy()
    made[2:4, 8:10] = 0.6
    assert connectivity(made, truth) == pytest.approx(4 * 0.6, abs=1e-6)  # level 0: they do not reach 0.1 together
    made[2:4, 8:10] = 0.1
    assert connectivity(made, truth) == 0.0  # slight


def slow_gradient(matte: np.ndarray) -> np.ndarray:
    """The magnitude by whole two-dimensional kernels, as the published evaluation code builds them."""
    sigma, epsilon = 1.4, 1e-2
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    size = 2 * half + 1

    def gauss(x: float) -> float:
        return math.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    kernel = np.array(
        [[gauss(y - half) * -(x - half) * gauss(x - half) / sigma**2 for x in range(size)] for y in range(size)]
    )
    kernel /= np.sqrt((kernel**2).sum())
    held = np.pad(matte.astype(np.float64), half, mode="edge")
    out = np.zeros(matte.shape)
    for row, column in np.ndindex(matte.shape):
        patch = held[row : row + size, column : column + size]
        out[row, column] = math.hypot((patch * kernel).sum(), (patch * kernel.T).sum())
    return out


def flooded(mask: np.ndarray) -> set[tuple[int, int]]:
    """The largest region by walking from pixel to neighbour."""
    left, best = {tuple(place) for place in np.argwhere(mask)}, set()
    for start in sorted(left):
        if start not in left:
            continue
        region, edge = {start}, [start]
        left.discard(start)
        while edge:
            row, column = edge.pop()
            for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if other in left:
                    left.discard(other)
                    region.add(other)
                    edge.append(other)
        best = region if len(region) > len(best) else best
    return best


def slow_connectivity(made: np.ndarray, truth: np.ndarray) -> float:
    level = -np.ones(made.shape)
    steps = [number / 10 for number in range(11)]
    for before, threshold in itertools.pairwise(steps):
        region = flooded((made >= threshold) & (truth >= threshold))
        for place in np.ndindex(made.shape):
            if level[place] == -1 and place not in region:
                level[place] = before
    level[level == -1] = 1
    total = 0.0
    for place in np.ndindex(made.shape):
        phi = []
        for matte in (made, truth):
            above = float(matte[place]) - level[place]
            phi.append(1 - (above if above >= 0.15 else 0.0))
        total += abs(phi[0] - phi[1])
    return total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_gradient_is_the_published_one(seed: int) -> None:
    made, truth = matte(seed), matte(seed + 1)
    expected = np.square(slow_gradient(made) - slow_gradient(truth)).sum()
    assert gradient(made, truth) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_connectivity_is_the_published_one(seed: int) -> None:
    made, truth = matte(seed), np.clip(matte(seed) + matte(seed + 1) / 4, 0, 1).astype(np.float32)
    assert connectivity(made, truth) == pytest.approx(slow_connectivity(made, truth), abs=1e-9)


def test_a_sequence_is_the_mean_of_its_frames_and_pairs() -> None:
    made, truth = [matte(seed) for seed in range(4)], [matte(seed + 10) for seed in range(4)]
    score = MatteScore()
    for pair in zip(made, truth, strict=True):
        score.add(*pair)
    means = score.means()
    assert means["sad"] == pytest.approx(np.mean([np.abs(a - b).sum() for a, b in zip(made, truth, strict=True)]))
    changes = np.diff(np.array(made, np.float64), axis=0) - np.diff(np.array(truth, np.float64), axis=0)
    assert means["dtssd"] == pytest.approx(np.sqrt((changes**2).mean((1, 2))).mean())
    assert list(means) == ["sad", "mse", "gradient", "connectivity", "dtssd"]


def test_one_frame_has_no_flicker_and_shapes_must_agree() -> None:
    score = MatteScore()
    score.add(matte(1), matte(2))
    assert "dtssd" not in score.means()
    with pytest.raises(ValueError, match="alike"):
        score.add(matte(1), matte(2)[:4])


def test_empty_mattes_have_no_piece() -> None:
    black = np.zeros((4, 4), np.float32)
    assert connectivity(black, black) == 0.0 and not mattes._largest(black > 0).any()
