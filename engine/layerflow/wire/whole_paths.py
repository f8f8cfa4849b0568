"""A request whose paths mean the same in every process: a server's working folder is not its host's."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Callable, Optional

from layerflow.wire.lora import parse_lora, write_lora
from layerflow.wire.matte import parse_matte, write_matte
from layerflow.wire.request import Request

Move = Callable[[str], str]  # of a path, to what it is elsewhere


def with_whole_paths(request: Request) -> Request:
    """The request with its paths written out from the working folder of this process.

    A model is a path where it names a folder below that one, like "./mine" or "models/mine"; a name alone stays one.
    """
    return with_moved_paths(request, os.path.abspath)


def with_moved_paths(request: Request, move: Move) -> Request:
    """The request with each of its paths as `move` gives it; a model that is called by name has none."""
    return replace(
        request,
        plate=None if request.plate is None else move(request.plate),
        guide=_moved_matte(request.guide, move),
        holdout=_moved_matte(request.holdout, move),
        output=move(request.output),
        model=move(request.model) if is_folder(request.model) else request.model,
        lora=tuple(_moved_lora(text, move) for text in request.lora),
    )


def is_folder(model: str) -> bool:
    """Whether what a request calls its model is the path of a folder, and no name."""
    return os.path.isabs(model) or (bool(os.path.dirname(model)) and os.path.isdir(model))


def whole_matte(text: Optional[str]) -> Optional[str]:
    """The matte that `text` asks for with its whole path; None for none."""
    return _moved_matte(text, os.path.abspath)


def _moved_matte(text: Optional[str], move: Move) -> Optional[str]:
    if text is None:
        return None
    path, channel = parse_matte(text)
    return write_matte(move(path), channel)


def _moved_lora(text: str, move: Move) -> str:
    path, weight = parse_lora(text)
    moved = move(path)
    return text if moved == path else write_lora(moved, weight)
