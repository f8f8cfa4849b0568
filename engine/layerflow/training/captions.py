"""Captions of layered clips: what stands in front, what lies behind, and both together."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Upper end of each hue range, as a share of the colour circle.
HUES = (
    (0.04, "red"),
    (0.11, "orange"),
    (0.18, "yellow"),
    (0.45, "green"),
    (0.68, "blue"),
    (0.85, "purple"),
    (1.0, "red"),
)
DARK, BRIGHT, GREY = 0.3, 0.75, 0.14


def foreground_caption(label: str, tags: Sequence[str], rng: np.random.Generator) -> str:
    """A caption for one sprite: "a fox", "an animal fox", or a tag alone; the label itself most often."""
    name = clean_label(label)
    words = [tag.lower() for tag in tags if tag.isascii() and tag.isalpha() and tag.lower() not in name.split()]
    draw = rng.random()
    if words and draw < 0.25:
        return with_article(f"{words[rng.integers(len(words))]} {name}")
    return name if draw > 0.9 else with_article(name)


def background_caption(label: str, pixels: NDArray[np.uint8], rng: np.random.Generator) -> str:
    """A caption for one background: its class, half of the time with the colour words of `pixels` [..., 3] sRGB."""
    name = f"{colour_words(pixels)} {label}" if rng.random() < 0.5 else label
    return name if name.endswith("s") else with_article(name)


def blended_caption(foreground: str, background: str) -> str:
    """The caption of the blended picture: "a fox in front of snowy mountains"."""
    return f"{foreground} in front of {background}"


def colour_words(pixels: NDArray[np.uint8]) -> str:
    """Brightness and hue of the mean of `pixels` [..., 3] sRGB, as "dark blue", "green" or "bright grey"."""
    red, green, blue = (float(c) / 255 for c in pixels.reshape(-1, 3).mean(axis=0))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    colour = "grey" if saturation < GREY else next(name for end, name in HUES if hue <= end)
    tone = "dark " if value < DARK else "bright " if value > BRIGHT else ""
    return tone + colour


def with_article(name: str) -> str:
    """`name` with "a" or "an" before it."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def clean_label(label: str) -> str:
    """An emoji's label in plain lower-case words: "woman: red hair" is "woman red hair"."""
    return " ".join(re.sub(r"[^a-z0-9\-']+", " ", label.lower().replace("’", "'")).split())
