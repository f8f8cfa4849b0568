"""What is inside a LayerFlow node: its inputs with a Write each, the frames that came back, and what leaves it.

The ways out: what the task is given, before there is anything else; the layers; and the picture of a job that runs.
`Shown` chooses among them.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from layerflow_nuke.asking import BACKGROUND, FOREGROUND, GUIDE, INPUTS, PLATE
from layerflow_nuke.graph import RGBA, Piece, copied, foregrounds, shuffled

INPUT, RESULT, RUNNING = 0, 1, 2  # what `Shown` is at
RESULT_READ, PREVIEW_READ, SHOWN, CHECK = "Result", "Preview", "Shown", "Check"
FIRST_LAYERS = ("foreground", "background", "blended")

_FILES = {
    "file_type": "exr",
    "datatype": "32 bit float",
    "compression": "Zip (1 scanline)",
    "raw": True,
    "create_directories": True,
}
_READ = {"raw": True, "on_error": "nearest frame"}
_RGB_ONLY = {"Achannels": "rgb", "Bchannels": "rgb", "output": "rgb"}


def writer(name: str) -> str:
    """The Write of an input."""
    return f"Write_{name}"


def pieces(layers: Sequence[str] = FIRST_LAYERS) -> List[Piece]:
    """Every node inside, for a shot of these layers."""
    chain = _result(layers)
    return [*_inputs(), *chain, *_check(layers), *_ways_out(chain[-1].name)]


def _inputs() -> List[Piece]:
    found = [Piece("Input", name, at=(column, 0), knobs={"number": column}) for column, name in enumerate(INPUTS)]
    found.append(Piece("Copy", "Guide_matte", (GUIDE, GUIDE), copied("rgba", "rgba", ("alpha",)), at=(3, 1)))
    sources = {PLATE: PLATE, FOREGROUND: FOREGROUND, BACKGROUND: BACKGROUND, GUIDE: "Guide_matte"}
    for column, (name, source) in enumerate(sources.items()):
        channels = "rgba" if name in (FOREGROUND, GUIDE) else "rgb"  # of a plate without alpha Nuke writes one of 0
        found.append(Piece("Write", writer(name), (source,), {"channels": channels, **_FILES}, at=(column, 2)))
    return found


def _result(layers: Sequence[str]) -> List[Piece]:
    """The Read of the frames, with `blended` as a layer of its own too, and foregrounds premultiplied where asked."""
    read = Piece("Read", RESULT_READ, knobs=_READ, at=(5, 0))
    blended = Piece("Copy", "Blended", (RESULT_READ, RESULT_READ), copied("rgba", "blended"), at=(5, 1))
    found = [read, blended]
    for row, layer in enumerate(foregrounds(layers)):
        knobs = {"channels": layer, "alpha": f"{layer}.alpha"}
        premult = Piece(
            "Premult", f"Premult_{layer}", (found[-1].name,), knobs, {"disable": "!parent.alpha"}, (5, 2 + row)
        )
        found.append(premult)
    return [*found, *_rgba(found[-1].name, foregrounds(layers), row=2 + len(foregrounds(layers)))]


def _rgba(source: str, front_to_back: Sequence[str], row: int) -> List[Piece]:
    """Nodes that make the layer that is asked for the rgba."""
    front = front_to_back[0] if front_to_back else "foreground"
    foreground = Piece("Copy", "Rgba_foreground", (source, source), copied(front, "rgba"), at=(6, row))
    background = Piece("Copy", "Rgba_background", (source, source), copied("background", "rgba", RGBA[:3]), at=(7, row))
    choice = Piece(
        "Switch", "Rgba", (source, foreground.name, background.name), {}, {"which": "parent.show"}, (5, row + 1)
    )
    return [foreground, background, choice]


def _check(layers: Sequence[str]) -> List[Piece]:
    """The layers put back together, how far that is from the plate, and the node that finds the largest of it."""
    comp = comp_pieces(layers, RESULT_READ, prefix="Check_", column=9, row=1)
    row = comp[-1].at[1] + 1
    apart = difference("Check_difference", comp[-1].name, PLATE, (9, row))
    greys = [
        Piece("Shuffle2", f"Check_{name}", (apart.name,), {"mappings": _grey(name)}, at=(9 + i, row + 1))
        for i, name in enumerate(RGBA[:3])
    ]  # since a CurveTool looks for the most luma, to which blue adds next to nothing
    red, green, blue = (piece.name for piece in greys)
    most = Piece("Merge2", "Check_most", (red, green, None, blue), {"operation": "max"}, at=(9, row + 2))
    tool = Piece("CurveTool", CHECK, (most.name,), {"operation": "Max Luma Pixel"}, at=(9, row + 3))
    return [*comp, apart, *greys, most, tool]


def _grey(channel: str) -> List[Tuple[str, str]]:
    """The mapping of a Shuffle2 that makes one channel all three."""
    return [(f"rgba.{channel}", f"rgba.{name}") for name in RGBA[:3]]


def comp_pieces(
    layers: Sequence[str], source: str, prefix: str = "", column: int = 0, row: int = 0, premultiplied: str = ""
) -> List[Piece]:
    """The usual nodes for these layers of `source`: a Shuffle per layer, Premult, and Merge over, from back to front.

    `premultiplied` is an expression that says whether foregrounds come premultiplied already.
    """
    found = [Piece("Shuffle2", f"{prefix}background", (source,), shuffled("background"), at=(column, row))]
    under = found[0].name
    disable = {"disable": premultiplied} if premultiplied else {}
    for step, layer in enumerate(reversed(foregrounds(layers)), start=1):
        shuffle, premult, over = (f"{prefix}{name}" for name in (layer, f"premult_{layer}", f"over_{layer}"))
        found += [
            Piece("Shuffle2", shuffle, (source,), shuffled(layer), at=(column + step, row)),
            Piece("Premult", premult, (shuffle,), {}, disable, (column + step, row + 1)),
            Piece("Merge2", over, (under, premult), {"operation": "over"}, at=(column, row + 1 + step)),
        ]
        under = over
    if "residual" in layers:
        step = 1 + len(foregrounds(layers))
        residual, plus = f"{prefix}residual", f"{prefix}plus_residual"
        found += [
            Piece("Shuffle2", residual, (source,), shuffled("residual"), at=(column + step, row)),
            Piece("Merge2", plus, (under, residual), {"operation": "plus", **_RGB_ONLY}, at=(column, row + 1 + step)),
        ]
    return found


def difference(name: str, comp: str, plate: str, at: Tuple[int, int]) -> Piece:
    """The node that shows how far `comp` is from `plate`; its alpha is the comp's."""
    return Piece("Merge2", name, (comp, plate), {"operation": "difference", **_RGB_ONLY}, at=at)


def _ways_out(result: str) -> List[Piece]:
    shape = {"resize": "fit", "center": True, "black_outside": True}
    return [
        Piece("Read", PREVIEW_READ, knobs={"on_error": "nearest frame"}, at=(8, 0)),
        Piece("Reformat", "Preview_size", (PREVIEW_READ,), shape, at=(8, 1)),
        Piece("Switch", "Input", tuple(INPUTS[:3]), {}, {"which": "parent.task"}, (1, 3)),
        Piece("Switch", SHOWN, ("Input", result, "Preview_size"), {"which": INPUT}, at=(4, 7)),
        Piece("Output", "Output", (SHOWN,), at=(4, 8)),
    ]
