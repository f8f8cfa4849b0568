"""The queue of a real engine: what every host asked for, in its order, what can be done to it, and through a crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pumping import Desk, desk, home_of, kill_server

from layerflow.wire import Job, JobEvent, Request
from layerflow.wire.client import Preview
from layerflow.wire.labels import label_of
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.previews import Previews
from layerflow_desktop.controllers.queue import TELL_S, Queue, _Book
from layerflow_desktop.models.queue_row import OWN_LABEL, row_of

IDS = ["0" * 31 + digit for digit in "0123456789"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("studio_queue")
    with home_of(folder, tiny_model), desk(folder) as found:
        found.pump.until(lambda: found.queue.has_looked)
        yield found


def shot(folder: Path, model: Path, name: str, **changes) -> Request:
    values = {"foreground": "a red dog", "background": "the garden", "steps": 3, "model": str(model), **changes}
    return Request("generate", output=str(folder / f"{name}.%04d.exr"), **values)


def job_of(number: int, state: str = "queued", **values) -> Job:
    request = Request("generate", foreground="a dog", background="a park", output=f"/out/dog{number}_v001.%04d.exr")
    return Job(id=IDS[number], state=state, request=request, position=number * 10, **values)


def test_our_own_labels_are_told_by_the_row() -> None:
    row = row_of(job_of(0, label=label_of(OWN_LABEL, "", "v001")))
    assert (row.title, row.is_mine, row.host, row.what) == (
        "Studio: v001 of untitled",
        True,
        "Studio",
        "Layers from words",
    )
    assert row_of(job_of(3)).title == "Command line: dog3_v001"


def test_a_row_says_what_can_be_done() -> None:
    can = {
        state: [verb for verb in ("cancel", "retry", "pause", "resume", "move") if row_of(job_of(0, state)).can(verb)]
        for state in ("queued", "running", "paused", "done", "failed", "cancelled")
    }
    assert can == {
        "queued": ["cancel", "pause", "move"],
        "running": ["cancel", "pause"],
        "paused": ["cancel", "resume", "move"],
        "done": [],
        "failed": ["retry"],
        "cancelled": ["retry"],
    }


def test_the_book_keeps_the_order_and_the_pace() -> None:
    book = _Book()
    book.begin([job_of(2), job_of(1)])
    assert [row.id for row in book.news() or ()] == IDS[1:3]
    book.take(JobEvent(1, IDS[2], "state", 0.0, {**job_of(2, "running").to_dict(), "position": 5}))
    for done, at in ((0, 0.0), (5, 5.0), (10, 10.0)):
        book.take(JobEvent(2, IDS[2], "progress", at, {"stage": "sampling", "done": done, "total": 30}))
    (first, second) = book.news() or ()
    assert (first.id, first.left_s, second.id, second.left_s) == (IDS[2], 20.0, IDS[1], None)
    assert first.status.text == "sampling 10/30, about 20 s left" and first.status.fraction == pytest.approx(1 / 3)
    book.take(JobEvent(3, IDS[2], "state", 11.0, job_of(2, "done").to_dict()))
    book.take(JobEvent(4, IDS[9], "warning", 11.0, {"message": "of a job that nobody knows"}))
    assert [(row.state, row.left_s) for row in book.news() or ()] == [("queued", None), ("done", None)]


def test_an_answer_that_comes_late_does_not_undo_an_event() -> None:
    book = _Book()
    book.begin([job_of(1, "running")])
    book.put(job_of(1, "queued"))
    book.put(job_of(2, "queued"))
    assert [row.state for row in book.news() or ()] == ["running", "queued"]


def test_jobs_of_every_host_come_and_end(studio, tiny_model) -> None:
    client = studio.engine.client()
    jobs = [
        client.submit(shot(studio.folder, tiny_model, name), label=label)
        for name, label in (("a", "nuke:dog.nk/LayerFlow1"), ("b", ""), ("c", "studio:p/v001"))
    ]
    studio.pump.until(lambda: all((row := studio.queue.find(job.id)) and row.state == "done" for job in jobs))
    assert [row.host for row in studio.queue.rows] == ["Nuke", "Command line", "Studio"]
    row = studio.queue.find(jobs[0].id)
    assert row is not None and row.status.text.startswith("done: 8 frames in ")
    assert row.output == studio.output("a")
    log = []
    studio.queue.log(row.id, log.append)
    studio.pump.until(lambda: log)
    assert isinstance(log[0], str)


def test_what_artists_do_to_jobs(studio, tiny_model) -> None:
    queue, client = studio.queue, studio.engine.client()
    long = client.submit(shot(studio.folder, tiny_model, "long", steps=1000))
    ids = [client.submit(shot(studio.folder, tiny_model, name)).id for name in ("one", "two", "three")]

    def order() -> list[str]:
        return [row.id for row in queue.rows if row.id in ids]

    def state(job: str) -> str:
        row = queue.find(job)
        return row.state if row is not None else ""

    studio.pump.until(lambda: state(long.id) == "running" and order() == ids)
    one, two, three = ids
    queue.move_up(three)
    studio.pump.until(lambda: order() == [one, three, two])
    queue.move_down(one)
    studio.pump.until(lambda: order() == [three, one, two])
    queue.move_down(one)
    studio.pump.until(lambda: order() == [three, two, one])
    queue.move_before(one, three)
    studio.pump.until(lambda: order() == [one, three, two])
    queue.move_up(one)
    queue.move_down(two)
    queue.move_up(long.id)
    assert [text.split(";")[0] for text in studio.said[-3:]] == [
        "That job is the next one already.",
        "That job is the last one already.",
        "Only a waiting job can be moved",
    ]
    queue.pause(one)
    studio.pump.until(lambda: state(one) == "paused")
    queue.resume(one)
    studio.pump.until(lambda: state(one) == "queued")
    for job in ids:
        queue.cancel(job)
    studio.pump.until(lambda: {state(job) for job in ids} == {"cancelled"})
    said = len(studio.said)
    queue.cancel(one)
    studio.pump.until(lambda: len(studio.said) > said)
    assert "cancel" in studio.said[-1]
    queue.retry(one)
    studio.pump.until(lambda: state(one) == "queued")
    queue.cancel(one)
    queue.cancel(long.id)
    studio.pump.until(lambda: state(long.id) == state(one) == "cancelled")


def test_the_job_that_is_watched_shows_itself_while_it_runs(studio, tiny_model) -> None:
    previews, pictures = Previews(studio.engine, studio.queue, every_s=0.1), []
    previews.picture.connect(lambda *values: pictures.append(values))
    previews.open()
    try:
        job = studio.engine.client().submit(shot(studio.folder, tiny_model, "seen", steps=1000))
        previews.watch(job.id, "foreground")
        studio.pump.until(lambda: len(pictures) >= 2)
        studio.queue.cancel(job.id)
        studio.pump.until(lambda: (row := studio.queue.find(job.id)) and row.state == "cancelled")
    finally:
        previews.close()
    assert {job_id for job_id, _, _ in pictures} == {job.id}
    assert all(jpeg.startswith(b"\xff\xd8") for _, jpeg, _ in pictures)
    assert pictures[0][1] != pictures[1][1] and pictures[0][2].startswith("Foreground so far: ")
    assert not [thread for thread in threading.enumerate() if thread.name == "layerflow previews"]


class StubEngine:
    """An engine with a picture for everything, which is told of later."""

    def __init__(self) -> None:
        self.posted = []
        self.post = self.posted.append

    def client(self, start: bool = True) -> StubEngine:
        return self

    def preview(self, job: str, layer: str, etag: str) -> Preview:
        return Preview(job.encode(), "etag")


def test_a_picture_of_a_job_that_is_watched_no_longer_is_not_shown() -> None:
    engine, pictures = StubEngine(), []
    previews = Previews(engine, Queue(engine, Background(engine.post)))
    previews.picture.connect(lambda *values: pictures.append(values[:2]))
    previews.watch(IDS[1])
    previews._ask((IDS[1], "blended"))
    previews.watch(IDS[2])
    previews._ask((IDS[1], "blended"))  # was asked for before
    previews._ask((IDS[2], "blended"))
    for show in engine.posted:
        show()
    assert pictures == [(IDS[2], IDS[2].encode())]


@pytest.mark.slow
@pytest.mark.long
def test_a_job_goes_on_where_the_server_was_killed(studio, tiny_model) -> None:
    job = studio.engine.client().submit(shot(studio.folder, tiny_model, "survivor", steps=400))
    row = lambda: studio.queue.find(job.id)  # noqa: E731
    studio.pump.until(lambda: row() and row().job.progress.done > 3)
    kill_server()
    studio.pump.until(lambda: row().state == "done", timeout_s=150)
    assert row().job.attempts == 2
    assert len(list(studio.folder.glob("survivor.*.exr"))) == 8


def test_closing_ends_every_thread(studio) -> None:
    queue = Queue(studio.engine, studio.background)
    queue.open()
    studio.pump.until(lambda: queue.has_looked)
    time.sleep(3 * TELL_S)  # until both wait for something that does not come
    before = {thread for thread in threading.enumerate() if thread.name.startswith("layerflow queue")}
    queue.close()
    after = {thread for thread in threading.enumerate() if thread.name.startswith("layerflow queue")}
    assert len(before - after) == 2
