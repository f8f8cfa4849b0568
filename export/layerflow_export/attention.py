"""torch's attentions, and the fastest of them for a shape: measured where it runs, checked, and remembered.

Shapes: B batch, N head, S token, D head width.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import attention as torch_attention
from torch.nn.attention import SDPBackend, sdpa_kernel

from layerflow.models.cache import cache_path
from layerflow_export.notes import Notes

Clock = Callable[[Callable[[], object]], float]  # seconds that one call of it takes

CALLS = 5
BUCKET = 1024  # shapes whose tokens round up to the same multiple of it share what is remembered
CHECKED_ROWS = 16
MAX_SCORES = 2**30  # bytes; the plain attention keeps all of them, and at 22,278 tokens that is 60 GB
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}  # in parts of the largest number
FAILURES = (RuntimeError, ImportError, AssertionError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """One of them, by name. `flash` is what torch's FlashAttention runs on, None being torch's own."""

    name: str
    backends: tuple[SDPBackend, ...]
    flash: str | None = None

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # each [B, N, S, D] -> [B, N, S, D]
        """Softmax attention. Raises one of FAILURES where it cannot run."""
        self.activate()
        with sdpa_kernel(list(self.backends)):
            return F.scaled_dot_product_attention(q, k, v)

    def activate(self) -> None:
        """Has torch's FlashAttention run on `flash` from now on, in the whole process."""
        if not _has_flash_implementations() or torch_attention.current_flash_attention_impl() == self.flash:
            return
        if self.flash is None:
            torch_attention.restore_flash_attention_impl()
        else:
            torch_attention.activate_flash_attention_impl(self.flash)


TORCHS_OWN = Attention(
    name="torch",  # what torch takes by itself
    backends=(
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
        SDPBackend.CUDNN_ATTENTION,
    ),
)
ATTENTIONS = (
    Attention(name="cudnn", backends=(SDPBackend.CUDNN_ATTENTION,)),
    Attention(name="flash", backends=(SDPBackend.FLASH_ATTENTION,)),
    Attention(name="efficient", backends=(SDPBackend.EFFICIENT_ATTENTION,)),
    Attention(name="math", backends=(SDPBackend.MATH,)),
)
FLASH4 = Attention(name="flash4", backends=(SDPBackend.FLASH_ATTENTION,), flash="FA4")


def attentions() -> tuple[Attention, ...]:
    """Those that torch knows here; FlashAttention 4 where flash_attn is installed and torch can register it."""
    has_flash4 = _has_flash_implementations() and find_spec("flash_attn") is not None
    return (*ATTENTIONS, FLASH4) if has_flash4 else ATTENTIONS


def measured(
    q: Tensor, k: Tensor, v: Tensor, candidates: Sequence[Attention], clock: Clock
) -> dict[str, float]:  # each [B, N, S, D]
    """Seconds of a call, the median of a few, by the name of every candidate that runs and is right."""
    expected = reference_rows(q, k, v)
    return {
        candidate.name: median(clock(partial(candidate, q, k, v)) for _ in range(CALLS))
        for candidate in candidates
        if agrees(candidate, q, k, v, expected)
    }


def reference_rows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # each [B, N, S, D] -> [B, N, rows, D] float32
    """What attention gives for a few queries, in float32 and with every score spelled out."""
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(_some_rows(q).float(), k.float(), v.float())


def agrees(candidate: Attention, q: Tensor, k: Tensor, v: Tensor, expected: Tensor) -> bool:
    """Whether `candidate` runs, within the memory there is, and gives the `expected` rows to its type's rounding."""
    if candidate.backends == (SDPBackend.MATH,) and q.shape[:-1].numel() * k.shape[2] * q.itemsize > MAX_SCORES:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of each reason why one cannot run
            got = _some_rows(candidate(q, k, v)).float()
    except FAILURES:
        return False
    return bool((got - expected).abs().max() <= TOLERANCE[q.dtype] * expected.abs().max())  # false for nan


def _some_rows(x: Tensor) -> Tensor:  # [B, N, S, D] -> [B, N, at most 2 CHECKED_ROWS, D]
    return x[:, :, :: max(1, x.shape[2] // CHECKED_ROWS)]


class AttentionChoice:
    """The fastest of `candidates` for each shape, measured at the first call with it unless it was once before.

    What was remembered is checked again; where no candidate is right, torch chooses by itself. `machine` names all that
    could make another one the fastest.
    """

    def __init__(
        self, *, candidates: Sequence[Attention], clock: Clock, machine: Callable[[torch.device], str], notes: Notes
    ) -> None:
        self._candidates: Mapping[str, Attention] = {candidate.name: candidate for candidate in candidates}
        self._clock, self._machine, self._notes = clock, machine, notes
        self._chosen: dict[tuple[torch.Size, torch.dtype], Attention] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Attention:  # each [B, N, S, D]
        """The attention for tensors like these."""
        like = (q.shape, q.dtype)
        if like not in self._chosen:
            self._chosen[like] = self._remembered(q, k, v) or self._fastest(q, k, v)
        return self._chosen[like]

    def _remembered(self, q: Tensor, k: Tensor, v: Tensor) -> Attention | None:
        candidate = self._candidates.get(self._notes.read().get(self._key(q), ""))
        return candidate if candidate and agrees(candidate, q, k, v, reference_rows(q, k, v)) else None

    def _fastest(self, q: Tensor, k: Tensor, v: Tensor) -> Attention:
        seconds = measured(q, k, v, tuple(self._candidates.values()), self._clock)
        if not seconds:
            return TORCHS_OWN
        name = min(seconds, key=seconds.__getitem__)
        self._notes.add(self._key(q), name)
        return self._candidates[name]

    def _key(self, q: Tensor) -> str:
        _, heads, tokens, width = q.shape
        return f"{self._machine(q.device)}, {q.dtype}, {heads} heads of {width}, {-(-tokens // BUCKET) * BUCKET} tokens"


def attention_choice() -> AttentionChoice:
    """The choice among what torch has for an NVIDIA GPU, remembered in the cache folder."""
    notes = Notes(file=cache_path() / "attention.json")
    return AttentionChoice(candidates=attentions(), clock=cuda_seconds, machine=machine_name, notes=notes)


def machine_name(device: torch.device) -> str:
    """The GPU, and the versions of what runs on it."""
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch has no types here
    return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, cuDNN {cudnn}"


@contextmanager
def torchs_flash_afterwards() -> Iterator[None]:
    """What is chosen within it is not what other networks of the process run on."""
    try:
        yield
    finally:
        TORCHS_OWN.activate()


def cuda_seconds(work: Callable[[], object]) -> float:
    """Seconds that the GPU takes for `work`."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    work()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds that the CPU takes for `work`."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _has_flash_implementations() -> bool:
    return hasattr(torch_attention, "restore_flash_attention_impl")  # torch 2.11 and later
