"""A project on disk: versioned JSON, NAME.lfstudio. What it was before the last save is kept as NAME.lfstudio~."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from layerflow_desktop.models.document import Document
from layerflow_desktop.models.files import part_of, write_whole
from layerflow_desktop.models.project_paths import with_relative_paths, with_whole_paths

SUFFIX = ".lfstudio"
VERSION = 1


class ProjectError(ValueError):
    """A project cannot be read or written; one sentence that says what to do."""


def save(document: Document, path: Path) -> None:
    """Writes a project as a whole or not at all. Raises ProjectError."""
    path = whole(path)
    text = to_text(document, path.parent)
    target = path.resolve()  # a link stays a link
    try:
        _keep_previous(target)
        write_whole(target, text)
    except OSError as error:
        raise ProjectError(f"cannot write {path} ({error.strerror or error}); save the project elsewhere") from error


def load(path: Path) -> Document:
    """The project in a file. Raises ProjectError."""
    path = whole(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"cannot read {path} ({error.strerror or error}); choose another project") from error
    except UnicodeDecodeError as error:
        raise ProjectError(_damaged(path, "it is not text")) from error
    return from_text(text, path)


def to_text(document: Document, folder: Path) -> str:
    """The project as its file in `folder` has it."""
    values = with_relative_paths(document.model_dump(mode="json"), str(folder))
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_text(text: str, path: Path) -> Document:
    """The project that a file at `path` says. Raises ProjectError."""
    values = _values(text, path)
    version = values.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProjectError(_damaged(path, "it has no version"))
    if version > VERSION:
        raise ProjectError(
            f"{path.name} is of a newer LayerFlow Studio (version {version}, this one reads {VERSION}); "
            "update LayerFlow to open it"
        )
    try:
        return Document.model_validate(with_whole_paths(values, str(path.parent)))
    except (ValidationError, RecursionError) as error:
        raise ProjectError(_damaged(path, _first_of(error))) from error


def whole(path: Path) -> Path:
    """The path from the root on; links stay links."""
    return Path(os.path.normpath(path.absolute()))


def previous_of(path: Path) -> Path:
    """The file with the project as it was before the last save."""
    return path.with_name(f"{path.name}~")


def _values(text: str, path: Path) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProjectError(_damaged(path, "it is no JSON")) from error
    if not isinstance(values, dict):
        raise ProjectError(_damaged(path, "it is no project"))
    return values


def _damaged(path: Path, why: str) -> str:
    before = previous_of(path)
    step = f"open {before.name}, what was saved before" if before.exists() else "open a copy of it"
    return f"{path.name} is damaged: {why}; {step}"


def _first_of(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deep"
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place} cannot be {str(first['input'])[:40]!r}"


def _keep_previous(path: Path) -> None:
    """Copies what is there aside, as a whole or not at all; the file itself is never away."""
    if not path.exists():
        return
    part = part_of(previous_of(path))
    try:
        shutil.copyfile(path, part)
        part.replace(previous_of(path))
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
