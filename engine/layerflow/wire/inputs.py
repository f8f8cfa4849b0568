"""The files of this machine that a request needs: those that have to be where it is made."""

from __future__ import annotations

import os
import re
from typing import Callable, Iterator, List, Tuple

from layerflow.wire import errors
from layerflow.wire.checks import MAX_FRAME_DIGITS, find_frame_field, has_frame_field
from layerflow.wire.containers import IMAGE_SUFFIXES, MOVIE_SUFFIXES
from layerflow.wire.lora import parse_lora
from layerflow.wire.matte import parse_matte
from layerflow.wire.request import Request

_OF_LORA = (".safetensors", ".json")  # endings of what a LoRA's folder holds
_PEFT = ("adapter_model.safetensors", "adapter_config.json")  # the second has to be beside the first


def input_files(request: Request) -> List[str]:
    """Whole paths of every file that a request with whole paths reads, each once. Raises LocalFile for none at all."""
    found: List[str] = []
    frames = _frames_of(request)
    if request.plate is not None:
        found += _pictures("plate", request.plate, frames)
    for name, text in (("guide", request.guide), ("holdout", request.holdout)):
        if text is not None:
            found += _pictures(name, parse_matte(text)[0], frames)
    for text in request.lora:
        found += _lora(parse_lora(text)[0])
    return list(dict.fromkeys(found))


def sequences(request: Request) -> Iterator[Tuple[str, Callable[[str], bool]]]:
    """Each folder in which files that are there count, and which names there count: of inputs, and of the output."""
    pictures = [request.plate, request.guide and parse_matte(request.guide)[0]]
    pictures += [request.holdout and parse_matte(request.holdout)[0], request.output]
    for source in filter(None, pictures):
        if os.path.isdir(source):
            yield source, _is_picture
        elif has_frame_field(os.path.basename(source)):
            pattern = _Pattern(source)
            yield pattern.folder, pattern.has


def frames_in_the_way(request: Request) -> List[str]:
    """Files that are where frames of the request would go."""
    first, last = _frames_of(request)
    return _Pattern(request.output).files(first, last)


def _frames_of(request: Request) -> Tuple[float, float]:
    """From which to which frame files count."""
    first, last = request.first_frame, request.last_frame
    if request.extend is not None:  # the end of what is there
        return 0, float("inf")
    return 0 if first is None else first, float("inf") if last is None else last


def _pictures(what: str, source: str, frames: Tuple[float, float]) -> List[str]:
    try:
        if os.path.isdir(source):
            found = [os.path.join(source, name) for name in sorted(os.listdir(source)) if _is_picture(name)]
        elif not os.path.exists(source) and has_frame_field(os.path.basename(source)):
            found = _Pattern(source).files(*frames)
        else:
            found = [source]
    except OSError:
        found = []
    found = [path for path in found if os.path.isfile(path)]
    if not found:
        raise errors.LocalFile("there is no file of the {} {}; check its name and its folder".format(what, source))
    return found


def _is_picture(name: str) -> bool:
    return name.lower().endswith((*IMAGE_SUFFIXES, *MOVIE_SUFFIXES)) and not name.startswith(".")


def _lora(source: str) -> List[str]:
    if os.path.isdir(source):
        found = [os.path.join(source, name) for name in sorted(os.listdir(source)) if name.endswith(_OF_LORA)]
    else:
        weights, config = _PEFT
        folder, name = os.path.split(source)
        found = [source] + [os.path.join(folder, config)] * (name == weights)
    found = [path for path in found if os.path.isfile(path)]
    if not found:
        raise errors.LocalFile("there is no file of the LoRA {}; check its name and its folder".format(source))
    return found


class _Pattern:
    """A sequence as the engine finds it: any zero-padding counts, unless digits touch the frame number."""

    def __init__(self, text: str) -> None:
        self.folder, name = os.path.split(text)
        start, end, padding = find_frame_field(self.folder, name)
        before, after = name[:start], name[end:]
        touched = before[-1:].isdigit() or after[:1].isdigit()
        digits = "[0-9]{{{}}}".format(padding) if touched else "[0-9]{{1,{}}}".format(MAX_FRAME_DIGITS)
        self._name = re.compile("{}({}){}".format(re.escape(before), digits, re.escape(after)), re.DOTALL)

    def has(self, name: str) -> bool:
        """Whether a file name is of it."""
        return self.number(name) >= 0

    def number(self, name: str) -> int:
        """The frame that a file name is of; -1 for another file's."""
        found = self._name.fullmatch(name)
        return int(found.group(1)) if found else -1

    def files(self, first: float, last: float) -> List[str]:
        """Files of those frames; none where there is no folder."""
        if not os.path.isdir(self.folder):
            return []
        names = sorted(os.listdir(self.folder))
        return [os.path.join(self.folder, name) for name in names if 0 <= first <= self.number(name) <= last]
