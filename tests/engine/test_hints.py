"""What a guide says to a model that was never taught to listen, and to one that was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rendering import channels, render, write_plate
from test_guides import RAMP
from tiny import HEIGHT, NUM_FRAMES, WIDTH, write_tiny_model, write_tiny_released

from layerflow.errors import RequestError
from layerflow.guides import BETWEEN, Clamps, free, held_out, hint_of, of_garbage, of_roto, of_trimap
from layerflow.hints import SIGNAL, Guess, Hint, guess_of
from layerflow.layout import Layout, Task, task_layouts
from layerflow.models.load import Engine, load_engine
from layerflow.models.shelf import find_model
from layerflow.pipeline import Clip, encode_clip, sample_clip
from layerflow.preprocess import Fit
from layerflow.sampler import SamplerState

pytestmark = pytest.mark.usefixtures("one_thread")

LAYOUT = task_layouts(NUM_FRAMES, 2)["decompose"]
SAME = Fit(width=24, height=16, columns=24, rows=16)


def layouts_that_give_alpha() -> dict[Task, Layout]:
    return {"decompose": replace(LAYOUT, given=((2, 4), (6, 8)))}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")
    return load_engine(find_model(str(folder), "decompose"))


def left_half() -> Hint:
    """In on the left, out beyond the middle for sure, half in between."""
    alpha = torch.full((NUM_FRAMES, 1, HEIGHT, WIDTH), 0.5)
    alpha[..., :16], alpha[..., 32:] = 1.0, 0.0
    certain = (alpha != 0.5).float()
    return Hint(alpha=alpha, certain=certain, trust=certain.maximum(torch.tensor(BETWEEN)))


def clip(engine: Engine, hint: Hint | None) -> Clip:
    return Clip(
        layout=engine.folder.layout("decompose"),
        prompts={"foreground": "a dog", "background": ""},
        given={"blended": torch.linspace(-1, 1, NUM_FRAMES * 3 * HEIGHT * WIDTH).view(NUM_FRAMES, 3, HEIGHT, WIDTH)},
        seed=3,
        height=HEIGHT,
        width=WIDTH,
        hint=hint,
    )


def strips(*values: float) -> np.ndarray:
    """[16, 24] in vertical strips of these."""
    return np.repeat(np.array(values, np.float32), 24 // len(values))[None].repeat(16, 0)


def test_between_two_borders_alpha_falls_evenly() -> None:
    hint = hint_of([of_trimap(strips(1, 0.5, 0.5, 0))], SAME)
    alpha = hint.alpha[0, 0, 5]
    assert (alpha[:6] == 1).all() and (alpha[18:] == 0).all()
    np.testing.assert_allclose(alpha[6:18], 1 - np.arange(1, 13) / 13, atol=1e-6)
    np.testing.assert_array_equal(hint.certain[0, 0, 5], [1] * 6 + [0] * 12 + [1] * 6)
    np.testing.assert_array_equal(hint.trust[0, 0, 5], [1] * 6 + [BETWEEN] * 12 + [1] * 6)


def test_within_a_garbage_matte_alpha_rises_from_its_border() -> None:
    hint = hint_of([of_garbage(strips(0, 1))], SAME)
    np.testing.assert_allclose(hint.alpha[0, 0, 5], np.maximum(np.arange(24) - 11, 0) / 12, atol=1e-6)


@pytest.mark.parametrize("clamps", [free(16, 24), of_trimap(strips(1)), of_garbage(strips(0))])
def test_with_one_border_or_none_it_is_still_a_matte(clamps: Clamps) -> None:
    hint = hint_of([clamps], SAME)
    assert hint.alpha.isfinite().all() and hint.alpha.min() >= 0 and hint.alpha.max() <= 1
    assert (hint.alpha == 0.5).all() or (hint.alpha == hint.alpha[0, 0, 0, 0]).all()


def test_a_roto_is_itself_the_guess_and_a_holdout_takes_from_it() -> None:
    hint = hint_of([held_out(of_roto(RAMP, 2), strips(0, 1))], SAME)
    np.testing.assert_allclose(hint.alpha[0, 0, :, :12], RAMP[:, :12], atol=1e-6)
    assert not hint.alpha[..., 12:].any() and (hint.trust == 1).all()


def test_a_part_is_what_a_closer_look_sees() -> None:
    part = of_roto(RAMP, 2).part((3, 5, 7, 9))
    np.testing.assert_array_equal(part.guess, RAMP[5:14, 3:10])
    assert part.low.shape == part.high.shape == (9, 7) and free(16, 24).part((0, 0, 2, 1)).guess is None


def test_a_latent_is_as_certain_as_its_pixels_are_and_other_layers_are_not() -> None:
    hint = left_half()
    latents = torch.randn(8, 6, HEIGHT // 8, WIDTH // 8)
    guess = guess_of(hint, LAYOUT, latents)
    assert torch.equal(guess.latents, latents[None, :6])
    assert not guess.certain[:2].any() and not guess.certain[4:].any()
    np.testing.assert_array_equal(guess.certain[2:4, 0, 1], [[1, 1, 0, 0, 1, 1]] * 2)
    np.testing.assert_array_equal(guess.trust[2:4, 0, 1], [[1, 1, 0.5, 0.5, 1, 1]] * 2)
    hint.certain[: NUM_FRAMES // 2, ..., 7] = 0  # a column of the first latent frame's first cell
    assert float(guess_of(hint, LAYOUT, latents).certain[2, 0, 1, 0]) == pytest.approx(7 / 8)


def test_the_guess_counts_while_noise_does_and_then_only_what_is_certain() -> None:
    guess = Guess(
        latents=torch.ones(1, 2, 1, 1, 1),
        certain=torch.tensor([0.0, 1.0]).view(2, 1, 1, 1),
        trust=torch.tensor([0.5, 1.0]).view(2, 1, 1, 1),
    )
    estimate = torch.full((1, 2, 1, 1, 1), -1.0)
    assert guess.put(estimate, signal=0.0).flatten().tolist() == [0.0, 1.0]
    assert guess.put(estimate, signal=SIGNAL).flatten().tolist() == [-1.0, 1.0]


def test_sampling_keeps_to_what_is_certain_and_the_rest_hears_of_it(engine: Engine) -> None:
    sampler = engine.folder.sampler("decompose")
    conditions = encode_clip(engine, clip(engine, left_half()))
    made = sample_clip(engine, conditions, sampler)
    free_of_it = sample_clip(engine, encode_clip(engine, clip(engine, None)), sampler)
    assert conditions.guess is not None
    certain = conditions.guess.certain[2:4, 0] == 1
    known, alpha = conditions.guess.latents[0, 2:4].movedim(1, -1), made[2:4].movedim(1, -1)
    torch.testing.assert_close(alpha[certain], known[certain])
    assert not torch.allclose(made[4:6], free_of_it[4:6]) and torch.equal(made[6:], free_of_it[6:])


def test_a_guided_clip_goes_on_to_the_same_bits(engine: Engine) -> None:
    sampler, states = engine.folder.sampler("decompose"), list[SamplerState]()
    conditions = encode_clip(engine, clip(engine, left_half()))
    whole = sample_clip(engine, conditions, sampler, on_state=states.append)
    for state in states:
        again = encode_clip(engine, clip(engine, left_half()))
        assert torch.equal(sample_clip(engine, again, sampler, state=state), whole)


def test_a_model_that_was_taught_it_is_given_the_alpha(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "taught", layouts=layouts_that_give_alpha())
    engine = load_engine(find_model(str(folder), "decompose"))
    conditions = encode_clip(engine, clip(engine, left_half()))
    alpha = (left_half().alpha * 2 - 1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(conditions.given[0, :2], engine.codec.encode(alpha, None))
    assert sample_clip(engine, conditions, engine.folder.sampler("decompose")).shape[0] == 8


def test_such_a_model_makes_shots_by_a_guide_and_none_without(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "taught", layouts=layouts_that_give_alpha())
    plate = write_plate(tmp_path / "plate", count=3, channels=4)
    with pytest.raises(RequestError, match="goes by a matte; give one with --guide"):
        render(model, tmp_path / "out", plate=plate)
    result = render(model, tmp_path / "out", plate=plate, guide=f"{plate}:R", guide_kind="trimap")
    assert channels(result.frames[0])["foreground.A"].shape == (16, 24)


def test_a_released_model_can_be_guided_too(tmp_path: Path) -> None:
    model = write_tiny_released(tmp_path / "released")
    plate = write_plate(tmp_path / "plate", count=2, size=(32, 48), channels=4)
    result = render(model, tmp_path / "out", plate=plate, guide=f"{plate}:A", guide_kind="trimap")
    alpha = channels(result.frames[0])["foreground.A"]
    assert (alpha[:, 0] == 0).all() and (alpha[:, -1] == 1).all()
