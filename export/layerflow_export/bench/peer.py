"""Plain diffusers, eager: what every backend is timed against.

A model of the released form becomes diffusers' own CogVideoXTransformer3DModel: its blocks are that model's, under the
same names, so it shares our weights, and what LayerFlow adds to the tokens (positions, layer embedding) goes where
diffusers adds its positions. The bundled model's layers see each other, which nothing in diffusers does: there the peer
is the model's own module, diffusers' blocks called one after another.

The loop around it is that of diffusers' CogVideoX pipelines: both halves of guidance in every step where guidance is
above 1, latents staying on the device. The sampler's update and its draws are the engine's, so that the same seed gives
the same picture. Text embeddings and the codec are the engine's too.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from diffusers import CogVideoXTransformer3DModel
from einops import rearrange
from torch import Tensor

from layerflow.denoisers import Network, eager, given_mask, splice
from layerflow.models.load import Engine
from layerflow.pipeline import Conditions
from layerflow.sampler import GuidedV, Sampler
from layerflow.text import layer_index
from layerflow.transformer import NORM_OUT_EPS, LayerFlowTransformer
from layerflow_export.bench.case import guides


def peer_network(transformer: LayerFlowTransformer) -> Network:
    """`transformer` as plain diffusers runs it."""
    return eager(transformer) if transformer.config.mixed_layers else DiffusersNetwork(transformer)


class DiffusersNetwork:
    """A network that is diffusers' model, made for the shapes of its first call; other shapes make it anew."""

    def __init__(self, transformer: LayerFlowTransformer) -> None:
        self.transformer = transformer
        self._made: tuple[object, CogVideoXTransformer3DModel] | None = None

    def __call__(
        self, latents: Tensor, timestep: Tensor, text: Tensor, layer_index: Tensor, given: Tensor | None
    ) -> Tensor:
        """v `[B, F, C, H, W]`, as `LayerFlowTransformer.forward`."""
        shapes = latents.shape[1:], text.shape[1:]
        if self._made is None or self._made[0] != shapes:
            tables = self.transformer.tables(latents.shape, text.shape, layer_index.to(self.transformer.dtype), given)
            self._made = shapes, as_diffusers(self.transformer, latents.shape, *tables)
        (v,) = self._made[1](
            hidden_states=latents.to(self.transformer.dtype),
            encoder_hidden_states=rearrange(text, "b g n d -> b (g n) d"),
            timestep=timestep,
            return_dict=False,
        )
        return v.float()  # type: ignore[no-any-return]  # diffusers has no types


def as_diffusers(
    transformer: LayerFlowTransformer,
    latents_shape: torch.Size,  # [B, F, C, H, W]
    text_table: Tensor,  # [N, D]
    video_table: Tensor,  # [F, H, W, D] of rows and columns of patches
) -> CogVideoXTransformer3DModel:
    """diffusers' model with the weights of `transformer`, not a copy of them, for latents of this shape alone."""
    config = transformer.config
    frames, channels, height, width = latents_shape[1:]
    with torch.device("meta"):
        model = CogVideoXTransformer3DModel(
            num_attention_heads=config.num_attention_heads,
            attention_head_dim=config.attention_head_dim,
            in_channels=channels,
            out_channels=channels,
            time_embed_dim=config.time_width,
            text_embed_dim=config.text_width,
            num_layers=config.num_blocks,
            sample_width=width,
            sample_height=height,
            sample_frames=4 * (frames - 1) + 1,  # in pixels, by the VAE's factor
            patch_size=config.patch_size,
            max_text_seq_length=len(text_table),
        )
    shared = transformer.state_dict()
    model.load_state_dict({name: shared[name] for name in model.state_dict()}, assign=True)
    model.patch_embed.pos_embedding = torch.cat([text_table, video_table.flatten(0, 2)])[None]
    model.norm_out.norm.eps = NORM_OUT_EPS
    return model.eval()


@torch.inference_mode()
def plain_sample(engine: Engine, conditions: Conditions, sampler: Sampler) -> Tensor:  # [f, C, h, w]
    """What `sample_clip` returns, on the engine's device, the plain way; `engine.network` is the peer's."""
    layout, given = conditions.layout, conditions.given.to(engine.device)
    guided_v = plain_guidance(engine, conditions, sampler)
    state = sampler.start((1, layout.num_predicted, *given.shape[2:]), conditions.generator)
    state = replace(state, latents=state.latents.to(engine.device))
    while state.step < sampler.num_steps:
        state = sampler.step(state, guided_v)
    return splice(layout, state.latents, given)[0]


def plain_guidance(engine: Engine, conditions: Conditions, sampler: Sampler) -> GuidedV:
    """v after guidance, both halves in one batch in every step; only the prompts' where no step has guidance."""
    layout, device = conditions.layout, engine.device
    text = conditions.text.to(device, engine.dtype)
    both = torch.cat([torch.zeros_like(text), text]) if guides(sampler) else text
    index, mask = layer_index(layout).to(device, engine.dtype), given_mask(layout).to(device)
    given = conditions.given.to(device).expand(len(both), -1, -1, -1, -1)

    @torch.inference_mode()
    def guided_v(latents: Tensor, timestep: int, weight: float) -> Tensor:
        whole = splice(layout, latents.expand(len(both), -1, -1, -1, -1), given)
        steps = torch.full((len(both),), float(timestep), device=device)
        v = engine.network(whole, steps, both, index, mask if layout.given else None)[:, ~mask]
        if len(v) == 1:
            return v
        unconditional, conditional = v.chunk(2)
        return unconditional + weight * (conditional - unconditional)

    return guided_v
