"""What is noted stays, and a file that cannot be read or written never stands in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerflow_export.notes import Notes


def test_words_stay(tmp_path: Path) -> None:
    notes = Notes(file=tmp_path / "deep" / "notes.json")
    assert notes.read() == {}
    notes.add("a", "one")
    notes.add("b", "two")
    notes.add("a", "three")
    assert Notes(file=notes.file).read() == {"a": "three", "b": "two"}
    assert [path.name for path in notes.file.parent.iterdir()] == ["notes.json"]


@pytest.mark.parametrize("damaged", [b"", b"\xff\x00", b'{"a": "on', b'["a"]', b"null", b'{"a": 1}'])
def test_a_damaged_file_is_made_again(tmp_path: Path, damaged: bytes) -> None:
    notes = Notes(file=tmp_path / "notes.json")
    notes.file.write_bytes(damaged)
    assert notes.read() == {}
    notes.add("a", "one")
    assert notes.read() == {"a": "one"}


def test_a_file_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    notes = Notes(file=tmp_path / "file" / "notes.json")
    notes.add("a", "one")
    assert notes.read() == {}
