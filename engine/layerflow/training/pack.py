"""One packed dataset folder from the public archives: animated sprites, still sprites, photos, captions and split.

    sprites.npy    uint8 [N, 24, 64, 64, 4]  straight sRGB RGBA at 8 fps, a loop of `num_frames`, repeated to 24
    stills.npy     uint8 [M, 64, 64, 4]      straight sRGB RGBA
    photos.npy     uint8 [P, 144, 288, 3]    sRGB
    captions.json  one record per row of each array
    split.json     rows held out of training, by emoji subgroup and by photo cluster
    LICENSE-data.md

Only MIT and public-domain sources are read.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from layerflow.training.clipart import CutoutRecord, read_cutouts
from layerflow.training.photos import PhotoRecord, held_out_photos, read_member, read_photos

SPRITE_SIZE = 64
NUM_FRAMES = 24
SOURCE_STEP = 3  # the sprites run at 24 fps; every third frame is 8 fps
MIN_SOURCE_FRAMES = 24

HELD_OUT_SUBGROUPS = (
    "animal-bird",
    "animal-reptile",
    "cat-face",
    "face-affection",
    "food-fruit",
    "hand-fingers-closed",
    "lock",
    "person-resting",
    "transport-air",
    "transport-water",
)

LICENSE_TEXT = """# Data sources and licences

- Sprites: Fluent emoji, animated and 3D, by Microsoft, repackaged by LobeHub
  (`@lobehub/fluent-emoji-anim-1` to `-4` 1.0.0 and `@lobehub/fluent-emoji-3d` 1.1.0), MIT licence.
  Copyright (c) Microsoft Corporation. Copyright (c) 2023 LobeHub.
- Names, tags and subgroups: `emojibase-data` 17.0.0 by Miles Johnson, MIT licence.
- Cut-outs: drawings from Debian's `openclipart-png` 0.18 (openclipart.org), each dedicated to the public domain by its
  author under the Creative Commons Public Domain Dedication.
- Photos: the public-domain part of `images/land` in Debian's `endless-sky-data` 0.9.8 (from morguefile.com,
  unsplash.com, NASA, USGS and the Library of Congress, each stated to be in the public domain by the package's
  copyright file). The photos under CC-BY-SA are left out.

## MIT licence

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Archives:
    """Where the downloaded archives lie."""

    animated: tuple[Path, ...]  # the four fluent-emoji-anim .tgz
    still: Path  # fluent-emoji-3d .tgz
    names: Path  # emojibase-data .tgz
    photos: Path  # endless-sky-data .deb
    cutouts: Path  # openclipart-png .deb

    @classmethod
    def in_folder(cls, folder: Path) -> Archives:
        """The archives found in one folder by their usual names."""
        return cls(
            animated=tuple(sorted(folder.glob("lobehub-fluent-emoji-anim-*.tgz"))),
            still=_only(folder, "lobehub-fluent-emoji-3d-*.tgz"),
            names=_only(folder, "emojibase-data-*.tgz"),
            photos=_only(folder, "endless-sky-data_*.deb"),
            cutouts=_only(folder, "openclipart-png_*.deb"),
        )


@dataclass(frozen=True, kw_only=True)
class SpriteRecord:
    """What is known of one sprite. `id` is its code points; a loop has `num_frames` at 8 fps."""

    id: str
    label: str
    tags: tuple[str, ...]
    subgroup: str
    num_frames: int = 1


def pack(archives: Archives, out: Path) -> None:
    """Write the packed dataset folder `out` from the archives; the same archives give the same bytes."""
    names = read_names(archives.names)
    sprites, sprite_records = read_animated(archives.animated, names)
    stills, still_records = read_stills(archives.still, names)
    photos, photo_records = read_photos(archives.photos)
    cutouts, cutout_records = read_cutouts(archives.cutouts, SPRITE_SIZE)
    out.mkdir(parents=True, exist_ok=True)
    for name, array in (("sprites", sprites), ("stills", stills), ("photos", photos), ("cutouts", cutouts)):
        np.save(out / f"{name}.npy", array)
    captions: dict[str, Sequence[SpriteRecord | PhotoRecord | CutoutRecord]]
    captions = {"sprites": sprite_records, "stills": still_records, "photos": photo_records, "cutouts": cutout_records}
    rows = {name: [asdict(record) for record in records] for name, records in captions.items()}
    _write_json(out / "captions.json", rows)
    _write_json(out / "split.json", make_split(sprite_records, still_records, photo_records))
    (out / "LICENSE-data.md").write_text(LICENSE_TEXT, encoding="utf-8")


