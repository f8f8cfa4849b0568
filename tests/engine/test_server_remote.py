"""A real server and a user elsewhere: killed in the middle of a file, started again, and nothing is sent twice."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from server_process import Served, home, own_folder, serving, start

from layerflow.cli.users import users
from layerflow.server import digests
from layerflow.server.folder import ServerFolder

__all__ = ["home"]

NAME = "posix-ws7/shots/dog.mov"
MIB = 1 << 20


def asked_users(*arguments: str) -> dict[str, object]:
    """What `layerflow users` prints for programs."""
    outcome = CliRunner().invoke(users, [*arguments, "--json"])
    assert outcome.exit_code == 0, outcome.output
    told: dict[str, object] = json.loads(outcome.stdout)
    return told


class User:
    """One who sits elsewhere, and speaks plain HTTP."""

    def __init__(self, served: Served, token: str) -> None:
        self.address, self.token = urlsplit(served.server.url), token

    def ask(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=60)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": f"Bearer {self.token}", **given})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        finally:
            connection.close()

    def begin(self, content: bytes) -> int:
        """How much of `content` is there."""
        wish = {"name": NAME, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        status, told = self.ask("POST", "/v1/files", json.dumps(wish).encode(), Content_Type="application/json")
        assert status in (200, 201), told
        return int(json.loads(told)["offset"])

    def send(self, content: bytes, offset: int) -> int:
        """Sends the next chunk, and says how much is there then."""
        chunk = content[offset : offset + 4 * MIB]
        headers = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": str(offset)}
        status, told = self.ask(
            "PATCH", f"/v1/files/{NAME}", chunk, **headers, Content_Digest=digests.written_of(chunk)
        )
        assert status == 200, told
        return int(json.loads(told)["offset"])


@pytest.mark.parametrize("size", [9 * MIB, pytest.param(1 << 30, marks=pytest.mark.long)])
def test_a_server_that_is_killed_goes_on_with_a_file(home: Path, size: int) -> None:
    content = random.Random(1).randbytes(MIB) * (size // MIB)
    token = str(asked_users("add", "ann", "--space-gib", "2")["token"])
    kills = 2 if size < 1 << 30 else 8
    sent, offset = 0, 0
    for turn in range(kills + 1):
        served = start("--spaces", str(home / "spaces")) if turn == 0 else start()  # which remembers them
        user = User(served, token)
        try:
            assert user.begin(content) == offset
            until = size if turn == kills else size * (turn + 1) // (kills + 1)
            while offset < until:
                there, offset = offset, user.send(content, offset)
                sent += offset - there
            if turn == kills:
                assert (home / "spaces" / "ann" / NAME).read_bytes() == content
                assert user.ask("GET", f"/v1/files/{NAME}", Range=f"bytes={size - 3}-") == (206, content[-3:])
        finally:
            served.kill()
    assert sent == size


def test_who_is_let_in_while_a_server_runs(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as served:
        token = str(asked_users("add", "ann", "--jobs", "3")["token"])
        ann = User(served, token)
        status, told = ann.ask("GET", "/v1/space")
        assert status == 200 and json.loads(told)["jobs_limit"] == 3 and json.loads(told)["chunk_bytes"] == 4 * MIB
        assert asked_users("list") == {"users": [{"name": "ann", "space_gib": 200.0, "jobs": 3}]}
        new = str(asked_users("renew", "ann")["token"])
        assert ann.ask("GET", "/v1/space")[0] == 401 and User(served, new).ask("GET", "/v1/space")[0] == 200
        assert (
            asked_users("remove", "ann") == {"removed": "ann"} and User(served, new).ask("GET", "/v1/space")[0] == 401
        )
        ann.ask("GET", f"/v1/space?token={new}", None, Cookie=f"token={new}")
        assert served.end() == 0
    kept = [path.read_bytes() for folder in (own_folder().path, home / "runtime") for path in _files_of(folder)]
    assert kept and not any(each.encode() in text for each in (token, new) for text in kept)
    assert not {token, new} & set("".join(capfd.readouterr()).split())


def _files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_users_as_people_read_them(home: Path) -> None:
    def said(*arguments: str) -> str:
        return CliRunner().invoke(users, arguments).output

    assert said("list") == "there are no users; layerflow users add NAME makes one\n"
    assert said("add", "ann", "--space-gib", "0.5").startswith("token of ann, shown this once: ")
    assert said("list") == "ann: 0.5 GiB, 50 jobs\n"
    assert said("remove", "ann") == "ann has no token any more\n"
    assert (ServerFolder.own().path.stat().st_mode & 0o777) == 0o700
