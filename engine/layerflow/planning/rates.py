"""The rates, prices and shares that the planner knows by itself, and those that a user gives."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from layerflow.errors import RequestError
from layerflow.planning.figures import FIGURES, Figure, Rate

_KEYS = ("what", "kind", "memory_gb")
_FROM_CPU = ("start_s", "plate_s_per_mp")


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads(files("layerflow.planning").joinpath("rates.toml").read_text(encoding="utf-8"))


def shipped_rates() -> dict[str, Rate]:
    """The rates that came with LayerFlow, by name."""
    values = _shipped()
    rates = {name: _rate(name, each, source="rates.toml") for name, each in values["rates"].items()}
    return rates | {name: _estimated(name, each, rates["cpu"]) for name, each in values["gpus"].items()}


def _estimated(name: str, values: Mapping[str, float], cpu: Rate) -> Rate:
    """A GPU that nobody has measured, by its data sheet."""
    guesses = _shipped()["estimates"]
    tflops = values["peak_tflops"] * guesses["share"]
    sheet = f"{values['peak_tflops']:g} TFLOP/s of the data sheet (bfloat16, dense) x {guesses['share']:g}"
    scale = tflops / guesses["cpu_ceiling_tflops"]
    found = {
        "load_gb_per_s": (guesses["load_gb_per_s"], "assumed"),
        "network_tflops": (tflops, sheet),
        "step_least_s": (guesses["step_least_s"], "assumed: a thousand kernels are started in it"),
        "linear_mp_per_s": (cpu.the("linear_mp_per_s"), "as on the CPU, where it takes next to nothing"),
        "vae_mp_per_s": (cpu.the("vae_mp_per_s") * scale, f"the CPU's figure x {scale:.0f}, as for the network"),
        "overlap": (1.0, "assumed: windows are finished while the next is sampled"),
    }
    found |= {each: (cpu.the(each), f"as on the CPU ({cpu.figures[each].source})") for each in _FROM_CPU}
    figures = {
        each: Figure(value=value, kind="estimate", source=f"estimate: {source}")
        for each, (value, source) in found.items()
    }
    what = f"one {name}, {values['memory_gb']:g} GB, with two cores for its files"
    return Rate(name=name, what=what, is_gpu=True, memory_gb=values["memory_gb"], figures=figures)


def read_rates(path: Path) -> dict[str, Rate]:
    """The rates in a user's TOML file, by name. Raises RequestError in one sentence."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read as rates ({error}); docs/plan.md shows such a file") from error
    shipped = shipped_rates()
    try:
        return {name: _rate(name, each, source=path.name, over=shipped.get(name)) for name, each in values.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(f"{path} has no such rates: {error}; docs/plan.md shows such a file") from error


def _rate(name: str, values: Mapping[str, Any], *, source: str, over: Rate | None = None) -> Rate:
    """A rate of TOML, on top of what is known of it already. A bare number is an estimate of the user's."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} is no table")
    if unknown := set(values) - set(FIGURES) - set(_KEYS):
        raise ValueError(f"{name} has an entry {sorted(unknown)[0]!r}; known are {', '.join((*_KEYS, *FIGURES))}")
    own = {each: _figure(values[each], source) for each in FIGURES if each in values}
    memory = values.get("memory_gb", over.memory_gb if over else None)
    if memory is None:
        raise ValueError(f"{name} lacks memory_gb")
    kind = values.get("kind", "gpu" if over is None or over.is_gpu else "cpu")
    if kind not in ("gpu", "cpu"):
        raise ValueError(f"kind of {name} is gpu or cpu, not {kind!r}")
    return Rate(
        name=name,
        what=values.get("what", over.what if over else name),
        is_gpu=kind == "gpu",
        memory_gb=float(memory),
        figures={**(over.figures if over else {}), **own},
    )


def _figure(value: Any, source: str) -> Figure:
    if isinstance(value, Mapping):
        return Figure(value=value["value"], kind=value.get("kind", "estimate"), source=value.get("source", source))
    return Figure(value=value, kind="estimate", source=source)


def share_of_work(quality: str, steps: int) -> tuple[float, str]:
    """How much of an exact run a quality does in so many steps, and where that is from."""
    table = _shipped()["quality"]
    share = 1.0
    for least, each in table.get(quality, ()):
        share = each if steps >= least else share
    return share, table["source"]


def example_prices() -> tuple[dict[str, float], str]:
    """Prices an hour to see a sum by, and the sentence that goes with them."""
    table = dict(_shipped()["prices"])
    source = f"{table.pop('source')} ({table.pop('date')})"
    return table, source
