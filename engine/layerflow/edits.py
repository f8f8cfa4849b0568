"""An edit as the shots it is made of: a plate is taken apart, then one layer is made anew for those that stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from layerflow.errors import PlateError, RequestError
from layerflow.files import output_pattern, refused_as
from layerflow.layers import z_order
from layerflow.plate import layer_names
from layerflow.plate.find import find
from layerflow.provenance import read_provenance
from layerflow.wire import Request

APART = "layers"  # dog.%04d.exr is made of dog.layers.%04d.exr
_FOR_APART: dict[str, Any] = {
    "foregrounds": (),
    "guide": None,
    "guide_kind": "roto",
    "holdout": None,
    "refine": "fast",
    "closeup": False,
    "was": "",
}


def stages(request: Request) -> tuple[Request, ...]:
    """The shots that `request` is, in the order in which they are to be made; itself unless it is an edit.

    Raises PlateError for a plate that cannot be read, and RequestError for options that its layers leave no use for.
    """
    if request.task != "edit":
        return (request,)
    if request.extend is not None:
        return (_longer(request),)
    with refused_as(RequestError):
        if _is_apart(request):
            return (_anew(request, str(request.plate)),)
        pattern = output_pattern(request.output).for_layer(APART)
        return _apart(request, str(pattern)), replace(_anew(request, str(pattern)), colorspace=None)


def _longer(request: Request) -> Request:
    """What makes more frames of a shot, by its own words and its own model where the request names no others."""
    before = _made_by(request)
    words = {name: getattr(request, name) or getattr(before, name) for name in ("background", "blended")}
    fronts = request if request.foreground or request.foregrounds else before
    words |= {name: getattr(fronts, name) for name in ("foreground", "foregrounds")}
    model = before.model if request.model == Request.model else request.model
    with refused_as(RequestError):
        return replace(request, task="generate", model=model, **words)


def _made_by(request: Request) -> Request:
    """The request that made the shot; this one for a shot of another program."""
    found = find(str(request.plate)).files
    try:
        return read_provenance(next(iter(found.values())))[0] if found else request
    except PlateError:
        return request


def _is_apart(request: Request) -> bool:
    if "background" not in z_order(layer_names(str(request.plate), request.first_frame)):
        return False
    for name, without in _FOR_APART.items():
        if getattr(request, name) != without:
            raise RequestError(f"{request.plate} is in layers already and {name} is for taking it apart; leave it out")
    return True


def _apart(request: Request, output: str) -> Request:
    """What takes the plate apart: each layer that stays by its prompt, the one that goes by what it was."""
    keeps_background = "background" in request.keep
    return replace(
        request,
        task="decompose",
        foreground=request.was if keeps_background else request.foreground,
        background=request.background if keeps_background else request.was,
        blended="",
        was="",
        keep=(),
        output=output,
        alpha="straight",
        per_layer=False,
        preview=False,
    )


def _anew(request: Request, layers: str) -> Request:
    """What makes the layer that does not stay."""
    makes = "foreground" if "background" in request.keep else "background"
    words = request.foreground or ", ".join(request.foregrounds)
    return replace(request, **{**_FOR_APART, "task": makes, "plate": layers, "foreground": words})
