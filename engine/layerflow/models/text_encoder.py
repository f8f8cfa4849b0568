"""A model folder's text encoder, ready to encode."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, T5EncoderModel
from transformers.utils import logging as transformers_logging

from layerflow.models.folder import SAFE
from layerflow.text import T5Text


def load_text(path: Path, num_tokens: int, device: torch.device | None = None) -> T5Text:
    """The text encoder of the model folder `path`."""
    transformers_logging.disable_progress_bar()  # the shot has progress of its own
    encoder = T5EncoderModel.from_pretrained(path / "text_encoder", dtype=torch.float32, **SAFE).eval()
    tokenizer = AutoTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
    return T5Text(encoder=encoder.to(device), tokenizer=tokenizer, num_tokens=num_tokens)
