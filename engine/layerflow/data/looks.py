"""Light, colour and focus of a layer: what differs between two shots of one thing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from layerflow.data.light import Floats


@dataclass(frozen=True, kw_only=True)
class Look:
    """A change of light and colour, of one layer before anything is blended."""

    gain: tuple[float, float, float]  # per channel
    saturation: float
    ramp_stops: float  # from the middle to one edge
    ramp_turn: float  # direction of the brighter edge, radians
    stops: tuple[float, float] = (0.0, 0.0)  # exposure at the first and at the last frame

    def applied(self, pictures: Floats) -> Floats:
        """`pictures` [F, H, W, 3 | 4], premultiplied, in this light, which stands over the canvas; at most white."""
        num_frames, height, width = pictures.shape[:3]
        white = pictures[..., 3:] if pictures.shape[-1] == 4 else np.float32(1)
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
        ramp = np.exp2(self.ramp_stops * (x * np.cos(self.ramp_turn) + y * np.sin(self.ramp_turn)))
        exposure = np.exp2(np.linspace(*self.stops, num_frames))
        light = (exposure[:, None, None] * ramp)[..., None].astype(np.float32)
        matrix = self.saturation * np.eye(3) + (1 - self.saturation) / 3  # towards the mean of the three
        mixed = np.diag(np.asarray(self.gain)) @ matrix
        result = pictures.copy()
        colour = (pictures[..., :3] @ mixed.astype(np.float32)) * light
        np.clip(colour, 0, white, out=result[..., :3])
        return result


def draw_look(rng: np.random.Generator, amount: float, stops: tuple[float, float]) -> Look:
    """A random look; `amount` is the largest change of one channel's gain, `stops` the exposure over the clip."""
    red, green, blue = (float(gain) for gain in rng.uniform(1 - amount, 1 + amount, 3))
    return Look(
        gain=(red, green, blue),
        saturation=float(rng.uniform(1 - 2 * amount, 1 + 2 * amount)),
        ramp_stops=float(rng.uniform(0, 4 * amount)),
        ramp_turn=float(rng.uniform(0, 2 * np.pi)),
        stops=stops,
    )


def defocused(picture: Floats, radius: float, *, filled: bool) -> Floats:
    """`picture` [H, W, C], premultiplied, out of focus: the mean over a disc of `radius` pixels, its edge soft.

    Beyond the picture is 0, or with `filled` its mirror image.
    """
    if radius < 0.3:
        return picture
    reach = int(np.ceil(radius + 0.5))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    border = cv2.BORDER_REFLECT_101 if filled else cv2.BORDER_CONSTANT
    blurred = cv2.filter2D(picture, -1, disc / disc.sum(), borderType=border)
    return np.asarray(blurred, np.float32).reshape(picture.shape)
