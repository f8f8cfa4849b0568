"""Hashes of large files, remembered as long as nothing says that they changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from layerflow.models import hashes
from layerflow.models.cache import cache_path
from layerflow.models.hashes import remembered_sha256


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Every file that is read for its hash; all of them count as large."""
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "LARGE", 0)
    read: list[Path] = []
    whole = hashes.file_sha256
    monkeypatch.setattr(hashes, "file_sha256", lambda path: read.append(path) or whole(path))
    return read


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_large_file_is_read_once(reads: list[Path], tmp_path: Path) -> None:
    file = written(tmp_path / "weights", b"one")
    expected = hashlib.sha256(b"one").hexdigest()
    assert [remembered_sha256(file) for _ in range(3)] == [expected] * 3 and reads == [file]
    os.link(file, tmp_path / "link")  # another model of the family
    assert remembered_sha256(tmp_path / "link") == expected and len(reads) == 1


@pytest.mark.parametrize("content", [b"two", b"longer"])
def test_a_file_that_changed_is_read_again(reads: list[Path], tmp_path: Path, content: bytes) -> None:
    file = written(tmp_path / "weights", b"one")
    remembered_sha256(file)
    before = file.stat().st_mtime_ns
    written(file, content)
    os.utime(file, ns=(before + 1, before + 1))
    assert remembered_sha256(file) == hashlib.sha256(content).hexdigest() and len(reads) == 2


def test_a_small_file_is_read_every_time(reads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "LARGE", 4)
    file = written(tmp_path / "config", b"one")
    assert remembered_sha256(file) == remembered_sha256(file) and len(reads) == 2
    assert not cache_path().exists()


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    reads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "weights", b"one")
    monkeypatch.setattr(hashes, "file_sha256", lambda path: written(path, b"other") and "half")
    assert remembered_sha256(file) == "half"
    assert not (cache_path() / "hashes.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_damaged_memory_counts_as_none(reads: list[Path], tmp_path: Path, content: bytes) -> None:
    cache_path().mkdir()
    written(cache_path() / "hashes.json", content)
    file = written(tmp_path / "weights", b"one")
    assert remembered_sha256(file) == remembered_sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == [file]


def test_without_a_place_to_remember_the_file_is_read(reads: list[Path], tmp_path: Path) -> None:
    written(cache_path(), b"a file where the folder should be")
    file = written(tmp_path / "weights", b"one")
    assert remembered_sha256(file) == remembered_sha256(file) == hashlib.sha256(b"one").hexdigest()
    assert reads == [file, file]


def test_only_the_latest_are_remembered(reads: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "MAX_KNOWN", 2)
    one, two, three = (written(tmp_path / name, name.encode()) for name in ("one", "two", "three"))
    for file in (one, two, three, three, two, one):
        remembered_sha256(file)
    assert reads == [one, two, three, one]
