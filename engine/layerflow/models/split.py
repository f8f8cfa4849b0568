"""A transformer whose tokens are split over processes: each has all weights, and works on its share of the tokens.

Attention is diffusers' Ulysses (arXiv 2309.14509): for it a process trades its tokens for all tokens of some heads, and
trades back. Nothing in a block knows the place of a token, so text and video are split alike, and a process has its own
part of both, one after the other. Neither tokens nor heads have to come out even: CogVideoX-2B has 30, for 4 or 8.

diffusers' `enable_parallelism` divides by the number of GPUs, so what it calls is called here; and CogVideoX's own
attention does not go by the dispatcher that knows several processes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import torch
from diffusers import ContextParallelConfig, ParallelConfig
from diffusers.hooks import apply_context_parallel
from diffusers.models._modeling_parallel import ContextParallelInput, ContextParallelOutput
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from layerflow.denoisers import raise_if
from layerflow.errors import RequestError
from layerflow.models.memory import is_out_of_memory
from layerflow.models.places import pick_device
from layerflow.processes import Processes, share
from layerflow.transformer import LayerFlowTransformer

TOKENS = ContextParallelInput(split_dim=1, expected_dims=3)
PLAN = {
    "transformer_blocks.0": {"hidden_states": TOKENS, "encoder_hidden_states": TOKENS},
    "norm_out": ContextParallelOutput(gather_dim=1, expected_dims=3),  # the last that works on each token alone
}


def own_device(name: str) -> torch.device:
    """The device of this process where several were asked for `name`: of GPUs each has its own. Raises RequestError."""
    if name not in ("auto", "cuda"):
        if name.startswith("cuda:"):
            raise RequestError(
                f"each of several processes takes a GPU of its own and --device is {name}; leave it out, and say with "
                "CUDA_VISIBLE_DEVICES which GPUs there are"
            )
        return pick_device(name)
    device = pick_device(name)
    if device.type != "cuda":
        return device
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if number >= torch.cuda.device_count():
        raise RequestError(
            f"{number + 1} processes or more were started and {torch.cuda.device_count()} GPUs are here; "
            "start one for each GPU, or take --device cpu"
        )
    torch.cuda.set_device(number)  # NCCL goes by it
    return torch.device("cuda", number)


def can_split(heads: int, count: int) -> bool:
    """Whether `count` processes can share attention of `heads` heads: only the last may get fewer, and one at least."""
    each = math.ceil(heads / count)
    return each * count - heads < each


def split(transformer: LayerFlowTransformer, processes: Processes, device: torch.device) -> None:
    """Has every process that calls `transformer`, all with the same inputs, do its share; each gets the whole v."""
    mesh = init_device_mesh(device.type, (1, processes.count), mesh_dim_names=("ring", "ulysses"))
    config = ContextParallelConfig(ulysses_degree=processes.count, ulysses_anything=True)
    parallel = ParallelConfig(context_parallel_config=config)
    parallel.setup(processes.rank, processes.count, device, mesh=mesh)
    for module in transformer.modules():
        if isinstance(module, Attention):
            module.set_processor(SplitAttention(parallel))
    apply_context_parallel(transformer, config, PLAN)


class SplitAttention:
    """CogVideoX's attention over text and video at once, by the dispatcher that knows several processes."""

    def __init__(self, parallel: ParallelConfig) -> None:
        self.parallel = parallel

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
        image_rotary_emb: None = None,
    ) -> tuple[Tensor, Tensor]:
        """What attention makes of video `[B, T, D]` and text `[B, N, D]`: of this process's share of both."""
        assert attention_mask is image_rotary_emb is None, "tokens have their positions from the start, and see all"
        num_text = encoder_hidden_states.shape[1]
        tokens = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (
            rearrange(project(tokens), "b t (h d) -> b t h d", h=attn.heads)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        mixed = dispatch_attention_fn(
            attn.norm_q(query),
            attn.norm_k(key),
            value,
            backend=AttentionBackendName.NATIVE,
            parallel_config=self.parallel,
        )
        made = attn.to_out[0](mixed.flatten(2))
        return made[:, num_text:], made[:, :num_text]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The shapes of what a step is given, so that the others can make room for its numbers."""

    tensors: tuple[tuple[torch.Size, torch.dtype] | None, ...]

    @classmethod
    def of(cls, *tensors: Tensor | None) -> Self:
        """Those of `tensors`."""
        return cls(tensors=tuple(None if each is None else (each.shape, each.dtype) for each in tensors))

    def empty(self, device: torch.device) -> list[Tensor | None]:
        """Room for the numbers."""
        return [None if each is None else torch.empty(each[0], dtype=each[1], device=device) for each in self.tensors]


@dataclass(kw_only=True)
class SplitNetwork:
    """The main process's network: it has the others take part in every step. Raises ProcessLost when one is gone.

    A step is made whole: that it is to stop is asked before, since the others would wait for the rest for ever.
    """

    transformer: LayerFlowTransformer
    processes: Processes
    stopped: Callable[[], bool] = field(default=lambda: False)

    def __call__(
        self, latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
    ) -> Tensor:
        raise_if(self.stopped)
        inputs = [latents, timestep, text, layer_index, given]
        self.processes.tell(Inputs.of(*inputs))
        return take_part(self.transformer, inputs, self.processes)

    @contextmanager
    def heeding(self, stopped: Callable[[], bool]) -> Iterator[None]:
        """Within it, a step raises Interrupted instead of beginning once `stopped` is true."""
        before, self.stopped = self.stopped, stopped
        try:
            yield
        finally:
            self.stopped = before


def take_part(transformer: LayerFlowTransformer, inputs: list[Tensor | None], processes: Processes) -> Tensor:
    """v of a step that all make, the main one's numbers being put into `inputs`. Raises RequestError, ProcessLost.

    No lower memory plan is tried where memory runs out in the midst of a step: the others are waiting in it.
    """
    try:
        with processes.step():
            share([each.contiguous() for each in inputs if each is not None])
            v: Tensor = transformer(*inputs)
            if v.is_cuda:
                torch.cuda.synchronize(v.device)  # what has gone wrong in the step is told here
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RequestError(
            f"memory ran out in process {processes.rank} of {processes.count}; start the shot with --memory low, or in "
            "more processes"
        ) from error
    return v
