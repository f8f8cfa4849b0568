"""`layerflow train base`, `motion-lora`, `content-lora` and `cache`: the three stages of a config."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.progress import progress
from layerflow.cli.stop import stop_on_signal
from layerflow.wire import Event

if TYPE_CHECKING:
    from layerflow.training.config import StageName
    from layerflow.training.schedule import Progress, Schedule
    from layerflow.training.watching import Told

_REPORT_STEPS = 100
_MINUTE_S = 60

_config = click.argument("config", metavar="CONFIG.toml")
_output = click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for results.  [the config's]"
)
_resume = click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in the output folder.")
_changes = click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="A key of the config, such as base.steps; may repeat."
)


@click.command()
@_config
@_output
@_resume
@_changes
def base(**options: Any) -> None:
    """Stage 1: train blocks of a model on layered video."""
    _train("base", **options)


@click.command("motion-lora")
@_config
@_output
@_resume
@_changes
def motion_lora(**options: Any) -> None:
    """Stage 2: train a Motion LoRA, which makes stills, on video held still."""
    _train("motion-lora", **options)


@click.command("content-lora")
@_config
@_output
@_resume
@_changes
def content_lora(**options: Any) -> None:
    """Stage 3: train a Content LoRA on layered stills and a little video."""
    _train("content-lora", **options)


@click.command()
@_config
@_output
@_changes
def cache(config: str, output: Path | None, changes: tuple[str, ...]) -> None:
    """Encode the clips of every stage ahead."""
    from layerflow.training.config import BaseStage, read_config, stages_of
    from layerflow.training.stages import fill_cache

    read = read_config(config, changes).written_to(output)
    cached = [name for name in stages_of(read) if not _is_joint(read.stage(name), BaseStage)]
    with _telling("Encoding") as told:
        for name in cached:
            fill_cache(read, name, told(None))
    click.echo(f"cache: {read.cache.folder or read.output / 'cache'}")


def _train(name: StageName, config: str, output: Path | None, resume: bool, changes: tuple[str, ...]) -> None:
    from layerflow.training.config import read_config
    from layerflow.training.schedule import Schedule
    from layerflow.training.stages import train_stage

    read = read_config(config, changes).written_to(output)
    stage = read.stage(name)
    with _telling("Training") as told:
        made = train_stage(read, name, resume=resume, told=told(Schedule(steps=stage.steps, minutes=stage.minutes)))
    for path in made:
        click.echo(f"{'LoRA' if path.suffix else 'model'}: {path}")


def _is_joint(stage: object, kind: type) -> bool:
    return isinstance(stage, kind) and bool(getattr(stage, "joint", False))


@contextmanager
def _telling(what: str) -> Iterator[Callable[[Schedule | None], Told]]:
    """A function that makes of a schedule what shows its progress, and what asks whether to stop."""
    from layerflow.training.watching import Told

    with stop_on_signal(raises=False) as stop, progress(frames=what) as show:

        def told(schedule: Schedule | None) -> Told:
            def stopped() -> bool:
                stop.keep_work()  # as soon as there is a step to keep
                return stop.asked()

            def report(now: Progress) -> None:
                assert schedule is not None, "only what trains reports"
                show(event_of(now, schedule))

            return Told(
                report=report,
                tell=lambda sentence: show(Event("stage", sentence)),
                warn=lambda sentence: show(Event("warning", sentence)),
                on_event=show,
                stopped=stopped,
            )

        yield told


def event_of(now: Progress, schedule: Schedule) -> Event:
    """Where a training is: steps, or seconds where time ends it; every so often in words, for a log."""
    ends_by_steps = schedule.steps is not None and schedule.minutes is None
    total = schedule.steps or 0 if ends_by_steps else round((schedule.minutes or 0) * _MINUTE_S)
    done = now.step if ends_by_steps else round(now.share * total)
    said = ""
    if now.step % _REPORT_STEPS == 0 or now.share >= 1:
        losses = now.losses[-_REPORT_STEPS:]
        left = now.seconds / now.share * (1 - now.share) / _MINUTE_S if now.share else 0.0
        said = f"step {now.step}, loss {sum(losses) / len(losses):.4f}, {left:.1f} min left"
    return Event("frame", said, done=min(done, total), total=total)
