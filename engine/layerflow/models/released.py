"""What a released LayerFlow checkpoint holds: every key and shape, and which of the eight variants they are.

Keys are SwissArmyTransformer's, without the engine's prefix. Shapes follow from a few dimensions, which a few of the
tensors tell; all others are held against them before any of them is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor

from layerflow.errors import ModelError
from layerflow.layout import VARIANTS, Variant

PREFIX = "model.diffusion_model."  # beside it: conditioner.* (the text encoder) and first_stage_model.* (the VAE)
POSITIONS = "mixins.pos_embed.pos_embedding"
LAYER_EMBEDDING = "mixins.pos_embed.txt_embedder."
MLP_RATIO = 4
MODULATIONS = 12  # shift, scale and gate, before attention and MLP, of video and text

# Where the authors publish each variant; the name of a folder tells those apart whose shapes are the same.
FOLDERS = {
    "gen_rgba": "multi-layer-generation-rgba",
    "gen_rgb": "multi-layer-generation-rgb",
    "seg_rgba": "multi-layer-decomposition-rgba",
    "seg_rgb": "multi-layer-decomposition-rgb",
    "fg2bg_rgba": "foreground-conditioned-generation-rgba",
    "fg2bg_rgb": "foreground-conditioned-generation-rgb",
    "bg2fg_rgba": "background-conditioned-generation-rgba",
    "bg2fg_rgb": "background-conditioned-generation-rgb",
}

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """The numbers that all shapes of a checkpoint follow from."""

    width: int
    head_width: int
    num_blocks: int
    channels: int  # of the latents
    patch: int
    text_width: int
    time_width: int
    motion_rank: int
    content_rank: int
    positions: int  # rows of the position table, text and video
    has_layer_embedding: bool

    @classmethod
    def of(cls, own: Mapping[str, Tensor]) -> Self:
        """The dimensions of a checkpoint without prefix. Raises KeyError or ValueError for what is not one."""
        width, channels, patch, _ = own["mixins.patch_embed.proj.weight"].shape
        attention = "transformer.layers.0.attention.dense."
        return cls(
            width=width,
            head_width=own["mixins.adaln_layer.query_layernorm_list.0.weight"].shape[0],
            num_blocks=sum(key.endswith(".input_layernorm.weight") for key in own),
            channels=channels,
            patch=patch,
            text_width=own["mixins.patch_embed.text_proj.weight"].shape[1],
            time_width=own["time_embed.0.weight"].shape[0],
            motion_rank=own[f"{attention}matrix_A.0"].shape[0],
            content_rank=own[f"{attention}matrix_C.0"].shape[0],
            positions=own[POSITIONS].shape[1],
            has_layer_embedding=any(key.startswith(LAYER_EMBEDDING) for key in own),
        )

    def shapes(self) -> Shapes:
        """Every key and its shape."""
        width, time = self.width, self.time_width
        shapes: Shapes = {
            POSITIONS: (1, self.positions, width),
            "mixins.patch_embed.proj.weight": (width, self.channels, self.patch, self.patch),
            "mixins.patch_embed.proj.bias": (width,),
            **_linear("mixins.patch_embed.text_proj", width, self.text_width),
            **_norm("mixins.final_layer.norm_final", width),
            **_linear("mixins.final_layer.linear", self.patch**2 * self.channels, width),
            **_linear("mixins.final_layer.adaLN_modulation.1", 2 * width, time),
            **_norm("transformer.final_layernorm", width),
            **_linear("time_embed.0", time, width),
            **_linear("time_embed.2", time, time),
        }
        if self.has_layer_embedding:
            shapes |= {**_linear(f"{LAYER_EMBEDDING}0", width, 1), **_norm(f"{LAYER_EMBEDDING}1", width)}
        for block in range(self.num_blocks):
            shapes |= self._block(block)
        return shapes

    def _block(self, block: int) -> Shapes:
        width, layer, adaln = self.width, f"transformer.layers.{block}.", "mixins.adaln_layer."
        return {
            **_linear(f"{adaln}adaLN_modulations.{block}.1", MODULATIONS * width, self.time_width),
            **_norm(f"{adaln}query_layernorm_list.{block}", self.head_width),
            **_norm(f"{adaln}key_layernorm_list.{block}", self.head_width),
            **_norm(f"{layer}input_layernorm", width),
            **_norm(f"{layer}post_attention_layernorm", width),
            **_linear(f"{layer}mlp.dense_h_to_4h", MLP_RATIO * width, width),
            **_linear(f"{layer}mlp.dense_4h_to_h", width, MLP_RATIO * width),
            **self._adapted(f"{layer}attention.query_key_value", 3),
            **self._adapted(f"{layer}attention.dense", 1),
        }

    def _adapted(self, name: str, parts: int) -> Shapes:
        """A linear layer of `parts` times the width, and two LoRA pairs for each part of it."""
        pairs = (("A", "B", self.motion_rank), ("C", "D", self.content_rank))
        lora: Shapes = {}
        for part in range(parts):
            for down, up, rank in pairs:
                lora[f"{name}.matrix_{down}.{part}"] = (rank, self.width)
                lora[f"{name}.matrix_{up}.{part}"] = (self.width, rank)
        return {**_linear(f"{name}.original", parts * self.width, self.width), **lora}


def _linear(name: str, rows: int, columns: int) -> Shapes:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def own_tensors(tensors: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], Dimensions]:
    """The network's own tensors, without prefix, each of the shape it has to have; and their dimensions.

    Raises ModelError, naming the first key that is missing, of another shape or not known.
    """
    prefixed = {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
    own = prefixed or dict(tensors)
    try:
        dimensions = Dimensions.of(own)
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(
            f"{path} is not a LayerFlow checkpoint ({_missing(own, error)}); give a released mp_rank_00_model_states.pt"
        ) from error
    if wrong := next(_differences(own, dimensions.shapes()), None):
        raise ModelError(f"{path} is not a whole LayerFlow checkpoint: {wrong}; download it again")
    return own, dimensions


def _missing(own: Mapping[str, Tensor], error: Exception) -> str:
    if "transformer.layers.0.attention.dense.weight" in own:
        return "it has no LoRA and may be the plain CogVideoX it was made from"
    return f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _differences(own: Mapping[str, Tensor], shapes: Shapes) -> Iterator[str]:
    for key, shape in shapes.items():
        if key not in own:
            yield f"{key} is missing"
        elif tuple(own[key].shape) != shape:
            yield f"{key} is {list(own[key].shape)} and has to be {list(shape)}"
        elif not own[key].is_floating_point():
            yield f"{key} holds {own[key].dtype}, not floating-point numbers"
    yield from (f"{key} is not known" for key in own if key not in shapes)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How large the clips are that a checkpoint was made for."""

    height: int = 480  # pixels
    width: int = 720
    prompt_tokens: int = 226
    spatial: int = 8  # pixels per latent
    patch: int = 2

    @property
    def rows(self) -> int:
        """Token rows of a latent frame."""
        return self.height // (self.spatial * self.patch)

    @property
    def columns(self) -> int:
        """Token columns of a latent frame."""
        return self.width // (self.spatial * self.patch)

    def positions(self, variant: Variant) -> int:
        """Rows of the position table of `variant`: a token of every prompt, then of every latent frame."""
        text = len(variant.layout.prompts) * self.prompt_tokens
        return text + variant.position_frames * self.rows * self.columns


