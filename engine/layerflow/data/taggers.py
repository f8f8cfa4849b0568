"""Detectors that say what is where: Grounding DINO (Liu et al. 2023) and Florence-2 (Xiao et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from layerflow.data.light import Pixels
from layerflow.data.pretrained import Weights
from layerflow.data.segmenting import Tag, Tagger
from layerflow.errors import ModelError

_COMMON = ("person", "animal", "bird", "car", "bicycle", "boat", "aircraft", "ball", "toy", "plant", "food", "object")
_TASK = "<OD>"


class GroundingTagger:
    """Looks for things of given names."""

    def __init__(
        self,
        weights: Weights,
        *,
        names: Sequence[str] = _COMMON,
        threshold: float = 0.3,
        text_threshold: float = 0.25,
    ) -> None:
        """Load `weights`, of a `GroundingDinoForObjectDetection` and its processor. Raises ModelError."""
        from transformers import AutoProcessor, GroundingDinoForObjectDetection

        self._processor = weights.load(AutoProcessor.from_pretrained, "detector")
        self._model: Any = weights.model(GroundingDinoForObjectDetection.from_pretrained, "detector")
        self._prompt = " ".join(f"{name.strip().lower()}." for name in names)
        self._thresholds, self._device = (threshold, text_threshold), weights.device

    @torch.inference_mode()
    def tags(self, picture: Pixels) -> list[Tag]:
        """What `picture` [H, W, 3] shows of the names, surest first."""
        inputs = self._processor(images=picture, text=self._prompt, return_tensors="pt").to(self._device)
        outputs = self._model(**inputs)
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs,
            inputs["input_ids"],
            threshold=self._thresholds[0],
            text_threshold=self._thresholds[1],
            target_sizes=[picture.shape[:2]],
        )
        if not len(found["boxes"]):  # then transformers still gives one empty label
            return []
        rows = zip(found["text_labels"], found["boxes"].tolist(), found["scores"].tolist(), strict=True)
        tags = [Tag(label=_words(label), box=_inside(box, picture), score=score) for label, box, score in rows]
        return sorted((tag for tag in tags if _has_area(tag)), key=lambda tag: -tag.score)


class FlorenceTagger:
    """Names by itself whatever it sees."""

    def __init__(self, weights: Weights, *, max_tokens: int = 256) -> None:
        """Load `weights`, of a `Florence2ForConditionalGeneration` and its processor. Raises ModelError."""
        from transformers import AutoProcessor, Florence2ForConditionalGeneration

        self._processor = weights.load(AutoProcessor.from_pretrained, "detector")
        self._model: Any = weights.model(Florence2ForConditionalGeneration.from_pretrained, "detector")
        self._max_tokens, self._device = max_tokens, weights.device

    @torch.inference_mode()
    def tags(self, picture: Pixels) -> list[Tag]:
        """What `picture` [H, W, 3] shows, in the order that it was named in."""
        inputs = self._processor(images=picture, text=_TASK, return_tensors="pt").to(self._device)
        tokens = self._model.generate(**inputs, max_new_tokens=self._max_tokens, do_sample=False, num_beams=3)
        (text,) = self._processor.batch_decode(tokens, skip_special_tokens=False)
        size = picture.shape[1], picture.shape[0]
        found = self._processor.post_process_generation(text=text, task=_TASK, image_size=size)[_TASK]
        rows = zip(found["labels"], found["bboxes"], strict=True)
        tags = [
            Tag(label=_words(label), box=_inside(box, picture), score=1.0 / (1 + place))
            for place, (label, box) in enumerate(rows)
        ]
        return [tag for tag in tags if _has_area(tag)]


def tagger_of(weights: Weights, names: Sequence[str] = ()) -> Tagger:
    """The detector that `weights` are of, by their configuration. Raises ModelError."""
    from transformers import AutoConfig

    kind = str(weights.load(AutoConfig.from_pretrained, "detector").model_type)
    if kind in ("grounding-dino", "mm-grounding-dino"):
        return GroundingTagger(weights, names=names or _COMMON)
    if kind == "florence2":
        return FlorenceTagger(weights)
    raise ModelError(f"{weights.name} is a {kind}; give a Grounding DINO or a Florence-2 as detector")


def _words(label: str) -> str:
    """A label without the marks that tokenizers put around and between words."""
    return " ".join(re.sub(r"\[[A-Z]+\]|</?s>|\.", " ", label).split())


def _inside(box: Sequence[float], picture: Pixels) -> tuple[float, float, float, float]:
    height, width = picture.shape[:2]
    left, top, right, bottom = (float(edge) for edge in box)
    return max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)


def _has_area(tag: Tag) -> bool:
    left, top, right, bottom = tag.box
    return right - left >= 2 and bottom - top >= 2
