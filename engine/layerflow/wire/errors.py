"""What a client may catch.

ServerError
├── NotRunning       no server answers, and none could be started
├── WrongVersion     a server answers, but speaks another version of the API
├── ConnectionLost   it went away in the middle; what was asked may or may not have happened
├── TimedOut         it took longer than it was given
├── BadAnswer        what came back is no answer of a LayerFlow server, or it failed inside
├── LocalFile        a file of this machine cannot be read, or written as the server has it
├── Stopped          whoever asked wants it no more
└── Refused          it answered no: `kind`, `status`, and a message that says what to do
    ├── Unauthorised   401: the token is not the server's
    ├── Outside        403 of kind OutsideError: no job may use that path, yet
    ├── NotFound       404: there is no such job, or no preview yet
    ├── Conflict       409: the job is in a state where that cannot be
    └── Busy           429 and 503: the queue is full, or the server is on its way down

Every message is one sentence for an artist: what is wrong, then the next step. `ValueError` stays for a wrong argument.
"""

from __future__ import annotations

from typing import Optional, Sequence


class ServerError(Exception):
    """Base of everything that can go wrong between a host and the server."""


class NotRunning(ServerError):
    """No server answers, and none could be started."""


class WrongVersion(ServerError):
    """The server speaks another version of the API."""


class ConnectionLost(ServerError):
    """The server went away in the middle of an answer."""


class TimedOut(ServerError):
    """The answer took longer than it was given."""


class BadAnswer(ServerError):
    """The answer is not one of a LayerFlow server, or says that it failed inside."""


class LocalFile(ServerError):
    """A file of this machine cannot be read, or written as the server has it."""


class Stopped(ServerError):
    """Whoever asked wants it no more."""


class Refused(ServerError):
    """The server answered no."""

    def __init__(self, message: str, kind: str, status: int, retry_after_s: Optional[float] = None) -> None:
        super().__init__(message)
        self.kind = kind  # the server's own word for it, such as "RequestError"
        self.status = status  # of HTTP, 400 to 499 or 503
        self.retry_after_s = retry_after_s  # when to try again, if the server said so


class Unauthorised(Refused):
    """The token is not the server's."""


class Outside(Refused):
    """A path lies outside the folders that the server's jobs may use."""

    def __init__(self, message: str, kind: str, status: int, path: str, roots: Sequence[str]) -> None:
        super().__init__(message, kind, status)
        self.path = path
        self.roots = tuple(roots)  # those folders


class NotFound(Refused):
    """There is no such job, or no such thing of it yet."""


class Conflict(Refused):
    """The job is in a state where that cannot be."""


class Busy(Refused):
    """The server cannot take more just now."""


OUTSIDE = "OutsideError"  # the kind of it
ON_THE_WAY = (
    "BadChecksumError",
    "UploadError",
    "FileNotThereError",
)  # kinds of what befalls a chunk that is sent again
OF_STATUS = {401: Unauthorised, 404: NotFound, 409: Conflict, 429: Busy, 503: Busy}
