"""A run without a host: what is rendered, asked, shown and ended, in which order, whatever goes wrong."""

from __future__ import annotations

import threading
import time

import pytest

from layerflow.wire import Job, JobEvent, Progress, Request
from layerflow.wire import run as run_module
from layerflow.wire.client import Preview
from layerflow.wire.errors import LocalFile, NotFound, NotRunning, Stopped
from layerflow.wire.run import Desk, Gone, HostError, Render, Run, Shot
from layerflow.wire.status import CANCELLED, DONE, FAILED, WORKING
from layerflow.wire.transfer import Transfer

REQUEST = Request("decompose", plate="/in/plate.%04d.exr", output="/out/dog_v001.%04d.exr")
IDS = ["0" * 31 + digit for digit in "123"]


class Diary(Desk):
    """A desk that writes down what it is told; `trouble` is raised by the method of that name."""

    def __init__(self, **trouble):
        self.trouble, self.said, self.rendered, self.pictures, self.jobs, self.end = trouble, [], [], [], None, None

    def render(self, what, frame, view):
        self._meet("render")
        self.rendered.append((what.input, frame, view))

    def show(self, status):
        self._meet("show")
        self.said.append(status.text)

    def preview(self, jpeg):
        self.pictures.append(jpeg)

    def submitted(self, jobs):
        self.jobs = list(jobs)

    def ended(self, status, jobs):
        self.end = status

    def _meet(self, what):
        if what in self.trouble:
            raise self.trouble[what]


class Queue:
    """Stands in for the client: jobs that go through a few events and end as `ends` says."""

    def __init__(self, ends="done", events=True, carries=False):
        self.carries, self.fetched = carries, []
        self.ends, self.asked, self.cancelled, self.keys = ends, [], [], []
        self.go_on = threading.Event()
        if events:
            self.go_on.set()

    def submit(self, request, label="", overwrite=False, key=None, on_transfer=None, stopped=None):
        assert not overwrite  # a version of one's own: nothing is ever replaced
        self._carry("uploading", on_transfer, stopped)
        self.asked.append((request, label))
        self.keys.append(key)
        return Job(id=IDS[len(self.asked) - 1], state="queued", request=request)

    def get(self, job):
        state = "cancelled" if job in self.cancelled else self.ends if self.go_on.is_set() else "queued"
        result = {"frames": ["a", "b"], "seconds": 75.0} if state == "done" else None
        message = "the disk is full" if state == "failed" else ""
        fresh = not getattr(self, "followed", False) and state == self.ends
        self.followed = True
        if fresh:
            return Job(id=job, state="running", request=REQUEST)
        return Job(id=job, state=state, request=REQUEST, result=result, message=message)

    def follow(self, job):
        return Followed(self, job)

    def events(self, job):
        self.go_on.wait(10)
        running = Job(id=job, state="running", request=REQUEST)
        yield JobEvent(id=1, job=job, kind="state", at=0.0, data=running.to_dict())
        for done in (0, 5, 10):
            at = Progress("sampling", done, 10, 0, 2)
            yield JobEvent(id=2 + done, job=job, kind="progress", at=float(done), data=at.to_dict())
            time.sleep(0.3)

    def fetch(self, job, on_transfer, stopped):
        self._carry("downloading", on_transfer, stopped)
        self.fetched.append(job)

    def _carry(self, verb, on_transfer, stopped):
        """As to and from a server elsewhere, in four files of ten bytes."""
        for done in range(5) if self.carries else ():
            if stopped():
                raise Stopped("stopped")
            on_transfer(Transfer(verb, done, 4, 10 * done, 40))

    def preview(self, job, layer, etag):
        return Preview(b"jpeg of " + layer.encode(), "1") if etag != "1" else None

    def cancel(self, job):
        self.cancelled.append(job)
        self.go_on.set()


