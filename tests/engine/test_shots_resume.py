"""Stopping, dying and going on: the same bytes as an undisturbed run, and nobody's frames lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pictures import gradient, write_image
from rendering import contents, frames, render, request, stopping_at, write_plate

from layerflow import exr, shots
from layerflow.delivery import Delivery
from layerflow.errors import Interrupted, OutputError
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run leaves: 11 frames in two windows, which share four of them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    render(tiny_model, folder, plate=plate)
    return contents(folder)


def after(calls: int) -> Callable[[], bool]:
    """A `stopped` that turns true at its call number `calls`."""
    count: Iterator[int] = iter(range(1, 10_000))
    return lambda: next(count) >= calls


# What asks: 8 frames read, 3 steps of 2 blocks, 8 frames read for the next window; meanwhile the first may be written.
@pytest.mark.parametrize(("calls", "most_written"), [(1, 0), (9, 0), (12, 0), (15, 4), (19, 4)])
def test_stopping_at_any_moment(tiny_model, tmp_path, plate, undisturbed, calls, most_written) -> None:
    with pytest.raises(Interrupted, match="--resume goes on from here"):
        render(tiny_model, tmp_path, plate=plate, stopped=after(calls))
    assert len(frames(tmp_path)) <= most_written
    check_and_go_on(tiny_model, tmp_path, plate, undisturbed, len(frames(tmp_path)))


@pytest.mark.parametrize("number", [1001, 1004, 1008, 1010])
def test_stopping_while_a_frame_is_written(tiny_model, tmp_path, plate, undisturbed, monkeypatch, number) -> None:
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="--resume goes on from here"):
        render(tiny_model, tmp_path, plate=plate, stopped=stopping_at(number, patch))
    check_and_go_on(tiny_model, tmp_path, plate, undisturbed, number - 1001)


def check_and_go_on(model: Path, folder: Path, plate: str, undisturbed: dict[str, bytes], num_written: int) -> None:
    left = frames(folder)
    assert len(left) == num_written and all(left[name] == undisturbed[name] for name in left)
    assert not list(folder.rglob("*.part"))
    render(model, folder, plate=plate, resume=True)
    assert contents(folder) == undisturbed


def stop_in_the_second_window(model: Path, folder: Path, plate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops a shot after step 4, the first window's frames being there."""
    there, asked, write = threading.Semaphore(0), threading.Event(), Delivery.write

    def written(*args: Any) -> Any:
        notes = write(*args)
        there.release()
        return notes

    def on_event(event: Event) -> None:
        if (event.kind, event.done) == ("step", 4):
            assert all(there.acquire(timeout=60) for _ in range(4))
            asked.set()

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Delivery, "write", written)
        render(model, folder, plate=plate, on_event=on_event, stopped=asked.is_set)


def test_steps_that_were_done_are_not_done_again(tiny_model, tmp_path, plate, monkeypatch) -> None:
    stop_in_the_second_window(tiny_model, tmp_path, plate, monkeypatch)
    said: list[Event] = []
    render(tiny_model, tmp_path, plate=plate, resume=True, on_event=said.append)
    assert [event.done for event in said if event.kind == "step"] == [5, 6]
    assert [event.done for event in said if event.kind == "frame"] == [4, 11]


DIES = """
import pathlib, sys, threading, time
from layerflow import shots
from layerflow.wire import Request

def stand_still():
    print("here", flush=True)
    time.sleep(300)

def on_event(event):
    if (event.kind, event.done) == ("step", 4) and moment == "step":
        is_finished.wait()
        stand_still()

is_finished = threading.Event()  # the first window
replace = pathlib.Path.replace
def replace_slowly(part, final):
    if final.name == moment:
        stand_still()
    replace(part, final)
    if final.name == "dog.1004.exr":
        is_finished.set()

moment, request = sys.argv[1:]
pathlib.Path.replace = replace_slowly
shots.render(Request.from_json(request), on_event=on_event)
"""


@pytest.mark.parametrize(
    ("moment", "num_written"),
    [
        ("step", 4),
        pytest.param("dog.1003.exr", 2, marks=pytest.mark.long),
        ("dog.1005.exr", 4),
        pytest.param("dog.1010.exr", 9, marks=pytest.mark.long),
    ],
)
def test_kill_9(tiny_model, tmp_path, plate, undisturbed, moment, num_written) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    command = [sys.executable, "-c", DIES, moment, asked.to_json()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        process.kill()
    left = frames(tmp_path)
    assert len(left) == num_written and all(left[name] == undisturbed[name] for name in left)
    shots.render(asked, resume=True)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"foreground": "a cat"}, "foreground"),
        ({"steps": 4, "guidance": 2.0}, "guidance, steps"),
        ({"last_frame": 1009}, "last_frame"),
        ({"alpha": "premultiplied"}, "alpha"),
    ],
)
def test_resume_with_other_options_is_refused(tiny_model, tmp_path, plate, changes, named) -> None:
    with pytest.raises(Interrupted):
        render(tiny_model, tmp_path, plate=plate, stopped=after(19))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"unfinished shot in .* was made with another {named}; repeat its options"):
        render(tiny_model, tmp_path, plate=plate, resume=True, **changes)
    assert contents(tmp_path) == before


