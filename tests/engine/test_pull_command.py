"""`layerflow models pull` as a command of its own process, which knows the hub by its environment alone."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Repo, Served, serving
from huggingface_hub import constants
from released_files import random_checkpoint, write_base, write_checkpoint
from rich.console import Console

from layerflow.cli.app import run
from layerflow.cli.progress import progress
from layerflow.layout import VARIANTS
from layerflow.models.catalogue import RELEASES
from layerflow.models.hub import Hub
from layerflow.models.released import FOLDERS, RELEASED_GRID
from layerflow.wire import Event

RELEASE = RELEASES["layerflow-2b"]
SEG = f"{FOLDERS['seg_rgba']}/1000/mp_rank_00_model_states.pt"
CHUNK = constants.DOWNLOAD_CHUNK_SIZE  # the library writes as much at once
COMMAND = [sys.executable, "-c", "from layerflow.cli import main; main()", "models", "pull", "layerflow-2b"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A hub with one checkpoint that is larger than a chunk."""
    weights = random_checkpoint(RELEASED_GRID.positions(VARIANTS["seg_rgba"]), has_layer_embedding=False, width=128)
    write_checkpoint(tmp_path / "checkpoints", "seg_rgba", weights)
    write_base(tmp_path / "base")
    repos = {RELEASE.repo: Repo.of(tmp_path / "checkpoints"), RELEASE.base: Repo.of(tmp_path / "base")}
    assert len(repos[RELEASE.repo].files[SEG]) > CHUNK + 1000
    with serving(repos) as served:
        yield served


def start(server: Served, tmp_path: Path) -> subprocess.Popen[str]:
    own = {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "LAYERFLOW_MODELS": str(tmp_path / "models"),
    }
    command = [*COMMAND, "--variant", "seg_rgba", "--json"]
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env={**os.environ, **own})


def wait_for_a_chunk(home: Path) -> Path:
    """The unfinished file of the checkpoint, once a chunk of it is on disk."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := [part for part in home.rglob("*.incomplete") if part.stat().st_size >= CHUNK]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("nothing was downloaded")


@pytest.mark.long
def test_stopped_in_the_middle_of_a_file_and_gone_on_with(server: Served, tmp_path: Path) -> None:
    server.cuts[SEG], server.stall = [CHUNK + 1000], threading.Event()
    stopped = start(server, tmp_path)
    part = wait_for_a_chunk(tmp_path / "home")
    stopped.send_signal(signal.SIGINT)
    out, err = stopped.communicate(timeout=60)
    server.stall.set()
    assert stopped.returncode == 130 and "Traceback" not in err
    assert json.loads(out)["error"] == "stopped; the same command goes on from here"
    assert part.stat().st_size == CHUNK and not (tmp_path / "models").exists()

    server.requests.clear()
    again = start(server, tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    model = tmp_path / "models" / "layerflow-2b" / "seg_rgba"
    assert json.loads(out) == {"models": [{"name": "layerflow-2b/seg_rgba", "path": str(model)}]}
    assert set(server.asked(".pt")) == {f"{SEG.split('/')[-1]} from {CHUNK}"}
    assert "to download into" in err and "downloading zjuJish/LayerFlow/" in err and "%" not in err


def test_the_hub_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert Hub.here() == Hub(endpoint="https://mirror.example", cache=tmp_path, offline=True)


def test_pull_hands_every_option_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def pull(name: str, *, on_event: object, **options: object) -> list[object]:
        asked.append((name, options))
        return []

    monkeypatch.setattr("layerflow.models.pull.pull", pull)
    assert run(["models", "pull", "layerflow-2b"]) == 0
    command = "models pull layerflow-2b --variant seg_rgba --variant gen_rgb --revision v1 --json"
    assert run(command.split()) == 0
    assert asked == [
        ("layerflow-2b", {"variants": (), "revision": "main"}),
        ("layerflow-2b", {"variants": ("seg_rgba", "gen_rgb"), "revision": "v1"}),
    ]
    assert capsys.readouterr().out == '{"models": []}\n'


def test_a_download_is_shown_in_bytes_with_the_time_left() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    with progress(terminal) as show:
        show(Event("stage", "downloading one"))
        show(Event("download", done=600_000_000, total=2_000_000_000))
        show(Event("download", done=1_200_000_000, total=2_000_000_000))
    shown = terminal.file.getvalue()
    assert "Downloading" in shown and "1.2/2.0 GB" in shown


def test_what_was_there_before_is_no_part_of_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("rich.progress.Progress.stop", lambda bars: seen.extend(bars.tasks))
    with progress(Console(file=io.StringIO(), force_terminal=True)) as show:
        show(Event("download", done=900, total=1000))
    assert [(task.completed, task.speed) for task in seen] == [(900, None)]
