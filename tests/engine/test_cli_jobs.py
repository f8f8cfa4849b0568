"""`layerflow jobs`, against a stand-in server."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
import webbrowser
from dataclasses import replace

import pytest
from rich.console import Console
from wire_server import standing_in

from layerflow.cli.app import run
from layerflow.cli.jobs_watch import watch_jobs
from layerflow.wire import Job, Progress, Request
from layerflow.wire.client import Client
from layerflow.wire.errors import NotRunning
from layerflow.wire.running import publish
from layerflow.wire.starting import find_command

REQUEST = Request("decompose", plate="dog.####.exr")


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "server"))


@pytest.fixture
def server():
    with standing_in() as server:
        publish(server.address)
        yield server


@pytest.fixture
def jobs(server):
    """Three jobs whose ids begin with aa0, aa1 and b."""
    ids = [start + "0" * (32 - len(start)) for start in ("aa0", "aa1", "b")]
    return [server.put(Job(each, "queued", REQUEST, label=f"nuke:{each[:3]}")) for each in ids]


def json_of(capsys, *arguments):
    assert run(["jobs", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def states(server):
    return [job.state for job in server.jobs.values()]


def test_no_server_is_one_sentence(capsys):
    assert run(["jobs", "list", "--json"]) == 7
    out, err = capsys.readouterr()
    assert err == "layerflow: no LayerFlow server is running; start one with layerflow serve\n"
    assert json.loads(out)["exit_code"] == 7


def test_list(server, jobs, capsys):
    progress = Progress("Sampling", 3, 12, 1, 16)
    server.go(jobs[0], "running", progress=progress, device="cuda:0")
    server.go(jobs[2], "failed", message="the disk [bold]is[/bold] full; free some space")
    assert run(["jobs", "list"]) == 0
    header, running, queued, failed = capsys.readouterr().out.splitlines()
    assert header.split() == ["job", "state", "label", "task", "stage", "frames", "device", "message"]
    assert running.split() == ["aa000000", "running", "nuke:aa0", "decompose", "Sampling", "3/12", "1/16", "cuda:0"]
    assert queued.split() == ["aa100000", "queued", "nuke:aa1", "decompose"]
    assert failed.rstrip().endswith("the disk [bold]is[/bold] full; free some space")


def test_list_as_json_and_by_state_and_label(server, jobs, capsys):
    server.go(jobs[1], "paused")
    listed = json_of(capsys, "list")
    assert [Job.from_dict(values) for values in listed["jobs"]] == list(server.jobs.values())
    assert [job["id"] for job in json_of(capsys, "list", "--state", "paused")["jobs"]] == [jobs[1].id]
    assert [job["id"] for job in json_of(capsys, "list", "--label", "nuke:b00")["jobs"]] == [jobs[2].id]
    assert run(["jobs", "list", "--state", "failed"]) == 0
    assert capsys.readouterr().out == "there are no jobs\n"
    assert run(["jobs", "list", "--state", "lost"]) == 2


def test_verbs_take_several_jobs_by_how_they_begin(server, jobs, capsys):
    assert [job["state"] for job in json_of(capsys, "pause", "aa0", jobs[2].id)["jobs"]] == ["paused", "paused"]
    assert states(server) == ["paused", "queued", "paused"]
    json_of(capsys, "resume", "B")
    json_of(capsys, "cancel", "aa0", "aa1")
    assert states(server) == ["cancelled", "cancelled", "queued"]
    json_of(capsys, "retry", "aa0")
    assert states(server) == ["queued", "cancelled", "queued"]


@pytest.mark.parametrize(
    ("beginning", "sentence"),
    [("aa", "2 jobs begin with 'aa'"), ("c", "no job begins with 'c'"), ("", "no job begins"), ("x" * 32, "no job")],
)
def test_a_beginning_of_none_or_several(server, jobs, capsys, beginning, sentence):
    assert run(["jobs", "cancel", "b", beginning]) == 2
    assert sentence in capsys.readouterr().err
    assert states(server) == ["queued"] * 3


def test_what_the_server_refuses_is_its_sentence(server, jobs, capsys):
    assert run(["jobs", "resume", "b"]) == 7
    assert capsys.readouterr().err == "layerflow: a queued job cannot resume\n"


def test_move(server, jobs, capsys):
    assert json_of(capsys, "move", "b", "--before", "aa0")["jobs"][0]["position"] == -1
    assert json_of(capsys, "move", "b")["jobs"][0]["position"] == 99
    assert run(["jobs", "move", "b", "--before", "c"]) == 2


def test_logs(jobs, capsys):
    assert run(["jobs", "logs", "b"]) == 0
    assert capsys.readouterr().out == f"log of {jobs[2].id}: é\n"
    assert json_of(capsys, "logs", "b") == {"log": f"log of {jobs[2].id}: é\n"}


def test_page(server, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or len(opened) == 1)
    url = server.address.url
    assert run(["jobs", "page"]) == 0
    assert capsys.readouterr() == (f"page: {url}\ntoken: s3cret\n", "") and opened == [url]
    assert run(["jobs", "page"]) == 0
    assert capsys.readouterr().err == "no browser could be opened; open the address in one yourself\n"
    assert json_of(capsys, "page", "--no-browser") == {"url": url, "token": "s3cret"} and len(opened) == 2


def work(server, *jobs, state="done"):
    """Makes `jobs` one after another in the background, once someone watches."""

    def is_watched():
        return any(target.endswith("/events") for _, target, _ in server.asked)

    def make():
        while not is_watched():
            time.sleep(0.01)
        for job in jobs:
            server.go(job, "running")
            server.tell(job.id, "warning", {"message": "frame 1001 was long"})
            server.step(job, 1, 2)
            server.go(job, state, message="" if state == "done" else "out of memory; take fewer frames")

    thread = threading.Thread(target=make)
    thread.start()
    return thread


def test_watch_one(server, jobs, capsys):
    thread = work(server, jobs[0])
    assert run(["jobs", "watch", "aa0", "--json"]) == 0
    thread.join()
    out, err = capsys.readouterr()
    assert [job["state"] for job in json.loads(out)["jobs"]] == ["done"]
    said = [line.removeprefix("aa000000 nuke:aa0: ") for line in err.splitlines()]
    assert [line for line in said if line in ("queued", "running", "warning: frame 1001 was long", "done")] == [
        "queued",
        "running",
        "warning: frame 1001 was long",
        "done",
    ]


def test_watch_one_that_fails(server, jobs, capsys):
    thread = work(server, jobs[0], state="failed")
    assert run(["jobs", "watch", "aa0"]) == 1
    thread.join()
    out, err = capsys.readouterr()
    assert "aa000000 nuke:aa0: failed: out of memory; take fewer frames\n" in err and "failed" in out


def test_watch_all_until_they_are_over(server, jobs, capsys):
    server.go(jobs[1], "cancelled")  # over before
    thread = work(server, jobs[0], jobs[2])
    assert run(["jobs", "watch", "--json"]) == 0
    thread.join()
    assert [job["id"] for job in json.loads(capsys.readouterr().out)["jobs"]] == [jobs[0].id, jobs[2].id]


def test_nothing_to_watch(server, capsys):
    assert run(["jobs", "watch"]) == 0
    assert capsys.readouterr().out == "there are no jobs\n"


def test_a_terminal_shows_a_table_that_moves(server, jobs):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    server.go(jobs[0], "done")
    server.put(replace(server.jobs[jobs[1].id], state="running", progress=Progress("Sampling", 1, 2)))
    thread = work(server, jobs[1], jobs[2])
    watched = watch_jobs(Client(server.address), console=console)
    thread.join()
    assert [job.state for job in watched] == ["done", "done"]
    shown = screen.getvalue()
    assert "nuke:aa1" in shown and shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is back


def test_a_shot_can_be_left_to_the_server(server, capsys, tmp_path):
    output = str(tmp_path / "dog.%04d.exr")
    assert run(["generate", "--foreground", "a dog", "--background", "a sea", "-o", output, "--queue", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out.splitlines()[-1])["jobs"]
    assert job["label"] == "cli" and server.jobs[job["id"]].request.output == output
    assert not server.jobs[job["id"]].overwrite


def test_what_replaces_frames_says_so_in_the_queue(server, tmp_path):
    assert run(["decompose", str(tmp_path), "--overwrite", "--queue"]) == 0
    assert [job.overwrite for job in server.jobs.values()] == [True]


def test_the_server_resumes_by_itself(server, capsys):
    assert run(["decompose", "dog.mov", "--resume", "--queue"]) == 2
    assert "the server resumes its own jobs; layerflow jobs retry goes on" in capsys.readouterr().err
    assert not server.jobs


def test_the_install_that_queues_is_the_one_to_start(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LAYERFLOW_COMMAND", raising=False)
    with pytest.raises(NotRunning):
        find_command()
    assert run(["decompose", str(tmp_path), "--queue"]) == 0
    assert find_command() == [sys.executable, "-P", "-m", "layerflow.cli"]
