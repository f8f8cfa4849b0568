"""What a fresh bundled model starts from: the fitted codec, the distilled text encoder and its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from layerflow.training.captions import clean_label
from layerflow.training.clips import training_clips
from layerflow.training.codec_fit import fit_codec, save_codec
from layerflow.training.text_table import make_text_folders


def make_init(
    pack: Path, minilm: Path, out: Path, *, num_clips: int = 1024, num_batches: int = 64, seed: int = 0
) -> None:
    """Write `out/codec`, `out/text_encoder` and `out/tokenizer` from a packed dataset and a MiniLM folder.

    The codec is fitted to `num_batches` of 16 clips, paired from `num_clips` drawn ones.
    """
    rng = np.random.default_rng(seed)
    clips = training_clips(pack, rng, num_clips)
    save_codec(fit_codec(clips, rng, num_batches=num_batches), out / "codec" / "codec.safetensors")
    make_text_folders(minilm, out, sorted(caption_words(pack)), seed=seed)


def caption_words(pack: Path) -> set[str]:
    """Every word that the captions of a packed dataset may hold."""
    records = json.loads((pack / "captions.json").read_text(encoding="utf-8"))
    sprites = [*records["sprites"], *records["stills"]]
    labels = [clean_label(record["label"]) for record in sprites] + [record["label"] for record in records["photos"]]
    tags = {tag for record in sprites for tag in record["tags"] if tag.isascii()}
    return tags | {word for label in labels for word in label.split()}
