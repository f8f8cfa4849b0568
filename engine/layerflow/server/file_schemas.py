"""What the API takes and tells of files, as its OpenAPI document describes it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from layerflow.server.schemas import Strict
from layerflow.server.spaces import check_file_name

_FILE: dict[str, Any] = {"type": "string", "minLength": 1, "examples": ["posix-ws7/shots/dog/plate.1001.exr"]}
_UPLOAD: dict[str, Any] = {"name": _FILE["examples"][0], "size": 0, "sha256": hashlib.sha256().hexdigest()}


def _file_name(text: str) -> str:
    check_file_name(text)
    return text


FileName = Annotated[str, AfterValidator(_file_name), WithJsonSchema(_FILE)]
Offset = Annotated[int, Field(ge=0, lt=1 << 53)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class UploadWish(Strict):
    """A file that is to come."""

    name: FileName
    size: Offset = Field(description="Bytes.")
    sha256: Sha256 = Field(description="Of the whole file.")
    modified_ns: int | None = Field(
        default=None,
        ge=0,
        lt=1 << 62,
        description="When it was last changed, in nanoseconds since 1970; the file is given that time.",
    )

    model_config = ConfigDict(json_schema_extra={"examples": [_UPLOAD]})


class UploadBegun(BaseModel):
    """How much of a file is there."""

    name: str
    size: int
    sha256: str
    offset: int = Field(description="Where the next chunk goes; the size once all is there.", ge=0)


class JobFile(BaseModel):
    """A file that a job has made."""

    name: str
    size: int
    sha256: str


class JobFiles(BaseModel):
    """All files that a job has made."""

    files: list[JobFile]


class SpaceState(BaseModel):
    """How much a user has, and may have."""

    user: str
    used_bytes: int = Field(description="Files that are there, and those on their way as if they were.")
    limit_bytes: int
    files: int = Field(description="That are there.")
    jobs_waiting: int
    jobs_limit: int
    chunk_bytes: int = Field(description="Of a file, that are sent or asked for at a time.")
