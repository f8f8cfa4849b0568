"""`layerflow part`: one shot made by several processes or machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

import click

from layerflow.cli.openjd_lines import openjd_lines
from layerflow.cli.options import json_option, overwrite_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json, report_shot
from layerflow.cli.shot_file import read_shot_file
from layerflow.cli.stop import stop_on_signal
from layerflow.errors import Interrupted, RequestError
from layerflow.files import refused_as
from layerflow.wire import Event, Request, parse_frames

_OF_MACHINE = (
    click.option("--memory", help="Memory plan, instead of the file's."),
    click.option("--device", help="auto, cpu, cuda or cuda:N, instead of the file's."),
    click.option("--precision", help="Number type of the network, instead of the file's."),
    click.option("--backend", help="What runs the network, instead of the file's."),
)
_SHARED = (
    click.argument("file", metavar="SHOT.json"),
    *_OF_MACHINE,
    click.option("--openjd", is_flag=True, help="Say on stdout how it goes, as Open Job Description wants it."),
    json_option,
)


def _of_a_part(command: Callable[..., Any]) -> Callable[..., Any]:
    return reduce(lambda decorated, option: option(decorated), reversed(_SHARED), command)


@click.group()
def part() -> None:
    """Make one shot in parts: prepare it, sample its windows, assemble the frames, verify them.

    SHOT.json is a request as JSON. Every part of a shot is given the same file and the same options.
    """


@part.command()
@_of_a_part
@overwrite_option
def prepare(file: str, overwrite: bool, openjd: bool, as_json: bool, **machine: str | None) -> None:
    """Check a shot, open its output and say which windows it has. What is there of it is kept."""
    from layerflow import parts

    request = read_request(file, machine)
    with _shown(openjd) as shown:
        plan = parts.prepare(request, overwrite=overwrite, on_event=shown.on_event)
    if as_json:
        print_json(asdict(plan))
        return
    first, last = plan.parts[0], plan.parts[-1]
    how = "in one part: each goes on from the one before" if plan.in_order else "in any order and at the same time"
    click.echo(f"windows {first.window}-{last.window} of frames {first.frames[0]}-{last.frames[1]}, {how}")


@part.command()
@_of_a_part
@click.option("--windows", required=True, metavar="FIRST-LAST", help="Windows to sample, counted from 1, like 3-5.")
@click.option("--chunk", type=click.IntRange(1), help="So many of --windows, from the first on.  [all of them]")
def sample(file: str, windows: str, chunk: int | None, openjd: bool, as_json: bool, **machine: str | None) -> None:
    """Sample windows of a prepared shot. What is sampled already is left as it is."""
    from layerflow import parts

    request, asked = read_request(file, machine), parse_windows(windows, chunk)
    with _shown(openjd) as shown:
        new = parts.sample(request, windows=asked, on_event=shown.on_event, stopped=shown.stopped)
    numbers = [index + 1 for index in new]
    if as_json:
        print_json({"windows": [asked.start + 1, asked.stop], "sampled": numbers})
    else:
        click.echo(f"sampled {', '.join(map(str, numbers))}" if numbers else "all of them were sampled already")


@part.command()
@_of_a_part
def assemble(file: str, openjd: bool, as_json: bool, **machine: str | None) -> None:
    """Decode and write the frames of a shot whose windows are all sampled."""
    from layerflow import parts

    request = read_request(file, machine)
    with _shown(openjd) as shown:
        result = parts.assemble(request, on_event=shown.on_event, stopped=shown.stopped)
    report_shot(result, as_json)


@part.command()
@_of_a_part
def verify(file: str, openjd: bool, as_json: bool, **machine: str | None) -> None:
    """Read every frame of a shot back, and say the SHA-256 of each file."""
    from layerflow import parts

    request = read_request(file, machine)
    with _shown(openjd) as shown:
        sums = parts.verify(request, on_event=shown.on_event)
    if as_json:
        print_json({"sha256": {str(path): digest for path, digest in sums.items()}})
        return
    for path, digest in sums.items():
        click.echo(f"{digest}  {path}")


def read_request(file: str, machine: dict[str, str | None]) -> Request:
    """The request of the file, with what this run says of the machine. Raises RequestError."""
    changes: dict[str, Any] = {name: value for name, value in machine.items() if value is not None}
    request = read_shot_file(file)
    with refused_as(RequestError):
        return replace(request, **changes)


def parse_windows(text: str, chunk: int | None) -> range:
    """Windows like "3-5" or "3" as indices, the first `chunk` of them. Raises RequestError."""
    try:
        first, last = parse_frames(text)
    except ValueError as error:
        raise RequestError(f"windows are given as 3-5 or 3, counted from 1, got {text!r}") from error
    if first < 1:
        raise RequestError(f"windows are counted from 1, got {text}")
    return range(first - 1, min(last, first - 1 + chunk) if chunk else last)


@dataclass(frozen=True, kw_only=True)
class _Shown:
    on_event: Callable[[Event], None]
    stopped: Callable[[], bool]


@contextmanager
def _shown(openjd: bool) -> Iterator[_Shown]:
    """What shows the progress of a part, and what stops it."""
    with stop_on_signal() as stop, openjd_lines() if openjd else progress() as show:

        def on_event(event: Event) -> None:
            if event.kind in ("step", "frame"):
                stop.keep_work()
            show(event)

        try:
            yield _Shown(on_event=on_event, stopped=stop.asked)
        except KeyboardInterrupt as interrupt:
            raise Interrupted("stopped; the same command goes on from here") from interrupt
