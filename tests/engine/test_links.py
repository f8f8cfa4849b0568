"""Links that are planted or swapped after a request was accepted: the worker looks again before it opens anything."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from queueing import open_store, worker
from rendering import request, write_plate

from layerflow.errors import LayerFlowError
from layerflow.models.folder import MANIFEST
from layerflow.server.attempt import attempt
from layerflow.server.bounds import Bounds
from layerflow.server.errors import OutsideError
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import claim
from layerflow.server.links import check_links
from layerflow.server.roots import Roots
from layerflow.server.settings import Limits, Settings
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.wire import Request

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def root(tmp_path: Path, tiny_model: Path) -> Path:
    """A root with a plate and a model in it."""
    write_plate(tmp_path / "root/plate", count=3)
    shutil.copytree(tiny_model, tmp_path / "root/model")
    (tmp_path / "outside").mkdir()
    return tmp_path / "root"


@pytest.fixture
def roots(root: Path) -> Roots:
    return Roots.of([root])


def shot(root: Path, **changes: object) -> Request:
    return request(root / "model", root / "out", **{"plate": str(root / "plate/dog.%04d.exr"), **changes})


def move_out(root: Path, name: str) -> None:
    """What is called `name` is now a link to what it was, outside."""
    path, target = root / name, root.parent / "outside" / Path(name).name
    path.rename(target)
    path.symlink_to(target)


def test_what_lies_in_the_roots_is_fine(root: Path, roots: Roots) -> None:
    (root / "plate/dog.1003.exr").unlink()
    (root / "plate/dog.1003.exr").symlink_to(root / "plate/dog.1002.exr")
    check_links(shot(root), roots)
    check_links(shot(root, plate=str(root / "plate"), model="mini"), roots)


@pytest.mark.parametrize("plate", ["plate/dog.%04d.exr", "plate"])
def test_fault_7_one_frame_is_a_link_to_elsewhere(root: Path, roots: Roots, plate: str) -> None:
    move_out(root, "plate/dog.1002.exr")
    with pytest.raises(OutsideError, match=r"plate .*/root/plate/dog.1002.exr lies outside"):
        check_links(shot(root, plate=str(root / plate)), roots)


@pytest.mark.parametrize("name", ["plate", "model"])
def test_fault_7_a_folder_is_now_a_link_to_elsewhere(root: Path, roots: Roots, name: str) -> None:
    move_out(root, name)
    with pytest.raises(OutsideError, match=f"{name} .* lies outside"):
        check_links(shot(root), roots)


def test_fault_7_an_output_that_leads_elsewhere(root: Path, roots: Roots) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    with pytest.raises(OutsideError, match=r"output .* lies outside"):
        check_links(shot(root), roots)


def test_fault_7_a_journal_that_leads_elsewhere(root: Path, roots: Roots) -> None:
    (root / "out").mkdir()
    (root / "out/.dog.layerflow").symlink_to(root.parent / "outside")
    with pytest.raises(OutsideError, match=r"output .*/\.dog\.layerflow lies outside"):
        check_links(shot(root), roots)


def test_an_edit_is_looked_at_without_opening_its_plate(root: Path, roots: Roots) -> None:
    for frame in (root / "plate").iterdir():
        frame.write_bytes(b"")
    edit = shot(root, task="edit", keep=("foreground",))
    check_links(edit, roots)
    (root / "out").mkdir()
    (root / "out/.dog.layers.layerflow").symlink_to(root.parent / "outside")
    with pytest.raises(OutsideError, match=r"output .*/\.dog\.layers\.layerflow lies outside"):
        check_links(edit, roots)


def test_fault_7_a_lora_whose_weights_lie_elsewhere(root: Path, roots: Roots) -> None:
    (root / "lora").mkdir()
    weights = root / "lora/pytorch_lora_weights.safetensors"
    weights.touch()
    check_links(shot(root, lora=(f"{root}/lora:0.5",)), roots)
    weights.unlink()
    weights.symlink_to(root.parent / "outside/x.safetensors")
    (root.parent / "outside/x.safetensors").touch()
    with pytest.raises(OutsideError, match=r"LoRA 1 .* lies outside"):
        check_links(shot(root, lora=(f"{root}/lora:0.5",)), roots)


def test_fault_7_a_model_whose_weights_lie_elsewhere(root: Path, roots: Roots) -> None:
    weights = next((root / "model").rglob("*.safetensors"))
    move_out(root, str(weights.relative_to(root)))
    with pytest.raises(OutsideError, match=rf"model .*/{weights.name} lies outside"):
        check_links(shot(root), roots)


@pytest.mark.parametrize("part", ["codec", "text_encoder", "transformer"])
def test_a_model_whose_weights_are_a_pipe_is_not_waited_for(root: Path, roots: Roots, part: str) -> None:
    weights = next((root / "model" / part).glob("*.safetensors"))
    weights.unlink()
    os.mkfifo(weights)
    state, message = attempted(root, shot(root), Bounds(roots=roots))
    assert state == "failed" and "is not a regular file); install the model again" in message


def test_a_name_is_no_folder_where_the_server_happens_to_stand(
    root: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = root.parent / "outside/fake"
    fake.mkdir()
    (fake / MANIFEST).touch()
    monkeypatch.chdir(fake.parent)
    with pytest.raises(OutsideError, match=r"model .*/outside/fake lies outside"):
        check_links(shot(root, model="fake"), roots)


def test_what_is_not_there_is_told_as_ever(root: Path, roots: Roots) -> None:
    for changes in ({"plate": f"{root}/cat.####.exr"}, {"model": "fake"}, {"lora": (f"{root}/none",)}):
        with pytest.raises(LayerFlowError, match="no "):
            check_links(shot(root, **changes), roots)


def test_such_a_job_fails_with_nothing_read_and_nothing_written(root: Path, roots: Roots) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    state, message = attempted(root, shot(root), Bounds(roots=roots))
    assert state == "failed" and "lies outside" in message
    assert not list((root.parent / "outside").iterdir())


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({"frames": 2}, "3 frames are more than one job may have, 2; say with first_frame and last_frame which"),
        ({"pixels": 383}, "24x16 is more than the 383 pixels that a frame may have; scale it down"),
    ],
)
def test_fault_14_a_plate_that_turns_out_too_large(
    root: Path, roots: Roots, bounds: dict[str, int], sentence: str
) -> None:
    assert attempted(root, shot(root), Bounds(roots=roots, **bounds)) == ("failed", sentence)
    assert not (root / "out").exists()


def test_what_is_just_small_enough_is_made(root: Path, roots: Roots) -> None:
    assert attempted(root, shot(root), Bounds(roots=roots, frames=3, pixels=384))[0] == "done"


def attempted(root: Path, asked: Request, bounds: Bounds) -> tuple[str, str]:
    """How one attempt at the request ends."""
    store, folder = open_store(root.parent / "jobs.sqlite3"), ServerFolder(path=root.parent / "server")
    folder.make()
    job = store.submit(asked)[0].id
    lease = claim(store, worker(store))
    assert lease is not None and attempt(lease, folder=folder, leaving=lambda: False, bounds=bounds)
    return store.get(job).state, store.get(job).message


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(roots=Roots(folders=(Path("/a"), Path("/b c"))), frames=7, pixels=9),
        Bounds(roots=Roots(folders=()), spaces=Path("/d e")),
        Bounds(),
    ],
)
def test_a_worker_is_told_its_bounds(tmp_path: Path, bounds: Bounds) -> None:
    """No roots are none to use; roots that nobody spoke of are no bound."""
    store, folder = Store(tmp_path / "jobs.sqlite3"), ServerFolder(path=tmp_path / "server")
    folder.make()
    says = "import sys; from layerflow.server import worker; worker.serve = lambda *given: print(given[-1], flush=True)"
    python = (sys.executable, "-c", f"{says}; del sys.argv[1:3]; worker.main()")
    supervisor = Supervisor(folder, store, ["cpu"], bounds=bounds, python=python)
    supervisor.start()
    log = folder.log_of_worker("cpu")
    while not (log.is_file() and "\n" in log.read_text()):
        time.sleep(0.01)
    supervisor.drain()
    assert log.read_text().splitlines()[0] == str(bounds)


def test_a_server_bounds_its_workers(tmp_path: Path) -> None:
    settings, spaces = Settings(roots=(tmp_path,), limits=Limits(frames=5, pixels=6)), tmp_path / "spaces"
    assert Bounds.of(settings, spaces) == Bounds(roots=Roots(folders=(tmp_path,)), spaces=spaces, frames=5, pixels=6)
