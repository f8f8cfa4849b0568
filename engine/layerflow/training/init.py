"""What a fresh bundled model starts from: the fitted codec, the distilled text encoder and its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from layerflow.models.text_encoder import load_text
from layerflow.training.captions import clean_label
from layerflow.training.clips import training_clips
from layerflow.training.codec_fit import fit_codec, save_codec
from layerflow.training.looks import teach_looks
from layerflow.training.recipe import Recipe
from layerflow.training.supply import Sources
from layerflow.training.text_table import make_text_folders

PROMPT_TOKENS = Recipe.prompt_tokens


def make_init(
    pack: Path,
    minilm: Path,
    out: Path,
    *,
    num_clips: int = 1024,
    num_batches: int = 64,
    looks_steps: int = 4500,
    seed: int = 0,
) -> None:
    """Write `out/codec`, `out/text_encoder` and `out/tokenizer` from a packed dataset and a MiniLM folder.

    The codec is fitted to `num_batches` of 16 clips, paired from `num_clips` drawn ones; the text encoder is taught in
    `looks_steps` what the words of the data look like.
    """
    rng = np.random.default_rng(seed)
    clips = training_clips(pack, rng, num_clips)
    save_codec(fit_codec(clips, rng, num_batches=num_batches), out / "codec" / "codec.safetensors")
    make_text_folders(minilm, out, sorted(caption_words(pack)), seed=seed)
    text = load_text(out, PROMPT_TOKENS)
    teach_looks(text, Sources.of_pack(pack), steps=looks_steps, seed=seed)
    text.encoder.save_pretrained(out / "text_encoder")


def caption_words(pack: Path) -> set[str]:
    """Every word that the captions of a packed dataset may hold."""
    records = json.loads((pack / "captions.json").read_text(encoding="utf-8"))
    sprites = [*records["sprites"], *records["stills"]]
    labels = [clean_label(record["label"]) for record in sprites] + [record["label"] for record in records["photos"]]
    tags = {tag for record in sprites for tag in record["tags"] if tag.isascii()}
    return tags | {word for label in labels for word in label.split()}
