"""A refusal as an answer: a status, and one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from layerflow.errors import LayerFlowError, OutputError
from layerflow.server.askers import MACHINE, Asker
from layerflow.server.errors import (
    FileNotThereError,
    JobNotFoundError,
    JobStateError,
    LeavingError,
    MachineOnlyError,
    NoPreviewError,
    NoSpaceError,
    OutsideError,
    QueueFullError,
    SpaceFullError,
    StoreError,
    UploadError,
)
from layerflow.server.survey import SurveyError

_STATUSES: dict[type[LayerFlowError], int] = {
    MachineOnlyError: 403,
    NoSpaceError: 403,
    OutsideError: 403,
    FileNotThereError: 404,
    JobNotFoundError: 404,
    NoPreviewError: 404,
    JobStateError: 409,
    UploadError: 409,
    SpaceFullError: 413,
    QueueFullError: 429,
    StoreError: 503,
    LeavingError: 503,
    SurveyError: 503,
    OutputError: 507,
}

AGAIN_S = {429: 10, 503: 2}  # after which it is worth asking once more

MAX_SENTENCE = 1000  # characters; a client reads no more


def problem(status: int, kind: str, message: str, **headers: str) -> JSONResponse:
    """The answer that says no, and after how long to ask again. `kind` is for programs, `message` for people."""
    return _answer(status, {"kind": kind, "message": _in_short(message)}, headers)


def problem_of(error: LayerFlowError, asker: Asker = MACHINE) -> JSONResponse:
    """The answer to a request of `asker` that ended in `error`."""
    kind = type(error)
    told: dict[str, Any] = {"kind": kind.__name__, "message": _in_short(asker.told(str(error)))}
    if isinstance(error, OutsideError):  # what a program needs to have it otherwise
        told |= {"path": asker.told(error.path), "roots": asker.told(error.roots)}
    if isinstance(error, UploadError):
        told["offset"] = error.offset
    return _answer(_STATUSES.get(kind, 400), told, {})


def _answer(status: int, told: Mapping[str, Any], headers: Mapping[str, str]) -> JSONResponse:
    again = {"Retry-After": str(AGAIN_S[status])} if status in AGAIN_S else {}
    return JSONResponse({"error": told}, status, {**again, **headers})


def _in_short(message: str) -> str:
    """`message`, which may quote what was sent, however long: what is wrong and the next step stand at its two ends."""
    half = MAX_SENTENCE // 2 - 2
    return message if len(message) <= MAX_SENTENCE else f"{message[:half]}…{message[-half:]}"
