"""Paths of a document, whole in memory and relative in its file, so that a folder can move with all that is in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from layerflow.wire.lora import parse_lora
from layerflow.wire.matte import parse_matte

Change = Callable[[str], str]
Values = dict[str, Any]

MAX_UP = 2  # folders: shot/work/v1/dog.lfstudio still goes by shot/plates, and never by the user's whole home

_PLATES = ("plate", "output")
_MATTES = ("guide", "holdout")


def with_relative_paths(document: Values, folder: str) -> Values:
    """A document's values with paths relative to `folder`, with forward slashes, where they are near it."""
    return _changed(document, lambda path: _relative(path, folder))


def with_whole_paths(document: Values, folder: str) -> Values:
    """A document's values with paths written out that were relative to `folder`."""
    return _changed(document, lambda path: _whole(path, folder))


def _changed(document: Values, change: Change) -> Values:
    takes = document.get("takes")
    changed = dict(document)
    if isinstance(document.get("shot"), dict):
        changed["shot"] = _changed_request(document["shot"], change)
    if isinstance(takes, list):
        changed["takes"] = [_changed_take(take, change) if isinstance(take, dict) else take for take in takes]
    return changed


def _changed_take(take: Values, change: Change) -> Values:
    changed = {**take, **_texts(take, ("pattern",), change)}
    if isinstance(take.get("request"), dict):
        changed["request"] = _changed_request(take["request"], change)
    return changed


def _changed_request(request: Values, change: Change) -> Values:
    """A request's values, or those of the shot's settings, which have the same names."""
    changed = {
        **request,
        **_texts(request, _PLATES, change),
        **_texts(request, _MATTES, lambda text: _changed_start(text, _matte_path, change)),
        **_texts(request, ("model",), lambda text: _changed_model(text, change)),
    }
    loras = request.get("lora")
    if isinstance(loras, (list, tuple)):
        changed["lora"] = [
            _changed_start(each, _lora_path, change) if isinstance(each, str) else each for each in loras
        ]
    return changed


def _texts(values: Values, names: tuple[str, ...], change: Change) -> Values:
    texts = {name: values.get(name) for name in names}
    return {name: change(text) for name, text in texts.items() if isinstance(text, str) and text}


def _changed_start(text: str, path_of: Change, change: Change) -> str:
    """The text with its path changed, and with what stands behind it as it was."""
    path = path_of(text)
    return change(path) + text[len(path) :]


def _matte_path(text: str) -> str:
    try:
        return parse_matte(text)[0]
    except ValueError:  # not finished yet: it is kept as it was typed
        return text


def _lora_path(text: str) -> str:
    try:
        path, _ = parse_lora(text)
    except ValueError:
        return text
    return path


def _changed_model(text: str, change: Change) -> str:
    """A model by name stays; a folder is told from a name by a slash, also where it lies beside the project."""
    if "/" not in text and "\\" not in text:
        return text
    path = change(text)
    return path if "/" in path or "\\" in path else f"./{path}"


def _is_whole(path: str) -> bool:
    """Whether a path says where it begins, on this system or another."""
    return PurePosixPath(path).is_absolute() or bool(PureWindowsPath(path).drive)


def _relative(path: str, folder: str) -> str:
    if not Path(path).is_absolute():
        return path
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return path
    num_up = Path(relative).parts.count(os.pardir)
    beginning = os.path.commonpath([path, folder])
    if num_up and (num_up > MAX_UP or _is_no_shot(beginning)):
        return path
    relative = relative.replace(os.sep, "/")
    return f"./{relative}" if _is_whole(relative) else relative  # a folder named like a drive


def _is_no_shot(folder: str) -> bool:
    """Whether a folder is a root or the user's home, which nobody moves."""
    return Path(folder) in (Path(folder).parent, Path.home())


def _whole(path: str, folder: str) -> str:
    if _is_whole(path):
        return path
    return os.path.normpath(Path(folder) / path)
