"""Users of a server that runs, and what they send: files in chunks, as a client does."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from guarded import Answer, Caller

from layerflow.server import digests
from layerflow.server.service import Service
from layerflow.server.spaces import Space
from layerflow.server.users import User
from layerflow.wire import Job, Request

MIB = 1 << 20
PLATE = "posix-ws7/shots/dog/plate.1001.exr"


class UserCaller(Caller):
    """Asks as one user."""

    def __init__(self, service: Service, token: str, name: str = "") -> None:
        super().__init__(service)
        self.token, self.name = token, name

    @property
    def own(self) -> dict[str, str]:
        return {**super().own, "Authorization": f"Bearer {self.token}"}

    @property
    def space(self) -> Space:
        """The user's space on the server."""
        return Space.below(self.service.spaces, self.name)

    def begin(self, content: bytes, name: str = PLATE, **changes: Any) -> Answer:
        """Begins the upload of `content`."""
        wish = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changes}
        return self.ask("POST", "/v1/files", json.dumps(wish).encode())

    def send(self, offset: int, chunk: bytes, name: str = PLATE, **headers: str | None) -> Answer:
        """Sends one chunk."""
        given: dict[str, str | None] = {
            "content_type": "application/offset+octet-stream",
            "upload_offset": str(offset),
            "content_digest": digests.written_of(chunk),
        }
        return self.ask("PATCH", f"/v1/files/{name}", chunk, **{**given, **headers})

    def upload(self, content: bytes, name: str = PLATE) -> None:
        """Has `content` there under its name."""
        begun = self.begin(content, name)
        assert begun.status in (200, 201), begun.body
        if begun.status == 201:
            assert self.send(offset_of(begun), content, name).status == 200

    def post(self, request: Request, **headers: str | None) -> Answer:
        """Submits a request as it is, with names of the space for its files."""
        return self.ask("POST", "/v1/jobs", json.dumps({"request": request.to_dict()}).encode(), **headers)

    def submit(self, request: Request, **headers: str | None) -> Job:
        """The job that it became."""
        return Job.from_dict(json.loads(self.post(request, **headers).body))


def offset_of(answer: Answer) -> int:
    """How much is there, of an answer that says so or that says no for it."""
    told = json.loads(answer.body)
    return int(told.get("error", told)["offset"])


def add_user(service: Service, name: str, *, space_bytes: int = 100 * MIB, jobs: int = 50) -> UserCaller:
    """A new user of `service`."""
    token = service.users.add(User(name=name, space_bytes=space_bytes, jobs=jobs))
    return UserCaller(service, token, name)
