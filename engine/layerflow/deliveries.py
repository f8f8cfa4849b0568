"""Layers that were made, handed on in the files that others work with: EXR, PNG, ProRes, a contact sheet.

One frame after the other: a long shot never sits in memory whole. The comp is in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from layerflow import color, exr, layers, preview, prores, window
from layerflow.comp import Comp, comped
from layerflow.errors import OutputError, PlateError, RequestError
from layerflow.exr import AlphaMode
from layerflow.files import FramePattern, output_pattern, prepare_output
from layerflow.layers import LayerStack, Pixels

Kind = Literal["exr", "exr-layers", "png-layers", "prores", "sheet"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_BLENDED = "blended"
_BYTES = 2  # of a channel
_OWN = ("layerflow:frame", "layerflow:colorspace", "layerflow:alphaMode", "layerflow:layers")  # the writer's own
_WHITE = 1.05  # display-referred; a little above is rounding, and colours of other primaries
SHEET_FRAMES = 5

OnFrame = Callable[[int, tuple[str, ...]], None]  # a frame that is done, and sentences about it


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be handed on, and as what."""

    sources: Mapping[int, Path]  # frame -> layered EXR
    kind: Kind
    output: str  # a pattern; of a movie or a sheet a file
    comp: Comp = field(default_factory=Comp)
    alpha: AlphaMode = "straight"
    only: tuple[str, ...] = ()  # layers; none: all, and of a movie the foregrounds

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("there must be at least one frame")
        if self.kind == "png-layers" and self.alpha != "straight":
            raise RequestError("PNG has straight alpha; leave out --alpha, or hand on EXR")
        if self.kind in ("exr", "sheet") and self.only:
            raise RequestError(f"{self.kind} has all layers; leave out --layer, or hand on layers apart")
        if self.kind == "prores" and len(self.only) > 1:
            raise RequestError("a movie shows one layer; give --layer once, and make a movie of each")

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers, rising."""
        return tuple(sorted(self.sources))


def deliver(
    order: Order, *, may_exist: bool = False, on_frame: OnFrame = lambda frame, notes: None
) -> tuple[Path, ...]:
    """The files that the order became. `on_frame` is told of every frame.

    Nothing that is there is replaced unless `may_exist`, and no file has its name before it is whole. Raises
    LayerFlowError.
    """
    first = read(order, order.frames[0])
    targets = files_of(order, first)
    room = _bytes_of(order, first, len(targets))
    prepare_output(targets, num_bytes=room, sources=order.sources.values(), may_exist=may_exist)
    if order.kind == "prores":
        _write_movie(order, targets[0], on_frame)
    elif order.kind == "sheet":
        preview.write_contact_sheet(targets[0], _sheet_stacks(order, on_frame), column_width=_column_width(first))
    else:
        _write_frames(order, delivered_layers(order, first), on_frame)
    return targets


def read(order: Order, frame: int) -> LayerStack:
    """A frame in the comp."""
    stack = exr.read_stack([order.sources[frame]])
    if not layers.z_order(stack.layers):
        raise PlateError(f"{order.sources[frame]} has no foreground or background; give frames that LayerFlow wrote")
    return comped(stack, order.comp)


def delivered_layers(order: Order, first: LayerStack) -> tuple[str, ...]:
    """The layers that get files of their own, from front to back, and last the picture. Raises RequestError."""
    there = (*(name for name in first.layers if name not in (_BLENDED, "residual")), _BLENDED)
    if absent := [name for name in order.only if name not in there]:
        raise RequestError(f"there is no layer {absent[0]} to be seen; choose from {', '.join(there)}")
    return tuple(name for name in there if not order.only or name in order.only)


def files_of(order: Order, first: LayerStack) -> tuple[Path, ...]:
    """Every file that the order becomes, in the order in which they are written. Raises OutputError, RequestError."""
    if order.kind in ("prores", "sheet"):
        names = delivered_layers(order, first)
        if order.kind == "prores" and not order.only and not _fronts(first):
            raise RequestError(f"no foreground is to be seen; choose with --layer from {', '.join(names)}")
        return (_single(order),)
    if order.kind == "exr":
        pattern = output_pattern(order.output)
        return tuple(map(pattern.path, order.frames))
    patterns = [_pattern(order).for_layer(name) for name in delivered_layers(order, first)]
    return tuple(pattern.path(frame) for frame in order.frames for pattern in patterns)


def _pattern(order: Order) -> FramePattern:
    if order.kind != "png-layers":
        return output_pattern(order.output)
    pattern = FramePattern.parse(order.output)
    if pattern.touches_digits or pattern.suffix.lower() != ".png":
        raise OutputError(f"the output must end in .%04d.png, got {order.output!r}; try shot.%04d.png")
    return pattern


def _single(order: Order) -> Path:
    path, suffixes = Path(order.output), (".mov",) if order.kind == "prores" else (".png", ".jpg")
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"the output must end in {' or '.join(suffixes)}, got {order.output!r}; add it")
    return path


def _bytes_of(order: Order, first: LayerStack, num_files: int) -> int:
    """The size of all files, as if nothing could be compressed; a sheet is small."""
    pixels = int(np.prod(first.format.working_window[2:]))
    channels = 4 * len(first.layers) * len(order.frames) if order.kind == "exr" else 4 * num_files
    movie = pixels * len(order.frames) * 3 // 2
    return {"prores": movie, "sheet": 1 << 22}.get(order.kind, pixels * channels * _BYTES)


def _write_frames(order: Order, names: tuple[str, ...], on_frame: OnFrame) -> None:
    bright = _Bright()
    for frame in order.frames:
        stack = read(order, frame)
        notes: tuple[str, ...] = ()
        if order.kind == "exr":
            path = output_pattern(order.output).path(frame)
            notes = exr.write_frame(path, stack, 0, header=_header(order, frame), alpha=order.alpha)
        else:
            for name in names:
                notes += _write_layer(order, stack, name, bright)
        on_frame(frame, (*notes, *(bright.sentences() if frame == order.frames[-1] else ())))


def _write_layer(order: Order, stack: LayerStack, name: str, bright: _Bright) -> tuple[str, ...]:
    (frame,) = stack.frames
    path, alone = _pattern(order).for_layer(name).path(frame), _with_layer(stack, name, order.sources[frame])
    if order.kind == "exr-layers":
        return exr.write_layer_frame(path, alone, 0, name, header=_header(order, frame), alpha=order.alpha)
    shown = display_picture(alone, alone.layers[name])
    bright.add(shown)
    preview.write_picture(path, (shown.clip(0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16))
    return ()


@dataclass
class _Bright:
    """How much of what is seen display pictures cannot hold."""

    num_pixels: int = 0
    num_bright: int = 0

    def add(self, shown: Pixels) -> None:
        """Takes in a picture [H, W, 3 | 4]. Where it is all but transparent its colour is nothing to be seen."""
        is_seen = shown[..., 3] > 0.5 if shown.shape[-1] == 4 else np.ones(shown.shape[:-1], bool)
        self.num_pixels += int(is_seen.sum())
        self.num_bright += int((is_seen & (shown[..., :3] > _WHITE).any(-1)).sum())

    def sentences(self) -> tuple[str, ...]:
        """One where it is worth one."""
        share = self.num_bright / max(1, self.num_pixels)
        return (f"{share:.1%} of the pixels are brighter than white and were cut off; EXR keeps them",) * (share > 1e-3)


def _with_layer(stack: LayerStack, name: str, source: Path) -> LayerStack:
    """`stack` with a layer of this name, which the picture of all of them may not be yet."""
    if name in stack.layers:
        return stack
    if name != _BLENDED:
        raise PlateError(f"{source} has no layer {name} and the first frame has; hand these frames on apart")
    return replace(stack, layers={**stack.layers, name: layers.recompose(stack)})


def display_picture(stack: LayerStack, pixels: Pixels) -> Pixels:  # [1, H, W, 3 | 4]
    """Straight display-referred sRGB [H, W, 3 | 4] of a layer, in the display window and not cut off."""
    form = stack.format
    return color.to_display(window.reframe(pixels[0], form.working_window, form.display_window), stack.colorspace)


def _header(order: Order, frame: int) -> dict[str, str]:
    source = order.sources[frame]
    kept = {
        name: text
        for name, text in exr.read_header(source).items()
        if name.startswith("layerflow:") and name not in _OWN
    }
    comp = {"layerflow:comp": json.dumps(order.comp.to_dict())} if order.comp.layers else {}
    return {**kept, **comp, "layerflow:deliveredFrom": source.name}


def _write_movie(order: Order, path: Path, on_frame: OnFrame) -> None:
    form, bright = read(order, order.frames[0]).format, _Bright()

    def pictures() -> Iterator[Pixels]:
        for frame in order.frames:
            stack = read(order, frame)
            shown = display_picture(stack, _of_movie(order, stack))
            bright.add(shown)
            yield shown
            on_frame(frame, bright.sentences() if frame == order.frames[-1] else ())

    prores.write_movie(path, pictures(), form, alpha=order.alpha)


def _of_movie(order: Order, stack: LayerStack) -> Pixels:
    """[1, H, W, 3 | 4]: the layer that was chosen, or what lies in front of the background, laid over each other."""
    (frame,) = stack.frames
    if order.only:
        (name,) = order.only
        return _with_layer(stack, name, order.sources[frame]).layers[name]
    fronts = _fronts(stack)
    if not fronts:
        raise PlateError(
            f"{order.sources[frame]} has no foreground and the first frame has; hand these frames on apart"
        )
    return layers.merged([stack.layers[name] for name in fronts])


def _fronts(stack: LayerStack) -> tuple[str, ...]:
    """The foregrounds that nothing without alpha lies in front of."""
    names = [name for name in stack.layers if layers.is_foreground(name) or name == "background"]
    end = names.index("background") if "background" in names else len(names)
    return tuple(names[:end])


def _sheet_stacks(order: Order, on_frame: OnFrame) -> Iterator[LayerStack]:
    for frame in preview.pick_frames(order.frames, SHEET_FRAMES):
        yield read(order, frame)
        on_frame(frame, ())


def _column_width(first: LayerStack) -> int:
    """Of a contact sheet: as wide as can be read, never wider than the shot."""
    return min(480, max(96, first.format.width))
