"""The cut-outs of Debian's openclipart-png: drawings of things with transparency around them, CC0 or public domain."""

from __future__ import annotations

import io
import math
import re
import struct
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = "usr/share/openclipart/png/"
# Folders of things; icons, arrows, signs, flags, borders and patterns are left out.
FOLDERS = (
    "animals",
    "buildings",
    "containers",
    "decorations",
    "electronics",
    "food",
    "people",
    "plants",
    "recreation",
    "science",
    "tools",
    "transportation",
)
MIN_SIDE, MAX_PIXELS = 64, 16_000_000
COVERED = (0.08, 0.85)  # share of the bounding box that is opaque: neither a line drawing nor a full picture
MAX_ASPECT = 3.0

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class CutoutRecord:
    """One cut-out: its file's stem and the words in it."""

    id: str
    label: str
    tags: tuple[str, ...]


def read_cutouts(path: Path, size: int) -> tuple[Pixels, list[CutoutRecord]]:
    """Cut-outs [N, size, size, 4] straight, each filling its square, sorted by id, with their records."""
    found: dict[str, tuple[Pixels, CutoutRecord]] = {}
    unpacked = ["dpkg-deb", "--fsys-tarfile", str(path)]
    with (
        subprocess.Popen(unpacked, stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        for member in archive:
            inner = member.name.removeprefix("./").removeprefix(ROOT)
            file = archive.extractfile(member) if member.isreg() and is_thing(inner) else None
            data = b"" if file is None else file.read()
            if is_readable(data) and (pixels := cutout(Image.open(io.BytesIO(data)), size)) is not None:
                found[inner] = pixels, CutoutRecord(id=inner, label=label_of(inner), tags=(inner.split("/")[0],))
    rows = [found[name] for name in sorted(found)]
    return np.stack([pixels for pixels, _ in rows]), [record for _, record in rows]


def is_thing(name: str) -> bool:
    """Whether a file of the collection, by its place in it, is a drawing of a thing."""
    return name.endswith(".png") and name.split("/")[0] in FOLDERS


def is_readable(png: bytes) -> bool:
    """Whether a file is a PNG of a sensible size, by its header: one of the collection has 623 million pixels."""
    return len(png) > 24 and math.prod(struct.unpack(">II", png[16:24])) <= MAX_PIXELS


def label_of(name: str) -> str:
    """The words of a file's name without its author and number: "cone soft vanilla" of cone_soft_vanilla_ann_1.png."""
    words = re.split(r"[\s_\-]+", Path(name).stem.lower())
    numbered = next((place for place, word in enumerate(words) if re.fullmatch(r"\d+", word)), len(words))
    named = words[: max(1, numbered - 1)] if numbered < len(words) else words
    return " ".join(word for word in named if word.isalpha()) or Path(name).parent.name


def cutout(image: Image.Image, size: int) -> Pixels | None:
    """The drawing [size, size, 4] straight, cropped to what is seen of it; None where it is none of a thing."""
    rgba = image.convert("RGBA")
    box = rgba.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
    if box is None or not _is_compact(box) or not ("A" in image.getbands() or "transparency" in image.info):
        return None
    side = max(box[2] - box[0], box[3] - box[1])
    square = Image.new("RGBA", (side, side))
    square.paste(rgba.crop(box), ((side - box[2] + box[0]) // 2, (side - box[3] + box[1]) // 2))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.BOX))
    covered = float((pixels[..., 3] > 127).mean()) * side**2 / ((box[2] - box[0]) * (box[3] - box[1]))
    return pixels if COVERED[0] <= covered <= COVERED[1] else None


def _is_compact(box: tuple[int, int, int, int]) -> bool:
    width, height = box[2] - box[0], box[3] - box[1]
    return max(width, height) >= MIN_SIDE and max(width, height) <= MAX_ASPECT * min(width, height)
