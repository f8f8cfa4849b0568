"""A shot made in parts: the bytes of the plain command, in any order, at once, and after a part has died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rendering import contents, frames, render, request, write_plate

from layerflow import exr, parts, shots
from layerflow.errors import Interrupted, OutputError, RequestError
from layerflow.provenance import MADE_BY, all_of
from layerflow.wire import Event, Request

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_WINDOWS = 4

SAMPLES = """
import sys
from layerflow import parts
from layerflow.wire import Request

def on_event(event):
    print(event.kind, event.done, flush=True)
    if (event.kind, event.done) == ("step", last):
        sys.stdin.read()

request, first, stop, last = sys.argv[1], *map(int, sys.argv[2:])
parts.sample(Request.from_json(request), windows=range(first, stop), on_event=on_event)
"""


class Steps(list[int]):
    """How many were done at each step."""

    def hear(self, event: Event) -> None:
        """Takes an event of a shot."""
        if event.kind == "step":
            self.append(event.done)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four windows of 8 frames, each of which shares 4 with the one before."""
    return write_plate(tmp_path_factory.mktemp("plate"), count=20)


@pytest.fixture(scope="module")
def plain(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("plain")
    render(tiny_model, folder, plate=plate)
    return contents(folder)


def sampling(asked: Request, windows: range, *, stands_at: int = -1) -> subprocess.Popen[str]:
    """A process that samples those windows, and stands still at a step until its stdin is closed."""
    numbers = [str(number) for number in (windows.start, windows.stop, stands_at)]
    return subprocess.Popen(
        [sys.executable, "-c", SAMPLES, asked.to_json(), *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    assert process.stdout is not None
    assert any(line == f"step {step}\n" for line in process.stdout)


def test_what_is_planned(tiny_model, tmp_path, plate) -> None:
    plan = parts.prepare(request(tiny_model, tmp_path, plate=plate))
    assert [(part.window, part.frames, part.after) for part in plan.parts] == [
        (1, (1001, 1004), None),
        (2, (1005, 1008), None),
        (3, (1009, 1012), None),
        (4, (1013, 1020), None),
    ]
    assert not plan.in_order and plan.model == "tiny" and len(plan.model_sha256) == 64
    written = json.loads((tmp_path / ".dog.layerflow" / "parts.json").read_text())
    assert [part["window"] for part in written["parts"]] == [1, 2, 3, 4]
    assert not frames(tmp_path)


def test_parts_in_any_order_are_the_plain_command(tiny_model, tmp_path, plate, plain) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    for window in (2, 0, 3, 1):
        assert parts.sample(asked, windows=range(window, window + 1)) == (window,)
    assert not frames(tmp_path)
    said: list[Event] = []
    parts.assemble(asked, on_event=said.append)
    assert contents(tmp_path) == plain
    assert not [event for event in said if event.kind == "step"]  # nothing is sampled again
    assert {path.name for path in parts.verify(asked)} == set(plain)


@pytest.mark.long
def test_two_processes_at_once_one_of_which_is_killed(tiny_model, tmp_path, plate, plain) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    killed, other = sampling(asked, range(2), stands_at=4), sampling(asked, range(2, 4), stands_at=2)
    with killed, other:
        wait_for_step(killed, 4)
        wait_for_step(other, 2)  # both are in the middle of it
        killed.kill()
        other.communicate("")
    assert (killed.returncode, other.returncode) == (-9, 0)
    with pytest.raises(OutputError, match=r"window 2 of 4 at .* is not sampled; run layerflow part sample"):
        parts.assemble(asked)
    with sampling(asked, range(2)) as again:
        said, _ = again.communicate("")
    assert again.returncode == 0 and "step 3\n" not in said and "step 6\n" in said
    parts.assemble(asked)
    assert contents(tmp_path) == plain


@pytest.mark.long
def test_the_same_part_twice_at_once(tiny_model, tmp_path, plate, plain) -> None:
    """As when a scheduler takes a worker for lost that is not."""
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    with sampling(asked, range(4), stands_at=5) as one, sampling(asked, range(4), stands_at=5) as other:
        wait_for_step(one, 5)
        wait_for_step(other, 5)
        assert one.stdin is not None
        one.stdin.close()
        other.communicate("")
        one.wait()
    assert (one.returncode, other.returncode) == (0, 0)
    parts.assemble(asked)
    assert contents(tmp_path) == plain


def test_a_part_that_is_stopped_goes_on(tiny_model, tmp_path, plate, plain) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    steps = Steps()
    with pytest.raises(Interrupted):
        parts.sample(asked, windows=range(1, 3), on_event=steps.hear, stopped=lambda: steps[-1:] == [4])
    assert parts.sample(asked, windows=range(1, 3), on_event=steps.hear) == (2,)
    assert steps == [1, 2, 3, 4, 5, 6]
    assert parts.sample(asked, windows=range(4)) == (0, 3)
    assert parts.sample(asked, windows=range(4)) == ()
    parts.assemble(asked)
    assert contents(tmp_path) == plain


def test_assembling_that_is_stopped_goes_on(tiny_model, tmp_path, plate, plain) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    parts.sample(asked, windows=range(4))
    written: list[int] = []

    def on_event(event: Event) -> None:
        if event.kind == "frame":
            written.append(event.done)

    with pytest.raises(Interrupted):
        parts.assemble(asked, on_event=on_event, stopped=lambda: bool(written))
    parts.prepare(asked)  # as a scheduler does that begins at the first step again
    assert parts.sample(asked, windows=range(4)) == ()
    parts.assemble(asked, on_event=on_event)
    assert contents(tmp_path) == plain and written[-1] == 20


def test_a_shot_that_is_done_is_done(tiny_model, tmp_path, plate, plain) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    render(tiny_model, tmp_path, plate=plate)
    assert parts.sample(asked, windows=range(4)) == ()  # as when one part is sent again afterwards
    parts.prepare(asked)
    assert parts.sample(asked, windows=range(4)) == ()
    parts.assemble(asked)
    assert contents(tmp_path) == plain


def test_one_frame_that_was_lost_is_made_again(tiny_model, tmp_path, plate, plain) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    render(tiny_model, tmp_path, plate=plate)
    (tmp_path / "dog.1010.exr").unlink()
    with pytest.raises(OutputError, match=r"dog\.1010\.exr is missing, damaged or of another request, as 1 of 20"):
        parts.verify(asked)
    parts.prepare(asked)
    assert parts.sample(asked, windows=range(4)) == (1, 2)  # its own window, and the one that it fades in from
    parts.assemble(asked)
    assert contents(tmp_path) == plain


@pytest.mark.parametrize(
    ("options", "task"),
    [
        ({"foregrounds": ("a dog", "a cat"), "foreground": ""}, "decompose"),
        ({"closeup": True}, "decompose"),
        ({"num_frames": 12}, "generate"),
    ],
)
def test_other_shots_than_plain_ones(tiny_model, tmp_path, plate, options, task) -> None:
    source = {} if task == "generate" else {"plate": plate}
    render(tiny_model, tmp_path / "plain", task=task, **source, **options)
    asked = request(tiny_model, tmp_path / "parts", task=task, **source, **options)
    plan = parts.prepare(asked)
    parts.sample(asked, windows=range(len(plan.parts)))
    said: list[Event] = []
    parts.assemble(asked, on_event=said.append)
    assert contents(tmp_path / "parts") == contents(tmp_path / "plain")
    assert not [event for event in said if event.kind == "step"]


def test_windows_that_go_on_from_each_other_are_one_part(tiny_model, tmp_path) -> None:
    asked = request(tiny_model, tmp_path, task="generate", num_frames=16)
    plan = parts.prepare(asked)
    assert plan.in_order and [part.after for part in plan.parts] == [None, 1, 2]
    with pytest.raises(RequestError, match="goes on from the one before; sample all of them in one part, 1-3"):
        parts.sample(asked, windows=range(1, 3))


def test_windows_that_go_on_do_so_after_a_stop(tiny_model, tmp_path) -> None:
    asked = request(tiny_model, tmp_path / "parts", task="generate", num_frames=16)
    render(tiny_model, tmp_path / "plain", task="generate", num_frames=16)
    parts.prepare(asked)
    steps = Steps()
    with pytest.raises(Interrupted):
        parts.sample(asked, windows=range(3), on_event=steps.hear, stopped=lambda: steps[-1:] == [4])
    parts.sample(asked, windows=range(3), on_event=steps.hear)
    assert steps == list(range(1, 10))
    parts.assemble(asked)
    assert contents(tmp_path / "parts") == contents(tmp_path / "plain")


@pytest.mark.parametrize("windows", [range(4, 5), range(2, 2), range(3, 6), range(-1, 2)])
def test_windows_that_are_not_there_are_refused(tiny_model, tmp_path, plate, windows) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    with pytest.raises(RequestError, match=r"the shot has windows 1-4, got .*; layerflow part prepare lists them"):
        parts.sample(asked, windows=windows)


def test_what_is_not_prepared_is_refused(tiny_model, tmp_path, plate) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    with pytest.raises(OutputError, match=r"no shot is prepared at .*; run layerflow part prepare first"):
        parts.sample(asked, windows=range(1))
    with pytest.raises(OutputError, match=r"windows 1, 2, 3, 4 of 4 at .* are not sampled"):
        parts.assemble(asked)
    assert not contents(tmp_path)


def test_another_request_is_refused(tiny_model, tmp_path, plate) -> None:
    parts.prepare(request(tiny_model, tmp_path, plate=plate))
    before = contents(tmp_path)
    other = request(tiny_model, tmp_path, plate=plate, seed=1)
    for refused in (parts.prepare, parts.assemble, lambda it: parts.sample(it, windows=range(1))):
        with pytest.raises(OutputError, match=r"unfinished shot in .* was made with another seed; repeat its options"):
            refused(other)
    assert contents(tmp_path) == before


def test_a_plate_that_changed_meanwhile_is_refused(tiny_model, tmp_path) -> None:
    changing = write_plate(tmp_path / "plate", count=9)
    asked = request(tiny_model, tmp_path / "out", plate=changing)
    parts.prepare(asked)
    write_plate(tmp_path / "plate", count=9, dim=0.5)
    with pytest.raises(OutputError, match=r"dog\.1001\.exr has changed since"):
        parts.sample(asked, windows=range(1))
    shots.render(asked)
    write_plate(tmp_path / "plate", count=9)
    parts.prepare(asked, overwrite=True)
    assert parts.sample(asked, windows=range(2)) == (0, 1)  # frames of the other plate do not count
    parts.assemble(asked)
    render(tiny_model, tmp_path / "fresh", plate=changing)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_an_edit_of_a_plate_is_refused(tiny_model, tmp_path, plate) -> None:
    asked = request(tiny_model, tmp_path, task="edit", plate=plate, keep=("background",))
    with pytest.raises(RequestError, match=r"an edit of a plate is two shots.*decompose the plate first"):
        parts.prepare(asked)


def test_frames_name_the_machine_that_sampled_them(tiny_model, tmp_path, plate, plain, monkeypatch) -> None:
    asked = request(tiny_model, tmp_path, plate=plate)
    parts.prepare(asked)
    with monkeypatch.context() as patch:
        patch.setattr("layerflow.shot.environment_of", lambda engine: {"layerflow:device": "cuda", MADE_BY: "tensorrt"})
        parts.sample(asked, windows=range(1, 2))
    parts.sample(asked, windows=range(4))
    parts.assemble(asked)
    there = {frame: exr.read_header(tmp_path / f"dog.{frame}.exr") for frame in (1004, 1005, 1008, 1009)}
    assert [there[frame]["layerflow:device"] for frame in there] == ["cpu", "cuda, cpu", "cuda, cpu", "cpu"]
    assert there[1005][MADE_BY] == "tensorrt, eager"
    left = contents(tmp_path)
    assert all(left[f"dog.{frame}.exr"] == plain[f"dog.{frame}.exr"] for frame in (1004, 1009))


def test_a_header_tells_of_every_machine() -> None:
    there = {"layerflow:device": "cuda", "layerflow:libraries": "torch 2.12.0, numpy 2.4.0"}
    here = {"layerflow:device": "cpu", "layerflow:libraries": "torch 2.13.0, numpy 2.4.0"}
    assert all_of(there, here) == {
        "layerflow:device": "cuda, cpu",
        "layerflow:libraries": "torch 2.12.0, numpy 2.4.0, torch 2.13.0",
    }
    assert all_of({}, here) == here
