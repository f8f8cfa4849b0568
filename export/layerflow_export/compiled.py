"""The backend `compiled`: the transformer's blocks by torch.compile, one compilation for all of them.

A block is compiled for the very sizes it is called with, and once: prompts are padded to the model's number of tokens,
so another prompt has no other size. What runs around it - hooks, a wish to stop - is never part of what is compiled.

Shapes: B batch, S token of text and video, N head, D head width.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor.runtime.cache_dir_utils import default_cache_dir
from torch.nn.attention import SDPBackend, sdpa_kernel

from layerflow.denoisers import Network
from layerflow.errors import RequestError
from layerflow.models.cache import cache_path
from layerflow.models.float8 import precision_of
from layerflow.transformer import LayerFlowTransformer
from layerflow_export.attention import TORCHS_OWN, Attention, attention_choice, machine_name, torchs_flash_afterwards
from layerflow_export.block_switch import BlockSwitch, Streams, refuse_offloaded
from layerflow_export.cuda_graphs import graphed
from layerflow_export.notes import Notes

MAX_SIZES = 64  # that torch keeps; a shot has two, with the unconditional half and without

Size = tuple[int, int, int]  # batch, video tokens, text tokens
Compiler = str | Callable[..., Callable[..., Any]]  # as torch.compile takes it

eager_block = CogVideoXBlock.forward  # a name of its own: torch.compile does not follow one through its class


def why_not() -> str | None:
    """One sentence that says why the backend cannot be used here; None where it can."""
    if torch.cuda.is_available():
        if find_spec("triton") is None:
            return 'the backend compiled needs Triton; install it with pip install "layerflow[kernels]"'
        return None
    compiler = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    if shutil.which(compiler) is None:
        return f"the backend compiled needs a C++ compiler and {compiler} is not there; install it or set CXX"
    return None


def compiled(transformer: LayerFlowTransformer, *, prepared: bool = False, compiler: Compiler = "inductor") -> Network:
    """`transformer`, its blocks compiled by torch's `compiler` at the first call with each size.

    With `prepared`, sizes that were not compiled before on this machine run eager. Raises RequestError where nothing
    can be compiled, at load or at the first call; with `prepared` also on a CPU, and where nothing was.
    """
    if reason := why_not():
        raise RequestError(reason)
    refuse_offloaded(transformer, "compiled")
    blocks = CompiledBlocks(transformer.eval(), prepared=prepared, compiler=compiler)
    switch = BlockSwitch(transformer, blocks)
    core = graphed(transformer)

    def network(latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None) -> Tensor:
        with _current(latents.device), switch.on(), torchs_flash_afterwards():
            return transformer.around(core, latents, timestep, text, layer_index, given)

    return network


class CompiledBlocks:
    """A forward for the blocks of a transformer, compiled once for each size; what was compiled is noted on disk."""

    def __init__(self, transformer: LayerFlowTransformer, *, prepared: bool, compiler: Compiler) -> None:
        self._notes, self._prepared = Notes(file=code_folder() / "layerflow.json"), prepared
        self._network, self._sizes = network_key(transformer), dict[Size, Attention | None]()
        if prepared and not any(key.startswith(self._network) for key in self._notes.read()):
            raise RequestError("this network was not compiled here before; --backend compiled does it once")
        self._choose = attention_choice()
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, MAX_SIZES)
        self._compiled = torch.compile(_block, backend=compiler, fullgraph=True, dynamic=False)

    def __call__(self, block: CogVideoXBlock, video: Tensor, text: Tensor, temb: Tensor) -> Streams:
        """Both streams after the block. Raises RequestError where it cannot be compiled."""
        size: Size = (len(video), video.shape[1], text.shape[1])
        is_new = size not in self._sizes
        if is_new:
            self._sizes[size] = self._attention(block, video, size)
        attention = self._sizes[size]
        if attention is None:
            return eager_block(block, video, text, temb)  # type: ignore[no-any-return]
        attention.activate()
        try:
            streams: Streams = self._compiled(block, list(attention.backends), video, text, temb)
        except FailOnRecompileLimitHit:
            self._sizes[size] = None
            return eager_block(block, video, text, temb)  # type: ignore[no-any-return]
        except TorchDynamoException as error:
            reason = " ".join(str(error).split()[:30])
            raise RequestError(f"torch cannot compile this network here ({reason}); use --backend eager") from error
        if is_new:
            self._notes.add(self._key(size, video.device), attention.name)
        return streams

    def _attention(self, block: CogVideoXBlock, video: Tensor, size: Size) -> Attention | None:
        """What the block's attention runs on; None where the block is to run eager."""
        if self._prepared and self._key(size, video.device) not in self._notes.read():
            return None
        if video.device.type != "cuda":
            return TORCHS_OWN
        batch, num_video, num_text = size
        joint = (batch, num_text + num_video, block.attn1.heads, video.shape[2] // block.attn1.heads)
        q, k, v = (torch.randn(joint, dtype=video.dtype, device=video.device).transpose(1, 2) for _ in range(3))
        return self._choose(q, k, v)  # their LayerNorms leave q and k as random as these

    def _key(self, size: Size, device: torch.device) -> str:
        batch, num_video, num_text = size
        place = machine_name(device) if device.type == "cuda" else f"CPU, torch {torch.__version__}"
        return f"{self._network}, {batch} of {num_text} + {num_video} tokens, {place}"


def code_folder() -> Path:
    """Where compiled code is kept, from now on: torch's own folder is a temporary one, and may be named already."""
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR", default_cache_dir()) == default_cache_dir():
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_path() / "inductor")
    return Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])


def network_key(transformer: LayerFlowTransformer) -> str:
    """What decides the code of a block, but for the size of what goes in and the machine."""
    config = transformer.config
    heads = f"{config.num_attention_heads} heads of {config.attention_head_dim}"
    return f"{heads}, time of {config.time_width}, {precision_of(transformer)}, diffusers {diffusers.__version__}"


def _block(block: CogVideoXBlock, backends: list[SDPBackend], video: Tensor, text: Tensor, temb: Tensor) -> Streams:
    """What is compiled. The attention is part of it, so that no cache gives the code of another."""
    with sdpa_kernel(backends):
        streams: Streams = eager_block(block, video, text, temb)
        return streams


def _current(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
