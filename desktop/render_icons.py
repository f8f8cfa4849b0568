"""Renders the icon of LayerFlow Studio from its SVG, as PNGs, an .ico and an .icns: python desktop/render_icons.py

Needs PySide6 and Pillow, which the extra `dev` brings. What it writes is committed and goes into the wheel.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image
from PySide6.QtCore import QBuffer, QRectF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

ICONS = Path(__file__).parent / "layerflow_desktop" / "icons"
NAME = "layerflow-studio"
PNG_SIZES = (16, 32, 48, 64, 128, 256, 512)
ICO_SIZES = (16, 32, 48, 64, 128, 256)  # an .ico holds none larger
ICNS_SIZES = (16, 32, 64, 128, 256, 512, 1024)


def main() -> None:
    """Writes all of them."""
    renderer = QSvgRenderer(str(ICONS / f"{NAME}.svg"))
    if not renderer.isValid():
        raise SystemExit(f"{ICONS / NAME}.svg cannot be rendered; open it in a browser to see why")
    pngs = {size: png_bytes(renderer, size) for size in sorted({*PNG_SIZES, *ICNS_SIZES})}
    for size in PNG_SIZES:
        (ICONS / f"{NAME}-{size}.png").write_bytes(pngs[size])
    write_container(ICONS / f"{NAME}.ico", {size: pngs[size] for size in ICO_SIZES})
    write_container(ICONS / f"{NAME}.icns", {size: pngs[size] for size in ICNS_SIZES})


def png_bytes(renderer: QSvgRenderer, size: int) -> bytes:
    """The icon as a PNG, `size` pixels wide and high, on nothing."""
    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(0)
    painter = QPainter(image)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]  # bytes, say the stubs; text, says Qt
    return bytes(buffer.data().data())


def write_container(path: Path, pngs: dict[int, bytes]) -> None:
    """One file of all sizes, each as it was rendered, in the format that the suffix says."""
    images = [Image.open(io.BytesIO(pngs[size])) for size in sorted(pngs, reverse=True)]
    images[0].save(path, append_images=images[1:], sizes=[image.size for image in images])


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    main()
