"""Scenes to look at, and a slow and readable reference of how they look."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import PyOpenColorIO as ocio

from layerflow_desktop.models.document import ViewSettings
from layerflow_desktop.models.picture import Placed, Scene, Shown

WIDTH, HEIGHT = 61, 47
SDR = "ACES 2.0 - SDR 100 nits (Rec.709)"
UNTONED = "Un-tone-mapped"


def layer(seed: int, channels: int = 4, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Soft blobs of colour, some above 1, with holes and soft edges where there is an alpha."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / rng.uniform(3, 9) + rng.uniform(0, 6)) * np.cos(y / rng.uniform(3, 9)) for _ in range(channels)]
    pixels = np.stack([wave * 0.5 + 0.5 for wave in waves], axis=-1)
    pixels[..., :3] *= rng.uniform(0.3, 2.5)
    if channels == 4:
        pixels[..., 3] = np.clip(pixels[..., 3] * 2 - 0.5, 0, 1)
    return pixels.astype(np.float16)


def scene() -> Scene:
    """A foreground that is moved and faded over one that is not over a background, against another background."""
    moved = Placed(layer(1), opacity=0.8, offset_x=5.25, offset_y=-3.5, scale=0.9)
    residual = Placed((layer(5, 3) * 0.05).astype(np.float16), adds=True)
    a = Shown((moved, Placed(layer(2)), residual), "comp")
    return Scene(WIDTH, HEIGHT, a, Shown((Placed(layer(3)), Placed(layer(4, 3), opacity=0.75)), "plate"), frame=1001)


def cases() -> Iterator[tuple[str, ViewSettings]]:
    """Ways to look, by name: each choice there is, and some together."""
    for view in (SDR, UNTONED):
        base = ViewSettings(display="sRGB - Display", view=view)
        for channel in ("rgb", "r", "g", "b", "a", "luminance"):
            yield f"{view} {channel}", base.with_(channel=channel, exposure=0.5, gamma=1.2)
        for background in ("checkerboard", "black", "white", "custom"):
            yield f"{view} {background}", base.with_(background=background, background_color=(0.4, 0.1, 0.02))
        yield f"{view} straight", base.with_(alpha="straight", exposure=-1.0)
        for compare in ("wipe", "difference"):
            yield f"{view} {compare}", base.with_(compare=compare, wipe=0.4, wipe_angle=25.0)
        yield f"{view} wipe back", base.with_(compare="wipe", wipe=0.6, wipe_angle=-120.0, gamma=0.8)


def expected(shown: Scene, settings: ViewSettings) -> np.ndarray:
    """The bytes [H, W, 3] that the recipe gives, in double precision but for the view."""
    b = _composed(shown.b, shown) if settings.compare != "off" and shown.b is not None else None
    return bytes_of(_composed(shown.a, shown), b, settings, shown.colorspace)


def bytes_of(a: np.ndarray, b: np.ndarray | None, settings: ViewSettings, colorspace: str = "ACEScg") -> np.ndarray:
    """The bytes [H, W, 3] of one picture, or of two that are compared: [H, W, 4] premultiplied, scene-linear."""
    picture = a if b is None else _compared(a, b, settings)
    return np.rint(np.clip(_displayed(picture, settings, colorspace), 0, 1) ** (1 / settings.gamma) * 255)


def _displayed(picture: np.ndarray, settings: ViewSettings, colorspace: str) -> np.ndarray:
    gain = 2.0**settings.exposure
    if settings.channel == "a":
        return np.repeat(picture[..., 3:] * gain, 3, axis=-1)
    light = _lit(picture, settings, gain)
    if settings.channel == "luminance":
        light = np.repeat((light @ [0.2126, 0.7152, 0.0722])[..., None], 3, axis=-1)
    elif settings.channel != "rgb":
        light = np.repeat(light[..., "rgb".index(settings.channel), None], 3, axis=-1)
    config = ocio.Config.CreateFromBuiltinConfig("ocio://default")
    view = ocio.DisplayViewTransform(colorspace, settings.display, settings.view)
    light = np.ascontiguousarray(light, np.float32)
    config.getProcessor(view).getDefaultCPUProcessor().applyRGB(light)
    return light


def _lit(picture: np.ndarray, settings: ViewSettings, gain: float) -> np.ndarray:
    alpha = picture[..., 3:]
    if settings.alpha == "straight":
        return picture[..., :3] / np.where(alpha > 0, alpha, 1) * gain
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    board = np.where((x // 12 + y // 12) % 2 == 0, 0.10, 0.18)[..., None] * np.ones(3)
    colors = {"checkerboard": board, "black": 0.0, "white": 1.0, "custom": np.array(settings.background_color)}
    return picture[..., :3] * gain + colors[settings.background] * (1 - alpha)


def _compared(a: np.ndarray, b: np.ndarray, settings: ViewSettings) -> np.ndarray:
    if settings.compare == "difference":
        return np.concatenate([np.abs(a - b)[..., :3], np.ones_like(a[..., 3:])], axis=-1)
    height, width = a.shape[:2]
    angle = np.radians(settings.wipe_angle)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
    extent = abs(np.cos(angle)) * width + abs(np.sin(angle)) * height
    return np.where((along / extent + 0.5 < settings.wipe)[..., None], a, b)


def _composed(shown: Shown, within: Scene) -> np.ndarray:
    over = np.zeros((within.height, within.width, 4))
    for placed in [one for one in reversed(shown.layers) if not one.adds]:
        sampled = _sampled(placed)
        over = sampled + over * (1 - sampled[..., 3:])
    for placed in [one for one in shown.layers if one.adds]:
        over[..., :3] += _sampled(placed)[..., :3]
    return over


def _sampled(placed: Placed) -> np.ndarray:
    """A layer in its place, premultiplied; pixel by pixel."""
    pixels = placed.pixels.astype(np.float64)
    if pixels.shape[-1] == 3:
        pixels = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
    pixels[..., :3] *= pixels[..., 3:]
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros_like(pixels)
    for row in range(height):
        for column in range(width):
            x = (column + 0.5 - width / 2 - placed.offset_x) / placed.scale + width / 2 - 0.5
            y = (row + 0.5 - height / 2 - placed.offset_y) / placed.scale + height / 2 - 0.5
            if -1 <= x < width and -1 <= y < height:
                i, j = int(np.floor(x)) + 1, int(np.floor(y)) + 1
                u, v = x + 1 - i, y + 1 - j
                square = padded[j : j + 2, i : i + 2]
                out[row, column] = (square[0, 0] * (1 - u) + square[0, 1] * u) * (1 - v)
                out[row, column] += (square[1, 0] * (1 - u) + square[1, 1] * u) * v
    return out * placed.opacity
