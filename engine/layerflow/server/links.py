"""A job's paths once more, in the process that opens them: links may have been changed since it was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from layerflow.edits import APART
from layerflow.errors import RequestError
from layerflow.files import output_pattern
from layerflow.journal import Journal
from layerflow.models.adapter_files import find_lora
from layerflow.models.shelf import bundled_path, find_place, models_path
from layerflow.plate.find import find
from layerflow.server.acceptance import check_paths, mattes_of
from layerflow.server.bounds import Bounds
from layerflow.server.roots import Roots
from layerflow.shot import Shot
from layerflow.wire import Request, parse_matte


def check_links(request: Request, roots: Roots) -> None:
    """Raises OutsideError when what is read or written for `request` lies outside `roots` and the folders of models.

    Also RequestError, PlateError and ModelError, as the shot itself would. Nothing is opened.
    """
    check_paths(request, roots)
    for name, path in _files_of(request):
        roots.confine(name, str(path.absolute()))


def check_size(shot: Shot, bounds: Bounds) -> None:
    """Raises RequestError when the shot is larger than a job may be: only now it is known what the plate holds."""
    (width, height), count = shot.delivery.format.working_window[2:], len(shot.frames)
    if bounds.frames is not None and count > bounds.frames:
        raise RequestError(
            f"{count} frames are more than one job may have, {bounds.frames}; say with first_frame and last_frame which"
        )
    if bounds.pixels is not None and width * height > bounds.pixels:
        raise RequestError(
            f"{width}x{height} is more than the {bounds.pixels} pixels that a frame may have; scale it down"
        )


def _files_of(request: Request) -> Iterator[tuple[str, Path]]:
    """What the paths of a request stand for, where it could be a link to elsewhere."""
    pictures = {} if request.plate is None else {"plate": request.plate}
    pictures |= {name: parse_matte(text)[0] for name, text in mattes_of(request).items()}
    for name, source in pictures.items():
        for frame in find(source).files.values():
            if frame.is_symlink():  # any other lies in the folder it was found in
                yield name, frame
    output = output_pattern(request.output)
    for pattern in (output, *([output.for_layer(APART)] if request.task == "edit" else [])):
        yield "output", Journal.folder_of(pattern)
    model = find_place(request.model).resolve()
    if not any(model.is_relative_to(own.resolve()) for own in (bundled_path(), models_path())):
        yield "model", model
        yield from (("model", file) for file in model.rglob("*") if file.is_symlink())
    for place, text in enumerate(request.lora, start=1):
        files = find_lora(text)
        yield f"LoRA {place}", files.weights
        if files.config is not None:
            yield f"LoRA {place}", files.config
