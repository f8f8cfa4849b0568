"""What a bench found, as values that go into JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from layerflow.errors import RequestError
from layerflow.files import atomic_path
from layerflow_export.bench.closeness import Closeness

FORMAT = 1
PEER = "diffusers"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Seconds of the same thing done several times."""

    seconds: tuple[float, ...]

    @property
    def least(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return median(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One backend in one quality."""

    name: str  # the backend's, with its precision where several are measured
    backend: str
    quality: str = "exact"
    precision: str
    load_s: float
    is_default: bool = False  # whether it is what `--backend auto` takes here
    step: Spread | None = None  # one call of the sampler
    shot: Spread | None = None  # prompts and plate to layers in memory
    text_s: float | None = None  # of the quickest shot: prompts and plate,
    sampling_s: float | None = None  # its steps
    decode_s: float | None = None  # and the codec
    render_s: float | None = None  # the whole of `layerflow.shots.render`: loading, the shot, EXR on disk
    peak_bytes: int | None = None
    flops_share: float | None = None  # of the ceiling, in the quickest step
    closeness: Closeness | None = None

    @property
    def label(self) -> str:
        return self.name if self.quality == "exact" else f"{self.name}, {self.quality}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """One bench, whole or as far as it got."""

    command: str
    date: str
    machine: Mapping[str, Any]
    model: Mapping[str, Any]
    shot: Mapping[str, Any]
    ceilings: Sequence[Mapping[str, Any]] = ()
    rows: tuple[Row, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)  # label -> sentence
    format: int = FORMAT

    def speedup(self, row: Row, part: str) -> float | None:
        """How many times faster than the peer's the quickest "step" or "shot" of `row` is."""
        peer = next((each for each in self.rows if each.backend == PEER), None)
        own, theirs = getattr(row, part), getattr(peer, part, None)
        return theirs.least / own.least if own and theirs else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the way back. Least, median and speedups are said beside the seconds."""
        values = asdict(self)
        for row, said in zip(self.rows, values["rows"], strict=True):
            for part in ("step", "shot"):
                if spread := getattr(row, part):
                    said[part] |= {"least": spread.least, "median": spread.median}
            said["speedup"] = {part: self.speedup(row, part) for part in ("step", "shot")}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The report that `to_dict` described."""
        return cls(**{**values, "rows": tuple(map(_row, values["rows"]))})

    def save(self, path: Path) -> None:
        """Writes it as JSON; what was there stays until it is whole."""
        with atomic_path(path) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def read_report(path: Path) -> Report:
    """The report in a file. Raises RequestError for another file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Report.from_dict(values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RequestError(f"{path} is not what layerflow-export bench writes ({error}); measure again") from error


def _row(values: Mapping[str, Any]) -> Row:
    known = {name: value for name, value in values.items() if name != "speedup"}
    for part in ("step", "shot"):
        if known[part]:
            known[part] = Spread(seconds=tuple(known[part]["seconds"]))
    if known["closeness"]:
        known["closeness"] = Closeness(**known["closeness"])
    return Row(**known)
