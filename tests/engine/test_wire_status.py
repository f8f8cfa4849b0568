"""One line of a job for the node."""

from __future__ import annotations

import pytest

from layerflow.wire import Job, Progress, Request
from layerflow.wire.status import DONE, FAILED, WORKING, duration, of_job


def job(state, **values):
    return Job(id="0" * 32, state=state, request=Request("decompose", plate="/p.%04d.exr"), **values)


@pytest.mark.parametrize(
    ("given", "left_s", "text", "state"),
    [
        (job("queued"), None, "queued, waiting for its turn", WORKING),
        (job("paused", message="there is no room"), None, "paused: there is no room", WORKING),
        (job("running"), None, "starting", WORKING),
        (
            job("running", progress=Progress("sampling", 3, 8, 2, 16)),
            65,
            "sampling 3/8, frame 2/16, about 1 m 5 s left",
            WORKING,
        ),
        (job("done", result={"frames": ["a"], "seconds": 4.0}), None, "done: 1 frame in 4 s", DONE),
        (job("done", warnings=("hot pixels",)), None, "done; hot pixels", DONE),
        (job("done", warnings=("a", "b")), None, "done; a; and 1 more", DONE),
        (job("failed", message="no room"), None, "failed: no room", FAILED),
    ],
)
def test_a_line(given, left_s, text, state):
    status = of_job(given, left_s)
    assert (status.text, status.state) == (text, state)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 m 0 s"), (75, "1 m 15 s"), (3700, "1 h 1 m")])
def test_durations(seconds, text):
    assert duration(seconds) == text
