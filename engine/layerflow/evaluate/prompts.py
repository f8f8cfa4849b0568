"""Clips made from words alone, for sprites that the bundled model has seen: is the right prompt among sixteen?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layerflow.evaluate.layer_scores import Scores
from layerflow.evaluate.probe import FEATURES, Probe, Probed, bundled_probe, candidates, share_right
from layerflow.layers import Pixels
from layerflow.training.captions import blended_caption, clean_label, with_article
from layerflow.training.clips import Source, read_pack
from layerflow.training.render import RenderConfig, one_thread, render_background, render_foreground

SEED = 20261


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What one clip should show: a label of each probe, and the labels that it has to be told from."""

    rows: dict[Probed, int]
    others: dict[Probed, list[int]]
    prompts: dict[str, str]  # by layer

    def told(self, probes: dict[Probed, Probe], shown: dict[str, Pixels]) -> Scores:
        """`LAYER_prompt` is 1 where the layers `shown`, [F, H, W, C] display-referred, are told right, and else 0."""
        return {
            f"{layer}_prompt": float(
                probe.is_right(FEATURES[layer](shown[layer]), self.rows[layer], self.others[layer])
            )
            for layer, probe in probes.items()
        }


def wanted(num: int, probes: dict[Probed, Probe]) -> list[Wanted]:
    """What `num` clips should show, always the same: labels in a random order, the first ones whatever `num` is."""
    rng = np.random.default_rng(SEED)
    orders = {layer: rng.permutation(len(probe.labels)) for layer, probe in probes.items()}
    drawn = [{layer: int(order[i % len(order)]) for layer, order in orders.items()} for i in range(num)]
    return [_wanted(rows, probes, index) for index, rows in enumerate(drawn)]


def together(first: Wanted, second: Wanted) -> dict[str, str]:
    """Prompts by layer for what `first` should show, with the foreground of `second` behind its own."""
    front, behind = first.prompts["foreground"], second.prompts["foreground"]
    blended = blended_caption(f"{front} and {behind}", first.prompts["background"])
    return {**first.prompts, "blended": blended, "foreground2": behind}


def _wanted(rows: dict[Probed, int], probes: dict[Probed, Probe], index: int) -> Wanted:
    rng = np.random.default_rng([SEED, index])
    front = with_article(clean_label(probes["foreground"].labels[rows["foreground"]]))
    name = probes["background"].labels[rows["background"]]
    behind = name if name.endswith("s") else with_article(name)
    return Wanted(
        rows=rows,
        others={layer: candidates(row, len(probes[layer].labels), rng) for layer, row in rows.items()},
        prompts={"foreground": front, "background": behind, "blended": blended_caption(front, behind)},
    )


def real_scores(pack: Path, *, seed: int = SEED) -> Scores:
    """`LAYER_prompt_real`: the share of fresh renders that the probes tell right, one of each source trained on."""
    sprites, _, photos = read_pack(pack, held_out=False)
    return {
        "foreground_prompt_real": share_of_renders("foreground", bundled_probe("foreground"), sprites, seed=seed),
        "background_prompt_real": share_of_renders("background", bundled_probe("background"), photos, seed=seed),
    }


def share_of_renders(layer: Probed, probe: Probe, sources: list[Source], *, seed: int) -> float:
    """The share of fresh renders of `sources` whose label is told right from 15 others."""
    rng = np.random.default_rng(seed)
    with one_thread():
        clips = [FEATURES[layer](rendered(layer, source, rng)) for source in sources]
    return share_right(probe, clips, [probe.labels.index(source.label) for source in sources], rng)


def rendered(layer: Probed, source: Source, rng: np.random.Generator) -> Pixels:
    """A fresh clip of a source as training draws them, [F, H, W, 3 | 4] in [0, 1]."""
    config = RenderConfig()
    if layer == "background":
        clip = render_background(source.pixels, rng, config)
    else:
        clip = render_foreground(source.frames(config.num_frames, rng), rng, config)
    return clip.astype(np.float32) / np.float32(255)
