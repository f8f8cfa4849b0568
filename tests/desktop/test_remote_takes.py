"""Takes of an engine on another machine: their files go there and come back, and the artist sees how far they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from elsewhere import MIB, Elsewhere, own_places, served_elsewhere, write_plate
from pumping import Desk, desk
from test_generating import Sitting, sitting

from layerflow.wire import line, remote
from layerflow.wire.versions import Frames
from layerflow_desktop.controllers import carrying
from layerflow_desktop.controllers.carrying import Carrying
from layerflow_desktop.models.document import Document, ShotSettings, Take

__all__ = ["own_places"]


@pytest.fixture
def elsewhere(own_places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    monkeypatch.delenv("LAYERFLOW_REMOTE")
    monkeypatch.setattr(carrying, "TELL_S", 0.0)
    monkeypatch.setattr(line, "PATIENCE_S", 0.5)
    with served_elsewhere(tmp_path) as elsewhere:
        remote.remember(elsewhere.server)
        yield elsewhere


@pytest.fixture
def studio(elsewhere: Elsewhere, tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as found:
        found.pump.until(lambda: found.queue.has_looked)
        yield found


def document(tmp_path: Path, *sizes: int, output: str = "dog") -> Document:
    plate = str(write_plate(tmp_path / "shot", *sizes).plate)
    shot = {
        "task": "decompose",
        "plate": plate,
        "foreground": "a dog",
        "output": str(tmp_path / "out" / f"{output}.%04d.exr"),
    }
    return Document(shot=ShotSettings(**shot))


def made(take: Take, *sizes: int) -> dict[Path, bytes]:
    frames = Frames.of(take.pattern)
    return {Path(frames.path(number)): random.Random(number).randbytes(size) for number, size in enumerate(sizes, 1001)}


def seen(sitting: Sitting) -> list[str]:
    """What the artist reads of the first take, each line once, from now on."""
    lines: list[str] = []

    def look() -> None:
        status = sitting.generating.status_of(sitting.takes[0]) if sitting.takes else None
        if status is not None and status.text not in lines:
            lines.append(status.text)

    sitting.generating.changed.connect(look)
    return lines


def test_a_take_is_made_elsewhere(studio: Desk, elsewhere: Elsewhere, tmp_path: Path) -> None:
    assert studio.engine.text == "The engine is ready on 2 cores at 127.0.0.2."
    with sitting(studio, document(tmp_path, 5 * MIB, MIB)) as desk_:
        lines = seen(desk_)
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and desk_.takes[0].job)
        (take,) = desk_.takes
        frames = made(take, 5 * MIB, MIB)
        elsewhere.make(elsewhere.client.get(take.job), frames)
        desk_.until(lambda: desk_.done or desk_.failed)
        assert {"uploading 1 of 2 files", "downloading 1 of 2 files"} <= set(lines), lines
        assert {path: path.read_bytes() for path in frames} == frames and not desk_.failed
        assert desk_.generating.status_of(take).text == "done: 2 frames in 2 s"


def test_frames_come_when_a_project_is_opened_again(studio: Desk, elsewhere: Elsewhere, tmp_path: Path) -> None:
    with sitting(studio, document(tmp_path, MIB)) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and desk_.takes[0].job)
        left = desk_.session.document
    frames = made(left.takes[0], MIB)
    elsewhere.make(elsewhere.client.get(left.takes[0].job), frames)
    studio.pump.until(lambda: any(row.state == "done" for row in studio.queue.rows))
    with sitting(studio, left) as desk_:
        desk_.generating.recover()
        desk_.until(lambda: desk_.done)
        assert {path: path.read_bytes() for path in frames} == frames


def test_frames_that_are_here_are_no_news(studio: Desk, elsewhere: Elsewhere, tmp_path: Path) -> None:
    job = elsewhere.client.submit(write_plate(tmp_path / "shot", 10))
    elsewhere.make(job, {tmp_path / "shot" / "out" / "dog.1001.exr": b"a frame"})
    carried, told = Carrying(studio.engine, studio.background), []
    carried.keep_only({"key"})
    for _ in range(2):
        before = len(told)
        carried.fetch("key", job.id, told.append, told.append)
        studio.pump.until(lambda before=before: len(told) > before)
    assert told == [True, False]


def test_a_plate_that_is_gone_drops_the_take(studio: Desk, tmp_path: Path) -> None:
    with sitting(studio, document(tmp_path, MIB)) as desk_:
        (tmp_path / "shot" / "plate.1001.exr").unlink()
        desk_.generating.generate()
        desk_.until(lambda: desk_.failed)
        assert not desk_.takes and "there is no file of the plate" in desk_.failed[0]


def test_a_file_in_the_way_is_said(studio: Desk, elsewhere: Elsewhere, tmp_path: Path) -> None:
    with sitting(studio, document(tmp_path, MIB)) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and desk_.takes[0].job)
        frames = made(desk_.takes[0], 100)
        (tmp_path / "out").mkdir()
        next(iter(frames)).write_bytes(b"mine")
        elsewhere.make(elsewhere.client.get(desk_.takes[0].job), frames)
        desk_.until(lambda: desk_.failed)
        assert "did not come here" in desk_.failed[0] and "move it away" in desk_.failed[0]


def test_a_take_that_is_taken_back_stops_its_upload(studio: Desk, elsewhere: Elsewhere, tmp_path: Path) -> None:
    with sitting(studio, document(tmp_path, 40 * MIB)) as desk_:
        lines = seen(desk_)
        desk_.generating.generate()
        desk_.until(lambda: any(line.startswith("uploading") for line in lines))
        desk_.session.amend(desk_.session.document.with_(takes=()))
        desk_.until(lambda: not desk_.generating._is_asking)
        assert not elsewhere.client.list() and not desk_.failed
