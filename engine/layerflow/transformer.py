"""The LayerFlow video transformer: CogVideoX blocks over the clips of all layers at once.

Shapes: B batch, F latent frame, C channel, H W latent rows and columns, T token, N text token, D model width, G layer.
Method: LayerFlow (SIGGRAPH 2025), on CogVideoX-2B (arXiv 2408.06072). Blocks, patch and timestep embedding are
diffusers' own classes; what is LayerFlow's is here: stored position tables, the layer embedding, given latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.embeddings import CogVideoXPatchEmbed, TimestepEmbedding, Timesteps, get_3d_sincos_pos_embed
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import AdaLayerNorm
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from einops import rearrange
from torch import Tensor, nn

from layerflow.mixing import CopyGate, LayerView, LayerWords, Preconditioner, Slots
from layerflow.pixel_head import PixelHead

OF_LAYERS = ("layer_view.", "layer_words.", "copy_gate.", "precondition.", "pixel_head.", "video_positions")
NORM_OUT_EPS = 1e-6  # as in the release; diffusers builds this norm with 1e-5


def sincos_positions(width: int, frames: int, rows: int, columns: int, *, scale: float) -> Tensor:  # [F, H, W, D]
    """3D sine-cosine positions as CogVideoX has them, rows and columns divided by `scale`, time unscaled."""
    table: Tensor = get_3d_sincos_pos_embed(width, (columns, rows), frames, scale, 1.0, output_type="pt")
    return rearrange(table, "f (h w) d -> f h w d", h=rows).float()


def stretched(table: Tensor, rows: int, columns: int) -> Tensor:  # [F, H, W, D] -> [F, rows, columns, D]
    """`table` on another grid over the same picture, bilinear between its numbers; itself on its own grid."""
    if table.shape[1:3] == (rows, columns):
        return table
    planes = rearrange(table.float(), "f h w d -> f d h w")
    between = nn.functional.interpolate(planes, (rows, columns), mode="bilinear", align_corners=False)
    return rearrange(between, "f d h w -> f h w d").to(table)


class LayerEmbedding(nn.Module):
    """Embeds the index of a layer, one vector for all tokens of that layer's prompt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(1, width)
        self.norm = nn.LayerNorm(width, eps=1e-5)

    def forward(self, index_G: Tensor) -> Tensor:  # [G] -> [G, D]
        embedding: Tensor = self.norm(self.proj(index_G[:, None]))
        return embedding


class LayerFlowTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin):  # type: ignore[misc]
    """v-prediction for the latents of all layers, given their prompts and one timestep.

    `text_positions` and `video_positions` are stored with the weights: a checkpoint may have trained them. Another grid
    takes numbers from between the stored ones, spread over the same picture; more frames than are stored take the
    sine-cosine table that training started from.
    """

    _supports_gradient_checkpointing = True
    _keep_in_fp32_modules: ClassVar[list[str]] = ["precondition"]

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers has no types
    def __init__(
        self,
        *,
        num_attention_heads: int = 30,
        attention_head_dim: int = 64,
        num_blocks: int = 30,
        latent_channels: int = 16,
        patch_size: int = 2,
        text_width: int = 4096,
        time_width: int = 512,
        text_tokens: int = 678,  # rows of the stored text table: prompts times tokens per prompt
        position_frames: int = 16,
        position_rows: int = 30,
        position_columns: int = 45,
        position_scale: float = 1.875,
        has_layer_embedding: bool = False,
        trained_positions: bool = False,
        has_given_embedding: bool = False,
        mixed_layers: int = 0,  # layers that see and copy each other's input, preconditioned; 0: as released
        pixel_widths: Sequence[int] = (),  # channels of a head in pixels, for mixed layers; none: as released
        prompt_tokens: int = 0,  # of one prompt, for mixed layers that are told theirs; 0: as released
    ) -> None:
        super().__init__()
        width = num_attention_heads * attention_head_dim
        self.patch_embed = CogVideoXPatchEmbed(
            patch_size=patch_size,
            in_channels=latent_channels,
            embed_dim=width,
            text_embed_dim=text_width,
            use_positional_embeddings=False,
            use_learned_positional_embeddings=False,
        )
        video = sincos_positions(width, position_frames, position_rows, position_columns, scale=position_scale)
        self.text_positions = nn.Parameter(torch.zeros(text_tokens, width), requires_grad=trained_positions)
        self.video_positions = nn.Parameter(video, requires_grad=trained_positions)
        self.layer_embedding = LayerEmbedding(width) if has_layer_embedding else None
        self.given_embedding = nn.Parameter(torch.zeros(width)) if has_given_embedding else None
        self.time_proj = Timesteps(width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(width, time_width)
        self.transformer_blocks = nn.ModuleList(
            CogVideoXBlock(
                dim=width,
                num_attention_heads=num_attention_heads,
                attention_head_dim=attention_head_dim,
                time_embed_dim=time_width,
                attention_bias=True,
            )
            for _ in range(num_blocks)
        )
        self.norm_final = nn.LayerNorm(width, eps=1e-5)
        self.norm_out = AdaLayerNorm(
            embedding_dim=time_width,
            output_dim=2 * width,
            norm_elementwise_affine=True,
            norm_eps=NORM_OUT_EPS,
            chunk_dim=1,
        )
        self.proj_out = nn.Linear(width, patch_size**2 * latent_channels)
        self.layer_view = LayerView(width, mixed_layers, latent_channels, patch_size) if mixed_layers else None
        self.copy_gate = CopyGate(width, mixed_layers, patch_size) if mixed_layers else None
        self.precondition = Preconditioner(mixed_layers, latent_channels) if mixed_layers else None
        self.layer_words = LayerWords(width, mixed_layers, prompt_tokens) if prompt_tokens else None
        self.pixel_head = PixelHead(mixed_layers, latent_channels, time_width, pixel_widths) if pixel_widths else None
        self.filled: Slots | None = None
        self.gradient_checkpointing = False

    @contextmanager
    def filling(self, slots: Slots) -> Iterator[None]:
        """Within it a sequence holds only these of the model's layers: training draws another set for every batch.

        What is trained is the whole model. A model that does nothing else is `narrowed`, with the same results.
        """
        self.filled = None if slots == tuple(range(self.config.mixed_layers)) else slots
        try:
            yield
        finally:
            self.filled = None

    def forward(
        self,
        latents: Tensor,  # [B, F, C, H, W] float32, the whole sequence, given latents in their place
        timestep: Tensor,  # [B] float32 in [0, 999]
        text: Tensor,  # [B, G, N, text width] one row of tokens per prompt
        layer_index: Tensor,  # [G] layer index of each prompt, float
        given: Tensor | None = None,  # [F] bool, the latent frames that are the condition
    ) -> Tensor:
        """Predicted v for every latent frame, `[B, F, C, H, W]` float32; of given frames what it says has no meaning.

        Latents become the type of the weights where they enter the network proper, as released.
        """
        return self.around(self.core, latents, timestep, text, layer_index, given)

    def around(
        self,
        core: Callable[..., Tensor],
        latents: Tensor,
        timestep: Tensor,
        text: Tensor,
        layer_index: Tensor,
        given: Tensor | None,
    ) -> Tensor:
        """What `forward` returns, with `core` for `self.core`: what some other runtime makes of it."""

        def network(entering: Tensor) -> Tensor:
            dtype = self.proj_out.weight.dtype  # `self.dtype` looks at every weight
            tables = self.tables(latents.shape, text.shape, layer_index.to(dtype), given)
            return core(entering.to(dtype), timestep, rearrange(text, "b g n d -> b (g n) d"), *tables)

        if self.precondition is None:
            return network(latents).float()
        c_in, c_skip, c_out = self.precondition(latents, timestep, given, self.filled)
        v: Tensor = c_skip * latents + c_out * network(c_in * latents)
        return v

    def tables(
        self, latents_shape: torch.Size, text_shape: torch.Size, layer_index: Tensor, given: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `core` adds to text tokens `[N, D]` and video tokens `[F, H, W, D]`; the shapes are those of `forward`.

        All that depends on the size of the grid, on which layer is which and on what is given is in here.
        """
        prompts, prompt_tokens = text_shape[1:3]
        rows, columns = (side // self.config.patch_size for side in latents_shape[-2:])
        text_table, video_table = self.positions(prompts * prompt_tokens, latents_shape[1], rows, columns)
        if self.layer_embedding is not None:
            text_table = text_table + self.layer_embedding(layer_index).repeat_interleave(prompt_tokens, dim=0)
        if self.given_embedding is not None and given is not None:
            video_table = video_table + given[:, None, None, None] * self.given_embedding
        return text_table, video_table

    def core(
        self,
        latents: Tensor,  # [B, F, C, H, W] of the weights' type, preconditioned
        timestep: Tensor,  # [B] float32
        text: Tensor,  # [B, N, text width] the prompts one after the other
        text_table: Tensor,  # [N, D]
        video_table: Tensor,  # [F, H, W, D] of rows and columns of patches
    ) -> Tensor:
        """The network proper, `[B, F, C, H, W]` of the weights' type: nothing in it asks what size anything is."""
        v, temb = self.made(latents, timestep, text, text_table, video_table)
        return v if self.pixel_head is None else v + self.pixel_head(v, latents, temb, self.filled)

    def made(
        self, latents: Tensor, timestep: Tensor, text: Tensor, text_table: Tensor, video_table: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What tokens make, before any head in pixels adds to it, and the embedding of the timestep it goes by."""
        num_text = text.shape[1]
        tokens = self.patch_embed(text, latents)
        text_BND = tokens[:, :num_text] + text_table.to(tokens.dtype)
        video_BTD = tokens[:, num_text:] + video_table.flatten(0, 2).to(tokens.dtype)
        if self.layer_view is not None:
            video_BTD = video_BTD + self.layer_view(latents, self.filled)
        if self.layer_words is not None:
            words = self.layer_words(text_BND, self.filled)  # [B, G, D]
            video_BTD = (video_BTD.unflatten(1, (words.shape[1], -1)) + words[:, :, None]).flatten(1, 2)
        temb = self.time_embedding(self.time_proj(timestep).to(video_BTD.dtype))
        for block in self.transformer_blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                video_BTD, text_BND = self._gradient_checkpointing_func(block, video_BTD, text_BND, temb)
            else:
                video_BTD, text_BND = block(video_BTD, text_BND, temb)
        # A LayerNorm works on each token alone, so leaving the text out here changes nothing.
        hidden = self.norm_out(self.norm_final(video_BTD), temb=temb)
        return self._to_latents(hidden, latents), temb

    def positions(self, num_text: int, frames: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Positions of the text tokens `[N, D]` and of the video tokens `[F, H, W, D]`."""
        text = self.text_positions[:num_text]
        if num_text > len(text):
            text = torch.cat([text, text.new_zeros(num_text - len(text), text.shape[1])])
        stored = self.video_positions if self.filled is None else self._of_slots(self.video_positions, self.filled)
        if frames > len(stored):
            scale = self.config.position_scale
            return text, sincos_positions(stored.shape[-1], frames, rows, columns, scale=scale).to(stored)
        return text, stretched(stored[:frames], rows, columns)

    def narrowed(self, slots: Slots) -> LayerFlowTransformer:
        """A network of these layers of this one alone, with the same results; its blocks are this one's own."""
        if slots == tuple(range(self.config.mixed_layers)):
            return self
        assert self.layer_view is not None and self.copy_gate is not None and self.precondition is not None
        own = {name: value for name, value in self.config.items() if not name.startswith("_")}
        video = self._of_slots(self.video_positions, slots)
        with torch.device("meta"):
            narrow: LayerFlowTransformer = LayerFlowTransformer(
                **own | {"mixed_layers": len(slots), "position_frames": len(video)}
            )
        state = {name: value for name, value in self.state_dict().items() if not name.startswith(OF_LAYERS)}
        state |= {"video_positions": video, "layer_view.proj.weight": self.layer_view.weight_of(slots)}
        for place, layer in enumerate(slots):
            weight, bias = self.copy_gate.linear_of(layer, slots)
            state |= {f"copy_gate.gates.{place}.weight": weight, f"copy_gate.gates.{place}.bias": bias}
        if self.layer_words is not None:
            words = self.layer_words.state_dict()
            state |= {f"layer_words.{name}": value for name, value in words.items()}
            state["layer_words.shares"] = self.layer_words.shares[list(slots)]
        state["precondition.rms"] = self.precondition.rms[list(slots)]
        state["precondition.signal"] = self.precondition.signal
        if self.pixel_head is not None:
            state |= {f"pixel_head.{name}": value for name, value in self.pixel_head.of_slots(slots).items()}
        narrow.load_state_dict(state, assign=True)
        narrow.train(self.training)
        return narrow

    def _of_slots(self, table_FHWD: Tensor, filled: Slots) -> Tensor:
        """Rows of the layers that are filled, of a table of all layers."""
        kept: Tensor = rearrange(table_FHWD, "(g f) h w d -> g f h w d", g=self.config.mixed_layers)[list(filled)]
        return kept.flatten(0, 1)

    def _to_latents(self, hidden_BTD: Tensor, latents_BFCHW: Tensor) -> Tensor:
        patch = self.config.patch_size
        rows, columns = (side // patch for side in latents_BFCHW.shape[-2:])
        grid = {"h": rows, "w": columns}
        v: Tensor = rearrange(
            self.proj_out(hidden_BTD), "b (f h w) (c p q) -> b f c (h p) (w q)", p=patch, q=patch, **grid
        )
        if self.copy_gate is None:
            return v
        hidden = rearrange(hidden_BTD, "b (f h w) d -> b f h w d", **grid)
        copied: Tensor = self.copy_gate(hidden, latents_BFCHW, self.filled)
        return v + copied
