"""What a frame's header says of how it was made, and the way back from a frame to its request."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from layerflow import exr
from layerflow.errors import PlateError, RequestError
from layerflow.models.adapter_files import find_lora
from layerflow.models.float8 import precision_of
from layerflow.models.folder import ModelFolder
from layerflow.models.load import Engine
from layerflow.models.plans import PLANS
from layerflow.versions import version_of
from layerflow.wire import Request
from layerflow.wire.whole_paths import Move, with_moved_paths

LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "OpenImageIO", "OpenEXR")
MADE_BY = "layerflow:backend"  # several where one gave way to another on the way
MADE_UNDER = "layerflow:memory"  # memory plans; several where memory ran out on the way
NOT_IN_HEADER = ("output", "preview", "per_layer")  # what a request says besides the pixels of a frame


def record_of(request: Request, model: ModelFolder, *, recorded: Move = str) -> dict[str, str]:
    """What decides the pixels of every frame of a shot, as header strings, with its paths as they are `recorded`.

    ModelError when a LoRA cannot be read.
    """
    told = with_moved_paths(request, recorded).to_dict()
    values = {name: value for name, value in told.items() if name not in NOT_IN_HEADER}
    loras = {"layerflow:loraSha256": ", ".join(find_lora(text).sha256 for text in request.lora)} if request.lora else {}
    return {
        **loras,
        "layerflow:request": json.dumps(values, sort_keys=True, ensure_ascii=False),
        "layerflow:seed": str(request.seed),
        "layerflow:model": model.manifest.name,
        "layerflow:modelSha256": model.sha256,
    }


def environment_of(engine: Engine) -> dict[str, str]:
    """What made the pixels on this machine, as header strings."""
    return {
        "layerflow:version": version_of("layerflow"),
        MADE_BY: engine.backend,
        "layerflow:precision": precision_of(engine.transformer),
        "layerflow:textPrecision": engine.text.precision,
        "layerflow:device": str(engine.device),
        "layerflow:processes": str(engine.num_processes),
        "layerflow:libraries": ", ".join(f"{name} {version_of(name)}" for name in LIBRARIES),
        "layerflow:python": platform.python_version(),
    }


def all_of(*environments: Mapping[str, str]) -> dict[str, str]:
    """One environment for work that was done in several: of every value what differs, in order, once."""
    values: dict[str, dict[str, None]] = {}
    for name, value in chain.from_iterable(each.items() for each in environments):
        values.setdefault(name, {}).update(dict.fromkeys(value.split(", ")))
    return {name: ", ".join(parts) for name, parts in values.items()}


def read_provenance(path: Path) -> tuple[Request, str]:
    """The request of the frame at `path` and the hash of the model that made it; PlateError without our header."""
    header = exr.read_header(path)
    if "layerflow:request" not in header:
        raise PlateError(f"{path} was not written by LayerFlow: its header has no request; give a frame that was")
    try:
        request = Request.from_json(header["layerflow:request"])
    except ValueError as error:
        raise PlateError(f"the request in {path} cannot be read ({error}); it is of another version") from error
    return request, header.get("layerflow:modelSha256", "")


def read_plans(path: Path) -> tuple[str, ...]:
    """The memory plans that the frame at `path` was made under, in order; none where its header does not say."""
    named = exr.read_header(path).get(MADE_UNDER, "").split(", ")
    return tuple(name for name in named if name in {plan.name for plan in PLANS})


def read_backends(path: Path) -> tuple[str, ...]:
    """The backends that the frame at `path` was made by, in order; none where its header does not say."""
    return tuple(filter(None, exr.read_header(path).get(MADE_BY, "").split(", ")))


def own_pattern(path: Path) -> str:
    """The pattern of the sequence that the frame at `path` is one of; RequestError for a layer's own sequence."""
    if "," not in exr.read_header(path).get("layerflow:layers", ","):
        raise RequestError(f"{path} is of one layer's own sequence, not of the shot; say with -o where the shot goes")
    name = path.stem.rstrip("0123456789")
    padding = len(path.stem) - len(name)
    return str(path.with_name(f"{name}%0{padding}d{path.suffix}" if padding else f"{name}.%04d{path.suffix}"))
