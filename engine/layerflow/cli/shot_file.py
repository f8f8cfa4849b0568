"""A request as a file: what a farm's job, a planner and people by hand hand over."""

from __future__ import annotations

import os.path
from dataclasses import replace
from functools import partial
from pathlib import Path

from layerflow.errors import RequestError
from layerflow.files import refused_as
from layerflow.wire import Request, parse_lora, parse_matte, write_lora, write_matte


def read_shot_file(path: str) -> Request:
    """The request in the JSON file at `path`, its relative paths counted from the file's folder. RequestError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise RequestError(f"the shot file {path} cannot be read ({reason}); give a request as JSON") from error
    with refused_as(RequestError):
        return _with_whole_paths(Request.from_json(text), Path(path).absolute().parent)


def _with_whole_paths(request: Request, folder: Path) -> Request:
    """As the wire's `with_whole_paths`, from `folder` on; a model is a path where a folder is there."""
    whole = partial(_from, folder)
    model = request.model
    if Path(model).name != model and Path(whole(model)).is_dir():
        model = whole(model)
    return replace(
        request,
        plate=None if request.plate is None else whole(request.plate),
        guide=None if request.guide is None else _matte(request.guide, folder),
        holdout=None if request.holdout is None else _matte(request.holdout, folder),
        output=whole(request.output),
        model=model,
        lora=tuple(_lora(text, folder) for text in request.lora),
    )


def _from(folder: Path, path: str) -> str:
    return os.path.normpath(folder / path)


def _matte(text: str, folder: Path) -> str:
    path, channel = parse_matte(text)
    return write_matte(_from(folder, path), channel)


def _lora(text: str, folder: Path) -> str:
    path, weight = parse_lora(text)
    return text if Path(path).is_absolute() else write_lora(_from(folder, path), weight)
