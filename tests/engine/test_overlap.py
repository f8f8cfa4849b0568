"""A window is decoded, coloured and written while the next one is sampled: when, where, and what comes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from pictures import write_movie
from rendering import channels, frames, render, request, write_plate

from layerflow.codec import LinearCodec
from layerflow.delivery import Delivery
from layerflow.errors import OutputError, PlateError
from layerflow.frame_windows import Window
from layerflow.models.cache import cache_path
from layerflow.overlap import _Row
from layerflow.plate.movie import MovieReader
from layerflow.text import T5Text
from layerflow.wire import Event
from layerflow.worker import Worker

pytestmark = pytest.mark.usefixtures("one_thread")

PATIENCE_S = 60  # for what never comes when the code is broken


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Nine windows of 8 frames, each of which shares 4 with the one before."""
    return write_plate(tmp_path_factory.mktemp("plate"), count=40)


@pytest.fixture(scope="module")
def alone(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The pixels of each frame where nothing else is going on while a window is finished."""
    with pytest.MonkeyPatch.context() as patch:
        one_after_the_other(patch)
        made = render(tiny_model, tmp_path_factory.mktemp("alone"), plate=plate)
    return {path.name: pixels_of(path) for path in made.frames}


def one_after_the_other(patch: pytest.MonkeyPatch) -> None:
    """Has a window finished before the next one is begun."""
    make = _Row.make

    def make_whole(row: _Row, window: Window) -> None:
        make(row, window)
        row.finish_sampled()
        row.worker.wait(0)

    patch.setattr(_Row, "make", make_whole)


def on_step(number: int, do: Callable[[], Any]) -> Callable[[Event], None]:
    return lambda event: do() if (event.kind, event.done) == ("step", number) else None


def instead(target: Any, name: str, before: Callable[..., Any], patch: pytest.MonkeyPatch) -> None:
    """Has `before` called with the arguments of every call of `target.name`."""
    real = getattr(target, name)

    def replaced(*args: Any, **options: Any) -> Any:
        before(*args, **options)
        return real(*args, **options)

    patch.setattr(target, name, replaced)


def is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize("memory", ["full", "balanced", "low"])
def test_the_next_window_is_sampled_while_one_is_written(tiny_model, tmp_path, plate, monkeypatch, memory) -> None:
    sampling, wrote = threading.Event(), []
    instead(Delivery, "write", lambda *_: wrote.append(sampling.wait(PATIENCE_S)), monkeypatch)
    render(tiny_model, tmp_path, plate=plate, memory=memory, last_frame=1016, on_event=on_step(4, sampling.set))
    assert wrote == [True] * 16


@pytest.mark.parametrize(("memory", "aside"), [("full", True), ("balanced", False), ("low", False)])
def test_who_decodes(tiny_model, tmp_path, plate, monkeypatch, memory, aside) -> None:
    """Where the networks take turns on the device, this thread does, between two windows."""
    by: list[bool] = []
    sampling = threading.Event()

    def decoding(*_: Any) -> None:
        by.append(is_main())
        assert is_main() or sampling.wait(PATIENCE_S)

    instead(LinearCodec, "to_pixels", decoding, monkeypatch)
    render(tiny_model, tmp_path, plate=plate, memory=memory, last_frame=1016, on_event=on_step(4, sampling.set))
    assert by == [not aside] * 3


def test_the_codec_is_at_work_once_at_a_time(tiny_model, tmp_path, plate, monkeypatch) -> None:
    """A window is encoded while the one before wants to be decoded, and gets no company."""
    at_work, wanted = threading.Lock(), threading.Semaphore(1)  # nobody wants it when the first window is encoded

    def alone_in(name: str, before: Callable[[], Any]) -> None:
        real = getattr(LinearCodec, name)

        def working(*args: Any) -> Any:
            assert at_work.acquire(blocking=False)
            before()
            made = real(*args)
            at_work.release()
            return made

        monkeypatch.setattr(LinearCodec, name, working)

    instead(Worker, "job_holding", lambda *_: wanted.release(), monkeypatch)
    alone_in("to_latents", lambda: wanted.acquire(timeout=PATIENCE_S) or pytest.fail("nobody asked for the codec"))
    alone_in("to_pixels", lambda: None)
    assert len(render(tiny_model, tmp_path, plate=plate).frames) == 40


def test_a_slow_disk_makes_sampling_wait(tiny_model, tmp_path, plate, monkeypatch) -> None:
    """One window is written, one waits, one is sampled: 9 steps; the fourth is not begun."""
    monkeypatch.setattr("layerflow.worker.POLL_S", 0.001)
    gate, steps, asked = threading.Event(), [], []
    instead(Delivery, "write", lambda *_: gate.wait(PATIENCE_S), monkeypatch)

    def stopped() -> bool:
        asked.append(len(steps))
        if asked.count(9) == 50:  # more than any window asks while it is read and sampled
            gate.set()
        return False

    def on_event(event: Event) -> None:
        if event.kind == "step":
            steps.append(event.done)

    render(tiny_model, tmp_path, plate=plate, stopped=stopped, on_event=on_event)
    assert asked.count(9) >= 50 and steps == list(range(1, 28))


def test_the_same_pixels_as_one_after_the_other(tiny_model, tmp_path, plate, alone) -> None:
    made = render(tiny_model, tmp_path, plate=plate)
    assert {path.name: pixels_of(path) for path in made.frames} == alone


def pixels_of(path: Path) -> dict[str, bytes]:
    return {name: plane.tobytes() for name, plane in channels(path).items()}


def test_events_come_from_the_caller_s_thread_and_in_order(tiny_model, tmp_path, plate) -> None:
    said: list[Event] = []
    by: list[bool] = []

    def stopped() -> bool:
        by.append(is_main())
        return False

    def on_event(event: Event) -> None:
        by.append(is_main())
        said.append(event)

    render(tiny_model, tmp_path, plate=plate, on_event=on_event, stopped=stopped)
    assert all(by)
    assert [event.done for event in said if event.kind == "frame"] == [4, 8, 12, 16, 20, 24, 28, 32, 40]
    assert [event.done for event in said if event.kind == "step"] == list(range(1, 28))


def test_an_error_of_the_writer_ends_the_sampling_after_the_next_step(tiny_model, tmp_path, plate, monkeypatch) -> None:
    jobs: list[Any] = []
    steps: list[int] = []

    def full(*_: Any) -> None:
        raise OutputError("the disk is full; free some space")

    def on_event(event: Event) -> None:
        if event.kind == "step":
            steps.append(event.done)
            wait(jobs, PATIENCE_S)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="disk is full"):
        instead(Delivery, "write", full, patch)
        submit = ThreadPoolExecutor.submit
        patch.setattr(ThreadPoolExecutor, "submit", lambda *args: jobs.append(submit(*args)) or jobs[-1])
        render(tiny_model, tmp_path, plate=plate, on_event=on_event)
    assert steps == [1, 2, 3, 4] and not frames(tmp_path)
    steps.clear()
    render(tiny_model, tmp_path, plate=plate, resume=True, on_event=on_event)
    assert steps == list(range(5, 28)) and len(frames(tmp_path)) == 40


def test_a_plate_that_fails_later_leaves_the_windows_before_it_whole(tiny_model, tmp_path) -> None:
    changing = write_plate(tmp_path / "plate", count=24)
    cut = tmp_path / "plate" / "dog.1020.exr"

    with pytest.raises(PlateError, match="1020"):
        render(tiny_model, tmp_path / "out", plate=changing, on_event=on_step(4, lambda: cut.write_bytes(b"")))
    assert len(frames(tmp_path / "out")) == 12


def test_a_movie_is_read_by_both(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread has a decoder of its own; the frames are those that one of them alone reads."""
    readers: list[tuple[MovieReader, bool]] = []
    instead(MovieReader, "read", lambda self, _: readers.append((self, is_main())), monkeypatch)
    movie = str(write_movie(tmp_path / "clip.mov", count=24))
    whole = render(tiny_model, tmp_path / "out", plate=movie)
    # Five windows of 8 frames; then all 24 again, and of each window but the last the one after, to refine its own by.
    assert len(readers) == 5 * 8 + 24 + 4
    assert len({id(reader) for reader, _ in readers}) == len(set(readers)) == 2
    one_after_the_other(monkeypatch)
    again = render(tiny_model, tmp_path / "again", plate=movie)
    assert [pixels_of(path) for path in again.frames] == [pixels_of(path) for path in whole.frames]


def test_prompts_are_encoded_once_for_all_windows(tiny_model, tmp_path, plate, monkeypatch) -> None:
    """Though nothing can be kept on disk."""
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "a file"))
    (tmp_path / "a file").write_text("")
    assert not cache_path().is_dir()
    encoded: list[str] = []
    instead(T5Text, "encode", lambda self, prompts: encoded.extend(prompts), monkeypatch)
    for memory in ("full", "balanced"):
        encoded.clear()
        render(tiny_model, tmp_path / memory, plate=plate, last_frame=1024, memory=memory)
        assert len(encoded) == len(set(encoded)) > 0


STOPPED = """
import sys, threading, torch
from functools import partial
from layerflow import shots
from layerflow.cli.shot import run_shot
from layerflow.delivery import Delivery
from layerflow.errors import Interrupted
from layerflow.wire import Request

request, = sys.argv[1:]
write = Delivery.write
def slowly(self, frame, layers, header):
    if frame == 1005:
        print("here", flush=True)
        while True:
            torch.zeros(1)
    return write(self, frame, layers, header)
Delivery.write = slowly
try:
    run_shot(partial(shots.render, Request.from_json(request)), as_json=False)
except Interrupted:
    print([thread.name for thread in threading.enumerate()], flush=True)
"""


@pytest.mark.parametrize("wish", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_while_the_other_thread_writes(tiny_model, tmp_path, plate, wish) -> None:
    command = [sys.executable, "-c", STOPPED, request(tiny_model, tmp_path, plate=plate).to_json()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(wish)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "['MainThread']\n")
    assert len(frames(tmp_path)) == 4 and not list(tmp_path.rglob("*.part"))
