"""`layerflow recompose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.options import comp_option, json_option, output_option, overwrite_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json, span
from layerflow.errors import PlateError
from layerflow.wire import Event

if TYPE_CHECKING:
    from layerflow.comp import Comp
    from layerflow.difference import Difference


@click.command()
@click.argument("layers", metavar="LAYERS")
@output_option
@comp_option
@overwrite_option
@json_option
def recompose(layers: str, output: str, comp: str | None, overwrite: bool, as_json: bool) -> None:
    """Lay written layers over each other again, and compare.

    Says how far the result is from the blended picture that was stored, in linear light.

    LAYERS is what LayerFlow wrote: a sequence like out/dog.####.exr, its folder, or one frame.
    """
    from layerflow.comp import Comp, read_comp
    from layerflow.files import output_pattern, prepare_output

    chosen = read_comp(Path(comp)) if comp else Comp()
    sources = find_frames(layers)
    pattern = output_pattern(output or "out/recompose.%04d.exr")
    targets = {frame: pattern.path(frame) for frame in sources}
    num_bytes = sum(path.stat().st_size for path in sources.values())
    prepare_output(targets.values(), num_bytes=num_bytes, sources=sources.values(), may_exist=overwrite)
    difference = write_frames(sources, targets, chosen)
    frames = list(targets.values())
    if as_json:
        print_json({"frames": frames, **_values(difference)})
    else:
        click.echo(f"recomposed: {span(frames)}\n{_sentence(difference)}")


def find_frames(text: str) -> dict[int, Path]:
    """The EXR frames that a pattern, a folder or a single file names, by frame number. Raises `PlateError`."""
    from layerflow.plate.find import find

    found = find(text)
    if found.movie is not None:
        raise PlateError(f"{found.name} is a movie; give the EXR frames that LayerFlow wrote")
    return dict(sorted(found.files.items()))


def write_frames(sources: dict[int, Path], targets: dict[int, Path], comp: Comp) -> Difference:
    """Write every recomposed frame; returns how far they are from the blended pictures that were stored."""
    from layerflow import exr, layers
    from layerflow.comp import comped
    from layerflow.difference import Difference

    difference = Difference()
    with progress() as show:
        for done, (frame, source) in enumerate(sources.items(), start=1):
            stack = exr.read_stack([source])
            if not stack.foregrounds:
                raise PlateError(f"{source} has no foreground layer; give frames that LayerFlow wrote")
            picture = (
                layers.opaque(comped(stack, comp).layers["blended"]) if comp.changes(stack) else layers.recompose(stack)
            )
            if "blended" in stack.layers:
                difference.add(picture, layers.opaque(stack.layers["blended"]))
            result = replace(stack, layers={"blended": picture})
            notes = exr.write_frame(targets[frame], result, 0, header={"layerflow:recomposedFrom": source.name})
            _report(show, notes, done, len(sources))
    return difference


def _report(show: Callable[[Event], None], notes: Iterable[str], done: int, total: int) -> None:
    for note in notes:
        show(Event("warning", note))
    show(Event("frame", done=done, total=total))


def _values(difference: Difference) -> dict[str, Any]:
    largest = difference.max if difference.count else None
    return {"max_error": largest, "mean_error": difference.mean, "psnr_db": difference.psnr_db}


def _sentence(difference: Difference) -> str:
    if difference.mean is None:
        return "no blended picture is stored to compare with"
    psnr = "identical" if difference.psnr_db is None else f"{difference.psnr_db:.2f} dB"
    return f"against the stored blended picture: max {difference.max:.6f}, mean {difference.mean:.6f}, {psnr}"
