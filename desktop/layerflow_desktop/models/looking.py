"""What the keys of the viewer do to how one looks at a picture."""

from __future__ import annotations

from typing import TypeVar, get_args

from layerflow_desktop.models.document import Background, Channel, Compare, Document, Loop, Take, ViewSettings
from layerflow_desktop.models.sources import COMP

HALF_A_STOP = 0.5

T = TypeVar("T")


def with_channel(view: ViewSettings, channel: Channel) -> ViewSettings:
    """That channel; colour where it is on already."""
    return view.with_(channel="rgb" if view.channel == channel else channel)


def with_compare(view: ViewSettings, compare: Compare) -> ViewSettings:
    """That comparison; none where it is on already."""
    return view.with_(compare="off" if view.compare == compare else compare)


def next_background(view: ViewSettings) -> ViewSettings:
    """What lies under the picture, one further."""
    return view.with_(background=_after(get_args(Background), view.background))


def toggled_straight(view: ViewSettings) -> ViewSettings:
    """Straight colour in the place of premultiplied, or back."""
    return view.with_(alpha="straight" if view.alpha == "premultiplied" else "premultiplied")


def swapped(view: ViewSettings) -> ViewSettings:
    """A in the place of B."""
    return view.with_(a=view.b, b=view.a)


def exposed(view: ViewSettings, stops: float) -> ViewSettings:
    """So many stops brighter, as far as it goes."""
    return view.with_(exposure=min(max(view.exposure + stops, -20.0), 20.0))


def reset(view: ViewSettings) -> ViewSettings:
    """As the display transform has it."""
    return view.with_(exposure=0.0, gamma=1.0)


def next_loop(loop: Loop) -> Loop:
    """What happens at the end, one further."""
    return _after(get_args(Loop), loop)


def take_beside(document: Document, steps: int) -> Take | None:
    """The take so many after the one that is looked at, or before; None where there is none."""
    names = [take.name for take in document.takes]
    at = names.index(document.take) + steps if document.take in names else len(names) - 1
    return document.takes[at] if 0 <= at < len(names) else None


def compared_with(document: Document, take: Take) -> ViewSettings:
    """A wipe between the comp that is looked at and another take's."""
    return document.view.with_(a=COMP, b=f"{take.name}/{COMP}", compare="wipe")


def _after(all_there_are: tuple[T, ...], one: T) -> T:
    return all_there_are[(all_there_are.index(one) + 1) % len(all_there_are)]
