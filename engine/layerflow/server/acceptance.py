"""Whether a request may become a job here: its size, its names, and where its paths lead."""

from __future__ import annotations

import re
from pathlib import Path

from layerflow.errors import RequestError
from layerflow.files import refused_as
from layerflow.server.roots import Roots
from layerflow.server.service import Service
from layerflow.server.settings import Limits
from layerflow.server.spaces import Space
from layerflow.wire import Request, checks, parse_lora, parse_matte

MAX_NAME = 200  # characters, of a colour space, a model or a backend
MAX_LORAS = 16

_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
_PLAIN = {
    "backend": re.compile(_NAME),
    "device": re.compile(r"[a-z]+(?::[0-9]{1,3})?"),
    "model": re.compile(rf"{_NAME}(?:/{_NAME})?"),  # one of a family
}


def accepted(request: Request, service: Service, space: Space | None = None) -> Request:
    """`request` when it may become a job. Raises RequestError; OutsideError for a path that no job may use.

    Of a user with a `space` it comes with that one's names for files, and is given back with their paths. What its
    paths lead to may change until it is made, so the worker asks `check_paths` again.
    """
    _check_sizes(request, service.settings.limits)
    for name in ("colorspace", "output_colorspace", "model", "device", "backend"):
        _check_name(name, getattr(request, name))
    if space is None:
        check_paths(request, Roots(folders=service.settings.roots))
        return request
    if not _PLAIN["model"].fullmatch(request.model):
        raise RequestError(f"{request.model} is no name of a model; /v1/models lists those on the server")
    placed = space.placed(request)
    check_paths(placed, space.roots)
    return placed


def check_paths(request: Request, roots: Roots) -> None:
    """Raises RequestError unless each of the request's paths leads into `roots`."""
    for name, text in paths_of(request).items():
        roots.confine(name, text)


def paths_of(request: Request) -> dict[str, str]:
    """The paths of a request, under names for sentences. A model that is called by name has none."""
    paths = {"output": request.output}
    if request.plate is not None:
        paths["plate"] = request.plate
    paths |= {name: parse_matte(text)[0] for name, text in mattes_of(request).items()}
    if not _PLAIN["model"].fullmatch(request.model):
        paths["model"] = request.model
    return paths | {f"LoRA {place}": parse_lora(text)[0] for place, text in enumerate(request.lora, start=1)}


def mattes_of(request: Request) -> dict[str, str]:
    """The mattes of a request by name, each with its channel behind its path or not."""
    mattes = {"guide": request.guide, "holdout": request.holdout}
    return {name: text for name, text in mattes.items() if text is not None}


def _check_sizes(request: Request, limits: Limits) -> None:
    prompts = {name: getattr(request, name) for name in ("foreground", "background", "blended", "was")}
    for name, prompt in {**prompts, "longest foreground": max(request.foregrounds, key=len, default="")}.items():
        length = len(prompt)
        if length > limits.prompt_characters:
            raise RequestError(
                f"the {name} prompt has {length} characters; {limits.prompt_characters} at most, shorten it"
            )
    frames = request.num_frames or 0
    if request.first_frame is not None and request.last_frame is not None:
        frames = max(frames, request.last_frame - request.first_frame + 1)
    if frames > limits.frames:
        raise RequestError(f"{frames} frames are more than one job may have, {limits.frames}; make several of it")
    if (request.width or 0) * (request.height or 0) > limits.pixels:
        raise RequestError(
            f"{request.width}x{request.height} is more than {limits.pixels} pixels; choose a smaller size"
        )
    if len(request.lora) > MAX_LORAS:
        raise RequestError(f"{len(request.lora)} LoRAs are more than {MAX_LORAS}; leave some out")


def _check_name(name: str, value: str | None) -> None:
    """A name is short and printable; what the engine looks up by it is of plain letters. A model may be a path."""
    if value is None:
        return
    with refused_as(RequestError):
        checks.check_name(name, value)
    if name == "model" and Path(value).is_absolute():
        return
    if len(value) > MAX_NAME:
        raise RequestError(f"{name} has {len(value)} characters; {MAX_NAME} at most")
    if name in _PLAIN and not _PLAIN[name].fullmatch(value):
        remedy = "give a name or a whole path" if name == "model" else "leave it out for the default"
        raise RequestError(f"there can be no {name} {value!r}; {remedy}")
