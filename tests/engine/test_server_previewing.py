"""Previews of a running job: only for one who looks, seldom enough, and never to the harm of the job."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from queueing import open_store, worker
from rendering import contents, render, request
from server_process import serving

from layerflow.errors import Interrupted, OutputError
from layerflow.preview import Picture
from layerflow.server.attempt import attempt
from layerflow.server.folder import LOOKS_S, ServerFolder
from layerflow.server.leases import claim
from layerflow.server.previewing import EVERY_S, Previews

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS = ["alpha.jpg", "background.jpg", "blended.jpg", "foreground.jpg"]


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    own = ServerFolder(path=tmp_path / "server")
    own.make()
    return own


def look(folder: ServerFolder, job: str = "job", *, ago_s: float = 0.0) -> None:
    """Somebody asks for a preview."""
    path = folder.looked_at(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - ago_s,) * 2)


def shown(folder: ServerFolder, job: str = "job") -> list[str]:
    return sorted(path.name for path in folder.looked_at(job).parent.glob("*.jpg"))


class Sight:
    """A glimpse of one grey layer, which takes some seconds of a clock that is told."""

    def __init__(self, takes_s: float = 0.0, error: BaseException | None = None) -> None:
        self.now, self.asked = 1000.0, 0
        self._takes_s, self._error = takes_s, error

    def clock(self) -> float:
        return self.now

    def pictures(self) -> dict[str, Picture]:
        self.asked += 1
        self.now += self._takes_s
        if self._error:
            raise self._error
        return {"blended": np.full((16, 24, 3), 128, np.uint8)}


def run(previews: Previews, sight: Sight, *, seconds: float) -> None:
    """Steps of 10 ms."""
    end = sight.now + seconds
    while sight.now < end:
        previews.show(sight)
        sight.now += 0.01


def test_a_job_that_somebody_looks_at_has_a_picture_of_each_layer(folder, tiny_model, tmp_path) -> None:
    store = open_store(folder.queue)
    worker(store)
    asked = request(tiny_model, tmp_path / "out", task="generate", num_frames=8)
    job = store.submit(asked)[0].id
    look(folder, job)
    lease = claim(store, "w")
    assert lease is not None and attempt(lease, folder=folder, leaving=lambda: False)
    assert shown(folder, job) == LAYERS
    for name in ("blended", "alpha"):
        picture = oiio.ImageBuf(str(folder.preview_of(job, name)))
        assert (picture.spec().width, picture.spec().height, picture.nchannels) == (48, 32, 3)
        assert picture.file_format_name == "jpeg"
    assert store.get(job).state == "done"
    render(tiny_model, tmp_path / "plain", task="generate", num_frames=8)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


@pytest.mark.long
def test_a_host_sees_the_layers_come_about(tiny_model, tmp_path, monkeypatch) -> None:
    """Through a real server and its worker: other pictures while the job goes on, and the last one when it is done."""
    for name in ("runtime", "server"):
        monkeypatch.setenv(f"LAYERFLOW_{name.upper()}", str(tmp_path / name))
    with serving("--root", str(tmp_path), "--root", str(tiny_model)) as served:
        client, tags = served.client, set()
        job = client.submit(request(tiny_model, tmp_path / "out", task="generate", num_frames=8, steps=400)).id
        while not client.get(job).is_final:
            if seen := client.preview(job, "background"):
                tags.add(seen.etag)
                assert seen.image.startswith(b"\xff\xd8") and seen.image.endswith(b"\xff\xd9")
        assert client.get(job).state == "done" and len(tags) > 2
        assert client.preview(job, "alpha") is not None


def test_nobody_looks_nothing_is_made(folder) -> None:
    sight = Sight()
    previews = Previews(folder, "job", clock=sight.clock)
    previews.show(sight)
    look(folder, "another")
    look(folder, ago_s=LOOKS_S)
    previews.show(sight)
    assert sight.asked == 0 and shown(folder) == []
    look(folder)
    previews.show(sight)
    assert sight.asked == 1 and shown(folder) == ["blended.jpg"]


def test_three_a_second_at_most(folder) -> None:
    look(folder)
    sight = Sight()
    run(Previews(folder, "job", clock=sight.clock), sight, seconds=4.0)
    assert 4.0 / EVERY_S - 2 <= sight.asked <= 4.0 / EVERY_S + 1


def test_slow_ones_take_a_twentieth_of_the_time(folder) -> None:
    look(folder)
    sight = Sight(takes_s=0.5)
    run(Previews(folder, "job", clock=sight.clock), sight, seconds=100.0)
    assert sight.asked == 10


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA error"), OutputError("the disk is full; free it")])
def test_a_preview_that_fails_is_the_last_and_the_job_goes_on(folder, caplog, error) -> None:
    look(folder)
    sight = Sight(error=error)
    with caplog.at_level(logging.WARNING):
        run(Previews(folder, "job", clock=sight.clock), sight, seconds=2.0)
    assert sight.asked == 1 and caplog.text.count("no more previews") == 1


def test_a_stop_is_no_failure(folder) -> None:
    look(folder)
    with pytest.raises(Interrupted):
        Previews(folder, "job").show(Sight(error=Interrupted("stopped")))


def test_a_full_disk_leaves_no_half_a_picture(folder, monkeypatch) -> None:
    look(folder)
    monkeypatch.setattr(oiio.ImageOutput, "write_image", lambda *_: False)
    sight = Sight()
    run(Previews(folder, "job", clock=sight.clock), sight, seconds=1.0)
    assert sight.asked == 1 and [path.name for path in folder.looked_at("job").parent.iterdir()] == ["looked-at"]


def test_pictures_go_when_nobody_has_looked_for_long(folder) -> None:
    for job, ago_s in (("old", 7200.0), ("new", 60.0)):
        look(folder, job, ago_s=ago_s)
        os.utime(folder.looked_at(job).parent, (time.time() - ago_s,) * 2)
    folder.drop_previews(time.time() - 3600.0)
    assert [path.name for path in (folder.path / "previews").iterdir()] == ["new"]
