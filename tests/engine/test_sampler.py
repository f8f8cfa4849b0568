"""The sampler: known levels, exact order of draws, resuming to the same bits, and closed forms for Gaussian data."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from layerflow.sampler import (
    Guidance,
    NoiseSchedule,
    Sampler,
    SamplerState,
    guided,
    sampler_from_dict,
    with_constant_guidance,
)

SHAPE = (1, 3, 2, 4, 5)
KINDS = ("sde", "ode")
PLAIN = Guidance(scale=1.0, power=None)


def curved_v(latents: Tensor, timestep: int, weight: float) -> Tensor:
    """A v that is neither linear nor the same in every step."""
    return torch.sin(latents * weight) + timestep / 1000


def gaussian_v(sampler: Sampler, spread: float) -> Callable[[Tensor, int, float], Tensor]:
    """The exact v for data of N(0, spread^2)."""

    def v(x: Tensor, timestep: int, weight: float) -> Tensor:
        a = sampler.schedule.quantised(float(sampler._signal[sampler.timesteps.index(timestep)]))
        sigma = math.sqrt(1 - a * a)
        denoised = a * spread**2 * x / (a * a * spread**2 + sigma**2)
        return (a * x - denoised) / sigma

    return v


def run(
    sampler: Sampler, v: Callable[[Tensor, int, float], Tensor] = curved_v, shape: tuple[int, ...] = SHAPE
) -> Tensor:
    state = sampler.start(shape, torch.Generator().manual_seed(5))
    while state.step < sampler.num_steps:
        state = sampler.step(state, v)
    return state.latents


def test_known_levels() -> None:
    schedule = NoiseSchedule()
    assert schedule.timesteps(50) == list(range(999, 18, -20))
    assert schedule.timesteps(8) == [999, 874, 749, 624, 499, 374, 249, 124]
    first = (1 - 0.00085) / (3 - 2 * (1 - 0.00085))
    assert float(schedule.alphas_cumprod[0]) == pytest.approx(first, abs=1e-12)
    assert float(schedule.training_signal[0]) == pytest.approx(math.sqrt(first), abs=1e-6)


@given(num_steps=st.integers(1, 1000))
@settings(max_examples=30)
def test_levels_rise_from_pure_noise(num_steps: int) -> None:
    schedule = NoiseSchedule()
    signal = schedule.signal(num_steps)
    assert signal[0] == 0.0 and len(signal) == num_steps
    assert (signal.diff() > 0).all() and signal[-1] < 1
    even = schedule.even_timesteps(num_steps)
    assert even[0] == 999 and len(even) == num_steps and (num_steps == 1 or even[-1] == 0)
    assert all(later < earlier for earlier, later in pairwise(even))


@pytest.mark.parametrize("num_steps", [0, -1, 1001])
def test_impossible_numbers_of_steps(num_steps: int) -> None:
    with pytest.raises(ValueError, match=r"num_steps must be in 1\.\.1000"):
        Sampler(num_steps=num_steps)


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match=r"sampler must be one of .*'sde', 'ode'.*, got 'euler'"):
        sampler_from_dict({"kind": "euler"})


def test_even_steps_are_even_in_angle() -> None:
    schedule = NoiseSchedule()
    angles = schedule.training_signal[schedule.even_timesteps(11)].double().arccos()
    assert (
        float(angles[0]) == pytest.approx(math.pi / 2)
        and float(angles.diff().std() / angles.diff().mean().abs()) < 0.02
    )


def test_released_guidance_jumps_and_constant_guidance_does_not() -> None:
    """Weights as the released code prints them for 50 steps."""
    weights = [Guidance().weight(t, 50) for t in NoiseSchedule().timesteps(50)]
    assert [round(w, 4) for w in weights[:6]] == [2.2915, 2.5435, 6.9744, 6.4204, 2.7881, 4.2719]
    assert [round(w, 4) for w in weights[-4:]] == [1.0636, 1.0, 1.0, 1.1234]
    constant = with_constant_guidance(Sampler(num_steps=7), 3.5)
    assert {constant.guidance.weight(t, 7) for t in constant.timesteps} == {3.5}
    assert constant.guidance.skip_within == Guidance().skip_within and constant.num_steps == 7


def test_guidance_from_a_timestep_on_runs_one_half_below_it() -> None:
    guidance, rows = Guidance(scale=3.0, power=None, guided_from=400), list[int]()
    assert [guidance.weight(timestep, 5) for timestep in (999, 400, 399, 0)] == [3.0, 3.0, 1.0, 1.0]
    assert with_constant_guidance(Sampler(guidance=guidance), 2.0).guidance.weight(0, 5) == 2.0

    def denoise(latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        rows.append(len(latents))
        return latents

    guided_v = guided(denoise, torch.ones(1, 2, 3, 4), guidance)
    for timestep in (999, 400, 399):
        guided_v(torch.ones(SHAPE), timestep, guidance.weight(timestep, 5))
    assert rows == [2, 2, 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 9])
def test_any_split_gives_the_same_bits(tmp_path: Path, kind: str, num_steps: int) -> None:
    sampler = Sampler(num_steps=num_steps, kind=kind, guidance=PLAIN)
    undisturbed = run(sampler)
    state = sampler.start(SHAPE, torch.Generator().manual_seed(5))
    for step in range(num_steps):
        save_file(state.tensors(), tmp_path / f"{step}.safetensors")
        torch.manual_seed(step)  # what else draws numbers is no business of the sampler's
        torch.randn(step + 1)
        state = sampler.step(SamplerState.from_tensors(load_file(tmp_path / f"{step}.safetensors")), curved_v)
    assert state.step == num_steps and torch.equal(state.latents, undisturbed)
    again = SamplerState.from_tensors(state.tensors())
    assert again.step == num_steps and torch.equal(again.latents, undisturbed)


def test_a_step_does_not_change_the_state_it_starts_from() -> None:
    sampler = Sampler(num_steps=3, guidance=PLAIN)
    state = sampler.start(SHAPE, torch.Generator().manual_seed(5))
    before = {name: value.clone() for name, value in state.tensors().items()}
    first, second = (sampler.step(state, curved_v) for _ in range(2))
    assert torch.equal(first.latents, second.latents)
    assert all(torch.equal(value, before[name]) for name, value in state.tensors().items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_run_out_of_range_are_told_at_once(kind: str, number: float) -> None:
    def v(x: Tensor, timestep: int, weight: float) -> Tensor:
        made = curved_v(x, timestep, weight)
        made[0, 0, 0, 0, 0] = number if timestep < 999 else 0.0
        return made

    sampler = Sampler(num_steps=3, kind=kind, guidance=PLAIN)
    state = sampler.step(sampler.start(SHAPE, torch.Generator().manual_seed(5)), v)
    with pytest.raises(FloatingPointError, match="the latents after step 2 are not finite"):
        sampler.step(state, v)


def test_draws_come_in_the_released_order() -> None:
    """One draw in the first step; in every later one but the last two, of which the first is thrown away."""
    sampler = Sampler(num_steps=5, guidance=PLAIN)
    generator = torch.Generator().manual_seed(5)
    start = torch.randn(SHAPE, generator=generator)
    draws = [torch.randn(SHAPE, generator=generator) for _ in range(7)]
    for spoilt in range(7):
        given_draws = iter(draw + 9.0 * (index == spoilt) for index, draw in enumerate(draws))
        state = SamplerState(step=0, latents=start)
        while state.step < 5:
            state = sampler.step(state, curved_v, noise=lambda given_draws=given_draws: next(given_draws))
        assert next(given_draws, None) is None
        assert torch.equal(state.latents, run(sampler)) == (spoilt in (1, 3, 5))


def test_the_ode_draws_nothing_after_the_start() -> None:
    sampler = Sampler(num_steps=4, kind="ode", guidance=PLAIN)
    state = sampler.start(SHAPE, torch.Generator().manual_seed(5))
    undrawn = state.generator
    while state.step < 4:
        state = sampler.step(state, curved_v, noise=lambda: pytest.fail("drawn"))
    assert torch.equal(state.generator, undrawn)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_is_the_denoised_noise(kind: str) -> None:
    """From a = 0, x_0 = -v."""
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
    assert torch.equal(run(Sampler(num_steps=1, kind=kind, guidance=PLAIN)), -curved_v(noise, 999, 1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_is_one_picture_is_found(kind: str) -> None:
    picture = torch.linspace(-2, 2, 120).reshape(SHAPE)
    sampler = Sampler(num_steps=6, kind=kind, guidance=PLAIN)

    def v(x: Tensor, timestep: int, weight: float) -> Tensor:
        a = sampler.schedule.quantised(float(sampler._signal[sampler.timesteps.index(timestep)]))
        return (a * x - picture) / math.sqrt(1 - a * a)

    torch.testing.assert_close(run(sampler, v), picture, atol=1e-4, rtol=0)


def spread_error(kind: str, num_steps: int, spread: float) -> float:
    """How far the spread of samples of N(0, spread^2) is off, relatively. The exact ODE scales each start by it."""
    sampler = Sampler(num_steps=num_steps, kind=kind, guidance=PLAIN)
    start = torch.randn(1, 1, 1, 100, 100, generator=torch.Generator().manual_seed(5))
    made = run(sampler, gaussian_v(sampler, spread), tuple(start.shape))
    if kind == "ode":
        torch.testing.assert_close(made / made.std(), start / start.std(), atol=1e-4, rtol=1e-4)
    return abs(float(made.std() / start.std()) / spread - 1)


@pytest.mark.parametrize(("num_steps", "bound"), [(10, 0.08), (16, 0.04), (25, 0.02), (50, 0.01)])
@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_the_ode_is_near_its_closed_form(num_steps: int, bound: float, spread: float) -> None:
    assert spread_error("ode", num_steps, spread) < bound


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_the_ode_is_of_second_order(spread: float) -> None:
    """Halving the steps' length quarters the error, near enough; first order would halve it."""
    assert spread_error("ode", 10, spread) / spread_error("ode", 20, spread) > 2.7


