"""What there is to look at in a project: the comp, its plate, layers, and other takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from layerflow_desktop.models.document import Document, Take
from layerflow_desktop.models.layer_stack import BLENDED, RESIDUAL

COMP, PLATE = "comp", "plate"

_LABELS = {COMP: "Comp", PLATE: "Plate", BLENDED: "Blended, as stored"}


@dataclass(frozen=True)
class Source:
    """Something to look at."""

    id: str  # as ViewSettings has it
    label: str
    text: str  # what its clip is opened by
    part: str  # what of its pictures: COMP, PLATE or a layer's name
    colorspace: str = ""  # of the files; empty: what they say
    take: str = ""  # the take it belongs to; empty for the plate


def sources_of(document: Document, layer_names: Iterable[str]) -> tuple[Source, ...]:
    """All there is, the current take first. `layer_names` are those that its frames have."""
    take = document.current_take()
    found = [_of_take(take, COMP, COMP)] if take else []
    if document.shot.plate:
        found.append(Source(PLATE, _LABELS[PLATE], document.shot.plate, PLATE, document.shot.colorspace))
    if take:
        found += [_of_take(take, name, name) for name in sorted(layer_names, key=_order)]
    found += [_of_take(other, f"{other.name}/{COMP}", COMP, other.name) for other in document.takes if other != take]
    return tuple(found)


def source_of(document: Document, wanted: str) -> Source | None:
    """The source of this id; the comp or the plate where it is gone. None where there is nothing at all."""
    take, _, part = wanted.rpartition("/")
    other = document.take_named(take) if take else None
    if other is not None:
        return _of_take(other, wanted, part, other.name)
    current = document.current_take()
    plate = next((each for each in sources_of(document, ()) if each.id == PLATE), None)
    if wanted == PLATE and plate is not None:
        return plate
    if current is None:
        return plate
    return _of_take(current, COMP, COMP) if wanted == PLATE or take else _of_take(current, wanted, wanted)


def _of_take(take: Take, name: str, part: str, label: str = "") -> Source:
    return Source(name, label or _LABELS.get(part) or layer_label(part), take.pattern, part, take=take.name)


def layer_label(name: str) -> str:
    """A layer's name as people read it: foreground2 as "Foreground 2"."""
    stem = name.rstrip("0123456789")
    return f"{stem.capitalize()} {name[len(stem) :]}".rstrip()


def _order(name: str) -> tuple[int, str]:
    kinds = (BLENDED, "foreground", "background", RESIDUAL)
    return next((place for place, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)), name
