"""Draws nuke-*.svg beside this file: the nodes that the Nuke plug-in makes, from the data that it makes them from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from layerflow_nuke import inside, tree
from layerflow_nuke.graph import COLUMN, ROW, Piece

FOLDER = Path(__file__).parent
WIDTH, HEIGHT, MARGIN = 120, 26, 30
GAP = 1.35  # rows are drawn further apart than Nuke places them, so that names of inputs can be read
COLORS = {
    "Group": "#a05c2c",
    "Read": "#8c8c8c",
    "Write": "#b9a23c",
    "Merge2": "#4a64a8",
    "Switch": "#6e6e6e",
    "Input": "#7d7d7d",
    "Output": "#7d7d7d",
    "Shuffle2": "#6f4a86",
    "Copy": "#6f4a86",
    "Premult": "#4a7a62",
}
SIDES = {"Merge2": ("B", "A"), "Copy": ("B", "A")}
STYLE = "font-family: Helvetica, Arial, sans-serif; font-size: 10px"


def drawn(pieces: Sequence[Piece]) -> str:
    """The SVG of these nodes; an input that is none of them is left out."""
    by_name = {piece.name: piece for piece in pieces}
    pieces = sorted(pieces, key=lambda piece: piece.at)
    columns, rows = (max(piece.at[axis] for piece in pieces) + 1 for axis in (0, 1))
    width, height = columns * COLUMN + 2 * MARGIN, round(rows * ROW * GAP) + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" style="{STYLE}">',
        '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#ddd"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#3a3a3a"/>',
    ]
    for piece in pieces:
        for i, name in enumerate(piece.inputs):
            if name in by_name:
                parts.append(_pipe(by_name[name], piece, i))
    parts += [_tile(piece) for piece in pieces]
    return "\n".join([*parts, "</svg>", ""])


def _corner(piece: Piece) -> tuple[int, int]:
    return MARGIN + piece.at[0] * COLUMN, MARGIN + round(piece.at[1] * ROW * GAP)


def _tile(piece: Piece) -> str:
    x, y = _corner(piece)
    if piece.kind == "Dot":
        return f'<circle cx="{x + WIDTH // 2}" cy="{y + HEIGHT // 2}" r="6" fill="#888" stroke="#1e1e1e"/>'
    color = COLORS.get(piece.kind, "#888")
    kind = "" if piece.kind in ("Input", "Output", "Group") else piece.kind.rstrip("2")
    middle = x + WIDTH // 2
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="3" fill="{color}" stroke="#1e1e1e"/>'
        f'<text x="{middle}" y="{y + 17}" fill="#fff" text-anchor="middle">{escape(piece.name)}</text>'
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 11}" fill="#aaa" text-anchor="end">{escape(kind)}</text>'
    )


def _pipe(source: Piece, piece: Piece, index: int) -> str:
    (from_x, from_y), (x, y) = _corner(source), _corner(piece)
    share = (index + 1) / (len(piece.inputs) + 1)
    start, end = (from_x + WIDTH / 2, from_y + HEIGHT), (x + WIDTH * share, y)
    if piece.at[1] == source.at[1]:
        side = 1 if x > from_x else -1
        reach = 6 if source.kind == "Dot" else WIDTH / 2
        start = (from_x + WIDTH / 2 + side * reach, from_y + HEIGHT / 2)
        end = (x if side > 0 else x + WIDTH, y + HEIGHT / 2)
    sides = SIDES.get(piece.kind, ())
    label = sides[index] if index < len(sides) else ""
    line = f'<path d="M{start[0]:.0f} {start[1]:.0f}L{end[0]:.0f} {end[1]:.0f}" stroke="#ddd" marker-end="url(#to)"/>'
    return line + (f'<text x="{end[0] + 4:.0f}" y="{end[1] - 5:.0f}" fill="#ddd">{label}</text>' if label else "")


def comp(layers: Sequence[str]) -> list[Piece]:
    """A plate, a LayerFlow node on it, and the tree beside it."""
    plate = Piece("Read", "Plate", at=(1, 0))
    node = Piece("Group", "LayerFlow1", ("Plate",), at=(1, 1))
    beside = [
        Piece(piece.kind, _bare(piece.name), tuple(map(_bare, piece.inputs)), at=(piece.at[0] + 2, piece.at[1] + 1))
        for piece in tree.pieces("LayerFlow1", layers, "Plate")
    ]
    return [plate, node, *beside]


def _bare(name: str | None) -> str:
    return "plate" if name == "LayerFlow1_plate" else (name or "").replace("LayerFlow1_", "")


if __name__ == "__main__":
    pictures = {"comp": comp(inside.FIRST_LAYERS), "inside": inside.pieces()}
    for name, pieces in pictures.items():
        (FOLDER / f"nuke-{name}.svg").write_text(drawn(pieces), encoding="utf-8")
