"""The released SDE-DPM++(2M) sampler with zero terminal SNR, and its deterministic sibling.

A sampler is a pure function of (state, step): its state can be saved after any step, and going on from it gives the
same bits as an undisturbed run. Throughout, `a` is sqrt(cumulative alpha), so x_t = a x_0 + sqrt(1 - a^2) noise.
Sources: DPM-Solver++ (arXiv 2211.01095), zero terminal SNR (arXiv 2305.08891), the constants as released.

Shapes: B batch, F latent frame, C channel, H W latent rows and columns, S sampling step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
import torch
from torch import Tensor

SamplerKind = Literal["sde", "ode"]
NUM_TRAIN_STEPS = 1000

GuidedV = Callable[[Tensor, int, float], Tensor]


class Denoiser(Protocol):
    """The one seam for speed: predicted v for noisy latents. Torch, ONNX and TensorRT stand behind it."""

    def __call__(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """v `[B, F, C, H, W]` for latents `[B, F, C, H, W]`, timestep `[B]` and text `[B, prompts, tokens, width]`."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """The noise levels of training and of an n-step run."""

    linear_start: float = 0.00085
    linear_end: float = 0.012
    shift: float = 3.0

    @cached_property
    def alphas_cumprod(self) -> Tensor:  # [1000] float64
        """Cumulative alpha of the scaled-linear betas, its SNR divided by `shift`."""
        ends = (math.sqrt(self.linear_start), math.sqrt(self.linear_end))
        betas = torch.linspace(*ends, NUM_TRAIN_STEPS, dtype=torch.float64) ** 2
        alphas = torch.cumprod(1.0 - betas, dim=0)
        return alphas / (self.shift + (1.0 - self.shift) * alphas)

    def timesteps(self, num_steps: int) -> list[int]:
        """Training timesteps of an n-step run, from 999 downwards."""
        if not 1 <= num_steps <= NUM_TRAIN_STEPS:
            raise ValueError(f"num_steps must be in 1..{NUM_TRAIN_STEPS}, got {num_steps}")
        # numpy's spacing, as released: torch's rounds otherwise, and 50 of the 1000 step counts fall on a neighbour.
        return [int(t) for t in np.linspace(NUM_TRAIN_STEPS - 1, 0, num_steps, endpoint=False)]

    def signal(self, num_steps: int) -> Tensor:  # [S] float32, rising from 0
        """`a` of each step of an n-step run: exactly 0 at the first, so that sampling starts from pure noise.

        The rescaling is applied to the n kept values, as released, so this is not a subset of the 1000-step table.
        """
        a = self.alphas_cumprod[self.timesteps(num_steps)].sqrt().flip(0)  # falling signal
        if num_steps == 1:
            return torch.zeros(1)
        rescaled = (a - a[-1]) * (a[0] / (a[0] - a[-1]))
        return rescaled.flip(0).float()

    @cached_property
    def training_signal(self) -> Tensor:  # [1000] float32, falling to 0
        """`a` at every training timestep."""
        return self.signal(NUM_TRAIN_STEPS).flip(0)

    def even_timesteps(self, num_steps: int) -> list[int]:
        """Training timesteps of an n-step run, evenly spaced in arccos(a), from pure noise down to the least noisy.

        `timesteps` ends at 1000 / n, and what the last step then takes away in one go is not noise alone: at 10 steps,
        N(0, 0.5^2) data loses 37% of its spread on that way and 7% on this one.
        """
        angles = self.training_signal.arccos()  # rising with the timestep
        steps = [NUM_TRAIN_STEPS]
        for index, angle in enumerate(torch.linspace(float(angles[-1]), float(angles[0]), num_steps)):
            nearest = int((angles - angle).abs().argmin())
            steps.append(max(min(nearest, steps[-1] - 1), num_steps - 1 - index))  # near 0 they would coincide
        return steps[1:]

    def quantised(self, a: float) -> float:
        """The training level nearest to `a`: what the denoiser is told, while the update keeps `a` itself."""
        table = self.training_signal
        return float(table[(table - a).abs().argmin()])


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """Classifier-free guidance weight for each step.

    `power` 5 is the released schedule. It was written for a step index but is fed the training timestep, so it does not
    ramp: it jumps between 1 and `scale + 1`. Kept, since released results come from it. `power` None is constant.
    """

    scale: float = 6.0
    power: float | None = 5.0
    skip_within: float = 1e-3  # a step whose weight is this near to 1 does not compute the unconditional half
    guided_from: int = 0  # training timestep below which the weight is 1

    @property
    def jumps(self) -> bool:
        """Whether steps differ in their weight."""
        return self.power is not None

    def weight(self, timestep: int, num_steps: int) -> float:
        """Guidance weight; 1 means the conditional prediction alone."""
        if timestep < self.guided_from:
            return 1.0
        if self.power is None:
            return self.scale
        angle = math.pi * ((num_steps - timestep) / num_steps) ** self.power
        return 1.0 + self.scale * (1.0 - math.cos(angle)) / 2.0


@dataclass(frozen=True, kw_only=True)
class SamplerState:
    """Everything a run needs to go on after a step."""

    step: int  # steps done
    latents: Tensor  # [B, F, C, H, W] float32
    previous: Tensor | None = None  # the last denoised estimate, for the multistep correction
    generator: Tensor | None = None  # bytes of the CPU generator

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors, for a safetensors file; `from_tensors` is the way back."""
        optional = {"previous": self.previous, "generator": self.generator}
        named = {"step": torch.tensor(self.step), "latents": self.latents}
        named |= {name: value for name, value in optional.items() if value is not None}
        return {name: value.clone() for name, value in named.items()}  # after the last step two of them are one

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The state that `tensors` described, bit for bit."""
        return cls(
            step=int(tensors["step"]),
            latents=tensors["latents"],
            previous=tensors.get("previous"),
            generator=tensors.get("generator"),
        )


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """`num_steps` of DPM-Solver++(2M), stochastic ("sde", as released) or deterministic ("ode")."""

    num_steps: int = 50
    kind: SamplerKind = "sde"
    schedule: NoiseSchedule = NoiseSchedule()
    guidance: Guidance = Guidance()
    snaps: bool = True  # the denoiser counts on the nearest training level, as released; else on the step's own

    def __post_init__(self) -> None:
        if self.kind not in get_args(SamplerKind):
            raise ValueError(f"sampler must be one of {get_args(SamplerKind)}, got {self.kind!r}")
        self.schedule.timesteps(self.num_steps)

    def start(self, shape: tuple[int, ...], generator: torch.Generator) -> SamplerState:
        """The first state: plain N(0, 1) noise from an explicit CPU generator, the same on every device."""
        noise = torch.randn(shape, generator=generator)
        return SamplerState(step=0, latents=noise, generator=generator.get_state())

    def signal(self, step: int) -> float:
        """`a` of what step number `step`, from 0 on, starts from."""
        return float(self._signal[step])

    def step(
        self,
        state: SamplerState,
        guided_v: GuidedV,
        noise: Callable[[], Tensor] | None = None,
        settle: Callable[[Tensor], Tensor] | None = None,
    ) -> SamplerState:
        """The state after one more step.

        `guided_v(latents, timestep, weight)` is v after guidance. `noise` replaces the draws of the state's own
        generator, one call a draw; the released order is one draw in the first step and two in every later one but the
        last, of which the first is thrown away. `settle` may correct the estimate of the clean latents. Raises
        FloatingPointError for latents that are not finite.
        """
        index, x = state.step, state.latents
        timestep = self.timesteps[index]
        a = [float(value) for value in self._signal] + [1.0]
        weight = self.guidance.weight(timestep, self.num_steps)
        denoised = self._denoised(x, guided_v(x, timestep, weight), a[index])
        if settle is not None:
            denoised = settle(denoised)
        generator = _restored(state.generator)
        if index == self.num_steps - 1:
            latents = denoised
        else:
            corrected = _two_step(denoised, state.previous, a[index - 1] if index else None, a[index], a[index + 1])
            if self.kind == "sde":
                draw = noise or (lambda: torch.randn(x.shape, generator=generator).to(x))
                latents = _sde_update(x, corrected, self._released_draw(index, draw), a[index], a[index + 1])
            else:
                latents = _ode_update(x, corrected, a[index], a[index + 1])
        if not latents.isfinite().all():
            raise FloatingPointError(f"the latents after step {index + 1} are not finite")
        return SamplerState(
            step=index + 1,
            latents=latents,
            previous=denoised,
            generator=None if generator is None else generator.get_state(),
        )

    @property
    def mean_guidance(self) -> float:
        """The mean of the guidance weights of all steps."""
        return sum(self.guidance.weight(timestep, self.num_steps) for timestep in self.timesteps) / self.num_steps

    @cached_property
    def timesteps(self) -> list[int]:
        """What the denoiser is told in each step."""
        choose = self.schedule.even_timesteps if self.kind == "ode" else self.schedule.timesteps
        return choose(self.num_steps)

    @cached_property
    def _signal(self) -> Tensor:
        if self.kind == "ode":
            return self.schedule.training_signal[self.timesteps]
        return self.schedule.signal(self.num_steps)

    def _denoised(self, x: Tensor, v: Tensor, a: float) -> Tensor:
        q = self.schedule.quantised(a) if self.snaps else a
        return q * x - math.sqrt(1.0 - q * q) * v

    @staticmethod
    def _released_draw(index: int, draw: Callable[[], Tensor]) -> Tensor:
        if index > 0:
            draw()
        return draw()


def guided(denoise: Denoiser, text: Tensor, guidance: Guidance) -> GuidedV:
    """v after classifier-free guidance: u + w (c - u), both halves in one batch, text zeros as the unconditional one.

    `text` is `[1, prompts, tokens, width]`. A weight within `guidance.skip_within` of 1 runs the conditional half only.
    """
    both = torch.cat([torch.zeros_like(text), text])

    def guided_v(latents: Tensor, timestep: int, weight: float) -> Tensor:
        if abs(weight - 1.0) <= guidance.skip_within:
            return denoise(latents, torch.tensor([float(timestep)]), text)
        doubled = torch.cat([latents, latents])
        unconditional, conditional = denoise(doubled, torch.full((2,), float(timestep)), both).chunk(2)
        return unconditional + weight * (conditional - unconditional)

    return guided_v


def with_constant_guidance(sampler: Sampler, scale: float) -> Sampler:
    """The same sampler with one guidance weight for every step."""
    return replace(sampler, guidance=replace(sampler.guidance, scale=scale, power=None, guided_from=0))


def sampler_from_dict(values: Mapping[str, Any]) -> Sampler:
    """The sampler that a model folder describes. Raises ValueError or TypeError for an impossible one."""
    fields = dict(values)
    for name, kind in (("schedule", NoiseSchedule), ("guidance", Guidance)):
        if name in fields:
            fields[name] = kind(**fields[name])
    return Sampler(**fields)


def _restored(state: Tensor | None) -> torch.Generator | None:
    if state is None:
        return None
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def _log_snr(a: float) -> float:
    """lambda = log(a / sqrt(1 - a^2)), half the log-SNR."""
    return math.log(a / math.sqrt(1.0 - a * a))


def _two_step(denoised: Tensor, previous: Tensor | None, a_before: float | None, a: float, a_next: float) -> Tensor:
    """The second-order estimate of x_0 over [a, a_next]; first order where the last step came from pure noise."""
    if previous is None or not a_before:
        return denoised
    step = _log_snr(a_next) - _log_snr(a)
    ratio = (_log_snr(a) - _log_snr(a_before)) / step
    return (1.0 + 0.5 / ratio) * denoised - 0.5 / ratio * previous


def _sde_update(x: Tensor, denoised: Tensor, noise: Tensor, a: float, a_next: float) -> Tensor:
    """SDE-DPM-Solver++: exp(-h) of the old noise is kept, the rest is drawn anew. From a = 0 nothing is kept."""
    sigma_next = math.sqrt(1.0 - a_next**2)
    h = _log_snr(a_next) - _log_snr(a) if a else math.inf
    keep = sigma_next / math.sqrt(1.0 - a * a) * math.exp(-h)
    fresh = -math.expm1(-2.0 * h)
    return keep * x + a_next * fresh * denoised + sigma_next * math.sqrt(fresh) * noise


def _ode_update(x: Tensor, denoised: Tensor, a: float, a_next: float) -> Tensor:
    """DPM-Solver++ for the probability-flow ODE; its limit from a = 0 is a' x_0 + sigma' x."""
    keep = math.sqrt(1.0 - a_next**2) / math.sqrt(1.0 - a * a)
    return keep * x + (a_next - keep * a) * denoised
