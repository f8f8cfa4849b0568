"""Frames are read back once, as they come, and what changed after that is read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rendering import request, write_plate

from layerflow import exr, shots
from layerflow.errors import Interrupted, OutputError
from layerflow.server.checking import Checks
from layerflow.shots import ShotResult
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")
Make = Callable[..., ShotResult]


@pytest.fixture
def make(tiny_model: Path, tmp_path: Path) -> Make:
    """A function that makes a shot of two windows with its layers apart, of which `checks` is told."""
    asked = request(tiny_model, tmp_path / "out", plate=write_plate(tmp_path / "plate", count=12), per_layer=True)

    def made(checks: Checks, on_event: Callable[[Event], None] = lambda event: None) -> ShotResult:
        def tell(event: Event) -> None:
            checks.event(event)
            on_event(event)

        return shots.render(asked, accept=checks.begin, on_event=tell)

    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file was read back."""
    counts: Counter[Path] = Counter()
    verify = exr.verify_frame
    monkeypatch.setattr(exr, "verify_frame", lambda path: counts.update([path]) or verify(path))
    return counts


def files(result: ShotResult) -> set[Path]:
    return {*result.frames, *(path for paths in result.per_layer.values() for path in paths)}


def test_frames_are_read_while_others_are_made_and_none_twice(make: Make, read: Counter[Path]) -> None:
    at_the_end: list[set[Path]] = []
    with Checks() as checks:
        result = make(checks, lambda event: event.kind == "frame" and [each.result() for each in checks._read.values()])
        at_the_end.append(set(read))
        checks.finish(result, lambda: False)
    assert at_the_end == [files(result)] and len(files(result)) == 12 * 4
    assert set(read.values()) == {1} and set(read) == files(result)


def test_a_frame_that_is_damaged_later_is_found(make: Make) -> None:
    with Checks() as checks:
        result = make(checks)
        for each in checks._read.values():
            each.result()
        result.frames[3].write_bytes(result.frames[3].read_bytes()[:-100])
        with pytest.raises(OutputError, match=r"dog\.1004\.exr cannot be read back"):
            checks.finish(result, lambda: False)


def test_a_frame_that_another_machine_has_not_shown_yet_is_read_at_the_end(make: Make, monkeypatch) -> None:
    verify = exr.verify_frame
    with Checks() as checks:
        with monkeypatch.context() as patch:
            patch.setattr(exr, "verify_frame", lambda path: path.name != "dog.1002.exr" and verify(path))
            result = make(checks)
            for each in checks._read.values():
                each.result()
        checks.finish(result, lambda: False)


def test_a_stop_is_heard_between_frames(make: Make) -> None:
    with Checks() as checks:
        result = make(checks)
        with pytest.raises(Interrupted):
            checks.finish(result, lambda: True)
