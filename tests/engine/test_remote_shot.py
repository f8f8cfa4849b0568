"""Real servers elsewhere, with workers and TLS: a shot is what it would be here, and nobody's death loses a byte."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import trustme
from click.testing import CliRunner
from elsewhere import MIB, own_places, served_elsewhere, write_plate
from links import HOST, Link, link_to
from queueing import worker
from rendering import contents, request
from rendering import write_plate as write_dog
from server_process import Served, ended, start

from layerflow import shots
from layerflow.cli.users import users
from layerflow.server.attempt import attempt
from layerflow.server.bounds import Bounds
from layerflow.server.folder import ServerFolder
from layerflow.server.leases import claim
from layerflow.server.roots import Roots
from layerflow.server.service import Service
from layerflow.server.store import Store
from layerflow.wire import Request, errors
from layerflow.wire.client import Client
from layerflow.wire.connecting import connect
from layerflow.wire.remote import RemoteServer, remember, this_machine
from layerflow.wire.whole_paths import with_moved_paths

__all__ = ["own_places"]

SUBMIT = """
import sys
from layerflow.wire import Request
from layerflow.wire.client import Client
Client.connect(start=False).submit(Request.from_json(sys.argv[1]))
"""


class There:
    """The machine of the server: everything that it keeps is in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        (folder / "nothing").mkdir(parents=True)
        with self.at_work():
            told = CliRunner().invoke(users, ["add", "ann", "--space-gib", "4", "--json"])
            self.token = str(json.loads(told.stdout)["token"])

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Within it this process is one on that machine."""
        with self._patch.context() as patch:
            patch.setenv("LAYERFLOW_RUNTIME", str(self.folder / "runtime"))
            patch.setenv("LAYERFLOW_SERVER", str(self.folder / "server"))
            patch.setenv("LAYERFLOW_ROOTS", str(self.folder / "nothing"))
            yield

    def start(self, *options: str, port: int = 0) -> Served:
        """A server that is ready."""
        with self.at_work():
            return start(*options, port=port)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    """That machine; this one has hosts of its own, which may ask elsewhere."""
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "here" / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "here" / "hosts"))
    monkeypatch.delenv("LAYERFLOW_REMOTE")
    return There(tmp_path / "there", monkeypatch)


def tls_files(folder: Path) -> tuple[list[str], str]:
    """The options of a server that is called localhost, and the certificate of who says so."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    return ["--tls-cert", str(certificate), "--tls-key", str(key)], authority.cert_pem.bytes().decode()


def worked(service: Service) -> str:
    """The id of the next job, which was made as it was asked for."""
    lease = claim(service.store, worker(service.store))
    assert lease is not None
    bounds = Bounds(roots=Roots(folders=()), spaces=service.spaces)
    attempt(lease, folder=service.folder, leaving=lambda: False, bounds=bounds)
    return lease.job.id


