"""The wire under the oldest Python there is: Nuke 13 brings 3.7."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving import address_of, make_service, serving

import layerflow.wire
from layerflow.wire.running import publish

WIRE = Path(layerflow.wire.__file__).parent
OLDEST = (3, 7)

ROUND_TRIP = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module("layerflow.wire." + name)
from layerflow.wire import Request
from layerflow.wire.client import Client
client = Client.connect(start=False)
job = client.submit(Request("decompose", plate="dog.####.exr", foreground="a dog"), label="nuke:shot.nk")
assert client.get(job.id) == job and client.list(label="nuke:shot.nk") == [job]
events = client.events(job.id, timeout_s=60)
first = next(events)
assert (first.kind, first.data["state"]) == ("state", "queued")
client.cancel(job.id)
assert [event.data["state"] for event in events] == ["cancelled"]
assert client.wait(job.id, timeout_s=60).state == "cancelled"
assert client.preview(job.id, "background") is None and client.log(job.id) == ""
assert client.models() and client.devices()
print(*sys.version_info[:2])
"""


def version_of(python: str | Path) -> tuple[int, ...]:
    """Its version; none for a command that is no Python that runs."""
    asked = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
    return tuple(map(int, asked.stdout.split()))


def oldest_python() -> str:
    """LAYERFLOW_OLD_PYTHON, or the oldest Python from 3.7 on that is found here; at least the one that runs."""
    chosen = os.environ.get("LAYERFLOW_OLD_PYTHON")
    if chosen:
        return chosen
    on_path = [found for minor in range(7, 11) if (found := shutil.which(f"python3.{minor}"))]
    kept = list((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python3"))
    fitting = [python for python in (*on_path, *kept) if version_of(python) >= OLDEST]
    return str(min(fitting, key=version_of, default=sys.executable))


def test_a_round_trip_under_the_oldest_python(monkeypatch, tmp_path):
    python = oldest_python()
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path))
    modules = [source.stem for source in WIRE.glob("*.py") if source.stem != "__init__"]
    service = make_service(tmp_path)
    with serving(service):
        publish(address_of(service))
        own = {**os.environ, "PYTHONPATH": str(WIRE.parents[1])}
        trip = subprocess.run(
            [python, "-W", "error", "-c", ROUND_TRIP, *modules], cwd=tmp_path, env=own, capture_output=True, text=True
        )
    assert (trip.returncode, trip.stderr) == (0, "")
    assert tuple(map(int, trip.stdout.split())) == version_of(python) >= OLDEST


@pytest.mark.parametrize("break_it", ["", "import tomllib", "if (x := 1): pass"])
@pytest.mark.parametrize("room", [WIRE, WIRE.parents[2] / "nuke_plugin" / "layerflow_nuke"], ids=["wire", "nuke"])
def test_vermin_finds_nothing_newer_than_3_7(tmp_path, room, break_it):
    shutil.copytree(room, tmp_path / "wire")
    (tmp_path / "wire" / "more.py").write_text(break_it + "\n")
    vermin = [str(Path(sys.executable).with_name("vermin")), "--target=3.7-", "--violations", "--no-parse-comments"]
    judged = subprocess.run([*vermin, str(tmp_path / "wire")], capture_output=True, text=True)
    assert (judged.returncode == 0) == (not break_it), judged.stdout
