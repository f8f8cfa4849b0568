"""One backend with the model loaded, and what it is asked: steps, shots, and v for given inputs.

It lives in a process of its own (`worker.py`), so everything that comes back is numbers and numpy arrays.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layerflow import shots
from layerflow.denoisers import LayerDenoiser, Network, splice
from layerflow.errors import RequestError
from layerflow.models.backends import EAGER, IN_ONE_PIECE, Guarded
from layerflow.models.codecs import load_codec
from layerflow.models.float8 import FLOAT8
from layerflow.models.load import Engine, LoadOptions, load_engine
from layerflow.models.plans import plan_named
from layerflow.models.shelf import find_model
from layerflow.pipeline import Conditions, decode_clip, encode_clip, sample_clip
from layerflow.quality import QUALITIES
from layerflow.sampler import GuidedV, Sampler, SamplerState, guided
from layerflow_export.bench.case import Case
from layerflow_export.bench.ceiling import now
from layerflow_export.bench.peak import peak_bytes, reset_peak
from layerflow_export.bench.peer import peer_network, plain_guidance, plain_sample
from layerflow_export.bench.report import PEER

Call = tuple[np.ndarray | None, ...]  # what a network is given: latents, timestep, text, layer index, given


@dataclass(frozen=True, kw_only=True)
class ShotSeconds:
    """Where the time of one window went, from prompts and plate to layers in memory."""

    text: float  # prompts and given pictures
    sampling: float
    decode: float
    peak_bytes: int

    @property
    def total(self) -> float:
        return self.text + self.sampling + self.decode


@dataclass(frozen=True, kw_only=True)
class Made:
    """The end of one run."""

    latents: np.ndarray  # [1, P, C, h, w]
    layers: dict[str, np.ndarray]  # those that the model makes, [F, 3, H, W] in [0, 1]


class Runner:
    """A backend by name, or the peer, loaded under memory plan "full" but for the codec, which is under `plan`.

    Where the backend gives way to eager torch, that is a RequestError here: it would be measured under a wrong name.
    """

    def __init__(self, case: Case, backend: str, precision: str, plan: str) -> None:
        started = time.perf_counter()
        self.case, self.is_peer = case, backend == PEER
        self.precision = "bfloat16" if self.is_peer and precision == FLOAT8 else precision
        self.folder = find_model(case.model, case.task)
        own = EAGER if self.is_peer else backend
        options = LoadOptions(device=case.device, precision=self.precision, memory="full", backend=own)
        engine = load_engine(self.folder, options, warn=_refuse)
        network = peer_network(engine.transformer) if self.is_peer else engine.network
        codec = load_codec(self.folder, engine.device, engine.dtype, replace(plan_named(plan), codec="device"))
        self.engine = replace(engine, network=network, codec=codec)
        self.clip = case.clip(self.folder)
        self.load_s = time.perf_counter() - started

    def facts(self) -> dict[str, Any]:
        """What was loaded, and how long that took."""
        precision = FLOAT8 if self.precision == FLOAT8 else str(self.engine.dtype).removeprefix("torch.")
        return {"backend": PEER if self.is_peer else self.engine.backend, "precision": precision, "load_s": self.load_s}

    def default(self) -> str:
        """The backend that is taken where none is named."""
        return load_engine(self.folder, LoadOptions(device=self.case.device)).backend

    def warm_up(self) -> None:
        """One step of every size that a shot has: nothing of the network is compiled or chosen after it."""
        sampler = self._sampler
        weights = [sampler.guidance.weight(timestep, sampler.num_steps) for timestep in sampler.timesteps]
        kinds = {abs(weight - 1.0) > sampler.guidance.skip_within: index for index, weight in enumerate(weights)}
        for index in kinds.values():
            self._step(index)

    def warm_codec(self) -> None:
        """Decodes once what no shot is measured by."""
        state = self._noise(0)
        given = encode_clip(self.engine, self.clip).given.to(state.latents)
        decode_clip(self.engine, self.clip.layout, splice(self.clip.layout, state.latents, given)[0])
        _let_go(self.engine.device)

    def step(self, count: int) -> list[float]:
        """Seconds of each of `count` steps of the sampler, guided if the shot's are."""
        return [self._step(self._typical) for _ in range(count)]

    def shot(self, quality: str) -> ShotSeconds:
        """Makes the whole shot, and says how long each part took."""
        device, sampler = self.engine.device, self.case.sampler(self.folder, quality)
        engine = replace(self.engine, network=_unchecked(self.engine.network))
        reset_peak(device)
        marks = [now(device)]
        conditions = encode_clip(engine, self.clip)
        marks.append(now(device))
        latents = self._sample(engine, conditions, sampler, quality)
        marks.append(now(device))
        decode_clip(engine, self.clip.layout, latents)
        marks.append(now(device))
        text, sampling, decode = (end - start for start, end in pairwise(marks))
        seconds = ShotSeconds(text=text, sampling=sampling, decode=decode, peak_bytes=peak_bytes(device))
        _let_go(device)
        return seconds

    def make(self, quality: str, steps: int | None) -> Made:
        """What a shot ends with; of one with another number of `steps`, only the latents."""
        conditions = encode_clip(self.engine, self.clip)
        latents = self._sample(self.engine, conditions, self._sampler_of(quality, steps), quality)
        layers = {} if steps else decode_clip(self.engine, self.clip.layout, latents)
        made = {name: pixels for name, pixels in layers.items() if not self.clip.layout.is_given(name)}
        return Made(latents=_numpy(latents), layers={name: _numpy(pixels) for name, pixels in made.items()})

    def record(self, steps: int | None) -> list[tuple[Call, np.ndarray]]:
        """What the network is given in each step of such a shot, and its v."""
        calls: list[tuple[Call, np.ndarray]] = []

        def network(*inputs: Tensor | None) -> Tensor:
            v = self.engine.network(*inputs)  # type: ignore[arg-type]
            calls.append((tuple(None if each is None else _numpy(each) for each in inputs), _numpy(v)))
            return v

        engine = replace(self.engine, network=network)  # type: ignore[arg-type]
        self._sample(engine, encode_clip(engine, self.clip), self._sampler_of("exact", steps), "exact")
        return calls

    @torch.inference_mode()
    def answer(self, call: Call) -> np.ndarray:
        """v for inputs that were recorded."""
        latents, timestep, text, index, given = (
            None if each is None else torch.from_numpy(each).to(self.engine.device) for each in call
        )
        assert latents is not None and timestep is not None and text is not None and index is not None
        dtype = self.engine.dtype
        with self.engine.sampling():
            return _numpy(self.engine.network(latents, timestep, text.to(dtype), index.to(dtype), given))

    def render(self, folder: Path) -> float:
        """Seconds of `layerflow.shots.render` of the same shot, from loading the model to EXR in the empty `folder`.

        What is loaded here is let go of before, so that the memory is that of a fresh start: the last thing to ask.
        """
        backend, device = self.engine.backend, self.engine.device
        self.__dict__.pop("_guided_v", None)
        del self.engine
        _let_go(device)
        plate = self.case.write_plate(self.folder, folder) if self.clip.layout.given else ""
        request = self.case.request(self.folder, folder / "out", plate=plate, backend=backend, precision=self.precision)
        return shots.render(request).seconds

    @cached_property
    def _sampler(self) -> Sampler:
        return self._sampler_of("exact", None)

    @cached_property
    def _typical(self) -> int:
        """The first guided step; where there is none, the second."""
        sampler = self._sampler
        weights = [sampler.guidance.weight(timestep, sampler.num_steps) for timestep in sampler.timesteps]
        guided_steps = (index for index, weight in enumerate(weights) if abs(weight - 1.0) > 1e-3)
        return next(guided_steps, min(1, sampler.num_steps - 1))

    def _step(self, index: int) -> float:
        """Seconds of the sampler's step `index`, from noise: how long it takes does not depend on the numbers."""
        state, guided_v, device = self._noise(index), self._guided_v, self.engine.device
        with self.engine.sampling():
            started = now(device)
            self._sampler.step(state, guided_v)
            return now(device) - started

    def _noise(self, index: int) -> SamplerState:
        generator, side = torch.Generator().manual_seed(self.case.seed), self.engine.codec.spatial
        size = (self.clip.height // side, self.clip.width // side)
        shape = (1, self.clip.layout.num_predicted, self.engine.codec.latent_channels, *size)
        state = self._sampler.start(shape, generator)
        latents = state.latents.to(self.engine.device) if self.is_peer else state.latents
        return replace(state, step=index, latents=latents, previous=latents)

    @cached_property
    def _guided_v(self) -> GuidedV:
        engine, conditions = self.engine, encode_clip(self.engine, self.clip)
        if self.is_peer:
            return plain_guidance(engine, conditions, self._sampler)
        denoiser = LayerDenoiser(
            network=engine.network,
            layout=conditions.layout,
            given=conditions.given,
            device=engine.device,
            dtype=engine.dtype,
        )
        return guided(denoiser, conditions.text, self._sampler.guidance)

    def _sample(self, engine: Engine, conditions: Conditions, sampler: Sampler, quality: str) -> Tensor:
        if self.is_peer:
            return plain_sample(engine, conditions, sampler)
        reuse = QUALITIES[quality].reuse
        if reuse and engine.backend in IN_ONE_PIECE:
            raise RequestError(f"{engine.backend} runs the network in one piece and has no blocks to leave out")
        return sample_clip(engine, conditions, sampler, reuse=reuse)

    def _sampler_of(self, quality: str, steps: int | None) -> Sampler:
        sampler = self.case.sampler(self.folder, quality)
        return sampler if steps is None else replace(sampler, num_steps=steps)


def _unchecked(network: Network) -> Network:
    """As it is loaded: what is checked by a shot's first step then takes the time of eager torch too."""
    if not isinstance(network, Guarded) or network.is_checked_at_load:
        return network
    return Guarded(
        name=network.name, network=network.network, eager=network.eager, tolerance=network.tolerance, warn=network.warn
    )


def _refuse(sentence: str) -> None:
    raise RequestError(sentence)


def _numpy(values: Tensor) -> np.ndarray:
    return values.numpy(force=True) if values.dtype == torch.bool else values.float().numpy(force=True)


def _let_go(device: torch.device) -> None:
    """Gives back what the allocator keeps: other processes share the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
