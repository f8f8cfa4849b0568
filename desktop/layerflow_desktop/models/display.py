"""From scene-linear light to the bytes of a display: exposure, backdrop, the view of the OCIO config, gamma."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from layerflow_desktop.models import color
from layerflow_desktop.models.compositing import straight
from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.framing import wipe_line
from layerflow_desktop.models.picture import Floats

CHECKER_SIZE = 12  # pixels of the screen
CHECKER_GREYS = (0.10, 0.18)  # scene-linear; the first in the corner

Bytes = NDArray[np.uint8]
Language = Literal["glsl_1.3", "glsl_4.0", "glsl_es_3.0"]

_LANGUAGES = {
    "glsl_1.3": ocio.GPU_LANGUAGE_GLSL_1_3,
    "glsl_4.0": ocio.GPU_LANGUAGE_GLSL_4_0,
    "glsl_es_3.0": ocio.GPU_LANGUAGE_GLSL_ES_3_0,
}
_FUNCTION = "display_view"
_BACKDROPS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}


@dataclass(frozen=True, eq=False)
class LutTexture:
    """A table that the shader looks up, clamped at its edges."""

    sampler: str  # the uniform that it is bound to
    values: Floats  # [H, W, 1 | 3] of a 2D one, [B, G, R, 3] of a 3D one
    is_linear: bool  # interpolated; else nearest

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return self.values.ndim - 1


@dataclass(frozen=True, eq=False)
class GpuShader:
    """A view as GLSL: `vec4 function(vec4)`, with what it looks up."""

    text: str  # declares its samplers, defines the function
    function: str
    textures: tuple[LutTexture, ...]
    uniforms: tuple[tuple[str, tuple[float, ...]], ...] = ()  # name -> its value, or values of an array


class ViewTransform:
    """The way from a colour space to a display, by the OCIO config. Made once, called from any thread."""

    def __init__(self, display: str = "", view: str = "", colorspace: str = "ACEScg") -> None:
        """An empty name, or one that the config does not have, is its default. Raises ColorError."""
        self.display = display if display in displays() else default_display()
        self.view = view if view in views(self.display) else default_view(self.display)
        self.colorspace = color.check_name(colorspace)
        self.luma: tuple[float, float, float] = tuple(color.config().getDefaultLumaCoefs())
        try:
            self._processor = color.config().getProcessor(
                ocio.DisplayViewTransform(self.colorspace, self.display, self.view)
            )
            self._cpu = self._processor.getDefaultCPUProcessor()
        except color.OCIO_ERRORS as error:
            raise color.ColorError(
                f"{self.view} on {self.display} cannot be shown ({error}); choose another view"
            ) from error

    def cpu(self, pixels: Floats) -> Floats:
        """Display-referred pixels [..., 3] of scene-linear ones; the same memory where that is contiguous."""
        pixels = np.ascontiguousarray(pixels, np.float32)
        if pixels.size:
            self._cpu.applyRGB(pixels)
        return pixels

    def gpu_shader(self, language: Language = "glsl_4.0") -> GpuShader:
        """The same for a GPU. It has no tables of one dimension, for OpenGL ES has none."""
        made = ocio.GpuShaderDesc.CreateShaderDesc(
            language=_LANGUAGES[language], functionName=_FUNCTION, resourcePrefix="ocio_"
        )
        made.setAllowTexture1D(False)
        self._processor.getDefaultGPUProcessor().extractGpuShaderInfo(made)
        flat, cubes = map(_flat_table, made.getTextures()), map(_cube_table, made.get3DTextures())
        return GpuShader(made.getShaderText(), _FUNCTION, (*flat, *cubes))


def displays() -> tuple[str, ...]:
    """Displays of the OCIO config, in its order."""
    return tuple(color.config().getDisplays())


PLAIN_VIEW = "Un-tone-mapped"


def views(display: str) -> tuple[str, ...]:
    """Views of a display; of the default one where there is no such display."""
    return tuple(color.config().getViews(display if display in displays() else default_display()))


def default_display() -> str:
    """The display the config begins with."""
    return str(color.config().getDefaultDisplay())


def default_view(display: str = "") -> str:
    """The view that a display begins with: the config's where OCIO names one, else colours as the plate has them.

    The built-in config's own rendering is for scenes that were lit; it makes a plate of 8 bits darker than it is.
    """
    display = display if display in displays() else default_display()
    if not os.environ.get("OCIO") and PLAIN_VIEW in views(display):
        return PLAIN_VIEW
    return str(color.config().getDefaultView(display))


def look_pixels(
    premultiplied: Floats, settings: ViewSettings, transform: ViewTransform, origin: tuple[int, int] = (0, 0)
) -> Bytes:
    """What is shown, [H, W, 3], of premultiplied RGBA whose first pixel is at `origin` (x, y) of the checkerboard."""
    if settings.channel == "a":
        grey = premultiplied[..., 3] * np.float32(2.0**settings.exposure)
        return np.repeat(_bytes(grey, settings.gamma)[..., None], 3, axis=-1)
    light = _lit(premultiplied, settings, origin)
    if settings.channel != "rgb":
        light = np.repeat(_grey(light, settings.channel, transform.luma)[..., None], 3, axis=-1)
    return _bytes(transform.cpu(light), settings.gamma)


def difference(a: Floats, b: Floats) -> Floats:
    """How far two premultiplied pictures are apart, over black; opaque."""
    apart: Floats = np.abs(a - b)
    apart[..., 3] = 1.0
    return apart


def wipe_mask(width: int, height: int, position: float, angle: float) -> NDArray[np.bool_]:
    """Where `a` is shown, [H, W]: at angle 0 to the left of an upright line at `position` of the width."""
    across, down, limit = wipe_line(width, height, position, angle)
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    shown: NDArray[np.bool_] = across * columns + down * rows[:, None] < limit
    return shown


def checkerboard(width: int, height: int, origin: tuple[int, int] = (0, 0)) -> Floats:
    """The greys [H, W] of a board that goes on from `origin` (x, y)."""
    columns = (np.arange(width) + origin[0]) // CHECKER_SIZE
    rows = (np.arange(height) + origin[1]) // CHECKER_SIZE
    greys: Floats = np.array(CHECKER_GREYS, np.float32)[(columns + rows[:, None]) % 2]
    return greys


def _lit(premultiplied: Floats, settings: ViewSettings, origin: tuple[int, int]) -> Floats:
    """RGB [H, W, 3] in linear light: exposed, then over the backdrop, which no exposure changes."""
    gain = np.float32(2.0**settings.exposure)
    if settings.alpha == "straight":
        return straight(premultiplied)[..., :3] * gain
    light = np.empty((*premultiplied.shape[:2], 3), np.float32)
    np.multiply(premultiplied[..., :3], gain, out=light)
    clear = 1.0 - premultiplied[..., 3]
    if settings.background == "checkerboard" and clear.any():
        board = checkerboard(clear.shape[1], clear.shape[0], origin)
        light += (clear * board)[..., None]
    elif clear.any():
        for channel, value in enumerate(_BACKDROPS.get(settings.background, settings.background_color)):
            light[..., channel] += clear * np.float32(value)
    return light


def _grey(light: Floats, channel: str, luma: tuple[float, float, float]) -> Floats:
    if channel == "luminance":
        light = light * np.array(luma, np.float32)
        return light[..., 0] + light[..., 1] + light[..., 2]
    return light[..., "rgb".index(channel)]


def _bytes(shown: Floats, gamma: float) -> Bytes:
    """8 bits of display-referred pixels, which are changed."""
    np.clip(shown, 0.0, None if gamma != 1.0 else 1.0, out=shown)
    if gamma != 1.0:
        np.power(shown, np.float32(1.0 / gamma), out=shown)
        np.minimum(shown, 1.0, out=shown)
    shown *= 255.0
    shown += 0.5
    return shown.astype(np.uint8)


def _flat_table(texture: Any) -> LutTexture:
    num_channels = 1 if texture.channel == ocio.GpuShaderDesc.TEXTURE_RED_CHANNEL else 3
    values = np.array(texture.getValues(), np.float32).reshape(texture.height, texture.width, num_channels)
    return LutTexture(texture.samplerName, values, texture.interpolation != ocio.INTERP_NEAREST)


def _cube_table(texture: Any) -> LutTexture:
    edge = texture.edgeLen
    values = np.array(texture.getValues(), np.float32).reshape(edge, edge, edge, 3)
    return LutTexture(texture.samplerName, values, texture.interpolation != ocio.INTERP_NEAREST)
