"""The files of a request on their way into the user's space: what the server lacks, chunk by chunk."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import BinaryIO, Callable, Iterable, Optional

from layerflow.wire import checksums, errors
from layerflow.wire.digests import Content, Digests, readable
from layerflow.wire.inputs import input_files, sequences
from layerflow.wire.line import Line
from layerflow.wire.request import Request
from layerflow.wire.space_names import SpaceNames, files_path
from layerflow.wire.transfer import UPLOADING, OnTransfer, Progress
from layerflow.wire.transport import Question

_CHUNK = "application/offset+octet-stream"


class Uploading:
    """Takes what requests need to a server. Raises ServerError; Stopped keeps there what has come."""

    def __init__(self, line: Line, names: SpaceNames, digests: Digests) -> None:
        self._line, self._names, self._digests = line, names, digests

    def send(self, request: Request, on_transfer: OnTransfer) -> None:
        """Has every file that a request with whole paths reads in the space, and of its sequences no frame that is
        gone here."""
        self._remove_gone(request)
        paths = input_files(request)
        self._check_names(paths)
        progress = Progress(UPLOADING, [_size(path) for path in paths], on_transfer)
        for path in paths:
            progress.at(0)
            file = self._digests.of(path, self._line.check_wanted)
            self._send(file, progress.at)
            progress.through(file.size)

    def _send(self, file: Content, at: Callable[[int], None]) -> None:
        name, highest = self._names.name(file.path), 0
        offset: Optional[int] = None  # not known
        with readable(file.path), open(file.path, "rb") as content:
            while offset is None or offset < file.size:
                try:
                    offset = self._begun(name, file) if offset is None else self._next(name, file, content, offset)
                except errors.ServerError as error:
                    self._line.failed(error)
                    offset = None
                if offset is not None and offset > highest:
                    highest = offset
                    self._line.got_on()
                    at(offset)

    def _begun(self, name: str, file: Content) -> int:
        """Begins a file or goes on with it: how much of it is there."""
        wish = {"name": name, "size": file.size, "sha256": file.sha256, "modified_ns": max(0, file.modified_ns)}
        return self._offset(Question("POST", "/v1/files", body=wish), file)

    def _next(self, name: str, file: Content, content: BinaryIO, offset: int) -> int:
        """Sends what comes behind the first `offset` bytes: how much is there then."""
        content.seek(offset)
        chunk = content.read(self._line.chunk)
        file.check_unchanged(os.fstat(content.fileno()))
        headers = {
            "Content-Type": _CHUNK,
            "Upload-Offset": str(offset),
            "Content-Digest": checksums.written(hashlib.sha256(chunk).digest()),
        }
        return self._offset(Question("PATCH", files_path(name), headers=headers, content=chunk), file)

    def _offset(self, question: Question, file: Content) -> int:
        answer = self._line.ask(question)
        offset = answer.json().get("offset")
        if not isinstance(offset, int) or not 0 <= offset <= file.size:
            raise errors.BadAnswer(
                "the LayerFlow server at {} tells of no place in {}; install the same LayerFlow on both sides".format(
                    answer.url, file.path
                )
            )
        return offset

    def _check_names(self, paths: Iterable[str]) -> None:
        """Raises LocalFile where a file has no name in a space, before any is sent."""
        try:
            for path in paths:
                self._names.name(path)
        except ValueError as error:
            raise errors.LocalFile(str(error)) from error

    def _remove_gone(self, request: Request) -> None:
        for folder, counts in sequences(request):
            for path in self._digests.gone(folder):
                if counts(os.path.basename(path)):
                    with contextlib.suppress(errors.NotFound):  # nor was it ever there
                        self._line.persist(Question("DELETE", files_path(self._names.name(path))))
                    self._digests.forget(path)


def _size(path: str) -> int:
    with readable(path):
        return os.stat(path).st_size
