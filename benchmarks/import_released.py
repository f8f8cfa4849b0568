"""Seconds and peak memory of importing a released checkpoint at full size: `benchmarks/import_released.py FOLDER`.

Writes into FOLDER, which needs 30 GB, files of random numbers in the released layout: a checkpoint with every key and
shape of the variant (float32, 7.3 GB), T5-XXL's encoder (bfloat16, 9.5 GB) and the VAE. They are kept, so that a second
run measures at once. Then it imports them with the public command; prints what benchmarks/shot.py prints of it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from layerflow.layout import VARIANTS
from layerflow.models.released import FOLDERS, PREFIX, RELEASED_GRID, Dimensions

T5_XXL = T5Config(
    d_model=4096,
    d_kv=64,
    d_ff=10240,
    num_heads=64,
    num_layers=24,
    vocab_size=32128,
    feed_forward_proj="gated-gelu",
    is_encoder_decoder=False,
    use_cache=False,
)
VAE = {
    "block_out_channels": (128, 256, 256, 512),
    "latent_channels": 16,
    "layers_per_block": 3,
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
}


def released_dimensions(variant: str) -> Dimensions:
    """Those of the 2B model."""
    return Dimensions(
        width=1920,
        head_width=64,
        num_blocks=30,
        channels=16,
        patch=2,
        text_width=4096,
        time_width=512,
        motion_rank=8,
        content_rank=256,
        positions=RELEASED_GRID.positions(VARIANTS[variant]),
        has_layer_embedding=VARIANTS[variant].layer_embedding,
    )


def write_checkpoint(file: Path, variant: str) -> None:
    """Random numbers under every key of `variant`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shapes = released_dimensions(variant).shapes()
    torch.save({"module": {PREFIX + key: 0.02 * torch.randn(shape) for key, shape in shapes.items()}}, file)


def write_base(folder: Path) -> None:
    """Random numbers in the form of CogVideoX-2B."""
    with torch.device("meta"):
        encoder = T5EncoderModel(T5_XXL)
    place = folder / "text_encoder"
    place.mkdir(parents=True)
    T5_XXL.save_pretrained(place)
    outline = {name: value.to(torch.bfloat16) for name, value in encoder.state_dict().items()}
    outline.pop("encoder.embed_tokens.weight")  # the same as shared.weight
    split = split_torch_state_dict_into_shards(outline, filename_pattern="model{suffix}.safetensors")
    for name, keys in split.filename_to_tensors.items():
        save_file({key: noise_like(outline[key]) for key in keys}, place / name, metadata={"format": "pt"})
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]").save_pretrained(folder / "tokenizer")
    AutoencoderKLCogVideoX(**VAE).save_pretrained(folder / "vae")


def noise_like(outline: Tensor) -> Tensor:
    """Small random numbers of the same shape and type."""
    return torch.empty(outline.shape, dtype=outline.dtype).normal_(std=0.02)


def main(arguments: list[str]) -> int:
    """Writes what is not there yet, then imports it."""
    folder, variant = Path(arguments[0]), (arguments[1:] or ["gen_rgba"])[0]
    checkpoint, target = folder / FOLDERS[variant] / "1000" / "mp_rank_00_model_states.pt", folder / "model"
    for path, write in ((checkpoint, write_checkpoint), (folder / "base", write_base)):
        if not path.exists():  # in a process of its own, whose memory is not counted
            call = f"import import_released as b, pathlib; b.{write.__name__}(pathlib.Path({str(path)!r})"
            call += f", {variant!r})" if write is write_checkpoint else ")"
            subprocess.run([sys.executable, "-c", call], check=True, cwd=Path(__file__).parent)
    shutil.rmtree(target, ignore_errors=True)
    measure = [sys.executable, str(Path(__file__).with_name("shot.py")), "layerflow", "models", "import"]
    where = [str(checkpoint), "--base", str(folder / "base"), "-o", str(target)]
    return subprocess.run([*measure, *where], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