@pytest.mark.usefixtures("one_thread", "own_places")
def test_a_shot_of_a_worker_elsewhere_has_the_bytes_of_one_made_here(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    mine = tmp_path / "shots"
    asked = request(Path(tiny_model.name), mine / "out", plate=write_dog(mine / "plate", count=8))
    with served_elsewhere(tmp_path) as elsewhere:
        job = elsewhere.client.submit(asked)
        (mine / "plate").rename(mine / "moved")  # whence nobody there could read it
        assert worked(elsewhere.service) == job.id
        (mine / "moved").rename(mine / "plate")
        files = elsewhere.client.fetch(job.id)
    came = contents(mine / "out")
    assert len(files) == len(came) == 8
    frame = shutil.copy(files[2], tmp_path)
    for make in (partial(shots.render, asked), partial(shots.rerun, frame, output=asked.output)):
        shutil.rmtree(mine / "out")
        make()
        assert contents(mine / "out") == came


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_shot_over_tls_has_the_bytes_of_one_made_here(
    there: There, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    options, authority = tls_files(tmp_path)
    mine = tmp_path / "shots" / "my dog"
    asked = request(
        Path(tiny_model.name), mine / "out", plate=write_dog(mine / "plate", count=8), per_layer=True, preview=True
    )
    with ended(there.start("--name", "localhost", *options)) as served:
        url = served.server.url
        assert url.startswith("https://localhost:")
        for certificates, host in ((trustme.CA().cert_pem.bytes().decode(), "localhost"), (authority, "127.0.0.1")):
            with pytest.raises(errors.NotRunning, match="not to be trusted"):
                connect(url.replace("localhost", host), there.token, certificates)
        connect(url, there.token, authority)
        client = Client.connect(start=False)
        job = client.submit(asked, label="nuke:dog.nk")
        (mine / "plate").rename(mine / "moved")  # whence nobody there could read it
        done = client.wait(job.id, timeout_s=200)
        assert done.state == "done", done.message
        (mine / "moved").rename(mine / "plate")
        files = client.fetch(job.id)
        assert done.result is not None and set(done.result["frames"]) < set(files) and len(files) == 8 * 4 + 2
        assert str(there.folder) not in client.log(job.id) + json.dumps(done.to_dict())
    came = contents(mine / "out")
    for path in files:
        Path(path).unlink()
    shots.render(asked)
    assert contents(mine / "out") == came
    assert (
        shots.rerun(files[0], overwrite=True).frames
        and contents(mine / "out")[Path(files[0]).name] == came[Path(files[0]).name]
    )


class Killing:
    """Bytes on a link, at which the server is killed and started again on its port."""

    def __init__(self, there: There, served: Served, at: int) -> None:
        self._there, self.served, self._left = there, served, at
        self._once = threading.Lock()  # pieces of several connections come at the same time
        self.starting: threading.Thread | None = None

    def __call__(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0 and self._once.acquire(blocking=False):
            port, workers = int(self.served.server.url.rpartition(":")[2]), self.served.workers()
            self.served.kill()
            self.starting = threading.Thread(target=self._start, args=(port, workers))
            self.starting.start()
        return piece

    def _start(self, port: int, workers: list[psutil.Process]) -> None:
        psutil.wait_procs(workers, timeout=40)  # one that is being started has the server's lock until it runs
        self.served = self._there.start("--name", HOST, port=port)


def space_of(there: There) -> Path:
    """Where files of this machine lie there."""
    return there.folder / "server" / "spaces" / "ann" / this_machine()


def made_before(there: There, request: Request, files: dict[Path, bytes]) -> str:
    """The id of a job of Ann that was done before the server runs, and what it made."""
    store = Store(ServerFolder(path=there.folder / "server").queue)
    for path, content in files.items():
        goal = space_of(there) / path.relative_to("/")
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_bytes(content)
    placed = with_moved_paths(request, lambda path: str(space_of(there)) + path)
    job, _ = store.submit(placed, owner="ann")
    lease = claim(store, worker(store))
    assert lease is not None
    lease.done({"frames": [str(space_of(there) / path.relative_to("/")) for path in files]})
    return job.id


@contextlib.contextmanager
def killed_on_the_way(there: There, at: int, way: str) -> Iterator[tuple[Client, Link]]:
    """A client of a server that is killed once so many bytes went that way, and is started again; and the link."""
    served = there.start("--name", HOST)
    killing = Killing(there, served, at)
    port = int(served.server.url.rpartition(":")[2])
    remember(RemoteServer(f"http://{HOST}:{port}", there.token, "ann", this_machine()))
    try:
        with link_to(port, **{way: killing}) as link:
            yield Client.connect(start=False), link
        assert killing.starting is not None
    finally:
        if killing.starting is not None:
            killing.starting.join()
        workers = killing.served.workers()
        killing.served.kill()
        psutil.wait_procs(workers, timeout=40)


@pytest.mark.long
def test_a_server_that_is_killed_while_a_file_comes(there: There, tmp_path: Path) -> None:
    request = write_plate(tmp_path / "shot", 9 * MIB, MIB)
    with killed_on_the_way(there, 6 * MIB, "spoils") as (client, link):
        client.submit(request)
        assert link.sent < 15 * MIB
    for path in sorted((tmp_path / "shot").glob("*.exr")):
        assert (space_of(there) / path.relative_to("/")).read_bytes() == path.read_bytes()


@pytest.mark.long
def test_a_server_that_is_killed_while_a_file_goes(there: There, tmp_path: Path) -> None:
    request = write_plate(tmp_path / "shot", 1)
    made = {tmp_path / "shot" / "out" / f"dog.{n}.exr": random.Random(n).randbytes(9 * MIB) for n in (1001, 1002)}
    job = made_before(there, request, made)
    with killed_on_the_way(there, 6 * MIB, "spoils_back") as (client, link):
        client.fetch(job)
        assert link.came < 23 * MIB
    assert {path: path.read_bytes() for path in (tmp_path / "shot" / "out").iterdir()} == made


def test_a_client_that_is_killed_sends_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERFLOW_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LAYERFLOW_SERVER", str(tmp_path / "hosts"))
    monkeypatch.delenv("LAYERFLOW_REMOTE")
    request, killed = write_plate(tmp_path / "shot", 8 * MIB, 8 * MIB, MIB), threading.Event()

    def kill(piece: bytes) -> bytes:
        if elsewhere.link.sent > 13 * MIB and not killed.is_set():
            killed.set()
            process.kill()
        return piece

    with served_elsewhere(tmp_path, spoils=kill) as elsewhere:
        remember(elsewhere.server)
        command = [sys.executable, "-c", SUBMIT, request.to_json()]
        process = subprocess.Popen(command)
        assert process.wait(60) == -signal.SIGKILL and not elsewhere.client.list()
        subprocess.run(command, check=True, timeout=60)
        assert elsewhere.link.sent < (17 + 5) * MIB
        for path in sorted((tmp_path / "shot").glob("*.exr")):
            assert elsewhere.file(path).read_bytes() == path.read_bytes()
        assert len(elsewhere.client.list()) == 1
