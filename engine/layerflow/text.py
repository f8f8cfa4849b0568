"""Prompts to text embeddings: one prompt a layer, each encoded alone by T5, no attention mask, pads kept.

The denoiser sees every pad token, as released: masking them would change the released weights' results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from layerflow.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The end of a prompt that does not fit into the encoder's tokens, in the prompt's own words."""

    text: str
    num_tokens: int

    def in_short(self, length: int = 120) -> str:
        """At most `length` characters of it on one line; what is more than that is left out in the middle."""
        line = " ".join(self.text.split())
        tail = length // 3
        return line if len(line) <= length else f"{line[: length - tail - 3]} … {line[-tail:]}"


class TextEncoder(Protocol):
    """Prompts to embeddings."""

    @property
    def precision(self) -> str:
        """What the encoder computes in: float32, bfloat16 or int8."""
        ...

    def encode(self, prompts: list[str]) -> Tensor:
        """Embeddings `[prompts, tokens, width]`, float32 on the CPU. A prompt's do not depend on its neighbours."""
        ...

    def dropped(self, prompt: str) -> Dropped | None:
        """The end of `prompt` that does not fit into the encoder's tokens; None when all of it fits."""
        ...


def layer_prompts(layout: Layout, prompts: dict[str, str]) -> list[str]:
    """What the encoder is given, "0, a dog" and so on, in the layout's order; a missing prompt is empty."""
    return [f"{layout.prompt_index(name)}, {prompts.get(name, '')}" for name in layout.prompts]


def layer_index(layout: Layout) -> Tensor:  # [G] float32
    """The layer index of each prompt, for the layer embedding."""
    return torch.tensor([float(layout.prompt_index(name)) for name in layout.prompts])


@dataclass(frozen=True, kw_only=True)
class PromptTokens:
    """A fast transformers tokenizer, cutting or padding every prompt to `num_tokens`."""

    tokenizer: Any
    num_tokens: int = 226

    def ids(self, prompts: list[str]) -> Tensor:  # -> [prompts, tokens]
        """Token numbers of the prompts; the end token is kept when a prompt is cut."""
        encoded = self.tokenizer(
            prompts, padding="max_length", truncation=True, max_length=self.num_tokens, return_tensors="pt"
        )
        ids: Tensor = encoded.input_ids
        return ids

    def dropped(self, prompt: str) -> Dropped | None:
        """The end of `prompt` past `num_tokens`; None when all of it fits."""
        whole = self.tokenizer(prompt, truncation=False, verbose=False, return_offsets_mapping=True)
        too_many = len(whole.input_ids) - self.num_tokens
        if too_many <= 0:
            return None
        first_cut = self.num_tokens - self.tokenizer.num_special_tokens_to_add()
        start, _ = whole.offset_mapping[first_cut]
        return Dropped(text=prompt[start:].strip(), num_tokens=too_many)


@dataclass(frozen=True, kw_only=True)
class T5Text(PromptTokens):
    """A transformers T5 encoder in memory, and its tokenizer."""

    encoder: Any  # transformers.T5EncoderModel

    @property
    def precision(self) -> str:
        """What the encoder computes in."""
        return str(self.encoder.dtype).removeprefix("torch.")

    @torch.inference_mode()
    def encode(self, prompts: list[str]) -> Tensor:  # -> [prompts, tokens, width]
        """Embeddings of the prompts, float32 on the CPU. One at a time: a batch's size may change the last bits."""
        ids = self.ids(prompts).to(self.encoder.device)
        # An all-ones mask is T5's "no mask": pads attend and are attended to.
        rows = [self.encoder(row, attention_mask=torch.ones_like(row)).last_hidden_state for row in ids[:, None]]
        embeddings: Tensor = torch.cat(rows).float().cpu()
        return embeddings