def test_resume_with_another_plate_under_the_old_name_is_refused(tiny_model, tmp_path, monkeypatch) -> None:
    changing = write_plate(tmp_path / "plate", count=9)
    stop_in_the_second_window(tiny_model, tmp_path / "out", changing, monkeypatch)
    before = contents(tmp_path / "out")
    write_plate(tmp_path / "plate", count=9, dim=0.5)
    with pytest.raises(OutputError, match=r"dog\.1001\.exr has changed since .*; put the old file back"):
        render(tiny_model, tmp_path / "out", plate=changing, resume=True)
    assert contents(tmp_path / "out") == before
    render(tiny_model, tmp_path / "out", plate=changing, overwrite=True)
    render(tiny_model, tmp_path / "fresh", plate=changing)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_resume_after_the_end_changes_nothing(tiny_model, tmp_path, plate, undisturbed) -> None:
    render(tiny_model, tmp_path, plate=plate)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    render(tiny_model, tmp_path, plate=plate, resume=True)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    with pytest.raises(OutputError, match="was made with other options or by another program"):
        render(tiny_model, tmp_path, plate=plate, resume=True, seed=1)
    assert contents(tmp_path) == undisturbed


def test_resume_does_not_replace_frames_of_another_program(tiny_model: Path, tmp_path: Path, plate: str) -> None:
    theirs = write_image(tmp_path / "dog.1004.exr", gradient()).read_bytes()
    with pytest.raises(OutputError, match=r"dog\.1004\.exr was made with other options or by another program"):
        render(tiny_model, tmp_path, plate=plate, resume=True)
    assert contents(tmp_path) == {"dog.1004.exr": theirs}


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 999])
def test_resume_makes_damaged_frames_and_states_again(
    tiny_model, tmp_path, plate, undisturbed, monkeypatch, damage
) -> None:
    stop_in_the_second_window(tiny_model, tmp_path, plate, monkeypatch)
    for path in (tmp_path / "dog.1002.exr", *tmp_path.glob(".dog.layerflow/*.safetensors")):
        path.write_bytes(damage(path.read_bytes()))
    render(tiny_model, tmp_path, plate=plate, resume=True)
    assert contents(tmp_path) == undisturbed


def test_a_damaged_journal_counts_as_none(tiny_model, tmp_path, plate, undisturbed) -> None:
    with pytest.raises(Interrupted):
        render(tiny_model, tmp_path, plate=plate, stopped=after(15), seed=1)
    (tmp_path / ".dog.layerflow" / "request.json").write_text('{"layerflow:seed"')
    render(tiny_model, tmp_path, plate=plate, resume=True)
    assert contents(tmp_path) == undisturbed


def test_starting_anew_forgets_what_was_stopped(tiny_model, tmp_path, plate, undisturbed) -> None:
    with pytest.raises(Interrupted):
        render(tiny_model, tmp_path, plate=plate, stopped=after(15), seed=1)
    render(tiny_model, tmp_path, plate=plate)
    assert contents(tmp_path) == undisturbed


def test_frames_that_are_there_are_not_touched_unasked(tiny_model: Path, tmp_path: Path, plate: str) -> None:
    theirs = write_image(tmp_path / "dog.1004.exr", gradient()).read_bytes()
    with pytest.raises(OutputError, match=r"dog\.1004\.exr is already there; pass --overwrite, --resume or choose"):
        render(tiny_model, tmp_path, plate=plate)
    assert contents(tmp_path) == {"dog.1004.exr": theirs}


def test_overwrite_makes_every_frame_again(tiny_model: Path, tmp_path: Path) -> None:
    changing = write_plate(tmp_path / "plate", count=3)
    render(tiny_model, tmp_path / "out", plate=changing)
    write_plate(tmp_path / "plate", count=3, dim=0.5)  # the plate was rendered again under its old name
    render(tiny_model, tmp_path / "out", plate=changing, overwrite=True)
    render(tiny_model, tmp_path / "fresh", plate=changing)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_resume_adds_the_layers_that_are_missing(tiny_model, tmp_path, plate, undisturbed) -> None:
    render(tiny_model, tmp_path, plate=plate)
    (tmp_path / "dog.1009.exr").unlink()
    render(tiny_model, tmp_path, plate=plate, resume=True, per_layer=True)
    left = contents(tmp_path)
    assert len(left) == 44 and all(left[name] == data for name, data in undisturbed.items())
    assert all(exr.verify_frame(tmp_path / name) for name in left)
