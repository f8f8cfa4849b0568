"""The icon: in all sizes, and as its SVG has it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PySide6.QtSvg import QSvgRenderer

from layerflow_desktop import launchers
from layerflow_desktop.views import icons

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "desktop" / "render_icons.py"))


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


def test_a_window_has_it_in_all_sizes(qapp: Any) -> None:
    icon = icons.app_icon()
    assert {size.width() for size in icon.availableSizes()} == set(icons.SIZES) == set(launchers.PNG_SIZES)
    assert SCRIPT["PNG_SIZES"] == icons.SIZES and icons.FOLDER == launchers.ICONS
    image = icon.pixmap(16, 16).toImage()
    assert image.pixelColor(0, 0).alpha() == 0 and image.pixelColor(3, 9).red() > image.pixelColor(3, 9).blue() + 60


@pytest.mark.parametrize("size", icons.SIZES)
def test_what_is_committed_is_what_the_svg_shows(size: int, qapp: Any, tmp_path: Path) -> None:
    """Within what another Qt draws differently at an edge."""
    renderer = QSvgRenderer(str(icons.FOLDER / "layerflow-studio.svg"))
    assert renderer.isValid()
    (tmp_path / "now.png").write_bytes(SCRIPT["png_bytes"](renderer, size))
    now, committed = pixels(tmp_path / "now.png"), pixels(icons.FOLDER / f"layerflow-studio-{size}.png")
    assert now.shape == committed.shape == (size, size, 4)
    assert np.abs(now - committed).mean() < 1


def test_the_containers_hold_the_same(qapp: Any) -> None:
    for suffix, sizes in (("ico", SCRIPT["ICO_SIZES"]), ("icns", (128, 256, 512))):
        with Image.open(icons.FOLDER / f"layerflow-studio.{suffix}") as image:
            there = image.info["sizes"]
        assert {(size, size) for size in sizes} <= {tuple(each[:2]) for each in there}
    assert np.array_equal(
        pixels(icons.FOLDER / "layerflow-studio.ico"), pixels(icons.FOLDER / "layerflow-studio-256.png")
    )
