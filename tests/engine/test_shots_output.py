"""Output that cannot be written: said in a sentence, nothing half-written under a final name, and resumable."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from rendering import contents, frames, render, write_plate

from layerflow import exr
from layerflow.errors import OutputError, RequestError
from layerflow.layers import LayerStack, PictureFormat
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"), size=(48, 64))


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, plate: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    render(tiny_model, folder, plate=plate)
    return contents(folder)


def test_too_little_room_is_told_before_any_work(tiny_model, tmp_path, plate, monkeypatch) -> None:
    said: list[Event] = []
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
        with pytest.raises(OutputError, match=r"has 0\.0 GB free and this needs about .* GB; free some space"):
            render(tiny_model, tmp_path, plate=plate, on_event=said.append)
    assert not said and not contents(tmp_path)


FRAME_BYTES = 48 * 64 * 11 * 2


class Disk:
    """Another program's writing fills it."""

    def __init__(self, free: int) -> None:
        self.free, self.fills_at = free, 0
        self.steps: list[int] = []

    def usage(self, path: Path) -> shutil._ntuple_diskusage:
        return shutil._ntuple_diskusage(10**9, 10**9 - self.free, self.free)

    def on_event(self, event: Event) -> None:
        if event.kind == "step":
            self.steps.append(event.done)
            self.free = 1000 if event.done == self.fills_at else self.free


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Has room for 11 frames and no more."""
    own = Disk(11 * FRAME_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", own.usage)
    return own


def test_room_is_looked_for_before_every_window(tiny_model, tmp_path, plate, disk, undisturbed) -> None:
    """A window may take an hour, and what it would write is known before."""
    disk.fills_at = 2
    with pytest.raises(
        OutputError, match=r"has 0\.0 GB free and the rest of the shot needs about .* GB; free some space"
    ):
        render(tiny_model, tmp_path, plate=plate, on_event=disk.on_event)
    assert disk.steps == [1, 2, 3]
    disk.free = 11 * FRAME_BYTES
    render(tiny_model, tmp_path, plate=plate, resume=True, on_event=disk.on_event)
    assert contents(tmp_path) == undisturbed and disk.steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_frames_that_are_there_need_no_more_room(tiny_model, tmp_path, plate, disk, undisturbed, how) -> None:
    render(tiny_model, tmp_path, plate=plate)
    for frame in (1002, 1011):
        (tmp_path / f"dog.{frame}.exr").unlink()
    disk.free = 2 * FRAME_BYTES - 1
    with pytest.raises(OutputError, match="this needs about"):
        render(tiny_model, tmp_path, plate=plate, **{how: True})
    disk.free += 1
    render(tiny_model, tmp_path, plate=plate, **{how: True})
    assert contents(tmp_path) == undisturbed


@contextmanager
def full_after(num_syncs: int, code: int, monkeypatch: pytest.MonkeyPatch, *, states: bool) -> Iterator[None]:
    """A disk on which every write of states, or of frames, fails with `code` after that many files and folders of them.

    Only this thread writes states, and frames are written on another.
    """
    real, count = os.fsync, iter(range(10_000))

    def fsync(handle: int) -> None:
        if states is (threading.current_thread() is threading.main_thread()) and next(count) >= num_syncs:
            raise OSError(code, os.strerror(code))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


# Each file is two syncs, its folder included. Of the states: request, 3 states; then 3 states of the second window.
# Every state is kept here, however little time has passed.
@pytest.mark.parametrize(
    ("states", "num_syncs", "num_written"),
    [
        *((True, num_syncs, 0) for num_syncs in (0, 2, 7)),
        *((True, num_syncs, 4) for num_syncs in (8, 9, 13)),
        *((False, num_syncs, (num_syncs + 1) // 2) for num_syncs in (0, 1, 4, 15, 16, 17, 20)),
    ],
)
def test_a_disk_that_fills_up(
    tiny_model, tmp_path, plate, undisturbed, monkeypatch, states, num_syncs, num_written
) -> None:
    monkeypatch.setattr("layerflow.journal.KEEP_EVERY_S", 0.0)
    with (
        full_after(num_syncs, errno.ENOSPC, monkeypatch, states=states),
        pytest.raises(OutputError, match=r"disk is full, .* was not written; free some space in .* and run again"),
    ):
        render(tiny_model, tmp_path, plate=plate)
    check_and_go_on(tiny_model, tmp_path, plate, undisturbed, num_written)


def check_and_go_on(model: Path, folder: Path, plate: str, undisturbed: dict[str, bytes], num_written: int) -> None:
    left = frames(folder)
    assert len(left) == num_written and all(left[name] == undisturbed[name] for name in left)
    assert not list(folder.rglob("*.part"))
    render(model, folder, plate=plate, resume=True)
    assert contents(folder) == undisturbed


@contextmanager
def files_no_larger_than(num_bytes: int) -> Iterator[None]:
    """Writing past `num_bytes` fails in the middle of a file, as on a full disk or over a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("missing", "sentence"), [(1, "was cut short"), (700, "was cut short"), (12000, "larger than this system lets")]
)
def test_a_frame_that_is_cut_while_it_is_written(tiny_model, tmp_path, plate, undisturbed, missing, sentence) -> None:
    size = len(undisturbed["dog.1001.exr"]) - missing
    with files_no_larger_than(size), pytest.raises(OutputError, match=sentence):
        render(tiny_model, tmp_path, plate=plate)
    assert (tmp_path / ".dog.layerflow" / "window-0000.safetensors").is_file()
    check_and_go_on(tiny_model, tmp_path, plate, undisturbed, 0)


