"""The attention that is chosen, by a clock of our own: measured once, checked, remembered, made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import attention as torch_attention
from torch.nn.attention import SDPBackend

from layerflow_export import attention as module
from layerflow_export.attention import (
    ATTENTIONS,
    CALLS,
    FLASH4,
    TORCHS_OWN,
    Attention,
    AttentionChoice,
    agrees,
    attentions,
    cpu_seconds,
    measured,
    reference_rows,
    torchs_flash_afterwards,
)
from layerflow_export.notes import Notes

CUDNN, FLASH, EFFICIENT, MATH = ATTENTIONS


@dataclass
class FakeClock:
    """Takes as long as it is told for each attention."""

    seconds: dict[str, list[float]]
    told: list[str] = field(default_factory=list)

    def __call__(self, work: Callable[[], object]) -> float:
        name = work.func.name  # type: ignore[attr-defined]
        self.told.append(name)
        return self.seconds[name][self.told.count(name) % len(self.seconds[name])]


@dataclass(frozen=True, kw_only=True)
class Wrong(Attention):
    """Off by `error` of the largest number."""

    error: float

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        right = super().__call__(q, k, v)
        return right + self.error * right.abs().max()


def qkv(tokens: int = 40, dtype: torch.dtype = torch.float32, batch: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    q, k, v = torch.randn(3, batch, tokens, 2, 16, generator=generator).to(dtype).transpose(2, 3)
    return q, k, v


def choice(path: Path, clock: FakeClock, *candidates: Attention, machine: str = "a GPU") -> AttentionChoice:
    return AttentionChoice(
        candidates=candidates or (FLASH, MATH), clock=clock, machine=lambda device: machine, notes=Notes(file=path)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attention.json"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_all_that_runs_here_is_right(dtype: torch.dtype) -> None:
    found = measured(*qkv(300, dtype, 2), attentions(), cpu_seconds)
    assert found.keys() == {"flash", "math"}  # the others are for GPUs
    assert all(seconds > 0.0 for seconds in found.values())


@pytest.mark.parametrize(("dtype", "right", "wrong"), [(torch.float32, 1e-6, 3e-5), (torch.bfloat16, 1e-3, 0.1)])
def test_a_wrong_one_is_out(dtype: torch.dtype, right: float, wrong: float) -> None:
    told = (*qkv(40, dtype), reference_rows(*qkv(40, dtype)))
    assert agrees(Wrong(name="right", backends=MATH.backends, error=right), *told)
    for error in (wrong, -wrong, torch.inf, torch.nan):
        assert not agrees(Wrong(name="wrong", backends=MATH.backends, error=error), *told)


def test_attention_of_equal_scores_is_the_mean() -> None:
    q, k, v = qkv(5)
    for each in (FLASH, MATH, TORCHS_OWN):
        seen = each(torch.zeros_like(q), k, v)
        torch.testing.assert_close(seen, v.mean(dim=2, keepdim=True).expand_as(v), atol=1e-6, rtol=0)


def test_scores_that_no_memory_holds_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told = (*qkv(), reference_rows(*qkv()))
    monkeypatch.setattr(module, "MAX_SCORES", 2 * 40 * 40 * 4)
    assert agrees(MATH, *told)
    monkeypatch.setattr(module, "MAX_SCORES", 2 * 40 * 40 * 4 - 1)
    assert not agrees(MATH, *told) and agrees(FLASH, *told)


def test_the_fastest_by_its_median_is_taken_and_measured_once(path: Path) -> None:
    clock = FakeClock({"flash": [3.0], "math": [2.0, 2.0, 2.0, 9.0, 9.0]})
    chosen = choice(path, clock)
    assert chosen(*qkv()) is MATH and chosen(*qkv()) is MATH
    assert clock.told == ["flash"] * CALLS + ["math"] * CALLS


def test_it_is_remembered_for_this_machine_type_and_about_this_size(path: Path) -> None:
    clock = FakeClock({"flash": [3.0], "math": [2.0]})
    choice(path, clock)(*qkv())
    clock.told.clear()
    assert choice(path, clock)(*qkv()) is MATH
    assert choice(path, clock)(*qkv(tokens=module.BUCKET)) is MATH
    assert clock.told == []
    choice(path, clock)(*qkv(tokens=module.BUCKET + 1))
    choice(path, clock)(*qkv(dtype=torch.bfloat16))
    choice(path, clock, machine="another GPU")(*qkv())
    assert len(clock.told) == 3 * 2 * CALLS
    assert list(json.loads(path.read_text()).values()) == ["math"] * 4
    assert "a GPU, torch.float32, 2 heads of 16, 1024 tokens" in json.loads(path.read_text())


@pytest.mark.parametrize("known", ["flash", "gone"])
def test_what_is_remembered_but_wrong_or_gone_is_measured_again(path: Path, known: str) -> None:
    clock = FakeClock({"flash": [1.0], "math": [2.0]})
    choice(path, clock)(*qkv())
    path.write_text(path.read_text().replace("flash", known))
    assert choice(path, clock, Wrong(name="flash", backends=FLASH.backends, error=0.1), MATH)(*qkv()) is MATH
    assert choice(path, clock)(*qkv()) is MATH  # as it was noted then


def test_a_damaged_file_is_made_again(path: Path) -> None:
    path.write_bytes(b'{"a GPU')
    assert choice(path, FakeClock({"flash": [1.0], "math": [2.0]}))(*qkv()) is FLASH
    assert list(json.loads(path.read_text()).values()) == ["flash"]


def test_where_none_is_right_torch_chooses(path: Path) -> None:
    assert choice(path, FakeClock({}), CUDNN, EFFICIENT)(*qkv()) is TORCHS_OWN
    assert not path.exists()
    expected = F.scaled_dot_product_attention(*qkv())
    assert torch.equal(TORCHS_OWN(*qkv()), expected)


@pytest.fixture
def flash4(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stand-in for FlashAttention 4; what it was told."""
    told: list[str] = []

    class Handle:
        def remove(self) -> None:
            told.append("removed")

    def register() -> Handle:
        told.append("registered")
        return Handle()

    monkeypatch.setitem(torch_attention._registry._FLASH_ATTENTION_IMPLS, "FA4", register)
    monkeypatch.setattr(module, "find_spec", lambda name: ModuleSpec(name, None))
    return told


def test_flash_attention_4_is_listed_where_it_is_installed(flash4: list[str]) -> None:
    assert attentions() == (*ATTENTIONS, FLASH4)
    assert FLASH4.backends == (SDPBackend.FLASH_ATTENTION,)


def test_flash_attention_4_is_registered_for_itself_alone(flash4: list[str]) -> None:
    with torchs_flash_afterwards():
        FLASH4(*qkv())
        FLASH4(*qkv())
        assert flash4 == ["registered"] and torch_attention.current_flash_attention_impl() == "FA4"
        FLASH(*qkv())
        assert flash4 == ["registered", "removed"]
        FLASH4(*qkv())
    assert flash4 == ["registered", "removed"] * 2 and torch_attention.current_flash_attention_impl() is None


def test_flash_attention_4_that_is_not_whole_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def register() -> None:
        raise ImportError("no module named cutlass")

    monkeypatch.setitem(torch_attention._registry._FLASH_ATTENTION_IMPLS, "FA4", register)
    assert not agrees(FLASH4, *qkv(), reference_rows(*qkv()))
    assert torch_attention.current_flash_attention_impl() is None


def test_without_flash_attn_it_is_not_listed() -> None:
    assert attentions() == ATTENTIONS
