"""The recipe of the bundled model: its size, its layouts, and how a fresh one is put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from layerflow.codec import LinearCodec
from layerflow.layout import ALL_LAYERS, ALL_PROMPTS, LAYERS, Layout
from layerflow.models.codecs import load_linear_codec
from layerflow.models.folder import SAFE, ModelFolder
from layerflow.models.text_encoder import load_text
from layerflow.pixel_head import is_fixed
from layerflow.sampler import NoiseSchedule
from layerflow.text import T5Text
from layerflow.training.cases import Cases, Shares
from layerflow.training.trainer import frozen_but
from layerflow.training.widening import grown, widened
from layerflow.transformer import LayerFlowTransformer, sincos_positions


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Size of the model and length of its training."""

    num_blocks: int = 6
    num_heads: int = 4
    head_width: int = 64
    time_width: int = 128
    pixel_widths: tuple[int, ...] = ()  # channels of a head in pixels, from fine to coarse
    height: int = 64
    width: int = 96
    num_frames: int = 8
    prompt_tokens: int = 16
    num_clips: int = 3072  # rendered foregrounds and backgrounds that clips are paired from
    renewed: int = 4  # of either, drawn anew at each step
    batch: int = 24  # of four layers; of more layers fewer
    minutes: float = 80.0
    adam_lr: float = 5e-4
    muon_lr: float | None = 0.01  # of the blocks' matrices and the head's kernels; None: AdamW trains them too
    beside_lr: float = 1e-3  # of what is beside the blocks: the head in pixels, the layers' words
    warmup_steps: int = 100
    decay: float = 0.3  # share of the time at the end in which the learning rates fall to 0
    ema_decay: float = 0.998
    text_dropout: float = 0.1
    pure_noise: float = 0.12  # share of samples at the last timestep, where sampling starts
    pure_noise_apart: float = 0.6  # the same where a plate is given, which takes a step or two
    alpha_weight: float = 2.5  # of the error of an alpha where a plate is given; as released it would be 1
    head_frames: int = 0  # of each clip, where the head in pixels alone is trained, at last; 0: everything is
    shares: Shares = field(default_factory=Shares)

    @classmethod
    def of_head(cls) -> Recipe:
        """The recipe for the head in pixels alone, on a network that is trained: mostly plates taken apart."""
        return cls(
            pixel_widths=(48, 64, 128),
            head_frames=2,
            batch=12,  # small, since steps are what it wants
            minutes=60.0,
            muon_lr=0.02,
            beside_lr=2e-3,
            warmup_steps=50,
            ema_decay=0.995,
            pure_noise_apart=0.9,  # one step takes a plate apart
            decay=0.5,
            alpha_weight=6.0,
            num_clips=2048,
            shares=Shares(
                generate=0.05,
                element=0.0,
                decompose=0.14,
                background=0.015,
                foreground=0.015,
                guided=0.7,
                matted=0.02,
                decompose_two=0.03,
                generate_two=0.015,
                any=0.015,
            ),
        )

    @classmethod
    def full(cls) -> Recipe:
        """The recipe for a data-centre GPU: about four times the weights and the cached clips. It has not been run."""
        return cls(
            num_blocks=12,
            num_heads=6,
            batch=256,
            minutes=12.0,
            adam_lr=6e-4,
            muon_lr=0.02,
            num_clips=20480,
            renewed=1,  # the GPU takes several steps in the time of a few clips
        )

    @property
    def cases(self) -> Cases:
        """The kinds of batches, at this recipe's length."""
        return Cases(
            num_frames=self.num_frames, latent_frames=self.num_frames // LinearCodec.temporal, shares=self.shares
        )

    def batch_of(self, layout: Layout) -> int:
        """Clips of a batch: fewer where there are more layers, so that a step takes about as long."""
        return max(1, self.batch * len(LAYERS) // len(layout.layers))


@dataclass(frozen=True, kw_only=True)
class Model:
    """The three networks that are trained or fitted together."""

    transformer: LayerFlowTransformer
    codec: LinearCodec
    text: T5Text

    def trained(self) -> nn.ModuleDict:
        """The networks whose weights the optimiser moves."""
        return nn.ModuleDict({"transformer": self.transformer, "text_encoder": self.text.encoder})


def fresh_model(recipe: Recipe, init: Path, *, seed: int = 0) -> Model:
    """An untrained model around the fitted codec and the distilled text table in `init`."""
    torch.manual_seed(seed)
    codec = load_linear_codec(init / "codec" / "codec.safetensors")
    text = load_text(init, recipe.prompt_tokens)
    text.encoder.train()
    transformer = LayerFlowTransformer(**transformer_config(recipe, codec, text))
    initialise_positions(transformer, recipe)
    initialise_attention(transformer)
    return Model(transformer=transformer, codec=codec, text=text)


def started_model(recipe: Recipe, folder: ModelFolder) -> Model:
    """The bundled model in `folder` as the start of more training; one for a single foreground is widened."""
    codec = load_linear_codec(folder.path / "codec" / "codec.safetensors")
    text = load_text(folder.path, recipe.prompt_tokens)
    text.encoder.float().train()
    network = LayerFlowTransformer.from_pretrained(folder.path / "transformer", **SAFE).float()
    if not folder.manifest.all_layers:
        network = widened(network, num_prompts=len(ALL_PROMPTS))
    network = grown(network, codec, prompt_tokens=recipe.prompt_tokens, pixel_widths=recipe.pixel_widths)
    frozen_but(network.train(), lambda name: not is_fixed(name))
    return Model(transformer=network, codec=codec, text=text)


def transformer_config(recipe: Recipe, codec: LinearCodec, text: T5Text) -> dict[str, Any]:
    """Arguments of the transformer for this recipe."""
    patch = 2
    return {
        "num_attention_heads": recipe.num_heads,
        "attention_head_dim": recipe.head_width,
        "num_blocks": recipe.num_blocks,
        "latent_channels": codec.latent_channels,
        "patch_size": patch,
        "text_width": text.encoder.config.d_model,
        "time_width": recipe.time_width,
        "text_tokens": len(ALL_PROMPTS) * text.num_tokens,
        "position_frames": len(ALL_LAYERS) * recipe.cases.latent_frames,
        "position_rows": recipe.height // codec.spatial // patch,
        "position_columns": recipe.width // codec.spatial // patch,
        "position_scale": 1.0,
        "has_layer_embedding": True,
        "trained_positions": True,
        "has_given_embedding": True,
        "mixed_layers": len(ALL_LAYERS),
        "pixel_widths": list(recipe.pixel_widths),
        "prompt_tokens": recipe.prompt_tokens,
    }


def initialise_positions(transformer: LayerFlowTransformer, recipe: Recipe) -> None:
    """Gives every layer the same positions in time and space, plus a vector of its own.

    The release counts time on through all layers; here the same place in two layers starts out near, because the two
    mostly show the same thing. The table is trained, so this is a start and not a rule.
    """
    frames, rows, columns, width = transformer.video_positions.shape
    shared = sincos_positions(width, frames // len(ALL_LAYERS), rows, columns, scale=1.0)
    own = 0.3 * torch.randn(len(ALL_LAYERS), 1, 1, 1, width)
    with torch.no_grad():
        transformer.video_positions.copy_((shared + own).flatten(0, 1))


def initialise_attention(transformer: LayerFlowTransformer) -> None:
    """Lets attention start on tokens that are alike: keys begin as queries, so the same place in another layer wins."""
    with torch.no_grad():
        for block in transformer.transformer_blocks:
            attention: Any = block.attn1
            attention.to_k.load_state_dict(attention.to_q.state_dict())


@torch.no_grad()
def measure_latents(model: Model, clips: Tensor, schedule: NoiseSchedule) -> None:
    """Tells the model how large its latents are, from clips `[B, G, F, 3, H, W]` in [-1, 1], and its noise levels.

    They are of all its layers, in the order of `layout.ALL_LAYERS`.
    """
    precondition = model.transformer.precondition
    assert precondition is not None
    latents_BGFCHW = model.codec.to_latents(clips)
    precondition.rms.copy_(latents_BGFCHW.square().mean(dim=(0, 2, 4, 5)).sqrt())
    precondition.signal.copy_(schedule.training_signal)
    if model.transformer.pixel_head is not None:
        model.transformer.pixel_head.take_codec(model.codec, precondition.rms)
