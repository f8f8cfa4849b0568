"""A request held against what is there: its plate, the size and frames it generates, its colour space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from layerflow import color
from layerflow.assemble import Frame, given_layers, takes_apart
from layerflow.errors import ColorError, PlateError, RequestError
from layerflow.exr import read_header
from layerflow.files import refused_as
from layerflow.guides import GUIDED_BY, Guides, guides_of
from layerflow.kept import Kept, kept_of
from layerflow.layers import PictureFormat
from layerflow.layout import Layout
from layerflow.models.adapter_files import find_lora
from layerflow.models.folder import ModelFolder
from layerflow.models.network import chosen_loras
from layerflow.plate import Plate, open_plate
from layerflow.timecode import as_fps
from layerflow.window import MAX_PIXELS
from layerflow.wire import Request

MAX_NUM_FRAMES = 100_000  # of a generated shot


def checked_linear(name: str) -> str:
    """`name` when it is a scene-linear colour space. Raises ColorError."""
    if not color.is_linear(name):  # raises for an unknown one
        raise ColorError(f"{name} is not scene-linear, as EXR has to be; choose one that is, such as ACEScg")
    return name


def plate_of(request: Request, layout: Layout, kept: Kept | None) -> Plate:
    """The plate, or of a layered EXR what is `kept` of it, so that one shot's layers start the next.

    Raises PlateError, and ColorError for an unknown colour space.
    """
    plate = (
        kept.shown
        if kept
        else open_plate(
            str(request.plate),
            first_frame=request.first_frame,
            last_frame=request.last_frame,
            colorspace=request.colorspace,
            fps=request.fps,
        )
    )
    if "alpha" in given_layers(layout) and not (plate.has_alpha or takes_apart(layout)):
        raise PlateError(
            f"{request.task} needs a foreground with an alpha channel and {request.plate} has none; "
            "give RGBA frames, or decompose the plate first"
        )
    return plate


def layers_kept(request: Request, layout: Layout) -> Kept | None:
    """The layers of a layered EXR that stay while another one is made; None where the plate is taken as one picture.

    Raises as `kept_of` does.
    """
    return kept_of(request) if given_layers(layout) & {"foreground", "background"} else None


def check_same_plate(made: Path, request: Request, layout: Layout) -> None:
    """Raises PlateError when the plate frame that the EXR frame `made` came from is no longer what it was."""
    header = read_header(made)
    before = header.get("layerflow:plateSha256")
    if request.plate is None or before is None:
        return
    plate, number = plate_of(request, layout, layers_kept(request, layout)), header.get("layerflow:frame", "")
    pixels = plate.read(int(number) if number.isdecimal() else -1)
    if Frame(pixels=pixels, colorspace=plate.colorspace).sha256() != before:
        raise PlateError(
            f"frame {number} of {request.plate} has changed since {made} was made from it; "
            "put the old plate back, or make the shot anew"
        )


def checked_guides(request: Request, layout: Layout, plate: Plate) -> Guides | None:
    """The mattes that the request goes by, on `plate`; None for none.

    Raises PlateError, and RequestError for a model that has no use for them.
    """
    guides = guides_of(request, plate.format, plate.frames)
    if guides and not takes_apart(layout):
        raise RequestError(f"model {request.model} makes no matte, so nothing can guide it; choose one with alpha")
    if takes_apart(layout) and layout.is_given("alpha") and request.guide is None:
        raise RequestError(f"model {request.model} goes by a matte; give one with --guide")
    return guides


def check_same_guides(made: Path, request: Request, layout: Layout) -> None:
    """Raises PlateError when the mattes that guided the EXR frame `made` are no longer what they were."""
    header = read_header(made)
    before = header.get(GUIDED_BY)
    if before is None:
        return
    plate, number = plate_of(request, layout, None), header.get("layerflow:frame", "")
    guides = checked_guides(request, layout, plate)
    now = guides.at(int(number)).sha256() if guides and number in map(str, plate.frames) else ""
    if now != before:
        raise PlateError(
            f"the guide of frame {number} has changed since {made} was made by it; "
            "put the old matte back, or make the shot anew"
        )


def with_found_loras(request: Request, folder: ModelFolder) -> Request:
    """The request with the LoRAs' whole paths, and their weights written out. Raises as `chosen_loras` does."""
    chosen_loras(folder, lora=request.lora, motion=request.motion)
    with refused_as(RequestError):
        return replace(request, lora=tuple(find_lora(text).text for text in request.lora))


def check_same_loras(made: Path, request: Request) -> None:
    """Raises RequestError when a LoRA has changed since the frame `made` was made, ModelError when it is gone."""
    before = read_header(made).get("layerflow:loraSha256", "").split(", ")
    for index, files in enumerate(map(find_lora, request.lora)):
        if before[index : index + 1] != [files.sha256]:
            raise RequestError(f"{files} here is not the one that made {made}; put the old file back")


def generated_format(request: Request, folder: ModelFolder) -> PictureFormat:
    """Size and frame rate of a shot without a plate; the model's own where the request does not say."""
    model = folder.manifest
    width, height = request.width or model.width, request.height or model.height
    if width * height > MAX_PIXELS:
        raise RequestError(
            f"{width}x{height} pixels are more than {MAX_PIXELS // 1_000_000} million; "
            "choose a smaller --width or --height"
        )
    return PictureFormat(width=width, height=height, fps=as_fps(request.fps or model.fps))


def generated_frames(request: Request, length: int) -> tuple[int, ...]:
    """Numbers of the frames of a shot without a plate: from 1, and `length` of them, where the request does not say."""
    first, last, count = request.first_frame, request.last_frame, request.num_frames
    if last is None:
        first = 1 if first is None else first
        last = first + (count or length) - 1
    elif first is None:
        first = 1 if count is None else last - count + 1
    if first > last:
        raise RequestError(f"last_frame {last} comes before the first frame {first}; set first_frame as well")
    if first < 0:
        raise RequestError(f"{count} frames up to {last} start below 0; set first_frame as well")
    if last - first >= MAX_NUM_FRAMES:
        raise RequestError(f"{last - first + 1} frames are more than {MAX_NUM_FRAMES}; say with --frames which to make")
    return tuple(range(first, last + 1))
