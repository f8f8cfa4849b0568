"""A take as nodes that are pasted into Nuke: a Read, and the comp of its layers as an artist would build it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.exports import comp_layers, is_changed, is_in_place

_RGB = ("red", "green", "blue")
_RGBA = (*_RGB, "alpha")
_OPAQUE = ("background", "residual")  # layers without an alpha
_VERSION = "version 13.0 v1"  # the oldest Nuke that LayerFlow is for; newer ones read it as well
_COLUMN, _ROW = 130, 70  # pixels between nodes
_ESCAPES = {"\\": "\\\\", '"': '\\"', "[": "\\[", "$": "\\$", "{": "\\{", "}": "\\}", "\n": "\\n"}
_HELD = frozenset(" \t;#") | frozenset(_ESCAPES)  # what makes a word need quotes


def nuke_nodes(
    pattern: str,
    first: int,
    last: int,
    layers: Sequence[LayerState],
    *,
    size: tuple[int, int],
    fps: float = 24.0,
    colorspace: str = "ACEScg",
    premultiplied: bool = False,
) -> str:
    """The text that pastes into Nuke as the comp of `layers`, from front to back, of the frames of `pattern`.

    Pixels are read raw: `colorspace` should be the script's working space, and stands on the Read with the rate. Hidden
    layers are left out, and a residual unless all others are as they were made. ValueError where nothing is shown.
    """
    layers = comp_layers(layers)
    shown = [state for state in layers if state.visible and state.opacity > 0]
    residual = [state for state in shown if state.name == "residual" and not is_changed(layers)]
    stacked = [state for state in shown if state.name != "residual"]
    if not stacked:
        raise ValueError("every layer is hidden; show at least one")
    script = _Script()
    script.layers([state.name for state in (*stacked, *residual)])
    read = script.node("Read", (), _read(pattern, first, last, f"{colorspace}, {fps:g} fps"), at=(0, 0))
    under = ""
    for column, state in enumerate(reversed(stacked)):
        one = _placed(script, read, state, size, premultiplied, column)
        row = 5 + column
        under = (
            script.node("Merge2", (under, one), {"operation": "over", "name": f"over_{state.name}"}, (0, row))
            if under
            else one
        )
    for _ in residual:
        one = script.node("Shuffle2", (read,), _shuffle("residual"), at=(len(stacked), 1))
        rgb = {"operation": "plus", "Achannels": "rgb", "Bchannels": "rgb", "output": "rgb", "name": "plus_residual"}
        script.node("Merge2", (under, one), rgb, at=(0, 6 + len(stacked)))
    return script.text()


@dataclass
class _Script:
    """Nodes one after another, as Nuke writes them: each takes its inputs from a stack."""

    lines: list[str] = field(default_factory=lambda: ["set cut_paste_input [stack 0]", _VERSION])
    count: int = 0

    def layers(self, names: Sequence[str]) -> None:
        """Makes the layers known before any file is read."""
        for name in names:
            channels = " ".join(f"{name}.{channel}" for channel in _channels(name))
            self.lines.append(f"add_layer {{{name} {channels}}}")

    def node(self, kind: str, inputs: Sequence[str], knobs: Mapping[str, str], at: tuple[int, int]) -> str:
        """Adds a node, and gives what it is known by. `inputs` begins with input 0, which is B of a Merge."""
        self.lines += [f"push {name}" for name in reversed(inputs)]
        body = {"inputs": str(len(inputs)), **knobs, "selected": "true"}
        body |= {"xpos": str(at[0] * _COLUMN), "ypos": str(at[1] * _ROW)}
        self.lines += [f"{kind} {{", *(f" {name} {value}" for name, value in body.items()), "}"]
        self.count += 1
        name = f"N{self.count:x}"
        self.lines.append(f"set {name} [stack 0]")
        return f"${name}"

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"


def _placed(
    script: _Script, read: str, state: LayerState, size: tuple[int, int], premultiplied: bool, column: int
) -> str:
    """The nodes of one layer, and what the last of them is known by."""
    made = script.node("Shuffle2", (read,), _shuffle(state.name), at=(column, 1))
    if state.name not in _OPAQUE and not premultiplied:
        made = script.node("Premult", (made,), {"name": f"premult_{state.name}"}, at=(column, 2))
    if not is_in_place(state):
        made = script.node("Transform", (made,), _transform(state, size), at=(column, 3))
    if state.opacity != 1:
        knobs = {"channels": "rgba", "value": f"{state.opacity:.9g}", "name": f"opacity_{state.name}"}
        made = script.node("Multiply", (made,), knobs, at=(column, 4))
    return made


def _read(pattern: str, first: int, last: int, label: str) -> dict[str, str]:
    frames = {"first": str(first), "last": str(last), "origfirst": str(first), "origlast": str(last)}
    path = pattern.replace("\\", "/")
    for character in "[$":  # a path is worked out by Tcl once more
        path = path.replace(character, f"\\{character}")
    return {
        "file": _quoted(path),
        **frames,
        "origset": "true",
        "raw": "true",
        "label": _quoted(label),
        "name": "LayerFlow_take",
    }


def _transform(state: LayerState, size: tuple[int, int]) -> dict[str, str]:
    """Knobs of a Transform: in Nuke y goes up, from the lower left corner."""
    return {
        "translate": f"{{{state.offset_x:.9g} {-state.offset_y or 0:.9g}}}",
        "scale": f"{state.scale:.9g}",
        "center": f"{{{size[0] / 2:.9g} {size[1] / 2:.9g}}}",
        "name": f"place_{state.name}",
    }


def _shuffle(layer: str) -> dict[str, str]:
    """Knobs of a Shuffle2 that makes a layer the rgba; one without alpha is opaque."""
    words = [str(len(_RGBA))]
    for place, channel in enumerate(_RGBA):
        has_it = channel in _channels(layer)
        words += [f"{layer}.{channel} 0 {place}" if has_it else "white -1 -1", f"rgba.{channel} 0 {place}"]
    inputs = {"fromInput1": "{{0} B}", "in1": layer, "fromInput2": "{{0} B}"}
    return {**inputs, "mappings": f'"{" ".join(words)}"', "name": f"layer_{layer}"}


def _channels(layer: str) -> tuple[str, ...]:
    return _RGB if layer in _OPAQUE else _RGBA


def _quoted(text: str) -> str:
    """`text` as one word of a script."""
    if text and not _HELD.intersection(text):
        return text
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'
