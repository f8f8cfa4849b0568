"""Makes the probes that `layerflow evaluate` tells prompts by, and measures them.

`python benchmarks/probe.py fit PACK [FOLDER]`: fits both on renders of the training part of a packed dataset, writes
them to FOLDER (the held-out folder of the package) and prints the share of fresh renders that is told right among 16,
as they are and blurred, and of photographs that no training saw. Two minutes.

`python benchmarks/probe.py blob PACK`: the radii of the ellipse in the middle of the frame that overlaps mattes of the
training part most: the trivial answer to where a foreground is.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from layerflow.evaluate.layer_scores import centre_blob
from layerflow.evaluate.mattes import iou
from layerflow.evaluate.probe import FEATURES, Probe, Probed, fit, share_right
from layerflow.evaluate.prompts import rendered
from layerflow.layers import Pixels
from layerflow.training.clips import Source, read_pack
from layerflow.training.render import one_thread

ROUNDS: dict[Probed, int] = {"foreground": 8, "background": 40}  # renders of each sprite or photograph
FRAMES = (0, 3, 7)  # of a clip that are fitted on
BLURS = (0.0, 2.0)  # pixels, of what is fitted on: models' pictures are soft
FIT_SEED, FRESH_SEED = 1, 2


def blurred(clip: Pixels, sigma: float) -> Pixels:
    """`clip` out of focus, colour weighted by alpha."""
    if not sigma:
        return clip
    alpha = clip[..., 3:] if clip.shape[-1] == 4 else np.ones_like(clip[..., :1])
    held = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in np.concatenate([clip[..., :3] * alpha, alpha], axis=-1)]
    soft = np.stack(held)
    straight = soft[..., :3] / np.maximum(soft[..., 3:], 1 / 255)
    return straight if clip.shape[-1] == 3 else np.concatenate([straight, soft[..., 3:]], axis=-1)


def fitted(layer: Probed, sources: list[Source]) -> Probe:
    """The probe of `sources`, with its ceiling."""
    labels = list(dict.fromkeys(source.label for source in sources))
    rng, features, rows = np.random.default_rng(FIT_SEED), [], []
    for source in sources * ROUNDS[layer]:
        clip = rendered(layer, source, rng)[list(FRAMES)]
        for sigma in BLURS:
            found = FEATURES[layer](blurred(clip, sigma))
            if found is not None:
                features.append(found)
                rows += [labels.index(source.label)] * len(found)
    probe = fit(np.concatenate(features), np.array(rows), labels)
    return replace(probe, ceiling=measured(probe, layer, sources))


def measured(probe: Probe, layer: Probed, sources: list[Source], sigma: float = 0.0) -> float:
    """The share of fresh renders of `sources`, blurred by `sigma`, whose label is told right."""
    rng = np.random.default_rng(FRESH_SEED)
    clips = [FEATURES[layer](blurred(rendered(layer, source, rng), sigma)) for source in sources]
    return share_right(probe, clips, [probe.labels.index(source.label) for source in sources], rng)


def fit_both(pack: Path, folder: Path) -> None:
    """Writes both probes and prints what they are worth."""
    sprites, _, photos = read_pack(pack, held_out=False)
    unseen = read_pack(pack, held_out=True)[2]
    for layer, sources in (("foreground", sprites), ("background", photos)):
        probe = fitted(layer, sources)
        path = folder / f"{layer}_probe.safetensors"
        probe.save(path)
        soft = measured(Probe.load(path), layer, sources, sigma=3.0)
        print(f"{layer}: {len(probe.labels)} labels, {path.stat().st_size / 1e6:.2f} MB; fresh renders told right "
              f"{probe.ceiling:.3f}, blurred by 3 pixels {soft:.3f}")  # fmt: skip
        if layer == "background":
            known = [photo for photo in unseen if photo.label in probe.labels]
            print(f"of {len(known)} unseen photographs {measured(probe, layer, known * 8):.3f}")


def best_blob(pack: Path) -> None:
    """Prints the best ellipse's radii in heights and its IoU."""
    sprites = read_pack(pack, held_out=False)[0]
    rng = np.random.default_rng(FIT_SEED)
    mattes = [rendered("foreground", sprite, rng)[..., 3] > 0.5 for sprite in sprites]
    mattes = [matte for matte in mattes if matte.any()]
    sides = np.arange(0.2, 0.8, 0.04)
    blobs = {radii: centre_blob(*mattes[0].shape[1:], radii) > 0.5 for radii in itertools.product(sides, sides)}
    found = {radii: np.mean([iou(blob[None].repeat(8, 0), matte) for matte in mattes]) for radii, blob in blobs.items()}
    radii = max(found, key=lambda each: found[each])
    print(f"across {radii[0]:.2f}, down {radii[1]:.2f}: IoU {found[radii]:.3f}")


if __name__ == "__main__":
    with one_thread():
        if sys.argv[1] == "blob":
            best_blob(Path(sys.argv[2]))
        else:
            own = Path(str(files("layerflow.evaluate") / "heldout"))
            fit_both(Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else own)
