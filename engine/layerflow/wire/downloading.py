"""The files of a job that is done on their way from the user's space to where it was asked from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List

from layerflow.wire import checksums, errors, places
from layerflow.wire.digests import Digests, readable, sha256_of
from layerflow.wire.jobs import Job
from layerflow.wire.line import Line
from layerflow.wire.lock import try_lock
from layerflow.wire.space_names import SpaceNames, files_path
from layerflow.wire.transfer import DOWNLOADING, OnTransfer, Progress
from layerflow.wire.transport import Answer, Question
from layerflow.wire.versions import Frames

_KINDS = (".exr", ".mp4", ".png")  # of what jobs make
_SHA256 = re.compile("[0-9a-f]{64}")
_POLL_S = 0.2
_DAMAGED = "bytes of {} are damaged on their way again and again; see to the network"


@dataclass(frozen=True)
class Made:
    """A file that a job has made, and where it goes."""

    name: str
    path: str
    size: int
    sha256: str

    @property
    def part(self) -> str:
        """Where it is kept until it is whole; another content goes elsewhere."""
        folder, name = os.path.split(self.path)
        return os.path.join(folder, ".{}.{}.part".format(name[:100], self.sha256[:16]))


class Downloading:
    """Brings what jobs made from a server. Raises ServerError; Stopped keeps what has come."""

    def __init__(self, line: Line, names: SpaceNames, digests: Digests) -> None:
        self._line, self._names, self._digests = line, names, digests

    def bring(self, job: Job, on_transfer: OnTransfer) -> List[str]:
        """Has every file of a job that is done where its request says; their paths.

        Those that are there are left alone. Raises LocalFile, before anything comes, where another file is in the way
        of one and the job replaces none.
        """
        answer = self._line.persist(Question("GET", "/v1/jobs/{}/files".format(job.id)))
        files = [self._made(values, job, answer) for values in answer.json().get("files", [])]
        with self._alone(job):
            wanted = [file for file in files if not self._is_there(file, job.overwrite)]
            progress = Progress(DOWNLOADING, [file.size for file in wanted], on_transfer)
            for file in wanted:
                progress.at(0)
                self._bring(file, progress.at)
                progress.through(file.size)
        return [file.path for file in files]

    def _made(self, values: Any, job: Job, answer: Answer) -> Made:
        """A file as the server told of it, which may lie nowhere but among the frames of its job."""
        try:
            name, size, sha256 = values["name"], values["size"], values["sha256"]
            path = self._names.path(name)
        except (KeyError, TypeError, AttributeError) as error:
            raise _nonsense(answer) from error
        except ValueError as error:
            raise errors.LocalFile(str(error)) from error
        frames = Frames.of(job.request.output)
        folder, base = os.path.split(path)
        is_among = folder == frames.folder and base.startswith(frames.stem) and base.endswith(_KINDS)
        if not (is_among and isinstance(size, int) and _SHA256.fullmatch(sha256)):
            raise _nonsense(answer)
        return Made(name, path, size, sha256)

    def _is_there(self, file: Made, overwrite: bool) -> bool:
        if not os.path.lexists(file.path):
            return False
        if self._digests.of(file.path, self._line.check_wanted).sha256 == file.sha256:
            return True
        if overwrite:
            return False
        raise errors.LocalFile(
            "{} is already there and another file than the job made; move it away, then layerflow jobs fetch".format(
                file.path
            )
        )

    def _bring(self, file: Made, at: Callable[[int], None]) -> None:
        with readable(file.path):
            os.makedirs(os.path.dirname(file.path), exist_ok=True)
            while not self._is_whole(file, at):
                os.unlink(file.part)
                self._line.failed(errors.ConnectionLost(_DAMAGED.format(file.path)))
            os.replace(file.part, file.path)
        self._digests.note(file.path, file.sha256)

    def _is_whole(self, file: Made, at: Callable[[int], None]) -> bool:
        """Whether what has come, once it is as long as the file, is the file."""
        with open(file.part, "ab") as part:
            offset = part.seek(0, os.SEEK_END)
            while offset < file.size:
                at(offset)
                try:
                    offset += part.write(self._piece(file, offset))
                    self._line.got_on()
                except errors.NotFound:
                    raise
                except errors.ServerError as error:
                    self._line.failed(error)
            part.flush()
            os.fsync(part.fileno())
        return sha256_of(file.part, self._line.check_wanted) == file.sha256

    def _piece(self, file: Made, offset: int) -> bytes:
        """What comes behind the first `offset` bytes. Raises ConnectionLost where it is not what was sent."""
        last = min(offset + self._line.chunk, file.size) - 1
        headers = {"Accept": "*/*", "Range": "bytes={}-{}".format(offset, last)}
        answer = self._line.ask(Question("GET", files_path(file.name), headers=headers))
        span = answer.headers.get("content-range", "")
        if not (answer.body and answer.status == 206 and span.startswith("bytes {}-".format(offset))):
            raise _nonsense(answer)
        if answer.headers.get("content-digest") != checksums.written(hashlib.sha256(answer.body).digest()):
            raise errors.ConnectionLost(_DAMAGED.format(file.path))
        return answer.body

    @contextlib.contextmanager
    def _alone(self, job: Job) -> Iterator[None]:
        """Within it no other process of this user brings the same files."""
        lock = places.runtime_folder() / "fetch-{}.lock".format(job.id)
        while True:
            with readable(str(lock)), try_lock(lock) as alone:
                if alone:
                    yield
                    return
            self._line.check_wanted()
            time.sleep(_POLL_S)


def _nonsense(answer: Answer) -> errors.BadAnswer:
    return errors.BadAnswer(
        "the LayerFlow server at {} tells of files that make no sense; install the same LayerFlow on both sides".format(
            answer.url
        )
    )
