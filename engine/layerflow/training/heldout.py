"""The held-out set that ships with the package: sprites and photos no training saw, and the fixed clips made of them.

`layerflow/evaluate/heldout` holds `sprites.webp` (one row of 8 frames of 64 x 64 per sprite, straight sRGB RGBA),
`photos.webp` (288 x 144 photos one under another), `captions.json` and `LICENSE-data.md`.
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import OpenImageIO as oiio

from layerflow.errors import ModelError
from layerflow.training.clips import ClipBatch, Source, draw_clips, read_pack
from layerflow.training.render import Pixels, RenderConfig

NUM_SPRITES, NUM_FRAMES, SPRITE_SIZE, PHOTO_HEIGHT = 64, 8, 64, 144
SEED = 20260
SECOND = 10  # clips further on is the one whose foreground is also the second one here: it hides none altogether


def heldout_clips(num: int = 64, *, num_foregrounds: int = 1, config: RenderConfig | None = None) -> ClipBatch:
    """The `num` fixed evaluation clips, half of them frozen; the first ones are the same whatever `num` is up to 64.

    With two foregrounds, the same clips with another one's foreground between the two layers. With a `config`, of its
    size and length.
    """
    with as_file(files("layerflow.evaluate") / "heldout") as folder:
        sprites, photos = read_heldout(folder)
    num_drawn = max(num, NUM_SPRITES)
    clips = draw_clips(sprites, photos, np.random.default_rng(SEED), num_drawn, config=config, procedural=0.0)
    rows = np.arange(num_drawn)
    second = np.roll(rows, -SECOND) if num_foregrounds == 2 else None
    return clips.paired(rows, rows, np.random.default_rng(SEED + 1), frozen=0.5, second=second).first(num)


def read_heldout(folder: Path) -> tuple[list[Source], list[Source]]:
    """Sprites and photos of the held-out folder."""
    records = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    sheet, column = _read_webp(folder / "sprites.webp"), _read_webp(folder / "photos.webp")
    shape = (-1, SPRITE_SIZE, NUM_FRAMES, SPRITE_SIZE, 4)
    sprites = sheet.reshape(shape).transpose(0, 2, 1, 3, 4)
    photos = column[..., :3].reshape(-1, PHOTO_HEIGHT, *column.shape[1:2], 3)
    return (
        [
            Source(label=record["label"], tags=tuple(record["tags"]), pixels=pixels, loops=False)
            for record, pixels in zip(records["sprites"], sprites, strict=True)
        ],
        [Source(label=label, pixels=pixels) for label, pixels in zip(records["photos"], photos, strict=True)],
    )


def write_heldout(pack: Path, folder: Path, *, quality: int = 92) -> None:
    """Write the held-out folder from the held-out part of a packed dataset."""
    from PIL import Image  # of the `train` extra; reading does without

    sprites, _, photos = read_pack(pack, held_out=True)
    sprites = sprites[:NUM_SPRITES]
    folder.mkdir(parents=True, exist_ok=True)
    rows = [np.concatenate(list(s.pixels[np.arange(NUM_FRAMES) % len(s.pixels)]), axis=1) for s in sprites]
    Image.fromarray(np.concatenate(rows)).save(folder / "sprites.webp", quality=quality, method=6)
    column = np.concatenate([photo.pixels for photo in photos])
    Image.fromarray(column).save(folder / "photos.webp", quality=quality, method=6)
    records = {
        "sprites": [{"label": s.label, "tags": list(s.tags)} for s in sprites],
        "photos": [photo.label for photo in photos],
    }
    (folder / "captions.json").write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "LICENSE-data.md").write_bytes((pack / "LICENSE-data.md").read_bytes())


def _read_webp(path: Path) -> Pixels:
    asked = oiio.ImageSpec()
    asked["oiio:UnassociatedAlpha"] = 1  # straight, as it was written
    reader = oiio.ImageInput.open(str(path), asked)
    pixels = reader.read_image("uint8") if reader else None
    if pixels is None:
        raise ModelError(f"the held-out set's {path.name} cannot be read ({oiio.geterror()}); install layerflow again")
    return pixels