RELEASED_GRID = Grid()


def recognise(dimensions: Dimensions, grid: Grid, path: Path, variant: str | None) -> str:
    """The variant that a checkpoint is, `variant` when it fits. Raises ModelError when none fits, or several do.

    What the shapes leave open, the name of a folder above the file decides.
    """
    fitting = [name for name, known in VARIANTS.items() if _fits(known, dimensions, grid)]
    if variant is not None:
        if variant in fitting:
            return variant
        if fitting:
            raise ModelError(
                f"{path} is not {variant}, it is {' or '.join(fitting)}; leave --variant out or correct it"
            )
        raise ModelError(f"{path} is not {variant}: {_table_sentence(dimensions, grid)}")
    if not fitting:
        raise ModelError(f"{path} is none of the released variants: {_table_sentence(dimensions, grid)}")
    named = [name for name in fitting if FOLDERS[name] in path.absolute().parts]
    if len(fitting) == 1 or len(named) == 1:
        return (named or fitting)[0]
    raise ModelError(
        f"{path} may be {' or '.join(fitting)}, which have the same shapes; say with --variant which it is"
    )


def _fits(variant: Variant, dimensions: Dimensions, grid: Grid) -> bool:
    same_table = grid.positions(variant) == dimensions.positions
    return same_table and variant.layer_embedding == dimensions.has_layer_embedding


def _table_sentence(dimensions: Dimensions, grid: Grid) -> str:
    return (
        f"its position table has {dimensions.positions} rows, which is not for {grid.width}x{grid.height} pixels and "
        f"{grid.prompt_tokens} tokens a prompt; say with --width, --height and --prompt-tokens what it was trained for"
    )
