"""A plan as tables for people, or as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from layerflow.cli.report import print_json
from layerflow.planning.plan import OnDevice, Plan

_WIDTH_IN_FILES = 160  # columns


def report_plan(plan: Plan, as_json: bool) -> None:
    """Print a plan on stdout."""
    if as_json:
        print_json(plan.to_dict())
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_IN_FILES)
    for sentence in _shot(plan):
        click.echo(sentence)
    console.print(_devices(plan))
    for sentence in (*_whole(plan), "", "Assumed:", *(f"- {each}" for each in plan.assumptions)):
        click.echo(sentence)


def _shot(plan: Plan) -> Iterator[str]:
    for work in plan.works:
        passes = f"{work.passes} passes of " if work.passes > 1 else ""
        yield (
            f"{work.task} with {work.model}: {work.frames} frames of {work.width}x{work.height} in {work.windows} "
            f"windows of {work.window_frames}, {passes}{work.steps} steps each; at most "
            f"{decimal(work.disk_bytes)} on disk"
        )


def _devices(plan: Plan) -> Table:
    """One row per kind of device: what one shot takes there."""
    names = (
        "device",
        "rates",
        "start",
        "load",
        "open",
        "encode",
        "sample",
        "decode",
        "finish",
        "one shot",
        "memory",
        "plan",
    )
    table = Table(*names, "price/h", "cost", box=None, pad_edge=False, header_style="bold")
    for each in plan.devices:
        table.add_row(*(Text(text) for text in _row(each)))
    return table


def _row(device: OnDevice) -> Iterator[str]:
    rate, price = device.group.rate, device.group.price
    yield rate.name
    yield rate.kind
    yield duration(device.stages[0].starting)
    for name in ("loading", "opening", "encoding", "sampling", "decoding", "finishing"):
        yield duration(sum(getattr(each, name) for each in device.stages))
    yield duration(device.alone_s)
    largest = max(device.memory, key=lambda each: each.peak_gib)
    yield f"{largest.peak_gib:.1f} of {largest.free_gib:.0f} GiB" + ("" if largest.fits else "!")
    yield largest.plan
    yield "" if price is None else f"{price.per_hour:.2f}" + (" (example)" if price.kind == "example" else "")
    yield "" if device.cost is None else f"{device.cost:.4f}"


def _whole(plan: Plan) -> Iterator[str]:
    """What it comes to."""
    outcome, example = plan.outcome, " by example prices" if plan.has_example_prices else ""
    fleet = ", ".join(f"{each.group.count} x {each.group.rate.name}" for each in plan.devices)
    yield ""
    if outcome is None:
        yield f"One shot: {duration(3600 * plan.hours)} on one GPU of {fleet}{_money(plan.cost, example)}"
        return
    question = plan.question
    yield f"{question.shots} shots, {plan.frames} frames, on {fleet}, played through with seed {question.seed}:"
    hours = sum(plan.gpu_hours.values())
    yield f"  all done after {duration(outcome.makespan_s)}; {hours:.2f} GPU hours{_money(plan.cost, example)}"
    yield f"  paid for at work only: {outcome.busy_s / 3600:.2f} GPU hours{_money(plan.cost_at_work, example)}"
    yield f"  waiting: {duration(outcome.waiting_s)} on average, 95 % under {duration(outcome.waiting_p95_s)}"
    longest = duration(outcome.turnaround_p95_s)
    yield f"  from coming in to the last frame: {duration(outcome.turnaround_s)} on average, 95 % under {longest}"
    yield f"  GPUs at work: {outcome.utilisation:.0%} of the time; failures: {outcome.failures}"
    yield f"  disk: at most {decimal(plan.disk_bytes)}"


def _money(cost: float | None, example: str) -> str:
    return "" if cost is None else f", cost {cost:.2f}{example}"


def duration(seconds: float) -> str:
    """Seconds as somebody would say them."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
