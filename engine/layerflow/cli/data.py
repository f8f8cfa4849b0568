"""`layerflow data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.data_options import FOLDER, PLACE, model_options, pasting_options, taking_options, writing_options
from layerflow.cli.options import json_option
from layerflow.cli.progress import progress
from layerflow.cli.report import print_json
from layerflow.errors import RequestError
from layerflow.files import refused_as

if TYPE_CHECKING:
    from layerflow.data.copy_paste import CopyPasteConfig
    from layerflow.data.intake import Taking
    from layerflow.data.manifest import Manifest
    from layerflow.data.pretrained import Weights
    from layerflow.data.segmenting import Captioner, Segmenter, Tools


@click.group()
def data() -> None:
    """Make layered clips to train on, of your own pictures and videos."""


@data.command("copy-paste")
@click.option("--foregrounds", type=PLACE, multiple=True, required=True, help="RGBA stills or clips; may repeat.")
@click.option("--backgrounds", type=PLACE, multiple=True, required=True, help="Stills or movies; may repeat.")
@taking_options
@pasting_options
@writing_options
def copy_paste(foregrounds: tuple[Path, ...], backgrounds: tuple[Path, ...], **options: Any) -> None:
    """Paste foregrounds with alpha over backgrounds, on the fly when training."""
    from layerflow.data.paste_maker import make_copy_paste

    config, taking = _config(options), _taking(options)
    with progress(frames="Taking in") as show:
        manifest = make_copy_paste(
            foregrounds,
            backgrounds,
            options["output"],
            taking=taking,
            config=config,
            hold_out=options["hold_out"],
            captions=options["captions"],
            report=show,
        )
    _finish(manifest, options)


@data.command()
@click.argument("sources", type=PLACE, nargs=-1, required=True)
@click.option("--piece-frames", type=click.IntRange(2), default=16, show_default=True, help="Frames of a clip.")
@click.option("--max-pieces", type=click.IntRange(1), default=8, show_default=True, help="Clips of one video.")
@click.option("--max-foregrounds", type=click.IntRange(1, 2), default=1, show_default=True)
@model_options
@taking_options
@writing_options
def video(sources: tuple[Path, ...], **options: Any) -> None:
    """Take plain videos apart: movies, folders of frames, or folders of these."""
    from layerflow.data.video_maker import VideoPlan, make_video

    plan = VideoPlan(
        num_frames=options["piece_frames"],
        max_pieces=options["max_pieces"],
        max_foregrounds=options["max_foregrounds"],
    )
    taking, tools = _taking(options), _tools(options)
    with progress(frames="Taking apart") as show:
        manifest = make_video(
            sources,
            options["output"],
            tools,
            taking=taking,
            plan=plan,
            hold_out=options["hold_out"],
            captions=options["captions"],
            report=show,
        )
    _finish(manifest, options)


@data.command()
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@taking_options
@writing_options
def stills(folders: tuple[Path, ...], **options: Any) -> None:
    """Take in layered stills: per picture a folder of RGBA layers, and a JSON of captions."""
    from layerflow.data.layered_stills import make_layered_stills

    taking = _taking(options)
    with progress(frames="Taking in") as show:
        manifest = make_layered_stills(
            folders,
            options["output"],
            taking=taking,
            hold_out=options["hold_out"],
            captions=options["captions"],
            report=show,
        )
    _finish(manifest, options)


@data.command()
@click.argument("sets", type=FOLDER, nargs=-1, required=True)
@click.option("--backgrounds", type=PLACE, multiple=True, help="Stills or movies to paste over; may repeat.")
@taking_options
@pasting_options
@writing_options
def mattes(sets: tuple[Path, ...], backgrounds: tuple[Path, ...], **options: Any) -> None:
    """Take in matting sets: fgr/ and pha/, com/ and bgr/ where there are some."""
    from layerflow.data.matting import make_matting
    from layerflow.data.opencv_inpainter import TemporalInpainter

    config, taking = _config(options), _taking(options)
    with progress(frames="Taking in") as show:
        manifest = make_matting(
            sets,
            options["output"],
            TemporalInpainter(),
            taking=taking,
            backgrounds=backgrounds,
            config=config,
            hold_out=options["hold_out"],
            captions=options["captions"],
            report=show,
        )
    _finish(manifest, options)


@data.command()
@click.argument("dataset", type=FOLDER)
@json_option
def check(dataset: Path, as_json: bool) -> None:
    """Hold every picture of a dataset folder against its manifest."""
    from layerflow.data.check import check_dataset

    _report(check_dataset(dataset), dataset, [], as_json=as_json)


def _taking(options: dict[str, Any]) -> Taking:
    from layerflow.data.intake import Taking

    names = ("max_side", "max_frames", "fps", "licence", "source", "stills", "skip_broken")
    with refused_as(RequestError):
        return Taking(**{name: options[name] for name in names})


def _config(options: dict[str, Any]) -> CopyPasteConfig:
    from layerflow.data.copy_paste import CopyPasteConfig

    names = (
        *("linear", "shadows", "min_scale", "max_scale", "max_drift", "max_turn"),
        *("bounce", "still", "shutter", "defocus", "colour", "exposure"),
    )
    with refused_as(RequestError):
        return CopyPasteConfig(**{name: options[name] for name in names})


def _tools(options: dict[str, Any]) -> Tools:
    """What takes videos apart: models where weights are named, OpenCV otherwise. Raises ModelError."""
    from layerflow.data.opencv_inpainter import TemporalInpainter
    from layerflow.data.segmenting import Tools

    names = [options[name] or "opencv" for name in ("segmenter", "detector", "captioner")]
    return Tools(
        segmenter=_segmenter(options),
        inpainter=TemporalInpainter(),
        captioner=_captioner(options),
        name=" | ".join(names),
    )


def _segmenter(options: dict[str, Any]) -> Segmenter:
    if bool(options["segmenter"]) != bool(options["detector"]):
        raise RequestError("SAM 2 has to be told where to look; give --segmenter and --detector together")
    if not options["segmenter"]:
        from layerflow.data.opencv_segmenter import MotionSegmenter

        return MotionSegmenter()
    from layerflow.data.sam2 import Sam2Segmenter
    from layerflow.data.taggers import tagger_of

    tagger = tagger_of(_weights(options, "detector"), options["find"])
    return Sam2Segmenter(_weights(options, "segmenter"), tagger)


def _captioner(options: dict[str, Any]) -> Captioner:
    if not options["captioner"]:
        from layerflow.data.segmenting import GivenNames

        return GivenNames()
    from layerflow.data.qwen_captions import QwenCaptioner

    return QwenCaptioner(_weights(options, "captioner"))


def _weights(options: dict[str, Any], name: str) -> Weights:
    from layerflow.data.pretrained import Weights
    from layerflow.models.places import pick_device

    device = str(pick_device(options["device"]))
    return Weights(name=options[name], device=device, local_files_only=options["local_files_only"])


def _finish(manifest: Manifest, options: dict[str, Any]) -> None:
    """Write the clips that were asked for, and say what there is."""
    written: list[Path] = []
    if options["num_written"]:
        from layerflow.data.copy_paste import ClipShape
        from layerflow.data.look import write_clips
        from layerflow.data.supply import LayeredFolder

        width, height = _size(options["write_size"])
        shape = ClipShape(
            num_frames=options["write_frames"],
            height=height,
            width=width,
            num_foregrounds=options["foregrounds_per_clip"],
        )
        folder = options["output"]
        written = write_clips(
            LayeredFolder(folder, shape, frozen=0.0),
            folder / "look",
            options["num_written"],
            seed=options["seed"],
            form=options["write_as"],
        )
    _report(manifest, options["output"], written, as_json=options["as_json"])


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 8 <= int(side) <= 4096 for side in sides):
        raise RequestError(f"--write-size is WIDTHxHEIGHT of 8 to 4096 pixels, got {text!r}; give e.g. 360x240")
    return int(sides[0]), int(sides[1])


def _report(manifest: Manifest, folder: Path, written: list[Path], *, as_json: bool) -> None:
    from layerflow.data.manifest import summary

    counts = summary(manifest.items)
    if as_json:
        print_json({"dataset": folder, "items": counts, "skipped": dict(manifest.skipped), "written": written})
        return
    click.echo(f"dataset: {folder}")
    for name, count in counts.items():
        click.echo(f"{name}: {count}")
    if manifest.skipped:
        click.echo(f"left out: {len(manifest.skipped)}; {folder / 'manifest.json'} says why")
    if written:
        click.echo(f"to look at: {written[0].parent if len(written) > 1 else written[0]}")
