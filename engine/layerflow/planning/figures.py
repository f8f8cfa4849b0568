"""Figures that say whether they were measured, and by whom; and what machines do a second, as figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from layerflow.errors import RequestError

Kind = Literal["measured", "estimate"]

# What a rate may say. The first ones hold for any shot; the others are of one shot's own model and size, and go first.
GENERAL = (
    "start_s",  # a process, with its libraries
    "load_gb_per_s",  # weights onto the device
    "network_tflops",  # TFLOP/s in a step of the sampler
    "step_least_s",  # a step takes however small it is; optional
    "linear_mp_per_s",  # megapixels of the model's pictures through a linear codec
    "vae_mp_per_s",  # and through a video VAE
    "plate_s_per_mp",  # reading, colouring, refining and writing a megapixel of a frame
    "overlap",  # 0 to 1: how much of what could be done while the next window is sampled is
)
OWN = (
    "load_s",  # the model
    "shot_s",  # what a shot has once: plate and folders looked at, prompts encoded
    "step_s",  # one step of the sampler on one window
    "encode_s",  # one window, its plate read
    "decode_s",
    "frame_s",  # one frame, finished and written
)
FIGURES = (*GENERAL, *OWN)
_NEEDED = ("start_s", "overlap")
_EITHER = (("load_s", "load_gb_per_s"), ("step_s", "network_tflops"), ("frame_s", "plate_s_per_mp"))
_DIVIDES = ("load_gb_per_s", "network_tflops", "linear_mp_per_s", "vae_mp_per_s")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number and where it comes from."""

    value: float
    kind: Kind
    source: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a figure is measured or an estimate, not {self.kind!r}")
        number = isinstance(self.value, (int, float)) and not isinstance(self.value, bool)
        if not (number and math.isfinite(self.value) and self.value >= 0):
            raise ValueError(f"a figure is a number from 0 on, not {self.value!r}")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What one machine, or one GPU and its share of a machine, does."""

    name: str  # as a fleet calls it
    what: str
    is_gpu: bool
    memory_gb: float
    figures: Mapping[str, Figure]

    def __post_init__(self) -> None:
        if unknown := set(self.figures) - set(FIGURES):
            raise ValueError(f"{self.name} has a figure {sorted(unknown)[0]!r}; known are {', '.join(FIGURES)}")
        for names in (*((name,) for name in _NEEDED), *_EITHER):
            if not set(names) & set(self.figures):
                raise ValueError(f"{self.name} lacks {' or '.join(names)}")
        for name in _DIVIDES:
            if name in self.figures and not self.figures[name].value:
                raise ValueError(f"{name} of {self.name} is 0, by which nothing would ever be done")
        if self.figures["overlap"].value > 1:
            raise ValueError(f"overlap of {self.name} is a share from 0 to 1, not {self.figures['overlap'].value}")

    @property
    def kind(self) -> Kind:
        """An estimate as soon as one of its figures is."""
        return "estimate" if any(each.kind == "estimate" for each in self.figures.values()) else "measured"

    def get(self, name: str) -> float | None:
        """The value of a figure; None where there is none."""
        return self.figures[name].value if name in self.figures else None

    def the(self, name: str) -> float:
        """The value of a figure. Raises RequestError where there is none."""
        if name not in self.figures:
            raise RequestError(f"the rates of {self.name} have no {name}, which this shot needs; add it to --rates")
        return self.figures[name].value

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "what": self.what,
            "kind": self.kind,
            "memory_gb": self.memory_gb,
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
        }
