"""Text embeddings on disk: bit for bit, bounded, nothing to be read from them, and never in a shot's way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from layerflow.models.cache import cache_path
from layerflow.models.text_cache import TextCache

DECIDES = {"precision": "float32", "text_encoder/model.safetensors": "f00d"}
PROMPT = "0, a red dog"


def numbers(seed: int = 0) -> torch.Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def cache(tmp_path: Path) -> TextCache:
    return TextCache(folder=tmp_path / "cache" / "text", decides=DECIDES)


def only_file(cache: TextCache) -> Path:
    (file,) = cache.folder.iterdir()
    return file


@pytest.mark.parametrize("embedding", [numbers(), numbers().bfloat16().float(), numbers().T, torch.zeros(5, 4)])
def test_bit_for_bit(cache: TextCache, embedding: torch.Tensor) -> None:
    assert cache.load(PROMPT) is None
    cache.save(PROMPT, embedding)
    found = cache.load(PROMPT)
    assert found is not None and found.dtype == torch.float32 and torch.equal(found, embedding)
    assert cache.load("0, a red dog ") is None


def test_what_ran_in_bfloat16_takes_half_the_room(cache: TextCache) -> None:
    sizes = []
    for embedding in (torch.randn(226, 64), torch.randn(226, 64).bfloat16().float()):
        cache.save(PROMPT, embedding)
        sizes.append(only_file(cache).stat().st_size)
    assert sizes[0] - sizes[1] == 226 * 64 * 2


@pytest.mark.parametrize("name", DECIDES)
def test_another_encoder_or_another_way_of_running_it_is_a_miss(cache: TextCache, name: str) -> None:
    cache.save(PROMPT, numbers())
    assert TextCache(folder=cache.folder, decides=DECIDES | {name: "other"}).load(PROMPT) is None
    assert TextCache(folder=cache.folder, decides=dict(reversed(DECIDES.items()))).load(PROMPT) is not None


def test_nothing_can_be_read_from_it(cache: TextCache) -> None:
    cache.save(PROMPT, numbers())
    file = only_file(cache)
    assert "dog" not in file.name and b"dog" not in file.read_bytes()
    assert cache.folder.stat().st_mode & 0o777 == 0o700


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_a_miss(cache: TextCache, data: st.DataObject) -> None:
    cache.save(PROMPT, numbers())
    whole = only_file(cache).read_bytes()
    place, length = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 12))
    damaged = whole[:place] + data.draw(st.binary(max_size=12)) + whole[place + length :]
    only_file(cache).write_bytes(damaged)
    found = cache.load(PROMPT)
    assert found is None or torch.equal(found, numbers())


@pytest.mark.parametrize("data", [b"", b"\0", b"{}", b"\xff" * 100, (2**63).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_none_of_ours_is_a_miss(cache: TextCache, data: bytes) -> None:
    cache.save(PROMPT, numbers())
    only_file(cache).write_bytes(data)
    assert cache.load(PROMPT) is None
    cache.save(PROMPT, numbers())
    assert cache.load(PROMPT) is not None


@pytest.mark.parametrize(
    "tensors",
    [
        {"embedding": torch.zeros(5, 4)},
        {"embedding": torch.zeros(5, 4), "digest": torch.zeros(32, dtype=torch.uint8)},
        {"embedding": torch.zeros(5, 4), "digest": torch.zeros(32)},
        {"embedding": torch.zeros(()), "digest": torch.zeros(0, dtype=torch.uint8)},
    ],
)
def test_somebody_else_s_tensors_are_a_miss(cache: TextCache, tensors: dict[str, torch.Tensor]) -> None:
    cache.save(PROMPT, numbers())
    save_file(tensors, only_file(cache))
    assert cache.load(PROMPT) is None


def test_one_prompt_s_file_does_not_serve_another(cache: TextCache) -> None:
    cache.save(PROMPT, numbers())
    data = only_file(cache).read_bytes()
    only_file(cache).unlink()
    cache.save("other", numbers(1))
    only_file(cache).write_bytes(data)
    assert cache.load("other") is None


def test_it_stays_within_its_bounds(cache: TextCache) -> None:
    cache.save("a", numbers())
    size = only_file(cache).stat().st_size
    small = TextCache(folder=cache.folder, decides=DECIDES, max_bytes=3 * size)
    for age, prompt in enumerate("abc"):
        small.save(prompt, numbers())
        os.utime(small._path(prompt), (age, age))
    (small.folder / ".left over.part").write_bytes(b"x")
    os.utime(small.folder / ".left over.part", (0, 0))
    assert small.load("a") is not None  # used again, and so the youngest
    small.save("d", numbers())
    assert {prompt for prompt in "abcd" if small.load(prompt) is not None} == set("acd")
    assert len(list(small.folder.iterdir())) == 3


def test_a_place_that_cannot_be_written_is_no_hindrance(cache: TextCache, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "text", tmp_path / "file", tmp_path / ("n" * 300)):
        refused = TextCache(folder=folder, decides=DECIDES)
        refused.save(PROMPT, numbers())
        assert refused.load(PROMPT) is None
    cache.folder.mkdir(parents=True)
    cache._path(PROMPT).mkdir()
    cache.save(PROMPT, numbers())
    assert cache.load(PROMPT) is None and not list(cache.folder.glob(".*"))


def test_a_full_disk_is_no_hindrance(cache: TextCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    cache.save(PROMPT, numbers())
    assert not list(cache.folder.iterdir())


def test_a_cache_that_may_only_be_read_still_serves(cache: TextCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    cache.save(PROMPT, numbers())
    monkeypatch.setattr(os, "utime", refuse)
    assert cache.load(PROMPT) is not None


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path))
    assert cache_path() == tmp_path
    monkeypatch.delenv("LAYERFLOW_CACHE")
    assert cache_path().name == "layerflow" and cache_path() != tmp_path
