"""A model hub on this machine: the part of the Hugging Face hub's protocol that a pull uses, over real sockets.

Large files are answered with a redirect to another path, as the hub sends them to its storage, and may be asked for
from any byte on. Faults can be asked for: a connection that breaks, wrong bytes, a refusal.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".pt", ".safetensors", ".model")


@dataclass
class Repo:
    """One repository at one commit."""

    files: dict[str, bytes]
    commit: str = "c0ffee" + "0" * 34
    licence: str | None = None
    refusal: tuple[int, str] | None = None  # status and X-Error-Code of every answer

    @classmethod
    def of(cls, folder: Path, **values: Any) -> Repo:
        """All files of a folder."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return cls(files=files, **values)

    def about(self, name: str) -> dict[str, Any]:
        """A file as the hub lists it."""
        data = self.files[name]
        entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_hash(data)}
        if name.endswith(LARGE):
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return entry


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Served:
    """What the server has, what is wrong with it, and what it was asked for."""

    repos: dict[str, Repo]
    cuts: dict[str, list[int]] = field(default_factory=dict)  # file -> bytes to send before each break
    wrong: set[str] = field(default_factory=set)  # files sent with one bit turned over
    gone: set[str] = field(default_factory=set)  # files that are listed and not there
    without_ranges: bool = False
    stall: threading.Event | None = None  # what a cut connection waits for before it breaks
    stalled: threading.Event = field(default_factory=threading.Event)
    requests: list[str] = field(default_factory=list)  # "GET path" or "GET path from N"
    url: str = ""
    storage: str = ""  # the same server by another name, as the hub's storage is another host

    def asked(self, ending: str) -> list[str]:
        """The requests for files of that ending, without their folders."""
        gets = [request.split("/")[-1] for request in self.requests if request.startswith("GET")]
        return [request for request in gets if request.split()[0].endswith(ending)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing: `Served.requests` has it."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.served.requests.append(f"{self.command} {path}{f' from {start[1]}' if start else ''}")
        for repo_id, repo in self.served.repos.items():
            if path.startswith((f"/api/models/{repo_id}", f"/{repo_id}/")):
                if repo.refusal:
                    return self._refuse(*repo.refusal)
                if path.startswith("/api/"):
                    return self._list(repo_id, repo, path)
                return self._file(repo_id, repo, path, int(start[1]) if start else 0)
        return self._refuse(401, "")  # what the hub says of a repository that it does not have

    def _list(self, repo_id: str, repo: Repo, path: str) -> None:
        revision = path.partition("/revision/")[2] or "main"
        if revision not in ("main", repo.commit):
            return self._refuse(404, "RevisionNotFound")
        card = {} if repo.licence is None else {"cardData": {"license": repo.licence}}
        info = {"id": repo_id, "sha": repo.commit, "siblings": [repo.about(name) for name in repo.files], **card}
        return self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _file(self, repo_id: str, repo: Repo, path: str, start: int) -> None:
        kind, _, rest = path.removeprefix(f"/{repo_id}/").partition("/")
        name = rest if kind == "storage" else rest.partition("/")[2]
        if name not in repo.files or name in self.served.gone:
            return self._refuse(404, "EntryNotFound")
        about, common = repo.about(name), {"X-Repo-Commit": repo.commit}
        if "lfs" in about and kind == "resolve":
            linked = {"X-Linked-Size": str(about["size"]), "X-Linked-Etag": f'"{about["lfs"]["sha256"]}"'}
            return self._send(
                302, b"", {**common, **linked, "Location": f"{self.served.storage}/{repo_id}/storage/{name}"}
            )
        data = repo.files[name]
        if name in self.served.wrong:
            data = bytes([data[0] ^ 1]) + data[1:]
        return self._part(name, data, start, {**common, "ETag": f'"{about["blobId"]}"'})

    def _part(self, name: str, data: bytes, start: int, headers: dict[str, str]) -> None:
        status = 200
        if start and not self.served.without_ranges:
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            data = data[start:]
        cuts = self.served.cuts.get(name)
        self._send(status, data, headers, cut=cuts.pop(0) if cuts and self.command == "GET" else None)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code} if code else {})

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.served.stalled.set()
            if self.served.stall:
                self.served.stall.wait()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(repos: dict[str, Repo]) -> Iterator[Served]:
    """A hub that has `repos`, at `Served.url`."""
    served = Served(repos=repos)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    served.storage = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
