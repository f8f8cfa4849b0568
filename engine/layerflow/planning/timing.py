"""How long a shot takes on one device, stage by stage.

Of W windows, each read and encoded (e), sampled (s), decoded (d) and finished (f), the first thread does e and s, and
the second d and f of the window before. With nothing side by side that is W (e + s + d + f), and with all of it
e + s + (W - 1) max(e + s, d + f) + d + f; `overlap` is where between the two a device is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from layerflow.planning.figures import Rate
from layerflow.planning.work import Work


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Seconds of a shot by stage, as if one stage waited for the other; and of the whole, where they do not."""

    starting: float  # the process and its libraries, once a device
    loading: float  # the model, once a device
    opening: float  # once a shot
    encoding: float
    sampling: float
    decoding: float
    finishing: float
    made: float  # the shot, once the model is loaded

    @property
    def first(self) -> float:
        """Seconds before a device can begin with its first shot."""
        return self.starting + self.loading

    @property
    def alone(self) -> float:
        """Seconds of the shot by itself, from the start of a process."""
        return self.first + self.made

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "alone": self.alone}


def stages_of(work: Work, rate: Rate, *, decodes_aside: bool = True) -> Stages:
    """The seconds of `work` by `rate`. Raises RequestError where the rate lacks a figure.

    `decodes_aside`: whether there is memory to decode a window while the next one is sampled.
    """
    window = {
        "encoding": work.passes * _own(rate, "encode_s", work.encoded_mp, _codec(work)),
        "sampling": work.passes * work.steps * work.share * _step(work, rate),
        "decoding": work.passes * _own(rate, "decode_s", work.decoded_mp, _codec(work)),
        "finishing": _frame(work, rate) * work.frames / work.windows,
    }
    opening = rate.get("shot_s") or 0.0
    return Stages(
        starting=rate.the("start_s"),
        loading=_own(rate, "load_s", work.weights_gb, "load_gb_per_s"),
        opening=opening,
        **{name: work.windows * seconds for name, seconds in window.items()},
        made=opening + _made(work.windows, rate.the("overlap"), decodes_aside, **window),
    )


def _made(
    count: int,
    overlap: float,
    decodes_aside: bool,
    *,
    encoding: float,
    sampling: float,
    decoding: float,
    finishing: float,
) -> float:
    """Seconds of `count` windows."""
    first, second = encoding + sampling, decoding + finishing
    if not decodes_aside:
        first, second = first + decoding, finishing
    one_by_one = count * (first + second)
    side_by_side = first + (count - 1) * max(first, second) + second
    return one_by_one - overlap * (one_by_one - side_by_side)


def overlap_of(count: int, seconds: float, first: float, second: float) -> float:
    """The overlap, 0 to 1, of `count` windows that took `seconds`; what `_made` takes."""
    one_by_one = count * (first + second)
    side_by_side = first + (count - 1) * max(first, second) + second
    gained = one_by_one - side_by_side
    return min(1.0, max(0.0, (one_by_one - seconds) / gained)) if gained else 0.0


def _own(rate: Rate, own: str, amount: float, speed: str) -> float:
    """Seconds of one piece: those of this very shot, or its amount by what the device does a second."""
    known = rate.get(own)
    if known is not None:
        return known
    return amount / rate.the(speed) if amount else 0.0


def _step(work: Work, rate: Rate) -> float:
    return max(_own(rate, "step_s", work.step_tflop, "network_tflops"), rate.get("step_least_s") or 0.0)


def _frame(work: Work, rate: Rate) -> float:
    known = rate.get("frame_s")
    return rate.the("plate_s_per_mp") * work.plate_mp if known is None else known


def _codec(work: Work) -> str:
    return "linear_mp_per_s" if work.codec == "linear" else "vae_mp_per_s"
