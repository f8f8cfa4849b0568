"""Small pictures and clips on disk, for what makes datasets of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def disc(
    size: int = 40, radius: float = 14, colour: tuple[int, int, int] = (220, 60, 40), x: float = 0.0
) -> np.ndarray:
    """A disc with a soft edge, straight RGBA [size, size, 4]."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    alpha = np.clip(radius + 0.5 - np.hypot(columns - x, rows), 0, 1)
    pixels = np.empty((size, size, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.rint(alpha * 255)
    return pixels


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A soft random picture [height, width, 3] that optical flow can hold on to."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height // 4 + 1, width // 4 + 1, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)
    return smooth.clip(0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write `pixels` in the format of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_animation(path: Path, frames: list[np.ndarray], duration_ms: int = 125) -> Path:
    """Write an animated WebP or PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest, duration=duration_ms, lossless=True)
    return path


def write_sources(root: Path, num_foregrounds: int = 4, num_backgrounds: int = 3) -> tuple[Path, Path]:
    """Folders of foregrounds (one of them animated) and of backgrounds, with captions and licences."""
    fronts, backs = root / "fronts", root / "backs"
    colours = [(220, 60, 40), (40, 200, 60), (60, 80, 230), (230, 210, 50)]
    for number in range(num_foregrounds - 1):
        save(fronts / f"ball{number}.png", disc(radius=8 + 3 * number, colour=colours[number]))
    save_animation(fronts / "jumping-ball.webp", [disc(x=x, colour=colours[3]) for x in (-6, -3, 0, 3, 6)])
    (fronts / "ball0.txt").write_text("a red ball\n")
    (fronts / "LICENCE.txt").write_text("CC0-1.0\n")
    for number in range(num_backgrounds):
        save(backs / f"meadow{number}.jpg", texture(48, 72, seed=number))
    (backs / "captions.csv").write_text(
        "file,caption,licence\n" + "".join(f"meadow{n}.jpg,a meadow,CC-BY-4.0\n" for n in range(num_backgrounds))
    )
    return fronts, backs


def moving_disc(num_frames: int = 8, height: int = 96, width: int = 144) -> tuple[np.ndarray, np.ndarray]:
    """A disc that crosses a texture while the camera pans: frames [F, H, W, 3] and its masks [F, H, W]."""
    world = texture(height, width + 2 * num_frames, seed=5)
    rows, columns = np.mgrid[:height, :width]
    frames, masks = [], []
    for time in range(num_frames):
        frame = world[:, 2 * time : 2 * time + width].copy()
        mask = np.hypot(columns - 40 - 5 * time, rows - 50) < 18
        frame[mask] = (250, 240, 30)
        frame[mask & ((columns - 5 * time) % 12 < 4)] = (200, 20, 20)
        frames.append(frame)
        masks.append(mask)
    return np.stack(frames), np.stack(masks)