class Followed:
    """What such a queue tells of one job; stopping it is as if the job had gone on."""

    def __init__(self, queue, job):
        self.queue, self.job = queue, job

    def events(self):
        return self.queue.events(self.job)

    def stop(self):
        self.queue.go_on.set()


@pytest.fixture
def all_is_shown(monkeypatch):
    monkeypatch.setattr(run_module, "SHOW_S", 0.0)


def shot(view="main", frames=(1, 2)):
    return Shot(view, REQUEST, (Render("Plate", "/in/plate.%04d.exr", frames),))


def run(desk, queue, **options):
    return Run(desk, lambda call: call(), lambda: queue, **{"shots": [shot()], "label": "nuke:dog.nk/L", **options})


def test_the_whole_way():
    desk, queue = Diary(), Queue()
    run(desk, queue, preview_layer="blended").work()
    assert desk.rendered == [("Plate", 1, "main"), ("Plate", 2, "main")]
    assert queue.asked == [(REQUEST, "nuke:dog.nk/L")] and desk.jobs == IDS[:1]
    assert desk.said[0] == "rendering Plate 0/2" and any(
        text.startswith("sampling 10/10, frame 0/2") for text in desk.said
    )
    assert desk.pictures == [b"jpeg of blended"]
    assert desk.end.state == DONE and desk.end.text == "done: 2 frames in 1 m 15 s"


def test_a_view_each():
    desk, queue = Diary(), Queue()
    run(desk, queue, shots=[shot("left", (1,)), shot("right", (1,))]).work()
    assert [view for _, _, view in desk.rendered] == ["left", "right"]
    assert desk.jobs == IDS[:2] and len(set(queue.keys)) == 2


def test_jobs_of_an_earlier_session_are_followed_without_asking():
    desk, queue = Diary(), Queue()
    run(desk, queue, shots=(), jobs=IDS[:1]).work()
    assert desk.end.state == DONE and not queue.asked and not desk.rendered


def test_a_job_that_fails_says_why():
    desk = Diary()
    run(desk, Queue("failed")).work()
    assert (desk.end.state, desk.end.text) == (FAILED, "failed: the disk is full")


@pytest.mark.parametrize(
    ("trouble", "says"), [(HostError("Nuke could not render"), "could not render"), (OSError("no room"), "no room")]
)
def test_an_input_that_cannot_be_rendered_ends_it(trouble, says):
    desk, queue = Diary(render=trouble), Queue()
    run(desk, queue).work()
    assert desk.end.state == FAILED and says in desk.end.text and not queue.asked


def test_no_server_ends_it():
    def connect():
        raise NotRunning("no LayerFlow server is running; start one with layerflow serve")

    desk = Diary()
    Run(desk, lambda call: call(), connect, [shot()]).work()
    assert desk.end.state == FAILED and "layerflow serve" in desk.end.text


