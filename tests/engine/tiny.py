"""Whole models of random weights, written in a moment: what the way through the engine is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors.torch import save_file
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from layerflow.codec import LinearCodec
from layerflow.layout import ALL_LAYERS, ALL_PROMPTS, LAYERS, VARIANTS, Layout, Task, further_layouts, task_layouts
from layerflow.models.folder import Manifest, write_manifest
from layerflow.sampler import Guidance, Sampler
from layerflow.transformer import LayerFlowTransformer

HEIGHT, WIDTH, NUM_FRAMES = 32, 48, 8
NUM_STEPS = 3
PROMPT_TOKENS = 8
TEXT_WIDTH = 32
WORDS = ("[PAD]", "[UNK]", "[END]", "0", "1", "2", ",", "a", "red", "dog", "in", "the", "garden", "at", "night")


def write_tiny_model(
    folder: Path,
    *,
    name: str = "tiny",
    layouts: Mapping[Task, Layout] | None = None,
    codec_channels: int = 6,
    seed: int = 0,
    transformer: Mapping[str, Any] | None = None,
    further: bool = False,
) -> Path:
    """A model for all tasks of 8 frames of 32 x 48 pixels in 3 steps, its codec linear; the folder it is in.

    `further`: by a guide and with two foregrounds too.
    """
    layouts = task_layouts(NUM_FRAMES, NUM_FRAMES // LinearCodec.temporal) if layouts is None else layouts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = random_linear_codec(codec_channels)
        save_linear_codec(codec, folder / "codec")
        options = {"has_given_embedding": True, "mixed_layers": len(LAYERS), "trained_positions": True}
        options |= {"pixel_widths": [4, 6], "prompt_tokens": PROMPT_TOKENS}
        if further:
            frames, prompts = len(ALL_LAYERS) * NUM_FRAMES // LinearCodec.temporal, len(ALL_PROMPTS)
            options |= {"mixed_layers": len(ALL_LAYERS), "text_tokens": prompts * PROMPT_TOKENS}
            options |= {"position_frames": frames}
        network = tiny_transformer(codec_channels, layouts, **{**options, **(transformer or {})})
        if network.pixel_head is not None:
            network.pixel_head.take_codec(codec, torch.ones(network.config.mixed_layers, codec_channels))
        network.save_pretrained(folder / "transformer")
        write_text(folder)
    more = further_layouts(NUM_FRAMES, NUM_FRAMES // LinearCodec.temporal) if further else ()
    return _finish(folder, name, layouts, codec="linear", further=more, all_layers=ALL_LAYERS if further else ())


def write_tiny_released(folder: Path, *, kind: str = "rgba", seed: int = 0) -> Path:
    """A model laid out like the released checkpoints of `kind` (rgba or rgb), 16 frames a layer, its codec a VAE."""
    picked = [VARIANTS[f"{task}_{kind}"] for task in ("gen", "seg", "fg2bg", "bg2fg")]
    layouts = {variant.task: variant.layout for variant in picked}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tiny_vae().save_pretrained(folder / "codec")
        tiny_transformer(4, layouts).save_pretrained(folder / "transformer")
        write_text(folder)
    return _finish(folder, f"released-{kind}", layouts, codec="cogvideox")


def tiny_transformer(channels: int, layouts: Mapping[Task, Layout], **options: Any) -> LayerFlowTransformer:
    """Two blocks of two heads, every weight random: nothing that starts at zero stays untried."""
    network = LayerFlowTransformer(
        num_attention_heads=2,
        attention_head_dim=16,
        num_blocks=2,
        latent_channels=channels,
        text_width=TEXT_WIDTH,
        position_rows=HEIGHT // 16,
        position_columns=WIDTH // 16,
        has_layer_embedding=True,
        **{
            "time_width": 16,
            "text_tokens": 3 * PROMPT_TOKENS,
            "position_frames": max(layout.num_latents for layout in layouts.values()),
            **options,
        },
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


def random_linear_codec(channels: int) -> LinearCodec:
    """A linear codec on a random orthonormal basis, around mid-grey."""
    codec = LinearCodec(channels)
    orthonormal, _ = torch.linalg.qr(torch.randn(codec.basis.shape[1], channels))
    codec.basis.copy_(orthonormal.T)
    codec.scale.copy_(torch.linspace(0.2, 0.5, channels))
    return codec


def save_linear_codec(codec: LinearCodec, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in codec.state_dict().items()}, folder / "codec.safetensors")


def tiny_vae(*, channels: int = 8, groups: int = 2) -> AutoencoderKLCogVideoX:
    """A video VAE with the released one's shape: 8 times smaller, 4 times shorter, causal."""
    return AutoencoderKLCogVideoX(
        block_out_channels=(channels,) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=groups,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        temporal_compression_ratio=4,
        scaling_factor=1.15258426,
    ).eval()


def write_text(folder: Path, *, width: int = TEXT_WIDTH) -> None:
    """A T5 encoder of one layer and a tokenizer of a few words, which ends every prompt with a token of its own."""
    backend = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(single="$A [END]", special_tokens=[("[END]", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", eos_token="[END]", padding_side="right"
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    config = T5Config(
        vocab_size=len(WORDS),
        d_model=width,
        d_kv=16,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        pad_token_id=0,
        is_encoder_decoder=False,
        use_cache=False,
    )
    T5EncoderModel(config).save_pretrained(folder / "text_encoder")


def _finish(folder: Path, name: str, layouts: Mapping[Task, Layout], *, codec: Any, **more: Any) -> Path:
    manifest = Manifest(
        name=name,
        layouts=layouts,
        sampler=Sampler(num_steps=NUM_STEPS, guidance=Guidance(scale=1.5, power=None)),
        height=HEIGHT,
        width=WIDTH,
        fps=24.0,
        codec=codec,
        prompt_tokens=PROMPT_TOKENS,
        licence="none",
        **more,
    )
    write_manifest(folder, manifest)
    return folder