def make_split(
    sprites: Sequence[SpriteRecord], stills: Sequence[SpriteRecord], photos: Sequence[PhotoRecord]
) -> dict[str, list[str]]:
    """The ids held out of training: whole subgroups of sprites, whole clusters of photos, none of the cut-outs.

    No cut-out is a version of a held-out sprite; they are drawings of their own, of many of the same things.
    """
    return {
        "subgroups": list(HELD_OUT_SUBGROUPS),
        "sprites": [r.id for r in sprites if r.subgroup in HELD_OUT_SUBGROUPS],
        "stills": [r.id for r in stills if r.subgroup in HELD_OUT_SUBGROUPS],
        "photos": sorted(held_out_photos(photos)),
        "cutouts": [],
    }


def read_names(path: Path) -> dict[str, SpriteRecord]:
    """Plain emoji of emojibase by code points without variation selectors; skin tones are not among them."""
    with tarfile.open(path) as archive:
        entries = json.loads(read_member(archive, "package/en/data.json"))
        messages = json.loads(read_member(archive, "package/en/messages.json"))
    subgroups = {group["order"]: group["key"] for group in messages["subgroups"]}
    records = (
        SpriteRecord(
            id=_code(entry["hexcode"]),
            label=entry["label"],
            tags=tuple(entry.get("tags", ())),
            subgroup=subgroups[entry["subgroup"]],
        )
        for entry in entries
        if "subgroup" in entry
    )
    return {record.id: record for record in records}


def read_animated(paths: Sequence[Path], names: Mapping[str, SpriteRecord]) -> tuple[Pixels, list[SpriteRecord]]:
    """Truly animated sprites [N, 24, 64, 64, 4], sorted by id, with their records."""
    found: dict[str, tuple[Pixels, SpriteRecord]] = {}
    for path in paths:
        for code, data in _webps(path, names):
            with Image.open(io.BytesIO(data)) as image:
                if getattr(image, "n_frames", 1) >= MIN_SOURCE_FRAMES:
                    loop = _read_loop(image)
                    record = asdict(names[code]) | {"num_frames": len(loop)}
                    found[code] = loop[np.arange(NUM_FRAMES) % len(loop)], SpriteRecord(**record)
    rows = [found[code] for code in sorted(found)]
    return np.stack([pixels for pixels, _ in rows]), [record for _, record in rows]


def read_stills(path: Path, names: Mapping[str, SpriteRecord]) -> tuple[Pixels, list[SpriteRecord]]:
    """Still sprites [M, 64, 64, 4], sorted by id, with their records."""
    found = {code: _sprite(Image.open(io.BytesIO(data))) for code, data in _webps(path, names)}
    codes = sorted(found)
    return np.stack([found[code] for code in codes]), [names[code] for code in codes]


def _read_loop(image: Image.Image) -> Pixels:
    # A loop longer than 24 frames is sped up a little, so that every packed loop closes.
    num_source = int(getattr(image, "n_frames", 1))
    length = min(NUM_FRAMES, round(num_source / SOURCE_STEP))
    frames = []
    for i in range(length):
        image.seek(round(i * num_source / length))
        frames.append(_sprite(image))
    return np.stack(frames)


def _sprite(image: Image.Image) -> Pixels:
    # Pillow premultiplies while it resizes RGBA, so no dark fringe appears.
    size = (SPRITE_SIZE, SPRITE_SIZE)
    return np.asarray(image.convert("RGBA").resize(size, Image.Resampling.BOX))


def _webps(path: Path, names: Mapping[str, SpriteRecord]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            code = _code(Path(member.name).stem)
            if member.name.endswith(".webp") and code in names:
                yield code, read_member(archive, member)


def _code(hexcode: str) -> str:
    return hexcode.lower().replace("-fe0f", "")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"{folder} holds {len(found)} files named {pattern}, one is needed")
    return found[0]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
