"""Layers that stay while another one is made: what the model is shown of them, and how they come out, to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from layerflow import color, layers
from layerflow.errors import PlateError, RequestError
from layerflow.layers import Pixels, is_foreground, z_order
from layerflow.plate import Plate, layer_names, open_plate, over_each_other
from layerflow.wire import Request


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Layers of a layered plate, and the place of the new one among them."""

    plates: Mapping[str, Plate]  # by name, top first
    new: str  # the layer that is made
    order: tuple[str, ...]  # of all of these, top first

    @property
    def shown(self) -> Plate:
        """What the model makes the new layer for: all that is kept in front of a background, or behind a foreground."""
        behind = self.order[self.order.index(self.new) + 1 :]
        names = behind or tuple(self.plates)
        return over_each_other([self.plates[name] for name in names if name in self.plates])

    def reopened(self) -> Kept:
        """The same for another thread. Raises PlateError."""
        return replace(self, plates={name: plate.reopened() for name, plate in self.plates.items()})

    def with_new(self, made: Mapping[str, Pixels], number: int, target: str) -> dict[str, Pixels]:
        """All layers of frame `number`, top first, the new one of `made` among them.

        Blended is these over each other; where there is no alpha to lay them by, it is what was made.
        """
        new = made["foreground" if is_foreground(self.new) else "background"]
        named = {name: new if name == self.new else self._read(name, number, target) for name in self.order}
        has_alpha = all(pixels.shape[-1] == 4 for name, pixels in named.items() if is_foreground(name))
        return named | {"blended": layers.recomposed(named) if has_alpha else made["blended"]}

    def _read(self, name: str, number: int, target: str) -> Pixels:
        plate = self.plates[name]
        return color.convert(plate.read(number), plate.colorspace, target)


def kept_of(request: Request) -> Kept | None:
    """The layers that `request` keeps; None for a plate without any.

    Where it does not say, a new background keeps all foregrounds and a new foreground the background. Raises
    PlateError, RequestError for a layer that the plate has not, and ColorError.
    """
    there = z_order(layer_names(str(request.plate), request.first_frame))
    wanted = request.keep or tuple(name for name in there if is_foreground(name) == (request.task == "background"))
    if not wanted:
        return None
    new = _new(there, wanted, request)
    plates = {name: _open(request, name) for name in there if name in wanted}
    flat = [name for name, plate in plates.items() if is_foreground(name) and not plate.has_alpha]
    if flat and len(plates) > 1:
        raise PlateError(
            f"layer {flat[0]} of {request.plate} has no alpha channel to lay it over others; write it as RGBA"
        )
    return Kept(plates=plates, new=new, order=z_order((*plates, new)))


def _new(there: Sequence[str], wanted: Sequence[str], request: Request) -> str:
    """The layer that is made; RequestError where these cannot be kept."""
    if missing := [name for name in wanted if name not in there]:
        has = f"its layers are {', '.join(there)}" if there else "it has no layers"
        raise RequestError(f"{request.plate} has no {missing[0]} to keep; {has}")
    if request.task == "background":
        return "background"
    if "background" not in wanted:
        raise RequestError("a new foreground goes over the background; keep that too")
    fronts = [name for name in there if is_foreground(name)]
    if fronts and set(fronts) <= set(wanted):
        raise RequestError("every foreground is kept and none is left to be made; leave one out of keep")
    return next((name for name in fronts if name not in wanted), "foreground")


def _open(request: Request, layer: str) -> Plate:
    return open_plate(
        str(request.plate),
        layer=layer,
        first_frame=request.first_frame,
        last_frame=request.last_frame,
        colorspace=request.colorspace,
        fps=request.fps,
    )
