"""Stopping and progress of the command line."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from layerflow.cli.progress import progress
from layerflow.cli.stop import stop_on_signal
from layerflow.wire import Event


def test_first_ctrl_c_stops_the_work_and_second_is_the_system_s(capfd):
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal() as stop:
        assert signal.getsignal(signal.SIGINT) is before
        stop.keep_work()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.asked()
        assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before
    assert "Ctrl-C again leaves at once" in capfd.readouterr().err


SLOW_SHOTS = """
import sys, time, types
from layerflow.errors import Interrupted
from layerflow.wire import Event
shots = types.ModuleType("layerflow.shots")
def render(request, *, overwrite, resume, on_event, stopped, engines):
    if {works}:
        on_event(Event("step", done=1, total=6000))
    while True:  # a signal finds it inside of the try, whenever it comes
        try:
            on_event(Event("stage", "ready"))
            time.sleep(60)
        except KeyboardInterrupt:
            if {heeds}:
                raise
shots.render = render
sys.modules["layerflow.shots"] = sys.modules["layerflow"].shots = shots
from layerflow.cli import main
main()
"""


both_wishes = pytest.mark.parametrize("wish", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])


def start_slow_shot(*, works: bool = True, heeds: bool = True) -> subprocess.Popen:
    code = SLOW_SHOTS.format(works=works, heeds=heeds)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "decompose", "dog.mov", "--json"], stdout=-1, stderr=-1, text=True
    )
    assert process.stderr.readline() == "ready\n"
    return process


@both_wishes
def test_one_signal_ends_the_process_with_130(wish):
    process = start_slow_shot()
    process.send_signal(wish)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "layerflow: stopped; the same command with --resume goes on from here"
    assert json.loads(out)["exit_code"] == 130


@both_wishes
def test_before_there_is_work_a_signal_ends_the_process_at_once(wish):
    process = start_slow_shot(works=False)
    process.send_signal(wish)
    assert process.wait(timeout=20) == -wish  # which a shell reports as 128 + the signal's number
    process.communicate()


def test_a_second_signal_ends_a_process_that_does_not_listen():
    process = start_slow_shot(heeds=False)
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "again" in line:
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == -signal.SIGINT
    process.communicate()


def test_progress_in_a_log_is_one_line_per_stage():
    log = Console(file=io.StringIO(), width=20)
    with progress(log) as show:
        show(Event("stage", "Reading [the] plate of a long name"))
        show(Event("step", done=1, total=2))
        show(Event("frame", done=1, total=2))
        show(Event("warning", "frame 3 is odd"))
    assert log.file.getvalue() == "Reading [the] plate of a long name\nwarning: frame 3 is odd\n"


def test_progress_in_a_terminal_counts_steps_and_frames():
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress(terminal) as show:
        show(Event("stage", "Reading [the] plate"))
        for done in range(1, 4):
            show(Event("step", done=done, total=3))
        show(Event("frame", done=2, total=16))
        show(Event("warning", "frame 3 is [odd]"))
    shown = terminal.file.getvalue()
    for words in ("Reading [the] plate", "Sampling", "3/3", "Writing frames", "2/16", "warning: frame 3 is [odd]"):
        assert words in shown
