"""What the queue refuses.

LayerFlowError
├── StoreError           the queue's file cannot be used
├── LeavingError         the server is on its way down
└── RequestError
    ├── JobNotFoundError     there is no such job
    ├── NoPreviewError       nobody has made a picture of that layer yet
    ├── JobStateError        the job is in no state for that
    ├── OutsideError         a path leads out of the folders that jobs may use
    ├── QueueFullError       as many jobs wait as may
    ├── NoSpaceError         the machine's own token has no space for files
    ├── MachineOnlyError     a user's token does not open that
    ├── FileNotThereError    the space has no such file, or nobody began to upload it
    ├── SpaceFullError       a space has no room for that
    ├── BadChecksumError     a chunk is not what its digest says
    └── UploadError          a chunk does not go on from where the file is
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath

from layerflow.errors import LayerFlowError, RequestError


class StoreError(LayerFlowError):
    """The queue's file cannot be read or written, or is of a newer version."""


class LeavingError(LayerFlowError):
    """The server takes no more work."""


class JobNotFoundError(RequestError):
    """There is no such job."""


class NoPreviewError(RequestError):
    """Nobody has made a picture of that layer yet."""


class JobStateError(RequestError):
    """The job is in no state for what was asked."""


class OutsideError(RequestError):
    """A path leads out of the folders that jobs may use."""

    def __init__(self, message: str, path: str, roots: Collection[PurePath]) -> None:
        super().__init__(message)
        self.path = path  # as the request has it
        self.roots = tuple(map(str, roots))


class QueueFullError(RequestError):
    """As many jobs wait as may."""


class NoSpaceError(RequestError):
    """The machine's own token has no space for files."""


class MachineOnlyError(RequestError):
    """A user's token does not open that."""


class FileNotThereError(RequestError):
    """The space has no such file, or nobody began to upload it."""


class SpaceFullError(RequestError):
    """A space has no room for that."""


class BadChecksumError(RequestError):
    """A chunk is not what its digest says."""


class UploadError(RequestError):
    """A chunk does not go on from where the file is."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset  # to go on from
