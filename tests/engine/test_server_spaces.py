"""Jobs of users in their spaces: frames have the bytes of a shot made where the user sits, and stay in the space."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from queueing import open_store, worker
from rendering import contents, request, write_plate

from layerflow import shots
from layerflow.server.attempt import attempt
from layerflow.server.bounds import Bounds
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import claim
from layerflow.server.ledger import Ledger
from layerflow.server.results import files_of
from layerflow.server.roots import Roots
from layerflow.server.spaces import Space
from layerflow.server.store import Store
from layerflow.wire import Job, Request
from layerflow.wire.whole_paths import with_moved_paths

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def server(tmp_path: Path) -> Store:
    folder = tmp_path / "server"
    ServerFolder(path=folder).make()
    return open_store(folder / "jobs.sqlite3")


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space.below(tmp_path / "spaces", "ann")


@pytest.fixture
def asked(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """What Ann asks for, by the paths of her machine."""
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    plate = write_plate(tmp_path / "ws7" / "plate")
    return request(Path(tiny_model.name), tmp_path / "ws7" / "out", plate=plate, per_layer=True, preview=True)


def uploaded(asked: Request, space: Space, home: Path) -> Request:
    """The request as the server has it, and the files that it names."""
    there = space.folder / f"posix-ws7{home}"
    shutil.copytree(home, there)
    return with_moved_paths(asked, lambda path: str(there) + path.removeprefix(str(home)))


def go_on(store: Store, space: Space, leaving: Callable[[], bool] = lambda: False) -> Job:
    """The next job after one attempt at it."""
    lease = claim(store, worker(store, uuid.uuid4().hex))
    assert lease is not None
    attempt(
        lease,
        folder=ServerFolder(path=store.database.path.parent),
        leaving=leaving,
        bounds=Bounds(roots=Roots(folders=()), spaces=space.folder.parent),
    )
    return store.get(lease.job.id)


def test_frames_are_those_of_the_users_own_machine(server: Store, space: Space, asked: Request, tmp_path: Path) -> None:
    there = uploaded(asked, space, tmp_path / "ws7")
    job = server.submit(there, owner="ann")[0].id
    stopped = go_on(server, space, lambda: server.get(job).progress.done > 0)  # after the first step
    assert stopped.state == "queued" and (Path(there.output).parent / ".dog.layerflow").is_dir()
    done = go_on(server, space)
    assert done.state == "done", done.message
    shots.render(asked)
    assert contents(Path(there.output).parent) == contents(tmp_path / "ws7" / "out")
    assert done.result is not None
    for path in files_of(done.result):
        assert Ledger(server.database).look(space, space.name_of(path)).size == Path(path).stat().st_size
    with server.database.read() as connection:
        known = connection.execute("SELECT count(*) FROM file WHERE sha256 IS NOT NULL").fetchone()[0]
    assert known == len(list(files_of(done.result))) == 11 * 4 + 2


def test_a_link_that_comes_after_the_job_leads_nowhere(
    server: Store, space: Space, asked: Request, tmp_path: Path
) -> None:
    there = uploaded(asked, space, tmp_path / "ws7")
    server.submit(there, owner="ann")
    plate = Path(str(there.plate)).parent
    shutil.rmtree(plate)
    plate.symlink_to(tmp_path / "ws7" / "plate")
    failed = go_on(server, space)
    assert failed.state == "failed" and "lies outside the folders that jobs may use" in failed.message
    assert str(tmp_path / "spaces") not in json.dumps(space.told(failed.to_dict()))


def test_the_machines_own_jobs_have_no_space(server: Store, space: Space, asked: Request, tmp_path: Path) -> None:
    server.submit(uploaded(asked, space, tmp_path / "ws7"))
    assert "lies outside the folders" in go_on(server, space).message