@pytest.mark.parametrize("num_steps", [10, 25])
@pytest.mark.parametrize("spread", [0.2, 0.5, 1.0])
def test_the_ode_is_better_in_few_steps(num_steps: int, spread: float) -> None:
    assert spread_error("ode", num_steps, spread) < 0.3 * spread_error("sde", num_steps, spread)


def test_the_sde_converges_to_the_right_spread() -> None:
    assert spread_error("sde", 400, 0.5) < 0.03 < 0.1 < spread_error("sde", 25, 0.5)


class Counting:
    """A denoiser that keeps the batch sizes it saw; its v is the text's mean."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        assert len(latents) == len(timestep) == len(text)
        self.batches.append(len(latents))
        return latents + text.mean(dim=(1, 2, 3))[:, None, None, None, None]


@pytest.mark.parametrize(
    ("weight", "batch"), [(1.0, 1), (1.0009, 1), (0.9991, 1), (1.0011, 2), (0.9989, 2), (0.0, 2), (7.0, 2)]
)
def test_a_weight_of_one_does_not_compute_the_unconditional_half(weight: float, batch: int) -> None:
    denoise, latents = Counting(), torch.zeros(SHAPE)
    v = guided(denoise, torch.full((1, 2, 3, 4), 0.5), Guidance())(latents, 999, weight)
    assert denoise.batches == [batch]
    torch.testing.assert_close(v, torch.full(SHAPE, 0.5 * (weight if batch == 2 else 1.0)))


def test_a_run_counts_its_halves() -> None:
    """Of the released 50 weights, two are within 1e-3 of 1."""
    denoise = Counting()
    run(Sampler(num_steps=50), guided(denoise, torch.ones(1, 2, 3, 4), Guidance()))
    assert denoise.batches.count(1) == 2 and denoise.batches.count(2) == 48


def test_settings_survive_as_plain_values() -> None:
    own = {"num_steps": 12, "kind": "ode", "guidance": {"scale": 2.0, "power": None}, "schedule": {"shift": 1.0}}
    sampler = sampler_from_dict(own)
    assert sampler == Sampler(
        num_steps=12, kind="ode", guidance=Guidance(scale=2.0, power=None), schedule=NoiseSchedule(shift=1.0)
    )
    with pytest.raises(TypeError):
        sampler_from_dict({"num_step": 12})


@pytest.mark.parametrize("num_steps", [99, 123, 369, 846])
def test_timesteps_round_as_released(num_steps: int) -> None:
    # Each of these has a step that falls on a whole number, or just below it, depending on who computes the spacing.
    released = np.linspace(999, 0, num_steps, endpoint=False).astype(int)
    assert NoiseSchedule().timesteps(num_steps) == released.tolist()
