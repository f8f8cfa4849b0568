"""What can be exported: kinds, the files that each becomes, and a comp as the engine takes it. No disk is looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from layerflow.wire.versions import Frames
from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.layer_stack import BLENDED, RESIDUAL, is_untouched, layer_names, visible_names

Kind = Literal["exr", "exr-layers", "png-layers", "prores", "sheet"]

_FIELD = re.compile(r"[._ -]*(#+|%0?\d*d)$")
_APART = ("exr-layers", "png-layers")
_OF_ALL = (RESIDUAL, BLENDED)  # what belongs to all layers, and what they make


@dataclass(frozen=True)
class KindText:
    """How a kind of export is told of."""

    title: str
    explanation: str
    suffix: str
    is_single: bool = False  # one file, without a frame number


KINDS: dict[Kind, KindText] = {
    "exr": KindText(
        "Layered EXR", "All layers and the picture in one file per frame, scene-linear. For Nuke and Blender.", ".exr"
    ),
    "exr-layers": KindText(
        "EXR per layer", "A scene-linear sequence for every layer. For programs that read no layered files.", ".exr"
    ),
    "png-layers": KindText(
        "PNG per layer", "A 16-bit sRGB sequence for every layer, with straight alpha. For editing and design.", ".png"
    ),
    "prores": KindText(
        "ProRes 4444 movie",
        "A movie with alpha, in Rec. 709 at the rate of the shot. For editing programs.",
        ".mov",
        True,
    ),
    "sheet": KindText("Contact sheet", "Five frames with all layers in one picture, to send along.", ".png", True),
}


@dataclass(frozen=True)
class Exportable:
    """A take that can be exported, as the project has it."""

    source: str  # its frames, with %04d
    frames: tuple[int, ...]  # rising and without gaps
    layers: tuple[LayerState, ...]  # from front to back
    first: int | None = None  # the range to begin with; None: the end there is
    last: int | None = None


@dataclass(frozen=True)
class Export:
    """What an artist asks to be exported."""

    kind: Kind
    source: str  # the frames of a take, with %04d
    output: str  # a pattern with %04d; of a movie or a sheet one file
    frames: tuple[int, ...]  # of the take, rising and without gaps
    layers: tuple[LayerState, ...]  # from front to back
    layer: str = ""  # of a movie: this layer alone; empty: the foregrounds in front of the background
    alpha: Literal["straight", "premultiplied"] = "straight"
    replace: bool = False  # files that are there

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("there are no frames to export; choose a range within the take")
        if not self.output.strip():
            raise ValueError("there is no place to export to; choose a file")
        if not any(state.visible and state.opacity > 0 for state in comp_layers(self.layers)):
            raise ValueError("every layer is hidden; show at least one")

    def files(self) -> tuple[str, ...]:
        """Every file that it becomes, as the engine names them. ValueError where the output can be no pattern."""
        if KINDS[self.kind].is_single:
            return (self.output,)
        patterns = [self.output]
        if self.kind in _APART:
            patterns = [layer_pattern(self.output, name) for name in self._names()]
        frames = list(map(Frames.of, patterns))
        return tuple(each.path(frame) for frame in self.frames for each in frames)

    def arguments(self, comp: str) -> list[str]:
        """The engine's words for it; `comp` is the file of the comp."""
        only = ["--layer", self.layer] if self.layer and self.kind == "prores" else []
        alpha = ["--alpha", self.alpha] if self.kind in ("exr", "exr-layers", "prores") else []
        span = f"{self.frames[0]}-{self.frames[-1]}"
        replace = ["--overwrite"] if self.replace else []
        told = ["--as", self.kind, "-o", self.output, "--comp", comp, "--frames", span, "--json"]
        return ["deliver", *told, *only, *alpha, *replace, "--", self.source]

    def _names(self) -> list[str]:
        """The layers that get files of their own."""
        own = [state.name for state in comp_layers(self.layers) if state.visible and state.opacity > 0]
        return [*(name for name in own if name != RESIDUAL), BLENDED]


def comp_layers(layers: Sequence[LayerState]) -> tuple[LayerState, ...]:
    """The layers as they are shown, by the rule of the layer panel. The picture of them is no layer of it.

    A residual is no layer that is soloed either: the engine leaves it out itself of a picture that it does not fit.
    """
    seen = visible_names(tuple(state for state in layers if state.name not in _OF_ALL))
    own = [state for state in layers if state.name != BLENDED]
    return tuple(
        state.with_(visible=state.name in seen or (state.name == RESIDUAL and state.visible), solo=False)
        for state in own
    )


def comp_text(layers: Sequence[LayerState]) -> str:
    """The comp of these layers as the engine reads it: JSON, from front to back."""
    names = ("name", "visible", "opacity", "offset_x", "offset_y", "scale")
    return json.dumps({"layers": [{name: getattr(state, name) for name in names} for state in comp_layers(layers)]})


def is_in_place(state: LayerState) -> bool:
    """Whether a layer lies where it was made."""
    return (state.offset_x, state.offset_y, state.scale) == (0, 0, 1)


def is_changed(layers: Sequence[LayerState]) -> bool:
    """Whether the picture of these layers is another one than was made: then a residual is not part of it."""
    return not is_untouched(tuple(state for state in layers if state.name not in _OF_ALL))


def as_made(layers: Sequence[LayerState]) -> tuple[LayerState, ...]:
    """The same layers before anything was done with them."""
    names = [state.name for state in layers]
    return tuple(LayerState(name=name) for name in (*layer_names(names), *(name for name in _OF_ALL if name in names)))


def layer_pattern(pattern: str, layer: str) -> str:
    """The pattern of one layer's own sequence, as the engine names it: dog.%04d.exr gives dog.foreground.%04d.exr."""
    frames = Frames.of(pattern)
    separator = frames.before[-1:] if frames.before[-1:] in ("_", "-", " ") else "."
    return str(Path(frames.folder) / f"{frames.before}{layer}{separator}%0{frames.padding}d{frames.after}")


def suggested_output(kind: Kind, source: str) -> str:
    """Where an export goes unless it is told otherwise: into `export` beside the take."""
    path = Path(source)
    stem = _FIELD.sub("", path.stem) or "shot"
    text = KINDS[kind]
    words = {"exr": "comp", "sheet": "sheet"}.get(kind, "")
    name = f"{stem}_{words}" if words else stem
    return str(path.parent / "export" / f"{name}{text.suffix if text.is_single else f'.%04d{text.suffix}'}")


def range_of(frames: Iterable[int], first: int | None, last: int | None) -> tuple[int, ...]:
    """Those of the frames from `first` to `last`, both included; None is the end there is."""
    return tuple(frame for frame in frames if (first is None or frame >= first) and (last is None or frame <= last))
