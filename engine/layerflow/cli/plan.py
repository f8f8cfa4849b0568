"""`layerflow plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from layerflow.cli.options import json_option
from layerflow.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from layerflow.planning.figures import Rate
    from layerflow.shot import Shot

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("shot", metavar="SHOT.json", type=_FILE)
@click.option("--gpus", metavar="FLEET", help="Such as 40xL40S,8xH200.  [this machine where it was measured, or cpu]")
@click.option("--shots", type=int, default=1, show_default=True, help="How many shots like this one.")
@click.option(
    "--lengths", metavar="FORM", help="Their frames: fixed:120, uniform:24,480, exponential:120, lognormal:120,0.6."
)
@click.option("--over", type=float, default=0.0, show_default=True, metavar="HOURS", help="In which they come in.")
@click.option("--failures", type=float, default=0.0, show_default=True, metavar="RATE", help="Of a GPU, an hour.")
@click.option("--price", multiple=True, metavar="GPU=PRICE", help="Of an hour, such as L40S=1.20; may repeat.")
@click.option("--rates", type=_FILE, help="A TOML file with rates of your own.")
@click.option("--measure", "measures", is_flag=True, help="Measure this machine first, by a few windows of the shot.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn.")
@json_option
def plan(
    shot: Path,
    gpus: str | None,
    shots: int,
    lengths: str | None,
    over: float,
    failures: float,
    price: tuple[str, ...],
    rates: Path | None,
    measures: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Say what a shot will take, or a thousand of them on a farm: hours, cost, memory and disk."""
    from layerflow.cli.plan_report import report_plan
    from layerflow.cli.shot_file import read_shot_file
    from layerflow.planning.fleet import parse_fleet, parse_prices
    from layerflow.planning.lengths import parse_lengths
    from layerflow.planning.plan import Question
    from layerflow.planning.plan import plan as planned
    from layerflow.planning.work import prepared

    parts = prepared(read_shot_file(str(shot)))
    known = _rates(parts, rates, measures)
    fleet = parse_fleet(gpus or _here(known), known, parse_prices(price, known))
    question = Question(
        fleet=fleet,
        shots=shots,
        lengths=parse_lengths(lengths) if lengths else None,
        over_h=over,
        failures_per_hour=failures,
        seed=seed,
    )
    report_plan(planned(parts, question), as_json)


def _rates(parts: Sequence[Shot], own: Path | None, measures: bool) -> dict[str, Rate]:
    """Every rate that is known for the shot: the user's before those of this machine before those that came along."""
    from layerflow.planning.measure import measure, measured_before, named_too
    from layerflow.planning.rates import read_rates, shipped_rates

    if measures and len(parts) > 1:
        raise RequestError("an edit of a plate is two shots; measure a decompose and the other task, each by itself")
    known = shipped_rates()
    if len(parts) == 1:
        here = measure(parts[0], lambda stage: click.echo(stage, err=True)) if measures else measured_before(parts[0])
        known |= named_too(here, known) if here else {}
    return known | (read_rates(own) if own else {})


def _here(known: Mapping[str, Rate]) -> str:
    return "here" if "here" in known else "cpu"
