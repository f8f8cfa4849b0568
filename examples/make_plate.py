"""Makes the example plate: a parrot, 16 frames at 8 fps, before a desert that pans slowly past.

    pip install -e ".[train]"
    python examples/make_plate.py FOLDER_OF_ARCHIVES

writes `plate/plate.%04d.png` (480 x 320, 8-bit sRGB), and what is true of it in `truth/`: `matte.%04d.png` (coverage)
and `background.%04d.png`. Parrot and photo are of the held-out set; the plate is composited in scene-linear light.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from layerflow.training.clips import compose
from layerflow.training.pack import LICENSE_TEXT, Archives
from layerflow.training.photos import LAND, read_member
from layerflow.training.render import Pixels

SPRITE, PHOTO = "1f99c", "desert7"
WIDTH, HEIGHT, NUM_FRAMES, FIRST_FRAME = 480, 320, 16, 1001
SPRITE_SIZE, SPRITE_STEP = 250, 3  # pixels; source frames at 24 fps
SPRITE_START, PAN_START = (40, 62), (130, 40)  # x, y in pixels
DRIFT, PAN = 6, 3  # pixels to the right per frame, of the parrot and of the camera's window the other way


def main(archives: Path, out: Path) -> None:
    """Write the example's folders below `out`."""
    found = Archives.in_folder(archives)
    photo, sprite = read_photo(found.photos), read_sprite(found.animated)
    background = np.stack([window(photo, i) for i in range(NUM_FRAMES)])
    foreground = np.stack([canvas(frame, i) for i, frame in enumerate(sprite)])
    clip = compose(foreground[None], background[None], [])
    blended = np.rint(clip.blended[0] * 255).astype(np.uint8)
    write_frames(out / "plate" / "plate", blended)
    write_frames(out / "truth" / "matte", foreground[..., 3])
    write_frames(out / "truth" / "background", background)
    (out / "LICENSE-data.md").write_text(LICENSE_TEXT, encoding="utf-8")


def read_photo(deb: Path) -> Pixels:
    """The photo [360, 720, 3] sRGB."""
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return np.asarray(Image.open(io.BytesIO(read_member(archive, f"./{LAND}{PHOTO}.jpg"))).convert("RGB"))


def read_sprite(archives: tuple[Path, ...]) -> Pixels:
    """The sprite's frames [F, h, w, 4] straight sRGB."""
    for path in archives:
        with tarfile.open(path) as archive:
            name = f"package/assets/{SPRITE}.webp"
            if name in archive.getnames():
                image = Image.open(io.BytesIO(read_member(archive, name)))
                return np.stack([sprite_frame(image, i * SPRITE_STEP) for i in range(NUM_FRAMES)])
    raise SystemExit(f"no archive holds {SPRITE}.webp")


def sprite_frame(image: Image.Image, frame: int) -> Pixels:
    """One frame of the sprite, looking right, at the size it has in the plate."""
    image.seek(frame % getattr(image, "n_frames", 1))
    size = (SPRITE_SIZE, SPRITE_SIZE)
    mirrored = image.convert("RGBA").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(mirrored.resize(size, Image.Resampling.LANCZOS))


def window(photo: Pixels, frame: int) -> Pixels:
    """What the panning camera sees of the photo."""
    x, y = PAN_START[0] - PAN * frame, PAN_START[1]
    return photo[y : y + HEIGHT, x : x + WIDTH]


def canvas(sprite: Pixels, frame: int) -> Pixels:
    """The sprite where it stands in one frame [HEIGHT, WIDTH, 4]."""
    x, y = SPRITE_START[0] + DRIFT * frame, SPRITE_START[1]
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[y : y + SPRITE_SIZE, x : x + SPRITE_SIZE] = sprite
    return picture


def write_frames(path: Path, frames: Pixels) -> None:
    """Write `<path>.1001.png` and on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, FIRST_FRAME):
        Image.fromarray(frame).save(path.with_name(f"{path.name}.{number:04d}.png"), optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(__file__).parent)
