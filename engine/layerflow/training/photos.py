"""The public-domain landscape photos of Debian's endless-sky-data: which may be used, what they show, which look alike.

A photo is taken only when every statement about it in the package's copyright file says public domain.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PHOTO_SIZE = (288, 144)  # width, height
HELD_OUT_PHOTOS = 0.1
MAX_HELD_OUT_PER_CLASS = 2

LAND = "usr/share/games/endless-sky/images/land/"
LAND_COPYRIGHT = "usr/share/doc/endless-sky-data/copyright"
PHOTO_CLASSES = {
    "dune": "sand dunes",
    "earthrise": "earth over the moon",
    "fields": "fields",
    "fog": "foggy landscape",
    "forest": "forest mountains",
    "lava": "volcano",
    "loc": "factory",
    "mountain": "mountains",
    "nasa": "launch site",
    "nasa7": "lightning sky",
    "nasa8": "planet clouds",
    "nasa9": "planet clouds",
    "sky": "cloudy sky",
    "snow": "snowy mountains",
    "space": "space station",
    "station": "space station",
    "water": "lake",
}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class PhotoRecord:
    """One photo: its file's stem, its caption class, and the cluster of versions of one picture it belongs to."""

    id: str
    label: str
    cluster: int


def read_photos(path: Path) -> tuple[Pixels, list[PhotoRecord]]:
    """Public-domain photos [P, 144, 288, 3], sorted by id, with their records."""
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(path)], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        statements = land_statements(read_member(archive, f"./{LAND_COPYRIGHT}").decode())
        files = sorted(m.name for m in archive if m.name.endswith(".jpg") and LAND in m.name)
        taken = [name for name in files if is_public_domain(Path(name).name, statements)]
        images = [Image.open(io.BytesIO(read_member(archive, name))).convert("RGB") for name in taken]
    photos = np.stack([np.asarray(image.resize(PHOTO_SIZE, Image.Resampling.LANCZOS)) for image in images])
    stems = [Path(name).stem for name in taken]
    records = [
        PhotoRecord(id=stem, label=photo_label(stem), cluster=cluster)
        for stem, cluster in zip(stems, photo_clusters(stems, photos), strict=True)
    ]
    return photos, records


def land_statements(copyright_text: str) -> list[tuple[str, str]]:
    """Pairs of file pattern and licence about single land photos, from a Debian copyright file."""
    pairs = []
    for stanza in copyright_text.split("\n\n"):
        files = re.search(r"^Files:(.*?)^Copyright:", stanza, re.MULTILINE | re.DOTALL)
        licence = re.search(r"^License:\s*(\S+)", stanza, re.MULTILINE)
        if files and licence:
            pairs += [(Path(p).name, licence[1]) for p in files[1].split() if p.startswith("images/land/")]
    return pairs


def is_public_domain(file_name: str, statements: Sequence[tuple[str, str]]) -> bool:
    """True when at least one statement matches and none says anything but public domain: stricter than last-match."""
    licences = {licence for pattern, licence in statements if fnmatch.fnmatchcase(file_name, pattern)}
    return licences == {"public-domain"}


def photo_label(stem: str) -> str:
    """The caption class of a photo from its file name: "beach" for "beach3"."""
    family = stem.rstrip("0123456789")
    return PHOTO_CLASSES.get(stem, PHOTO_CLASSES.get(family, family))


def photo_clusters(stems: Sequence[str], photos: Pixels, threshold: float = 0.9) -> list[int]:
    """A cluster number per photo: pictures that look alike (mirrored too), or are numbered 01, 02… as one series."""
    small = np.stack([np.asarray(Image.fromarray(p).convert("L").resize((24, 12)), np.float32) for p in photos])
    vectors, mirrored = (_unit_rows(v) for v in (small, small[:, :, ::-1]))
    alike = np.maximum(vectors @ vectors.T, vectors @ mirrored.T) > threshold
    cluster = list(range(len(stems)))
    series = [re.fullmatch(r"(\D+)0\d", stem) for stem in stems]
    for i in range(len(stems)):
        for j in range(i):
            one, two = series[i], series[j]
            if alike[i, j] or (one and two and one[1] == two[1]):
                old, new = cluster[i], cluster[j]
                cluster = [new if c == old else c for c in cluster]
    return cluster


def held_out_photos(records: Sequence[PhotoRecord]) -> set[str]:
    """Ids of about a tenth of the photos, whole clusters, spread over the classes, chosen by a hash of the name."""
    clusters: dict[int, list[PhotoRecord]] = {}
    for record in records:
        clusters.setdefault(record.cluster, []).append(record)
    order = sorted(clusters.values(), key=lambda c: hashlib.sha256(c[0].id.encode()).hexdigest())
    wanted, taken, per_class = round(len(records) * HELD_OUT_PHOTOS), set[str](), Counter[str]()
    for cluster in order:
        label = cluster[0].label
        if len(taken) + len(cluster) <= wanted and per_class[label] + len(cluster) <= MAX_HELD_OUT_PER_CLASS:
            taken |= {record.id for record in cluster}
            per_class[label] += len(cluster)
    return taken


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> bytes:
    """The bytes of one file of an archive."""
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member} is not a file of the archive")
    return file.read()


def _unit_rows(images: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / (lengths + np.float32(1e-6))
    return unit
