"""Frames to a server elsewhere and back, over a link that breaks: `python benchmarks/remote.py [GB] [MB]`.

Starts `layerflow serve` with TLS behind a link that ends every connection after MB megabytes of both ways (default 50),
takes GB gigabytes (default 2) of files the size of 2K EXR frames there and back as hosts do, and holds each against
its SHA-256. Prints how fast that was, how often the link broke and how much went over it more than once; then the same
over a link that holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))

from links import HOST, Link, link_to
from queueing import worker

from layerflow.server.folder import ServerFolder
from layerflow.server.leases import claim
from layerflow.server.ledger import Ledger
from layerflow.server.spaces import Space
from layerflow.server.store import Store
from layerflow.server.users import User, Users
from layerflow.wire import Request, remote_files
from layerflow.wire.client import Client
from layerflow.wire.remote import RemoteServer, this_machine
from layerflow.wire.running import published
from layerflow.wire.space_names import SpaceNames
from layerflow.wire.transfer import unseen, unstopped

MB, FRAME = 10**6, 12_500_000  # bytes


class There:
    """The machine of the server, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = ServerFolder(path=folder / "server")
        self.folder.make()
        self.store = Store(self.folder.queue)
        self.space = Space.below(self.folder.spaces, "ann", limit_bytes=10**12)
        self.token = Users(self.store.database).add(User(name="ann", space_bytes=10**12, jobs=10))
        self._environment = {**os.environ, "LAYERFLOW_SERVER": str(self.folder.path)}
        self._environment["LAYERFLOW_RUNTIME"] = str(folder / "runtime")
        self._runtime = folder / "runtime"
        self._tls = _tls(folder)
        self.authority = (folder / "authority.pem").read_text()

    @contextmanager
    def serving(self, drops_after: int | None) -> Iterator[tuple[RemoteServer, Link]]:
        """The server behind a link."""
        command = [sys.executable, "-P", "-m", "layerflow.cli", "serve", "--json", "--port", "0", "--name", HOST]
        with subprocess.Popen([*command, *self._tls], stdout=subprocess.PIPE, env=self._environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            running = published(self._runtime)
            assert running is not None
            port = int(running.url.rpartition(":")[2])
            server = RemoteServer(f"https://{HOST}:{port}", self.token, "ann", this_machine(), self.authority)
            try:
                with link_to(port, drops_after=drops_after) as link:
                    yield server, link
            finally:
                process.terminate()

    def make(self, request: Request, plates: list[Path]) -> str:
        """The id of a job that is done, with a frame that holds what each plate does."""
        job, _ = self.store.submit(self.space.placed(SpaceNames(this_machine()).sent(request)), owner="ann")
        lease = claim(self.store, worker(self.store))
        assert lease is not None
        frames = [Path(lease.job.request.output).with_name(path.name.replace("plate", "dog")) for path in plates]
        for plate, frame in zip(plates, frames, strict=True):
            frame.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.space.folder / this_machine() / plate.relative_to("/"), frame)
            Ledger(self.store.database).look(self.space, self.space.name_of(str(frame)))  # as a worker does
        lease.done({"frames": [str(frame) for frame in frames]})
        return job.id


def _tls(folder: Path) -> list[str]:
    """The options of a server that is called HOST; who says so is in `authority.pem`."""
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]


def write_frames(folder: Path, count: int) -> list[Path]:
    """Files of noise, which nothing on the way can make smaller."""
    folder.mkdir()
    paths = [folder / f"plate.{number}.exr" for number in range(1001, 1001 + count)]
    for path in paths:
        path.write_bytes(os.urandom(FRAME))
    return paths


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def carry(what: str, link: Link, passed: Callable[[], int], size: int, call: Callable[[], object]) -> None:
    """Prints how long `call` took to bring `size` bytes, and what the link did meanwhile."""
    started, drops, before = time.perf_counter(), link.drops, passed()
    call()
    seconds = time.perf_counter() - started
    more = passed() - before - size
    print(
        f"{what}: {size / 1e9:.2f} GB in {seconds:.1f} s, {size / MB / seconds:.0f} MB/s; the link broke "
        f"{link.drops - drops} times, {more / MB:.1f} MB ({100 * more / size:.1f} %) went besides the files",
        flush=True,
    )


def there_and_back(folder: Path, count: int, drops_after: int | None) -> None:
    """Takes frames to a server and brings them back, whole."""
    os.environ["LAYERFLOW_SERVER"] = str(folder / "hosts")
    os.environ["LAYERFLOW_RUNTIME"] = str(folder / "hosts-runtime")
    there, plates = There(folder), write_frames(folder / "shot", count)
    digests, size = [sha256_of(path) for path in plates], count * FRAME
    asked = Request(
        "decompose", plate=str(folder / "shot" / "plate.####.exr"), output=str(folder / "out" / "dog.####.exr")
    )
    over = "a link that holds" if drops_after is None else f"a link that drops every {drops_after // MB} MB"
    with there.serving(drops_after) as (server, link):
        carry(
            f"up over {over}",
            link,
            lambda: link.sent,
            size,
            lambda: remote_files.upload(server, asked, unseen, unstopped),
        )
    came = [sha256_of(there.space.folder / this_machine() / path.relative_to("/")) for path in plates]
    job = there.make(asked, plates)
    with there.serving(drops_after) as (server, link):
        carry(f"down over {over}", link, lambda: link.came, size, lambda: Client(server).fetch(job))
    returned = [sha256_of(path) for path in sorted((folder / "out").glob("dog.*.exr"))]
    assert digests == came == returned, "a file is not what it was"
    print(f"all {count} files are whole there and back, by SHA-256", flush=True)


def main(gigabytes: float, drops_after: int) -> None:
    count = max(1, round(gigabytes * 1e9 / FRAME))
    for after in (drops_after, None):
        folder = Path(tempfile.mkdtemp(prefix="layerflow-remote-"))
        try:
            there_and_back(folder, count, after)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 2.0, int(float(sys.argv[2]) * MB) if sys.argv[2:] else 50 * MB)
