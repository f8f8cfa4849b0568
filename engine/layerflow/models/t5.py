"""T5 in the precision and in the place that a machine has room for."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import BitsAndBytesConfig, T5Config, T5EncoderModel
from transformers.utils import logging as transformers_logging

from layerflow.errors import RequestError
from layerflow.models.folder import SAFE

Residence = Literal["keep", "drop", "stream"]

BIG = 1_000_000_000  # weights; the released encoder has 4.76 thousand million


def pick_text_precision(asked: str, path: Path, device: torch.device) -> str:
    """float32, bfloat16 or int8: what the encoder in `path` is to run in.

    "auto" is bfloat16 on CUDA and for a big encoder, as released, and float32 otherwise. Raises RequestError for int8
    where its library is not installed.
    """
    if asked == "int8" and find_spec("bitsandbytes") is None:
        raise RequestError("text precision int8 needs the extra int8; pip install 'layerflow[int8]'")
    if asked != "auto":
        return asked
    return "bfloat16" if device.type == "cuda" or num_weights(path) > BIG else "float32"


def num_weights(path: Path) -> int:
    """How many weights the encoder in `path` has, as its config says."""
    return _num_weights(T5Config.from_pretrained(path, local_files_only=True).to_json_string())


@functools.cache
def _num_weights(config: str) -> int:
    with torch.device("meta"):  # weights without numbers, but it is slow to build all the same
        return int(T5EncoderModel(T5Config.from_dict(json.loads(config))).num_parameters())


def load_t5(path: Path, *, device: torch.device, precision: str, residence: Residence) -> Any:
    """The T5EncoderModel in `path`, running on `device`; its blocks are read from the disk as they run for "stream".

    In int8 the matrices are in eight bits, but for one of the seven in each block, and all else is bfloat16; "stream"
    then reads the whole encoder at once, since it is the reading that makes eight bits of sixteen.
    """
    transformers_logging.disable_progress_bar()  # the shot has progress of its own
    options: dict[str, Any] = {"dtype": torch.float32 if precision == "float32" else torch.bfloat16, **SAFE}
    if precision == "int8":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    by_block = residence == "stream" and precision != "int8"
    encoder = T5EncoderModel.from_pretrained(path, device_map=_device_map(device, by_block=by_block), **options)
    return encoder.eval().requires_grad_(False)


def _device_map(device: torch.device, *, by_block: bool) -> Mapping[str, str]:
    place = f"cuda:{device.index or 0}" if device.type == "cuda" else str(device)
    if not by_block:
        return {"": place}
    # What is in no block says where the blocks run; they get their weights straight from the safetensors files, one
    # matrix at a time, and give them back after each use.
    return {"shared": place, "encoder.embed_tokens": place, "encoder.final_layer_norm": place} | {
        "encoder.dropout": place,
        "encoder.block": "disk",
    }
