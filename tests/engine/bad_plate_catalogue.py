"""The catalogue that bad plates enter themselves into, and the tools to damage a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layerflow.errors import LayerFlowError, PlateError


@dataclass(frozen=True, kw_only=True)
class BadPlate:
    """A plate that must be refused with `error`, in a sentence that `sentence` (a regex) matches."""

    build: Callable[[Path], str]  # folder to make it in -> the plate's path
    sentence: str
    options: Mapping[str, object] = field(default_factory=dict)  # for open_plate and the request alike
    error: type[LayerFlowError] = PlateError


BAD_PLATES: dict[str, BadPlate] = {}


def bad_plate(
    sentence: str, *, error: type[LayerFlowError] = PlateError, **options: object
) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Enters a builder into the catalogue under its own name."""

    def enter(build: Callable[[Path], str]) -> Callable[[Path], str]:
        BAD_PLATES[build.__name__] = BadPlate(build=build, sentence=sentence, options=options, error=error)
        return build

    return enter


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def halve(data: bytes) -> bytes:
    return data[: len(data) // 2]
