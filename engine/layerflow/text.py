"""Prompts to text embeddings: one prompt a layer, each encoded alone by T5, no attention mask, pads kept.

The denoiser sees every pad token, as released: masking them would change the released weights' results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from layerflow.layout import Layout


class TextEncoder(Protocol):
    """Prompts to embeddings."""

    def encode(self, prompts: list[str]) -> Tensor:
        """Embeddings `[prompts, tokens, width]`, float32."""
        ...

    def dropped(self, prompt: str) -> str:
        """The end of `prompt` that does not fit into the encoder's tokens; empty when all of it fits."""
        ...


def layer_prompts(layout: Layout, prompts: dict[str, str]) -> list[str]:
    """What the encoder is given, "0, a dog" and so on, in the layout's order; a missing prompt is empty."""
    return [f"{layout.prompt_index(name)}, {prompts.get(name, '')}" for name in layout.prompts]


def layer_index(layout: Layout) -> Tensor:  # [G] float32
    """The layer index of each prompt, for the layer embedding."""
    return torch.tensor([float(layout.prompt_index(name)) for name in layout.prompts])


@dataclass(frozen=True, kw_only=True)
class T5Text:
    """A transformers T5 encoder and its tokenizer, padding every prompt to `num_tokens`."""

    encoder: Any  # transformers.T5EncoderModel
    tokenizer: Any
    num_tokens: int = 226

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Tensor:  # -> [prompts, tokens, width]
        """Embeddings of the prompts, float32 on the CPU."""
        tokens = self.tokenizer(
            prompts, padding="max_length", truncation=True, max_length=self.num_tokens, return_tensors="pt"
        ).input_ids
        # An all-ones mask is T5's "no mask": pads attend and are attended to.
        hidden = self.encoder(tokens.to(self.encoder.device), attention_mask=torch.ones_like(tokens)).last_hidden_state
        embeddings: Tensor = hidden.float().cpu()
        return embeddings

    def dropped(self, prompt: str) -> str:
        """The end of `prompt` past `num_tokens`; empty when all of it fits."""
        tokens = self.tokenizer(prompt, truncation=False, verbose=False).input_ids
        kept = self.num_tokens - self.tokenizer.num_special_tokens_to_add()
        return (
            str(self.tokenizer.decode(tokens[kept:], skip_special_tokens=True)) if len(tokens) > self.num_tokens else ""
        )
