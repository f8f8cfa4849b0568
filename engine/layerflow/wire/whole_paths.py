"""A request whose paths mean the same in every process: a server's working folder is not its host's."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Optional

from layerflow.wire.lora import parse_lora, write_lora
from layerflow.wire.matte import parse_matte, write_matte
from layerflow.wire.request import Request


def with_whole_paths(request: Request) -> Request:
    """The request with its paths written out from the working folder of this process.

    A model is a path where it names a folder below that one, like "./mine" or "models/mine"; a name alone stays one.
    """
    return replace(
        request,
        plate=None if request.plate is None else os.path.abspath(request.plate),
        guide=whole_matte(request.guide),
        holdout=whole_matte(request.holdout),
        output=os.path.abspath(request.output),
        model=os.path.abspath(request.model) if _is_folder(request.model) else request.model,
        lora=tuple(_whole_lora(text) for text in request.lora),
    )


def _is_folder(model: str) -> bool:
    return bool(os.path.dirname(model)) and os.path.isdir(model)


def whole_matte(text: Optional[str]) -> Optional[str]:
    """The matte that `text` asks for with its whole path; None for none."""
    if text is None:
        return None
    path, channel = parse_matte(text)
    return write_matte(os.path.abspath(path), channel)


def _whole_lora(text: str) -> str:
    path, weight = parse_lora(text)
    return text if os.path.isabs(path) else write_lora(os.path.abspath(path), weight)
