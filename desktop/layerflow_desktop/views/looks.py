"""What both canvases look by: the OCIO views that are in use, and what is beside a picture."""

from __future__ import annotations

from functools import lru_cache

from layerflow_desktop.models.display import ViewTransform
from layerflow_desktop.models.quick_view import QuickViewTransform

BESIDE = (0.11, 0.11, 0.11)  # of the display: neutral and dark, lighter than black

ViewKey = tuple[str, str, str]  # display, view, colour space of the picture


@lru_cache(maxsize=16)
def view_transform(display: str, view: str, colorspace: str) -> ViewTransform:
    """The way to a display, made once for each. Call it from any thread."""
    return ViewTransform(display, view, colorspace)


@lru_cache(maxsize=8)
def quick_transform(display: str, view: str, colorspace: str) -> ViewTransform:
    """The same, about, for pictures that are shown in passing."""
    return QuickViewTransform(view_transform(display, view, colorspace))
