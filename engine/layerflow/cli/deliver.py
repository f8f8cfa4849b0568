"""`layerflow deliver`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.options import comp_option, json_option, overwrite_option
from layerflow.cli.progress import progress
from layerflow.cli.recompose import find_frames
from layerflow.cli.report import print_json
from layerflow.cli.stop import stop_on_signal
from layerflow.errors import Interrupted, RequestError
from layerflow.files import refused_as
from layerflow.wire import Event, parse_frames

if TYPE_CHECKING:
    from layerflow.deliveries import Order

_KINDS = ("exr", "exr-layers", "png-layers", "prores", "sheet")  # as `deliveries` has them, which takes a while to load


@click.command()
@click.argument("layers", metavar="LAYERS")
@click.option("-o", "--output", required=True, metavar="OUT", help="A pattern with %04d; of a movie or a sheet a file.")
@click.option("--as", "kind", required=True, type=click.Choice(_KINDS), help="What they become.")
@comp_option
@click.option("--frames", metavar="FIRST-LAST", help="Frames to hand on, both ends included.  [all]")
@click.option("--layer", "only", multiple=True, metavar="NAME", help="A layer to hand on; may repeat.  [all]")
@click.option("--alpha", type=click.Choice(["straight", "premultiplied"]), default="straight", show_default=True)
@overwrite_option
@json_option
def deliver(layers: str, comp: str | None, frames: str | None, overwrite: bool, as_json: bool, **options: Any) -> None:
    """Hand layers on as EXR, PNG, ProRes 4444 with alpha or a contact sheet.

    LAYERS is what LayerFlow wrote: a sequence like out/dog.####.exr, its folder, or one frame.
    """
    from layerflow.comp import Comp, read_comp
    from layerflow.deliveries import Order

    sources = _chosen(find_frames(layers), layers, frames)
    order = Order(sources=sources, comp=read_comp(Path(comp)) if comp else Comp(), **options)
    files = _carried_out(order, overwrite, as_json)
    if as_json:
        print_json({"kind": order.kind, "files": files})
    else:
        click.echo(f"{order.kind}: {_told(files)}")


def _told(files: tuple[Path, ...]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} to {files[-1].name} ({len(files)} files)"


def _chosen(sources: dict[int, Path], name: str, frames: str | None) -> dict[int, Path]:
    """Those of the frames that are asked for. Raises RequestError, PlateError."""
    from layerflow.plate.find import choose

    if frames is None:
        return sources
    with refused_as(RequestError):
        first, last = parse_frames(frames)
    return {frame: sources[frame] for frame in choose(name, sources, first, last)}


def _carried_out(order: Order, overwrite: bool, as_json: bool) -> tuple[Path, ...]:
    """The files, once they are there. With `as_json` a line of stdout tells of every frame."""
    from layerflow.deliveries import deliver as carry_out

    done, total = 0, num_steps(order)
    with stop_on_signal() as stop, progress() as show:

        def on_frame(frame: int, notes: tuple[str, ...]) -> None:
            nonlocal done
            done += 1
            for note in notes:
                show(Event("warning", note))
            show(Event("frame", done=done, total=total))
            if as_json:
                print_json({"frame": frame, "done": done, "total": total})

        stop.keep_work()
        try:
            return carry_out(order, may_exist=overwrite, on_frame=on_frame)
        except KeyboardInterrupt as interrupt:
            raise Interrupted("stopped; frames that are whole stay, and --overwrite begins anew") from interrupt


def num_steps(order: Order) -> int:
    """How many frames there will be told of."""
    from layerflow.deliveries import SHEET_FRAMES

    return min(len(order.frames), SHEET_FRAMES) if order.kind == "sheet" else len(order.frames)
