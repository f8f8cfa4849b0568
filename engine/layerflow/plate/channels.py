"""Which channel of a picture is the matte: by the names that files, Nuke and Blender have for it."""

from __future__ import annotations

from collections.abc import Sequence

_LETTERS = {"red": "r", "green": "g", "blue": "b", "alpha": "a", "luminance": "y"}
_TOP_LEVEL = ("rgba", "rgb")  # Nuke's name of what has none in a file


def matte_channel(names: Sequence[str], wanted: str | None) -> int | None:
    """The place in `names` of the channel `wanted`: `A`, `alpha`, `mask.A`, or a layer with one channel or an alpha.

    Without a wish it is the alpha, the only channel or the first one. None when nothing is called so.
    """
    if wanted is None:
        return next((place for place, name in enumerate(names) if _plain(name) == "a"), 0 if names else None)
    if wanted in names:
        return names.index(wanted)
    plain = [_plain(name) for name in names]
    if _plain(wanted) in plain:
        return plain.index(_plain(wanted))
    inside = [place for place, name in enumerate(plain) if name.startswith(f"{wanted.lower()}.")]
    if len(inside) == 1:
        return inside[0]
    return next((place for place in inside if plain[place].endswith(".a")), None)


def _plain(name: str) -> str:
    """`foreground.a` of `foreground.alpha`, `a` of `rgba.alpha`."""
    *layer, last = name.lower().split(".")
    parts = [] if layer[:1] and layer[0] in _TOP_LEVEL else layer
    return ".".join([*parts, _LETTERS.get(last, last)])
