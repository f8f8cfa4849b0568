"""Paths of a request, written out where the host stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire_server import standing_in

from layerflow.wire import Request
from layerflow.wire.client import Client
from layerflow.wire.whole_paths import with_whole_paths


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(Path.cwd())  # links resolved


def test_every_path_is_written_out(here: str) -> None:
    (Path(here) / "models/mine").mkdir(parents=True)
    request = Request(
        "decompose",
        plate="plates/../dog.####.exr",
        guide="roto.####.exr:mask.A",
        holdout="keep.png",
        output="out/dog.%04d.exr",
        model="models/mine",
        lora=("dog.safetensors:0.5", "cat"),
    )
    whole = with_whole_paths(request)
    assert (whole.plate, whole.output) == (f"{here}/dog.####.exr", f"{here}/out/dog.%04d.exr")
    assert (whole.model, whole.lora) == (f"{here}/models/mine", (f"{here}/dog.safetensors:0.5", f"{here}/cat:1.0"))
    assert (whole.guide, whole.holdout) == (f"{here}/roto.####.exr:mask.A", f"{here}/keep.png")
    assert with_whole_paths(whole) == whole


@pytest.mark.parametrize("model", ["mini", "cogvideox-2b/decompose"])
def test_a_name_stays_a_name(here: str, model: str) -> None:
    (Path(here) / "mini").mkdir()
    request = Request("generate", foreground="a", background="b", model=model, first_frame=3, last_frame=5)
    whole = with_whole_paths(request)
    assert (whole.plate, whole.model, whole.num_frames) == (None, model, 3)
    assert whole.output == f"{here}/out/generate.%04d.exr"


def test_the_server_gets_whole_paths(here: str) -> None:
    with standing_in() as server:
        job = Client(server.address).submit(Request("decompose", plate="dog.mov"))
    assert (job.request.plate, job.request.output) == (f"{here}/dog.mov", f"{here}/out/decompose.%04d.exr")
