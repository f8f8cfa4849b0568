"""Captions by Qwen2.5-VL (Bai et al. 2025).

The model, its tokenizer and its image processor are transformers'. The processor that joins them also wants a video
processor, and that torchvision, so the prompt is put together here: the chat of Qwen2.5, and for each picture as many
image tokens as it has merged patches.
"""

from __future__ import annotations

from typing import Any

import torch

from layerflow.data.light import Pixels
from layerflow.data.pretrained import Weights
from layerflow.data.segmenting import What

_QUESTIONS: dict[What, str] = {
    "foreground": "Name the object on the grey backdrop in a short noun phrase such as 'a brown dog running'. "
    "Answer with the phrase only.",
    "background": "Name this place, without people or animals, in a short noun phrase such as 'a sunny meadow'. "
    "Answer with the phrase only.",
    "blended": "Describe this picture in one short phrase such as 'a brown dog running in a sunny meadow'. "
    "Answer with the phrase only.",
}
_START, _IMAGE, _END = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
_MAX_TOKENS = 32


class QwenCaptioner:
    """Says what the middle picture of a layer shows."""

    def __init__(self, weights: Weights) -> None:
        """Load `weights`, of a `Qwen2_5_VLForConditionalGeneration`. Raises ModelError."""
        from transformers import AutoImageProcessor, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

        self._tokens = weights.load(AutoTokenizer.from_pretrained, "captioner")
        self._pictures = weights.load(AutoImageProcessor.from_pretrained, "captioner")
        self._model: Any = weights.model(Qwen2_5_VLForConditionalGeneration.from_pretrained, "captioner")
        self._device = weights.device

    @torch.inference_mode()
    def caption(self, pictures: Pixels, what: What, hint: str) -> str:
        """A caption of `pictures` [F, H, W, 3]; the hint where the model says nothing."""
        image = self._pictures(images=pictures[len(pictures) // 2], return_tensors="pt")
        grid = image["image_grid_thw"]
        count = int(grid[0].prod()) // self._pictures.merge_size**2
        inputs = self._tokens(_prompt(what, hint, count), return_tensors="pt")
        ids = inputs["input_ids"].to(self._device)
        is_image = (ids == self._tokens.convert_tokens_to_ids(_IMAGE)).int()
        answer = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=image["pixel_values"].to(self._device),
            image_grid_thw=grid.to(self._device),
            mm_token_type_ids=is_image,
            max_new_tokens=_MAX_TOKENS,
            do_sample=False,
        )
        (said,) = self._tokens.batch_decode(answer[:, ids.shape[1] :], skip_special_tokens=True)
        return _plain(said) or hint


def _prompt(what: What, hint: str, num_tokens: int) -> str:
    known = f" It may be {hint}." if hint and what == "foreground" else ""
    question = f"{_START}{_IMAGE * num_tokens}{_END}{_QUESTIONS[what]}{known}"
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def _plain(said: str) -> str:
    """A phrase in plain words: one line, no full stop, no quotes, not shouted."""
    line = next((line for line in said.splitlines() if line.strip()), "")
    phrase = " ".join(line.strip(" .\"'`*").split())
    return phrase[:1].lower() + phrase[1:]