@pytest.mark.parametrize("num_bytes", [0, 100, 2000])
def test_a_small_frame_that_is_cut(tmp_path: Path, num_bytes: int) -> None:
    pixels = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    stack = LayerStack(layers={"background": pixels}, frames=(1,), format=PictureFormat(width=16, height=16))
    with files_no_larger_than(num_bytes), pytest.raises(OutputError):
        exr.write_frame(tmp_path / "a.exr", stack, 0, header={})
    assert not contents(tmp_path)


def test_a_preview_that_cannot_be_written(tiny_model, tmp_path, plate, monkeypatch) -> None:
    (tmp_path / "dog.contact-sheet.png").mkdir()
    with pytest.raises(OutputError, match=r"contact-sheet\.png is a folder; remove it"):
        render(tiny_model, tmp_path, plate=plate, last_frame=1002, preview=True, overwrite=True)
    (tmp_path / "dog.contact-sheet.png").rmdir()
    result = render(tiny_model, tmp_path, plate=plate, last_frame=1002, preview=True, resume=True)
    assert result.contact_sheet.is_file() and len(frames(tmp_path)) == 4


OUT_OF_MEMORY = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out(tiny_model, tmp_path, plate, undisturbed, monkeypatch, error) -> None:
    def step(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("layerflow.sampler.Sampler.step", step)
        with pytest.raises(RequestError, match="not enough memory for this shot; close other programs, or"):
            render(tiny_model, tmp_path, plate=plate)
    check_and_go_on(tiny_model, tmp_path, plate, undisturbed, 0)


def test_another_error_of_the_network_is_not_taken_for_it(tiny_model, tmp_path, plate, monkeypatch) -> None:
    def step(*_: object, **__: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("layerflow.sampler.Sampler.step", step)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        render(tiny_model, tmp_path, plate=plate)


@pytest.mark.parametrize("name", ["dog.contact-sheet.png", "dog.preview.mp4"])
def test_a_preview_that_is_there_is_kept_unless_asked(tiny_model, tmp_path, plate, name) -> None:
    (tmp_path / name).write_text("of other frames")
    with pytest.raises(OutputError, match=f"{name} is already there; pass --overwrite, --resume or choose another"):
        render(tiny_model, tmp_path, plate=plate, last_frame=1001, preview=True)
    render(tiny_model, tmp_path, plate=plate, last_frame=1001)
    assert (tmp_path / name).read_text() == "of other frames"
    render(tiny_model, tmp_path, plate=plate, last_frame=1001, preview=True, overwrite=True)
    assert (tmp_path / name).stat().st_size > 100 and len(frames(tmp_path)) == 3


@pytest.mark.parametrize("mode", ["overwrite", "resume"])
@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_a_plate_is_never_written_over(tiny_model, tmp_path, mode, link) -> None:
    changing, out = write_plate(tmp_path / "plate", count=2), tmp_path / ("out" if link else "plate")
    out.mkdir(exist_ok=True)
    if link:
        link(tmp_path / "plate" / "dog.1002.exr", out / "dog.1002.exr")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="is one of the files that are read; choose another output"):
        render(tiny_model, out, plate=changing, **{mode: True})
    assert contents(tmp_path) == before


def a_file(place: Path) -> None:
    place.write_text("mine")


def a_dangling_link(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


def links_in_a_circle(place: Path) -> None:
    place.symlink_to(place)


@pytest.mark.parametrize("spoil", [a_file, a_dangling_link, links_in_a_circle])
@pytest.mark.parametrize("place", ["out", "out/dog.1003.exr", "out/.dog.layerflow"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_something_else_is_in_the_way(tiny_model, tmp_path, plate, spoil, place, overwrite) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    spoil(tmp_path / place)
    if overwrite and spoil is a_file and place.endswith(".exr"):
        render(tiny_model, tmp_path / "out", plate=plate, overwrite=True)
        assert len(frames(tmp_path / "out")) == 11
        return
    with pytest.raises(OutputError, match="; "):
        render(tiny_model, tmp_path / "out", plate=plate, overwrite=overwrite)
    mine = (tmp_path / place).read_text() if spoil is a_file else None
    assert mine in (None, "mine") and not (tmp_path / "nowhere").exists()
    assert not any(name.startswith("dog.1003") and spoil is not a_file for name in frames(tmp_path / "out"))


@pytest.mark.parametrize(
    ("code", "sentence"), [(errno.EROFS, "is read-only"), (errno.EACCES, "there is no permission")]
)
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_folder_that_may_not_be_written(tiny_model, tmp_path, plate, monkeypatch, code, sentence, call) -> None:
    """The system's refusal is played, as nothing is refused to a superuser."""
    real: Callable[..., int] = getattr(os, call)
    out = tmp_path / "out"

    def refuse(path: object, *rest: object, **options: object) -> int:
        if str(path).startswith(str(out)):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, *rest, **options)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OutputError, match=f"{sentence}.*; choose another output folder"):
        render(tiny_model, out, plate=plate)
    assert not contents(out)


@pytest.mark.parametrize("name", ["n" * 245, "n" * 300, "ü" * 126, "/".join(["n" * 200] * 30)])
@pytest.mark.parametrize("resume", [False, True])
def test_names_that_no_disk_takes(tiny_model, tmp_path, plate, name, resume) -> None:
    with pytest.raises(OutputError, match="too long for this disk; choose a shorter output name"):
        render(tiny_model, tmp_path, plate=plate, resume=resume, output=str(tmp_path / f"{name}.%04d.exr"))
    assert not contents(tmp_path)


@pytest.mark.parametrize("name", ["my dog's “best” take", "dög \U0001f415", "$(touch owned)", "-o --help", "%%"])
def test_names_that_artists_give(tiny_model, tmp_path, plate, name) -> None:
    output = str(tmp_path / name / f"{name}.####.exr")
    render(tiny_model, tmp_path, plate=plate, last_frame=1001, output=output)
    assert set(contents(tmp_path)) == {f"{name}/{name}.1001.exr"}
