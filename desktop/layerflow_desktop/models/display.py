"""From scene-linear light to the bytes of a display: exposure, backdrop, the view of the OCIO config, gamma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.picture import Floats

CHECKER_SIZE = 12  # pixels of the screen
CHECKER_GREYS = (0.10, 0.18)  # scene-linear; the first in the corner

Bytes = NDArray[np.uint8]
Language = Literal["glsl_1.3", "glsl_4.0", "glsl_es_3.0"]


@dataclass(frozen=True, eq=False)
class LutTexture:
    """A table that the shader looks up."""

    sampler: str  # the uniform that it is bound to
    values: Floats  # [W, C] of a 1D one, [H, W, C] of a 2D one, [B, G, R, 3] of a 3D one
    is_linear: bool  # interpolated; else nearest

    @property
    def dimensions(self) -> int:
        """1, 2 or 3."""
        return self.values.ndim - 1


@dataclass(frozen=True, eq=False)
class GpuShader:
    """A view as GLSL: `vec4 function(vec4)`, with what it looks up."""

    text: str  # declares its samplers and uniforms, defines the function
    function: str
    textures: tuple[LutTexture, ...]
    uniforms: tuple[tuple[str, tuple[float, ...]], ...]  # name -> its value, or values of an array


class ViewTransform:
    """The way from a colour space to a display, by the OCIO config."""

    def __init__(self, display: str = "", view: str = "", colorspace: str = "ACEScg") -> None:
        self.display = display
        self.view = view
        self.colorspace = colorspace

    def cpu(self, pixels: Floats) -> Floats:
        """Display-referred pixels [..., 3] of scene-linear ones; the same memory where that can be."""
        raise NotImplementedError

    def gpu_shader(self, language: Language = "glsl_4.0") -> GpuShader:
        """The same for a GPU."""
        raise NotImplementedError


def displays() -> tuple[str, ...]:
    """Displays of the OCIO config."""
    raise NotImplementedError


def views(display: str) -> tuple[str, ...]:
    """Views of a display."""
    raise NotImplementedError


def default_display() -> str:
    """The display the config begins with."""
    raise NotImplementedError


def default_view(display: str = "") -> str:
    """The view that a display begins with."""
    raise NotImplementedError


def look_pixels(
    premultiplied: Floats, settings: ViewSettings, transform: ViewTransform, origin: tuple[int, int] = (0, 0)
) -> Bytes:
    """What is shown, [H, W, 3], of premultiplied RGBA whose first pixel is at `origin` (x, y) on the screen."""
    raise NotImplementedError


def difference(a: Floats, b: Floats) -> Floats:
    """How far two premultiplied pictures are apart over black; opaque."""
    raise NotImplementedError


def wipe_mask(width: int, height: int, position: float, angle: float) -> NDArray[np.bool_]:
    """Where `a` is shown, [H, W]: at angle 0 to the left of an upright line at `position` of the width."""
    raise NotImplementedError