class Away(Queue):
    """A queue that does not know the job, or cannot be asked."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def get(self, job):
        raise self.error


def test_a_job_that_this_machine_does_not_know_is_no_failure():
    desk = Diary()
    run(desk, Away(NotFound("there is no such job", "NotFound", 404)), shots=(), jobs=IDS[:1]).work()
    assert desk.end.state == CANCELLED and "in their folder" in desk.end.text


def test_an_opened_script_without_an_engine_says_so_and_can_look_again():
    desk = Diary()
    run(desk, Away(NotRunning("no LayerFlow server is running")), shots=(), jobs=IDS[:1]).work()
    assert desk.end.state == WORKING and "no LayerFlow server" in desk.end.text


def test_a_job_goes_on_without_a_picture():
    class Blind(Queue):
        def preview(self, job, layer, etag):
            raise NotRunning("?")

    class Full(Diary):
        def preview(self, jpeg):
            raise HostError("the disk is full")

    for desk, queue in ((Diary(), Blind()), (Full(), Queue())):
        run(desk, queue, preview_layer="blended").work()
        assert desk.end.state == DONE and not desk.pictures


def test_an_error_of_its_own_is_told_and_not_hidden():
    desk = Diary(show=ZeroDivisionError("?"))
    with pytest.raises(ZeroDivisionError):
        run(desk, Queue()).work()
    assert desk.end.state == FAILED and "error of its own" in desk.end.text


def test_cancelled_while_inputs_are_rendered_nothing_is_asked():
    class Pressed(Diary):
        def render(self, what, frame, view):
            super().render(what, frame, view)
            at_work.cancel()

    desk, queue = Pressed(), Queue()
    at_work = run(desk, queue)
    at_work.work()
    assert len(desk.rendered) == 1 and not queue.asked and desk.end.state == CANCELLED


def test_cancelled_while_it_waits():
    desk, queue = Diary(), Queue(events=False)
    at_work = run(desk, queue)
    at_work.thread.start()
    while desk.jobs is None:
        time.sleep(0.01)
    at_work.cancel()
    at_work.thread.join(10)
    assert queue.cancelled == IDS[:1] and desk.end.state == CANCELLED and at_work.is_over


def test_leaving_ends_the_thread_though_nothing_happens_to_the_job():
    desk, queue = Diary(), Queue(events=False)
    at_work = run(desk, queue)
    at_work.thread.start()
    while not desk.jobs:
        time.sleep(0.01)
    at_work.leave()
    at_work.thread.join(5)
    assert at_work.is_over and desk.end is None and not queue.cancelled


def test_a_node_that_is_gone_is_left_alone():
    desk, queue = Diary(), Queue()
    at_work = run(desk, queue)
    at_work.leave()
    at_work.work()
    assert desk.end is None and not desk.said
    gone = Diary(show=Gone())
    run(gone, Queue()).work()
    assert gone.end is None


@pytest.mark.usefixtures("all_is_shown")
def test_files_go_to_a_server_elsewhere_and_come_back_before_it_ends():
    desk, queue = Diary(), Queue(carries=True)
    run(desk, queue).work()
    assert {"uploading 1 of 4 files", "downloading 3 of 4 files"} <= set(desk.said)
    assert queue.fetched == IDS[:1] and desk.end.state == DONE


def test_frames_come_back_to_a_host_that_was_started_again():
    desk, queue = Diary(), Queue()
    queue.followed = True  # the job was done while no host ran
    run(desk, queue, shots=(), jobs=IDS[:1]).work()
    assert queue.fetched == IDS[:1] and desk.end.state == DONE


def test_what_failed_has_nothing_to_come_back():
    desk, queue = Diary(), Queue("failed")
    run(desk, queue).work()
    assert not queue.fetched


@pytest.mark.usefixtures("all_is_shown")
@pytest.mark.parametrize("verb", ["uploading", "downloading"])
def test_cancelled_on_the_way(verb):
    class Pressed(Diary):
        def show(self, status):
            super().show(status)
            if status.text.startswith(verb):
                at_work.cancel()

    desk, queue = Pressed(), Queue(carries=True)
    at_work = run(desk, queue)
    at_work.work()
    assert desk.end.state == CANCELLED and "are kept" in desk.end.text and not queue.fetched
    assert bool(queue.asked) == (verb == "downloading")


@pytest.mark.usefixtures("all_is_shown")
def test_leaving_on_the_way_says_nothing():
    class Closed(Diary):
        def show(self, status):
            super().show(status)
            if status.text.startswith("downloading"):
                at_work.leave()

    desk, queue = Closed(), Queue(carries=True)
    at_work = run(desk, queue)
    at_work.work()
    assert desk.end is None and not queue.cancelled


def test_a_frame_in_the_way_is_said():
    class Full(Queue):
        def fetch(self, job, on_transfer, stopped):
            raise LocalFile("/out/dog.0001.exr is already there; move it away")

    desk = Diary()
    run(desk, Full()).work()
    assert (desk.end.state, desk.end.text) == (FAILED, "failed: /out/dog.0001.exr is already there; move it away")
