"""What is killed in the middle of a job, engine or app, costs no work."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pumping import kill_server
from whole_window import app, example_frames, home

from layerflow.wire import Job
from layerflow.wire.client import Client
from layerflow.wire.errors import ServerError
from layerflow_desktop.models.document import Document, ShotSettings
from layerflow_desktop.models.project_file import save

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_an_engine_that_is_killed_is_started_again_and_goes_on(qapp, tmp_path: Path) -> None:
    plate = example_frames(tmp_path / "plates")
    shot = ShotSettings(task="decompose", plate=str(plate), foreground="a parrot", steps=80, refine="off")
    save(Document(shot=shot), tmp_path / "dog.lfstudio")
    with home(tmp_path), app(str(tmp_path / "dog.lfstudio")) as studio:
        studio.until(lambda: studio.document.shot.foreground)
        studio.do("generate")
        studio.until(lambda: studio.progress("v001") > 3)
        job = studio.document.takes[0].job
        kill_server()
        studio.until(lambda: studio.studio.engine.state != "ready")
        assert "went away" in studio.window.engine_label.text()
        studio.do("show_a")  # the window goes on
        assert studio.document.view.channel == "a"

        studio.made("v001")
        assert studio.window.engine_label.text().startswith("The engine is ready")
        assert [row.id for row in studio.studio.queue.rows] == [job]
        assert studio.document.takes[0].job == job
        assert not studio.dialogs()


@contextlib.contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    """The app in a process of its own, gone when the block ends."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    process = subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stderr.close()


def jobs() -> list[Job]:
    """What the engine that runs is to make; nothing while there is none."""
    with contextlib.suppress(ServerError):
        return Client.connect(start=False).look().jobs
    return []


def until(is_so: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "that never came about"
        time.sleep(0.05)


@pytest.mark.long
def test_an_app_that_is_killed_finds_its_project_and_its_take_again(qapp, tmp_path: Path) -> None:
    with home(tmp_path):
        with started(str(Path(__file__).with_name("app_process.py"))) as process:
            until(lambda: any(job.state == "running" and job.progress.done > 0 for job in jobs()))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(20)
        (left,) = jobs()
        assert left.state == "running"
        with app() as studio:
            studio.until(lambda: studio.document.takes)
            take = studio.made("v001")
            assert (take.job, take.pattern) == (left.id, left.request.output)
            assert [row.id for row in studio.studio.queue.rows] == [left.id]
            assert studio.window.windowTitle() == "Untitled* – LayerFlow Studio"
            assert any(text.startswith("Recovered a project that was never saved") for text in studio.said)
            assert studio.document.shot.foreground == "a parrot"
            assert not studio.dialogs()


def test_the_app_comes_up_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    with home(tmp_path), started("-m", "layerflow_desktop") as process:
        until(lambda: [*tmp_path.glob("runtime/server.json")])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
        assert (tmp_path / "studio" / "window.ini").exists()
        assert not [*tmp_path.glob("studio/recovery/*.json")]
