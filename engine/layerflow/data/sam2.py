"""Segmentation by SAM 2 (Ravi et al. 2024), told by a detector where to look.

The model and its session are transformers'. Its video processor wants torchvision, which nothing else here does, so
frames and boxes are prepared here as that processor does: a square picture, ImageNet's mean and deviation, and a box as
two corner points with the labels 2 and 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from layerflow.data.light import Pixels
from layerflow.data.pretrained import Weights
from layerflow.data.segmenting import Masks, Tag, Tagger, Track

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CORNERS = (2, 3)  # labels of a box's upper left and lower right


class Sam2Segmenter:
    """Follows what `tagger` finds in a shot's middle frame, both ways through the shot."""

    def __init__(self, weights: Weights, tagger: Tagger, *, max_tracks: int = 8) -> None:
        """Load `weights`, of a `Sam2VideoModel`. Raises ModelError."""
        from transformers import Sam2VideoModel

        self._model: Any = weights.model(Sam2VideoModel.from_pretrained, "segmentation model")
        self._tagger, self._max_tracks, self._device = tagger, max_tracks, weights.device

    @torch.inference_mode()
    def tracks(self, frames: Pixels) -> list[Track]:
        """The things that were found, surest first."""
        middle = len(frames) // 2
        tags = self._tagger.tags(frames[middle])[: self._max_tracks]
        if not tags:
            return []
        session = self._session(frames, tags, middle)
        masks = np.zeros((len(tags), *frames.shape[:3]), bool)
        for backward in (False, True):
            for output in self._model.propagate_in_video_iterator(session, middle, reverse=backward):
                masks[:, output.frame_idx] = _masks(output.pred_masks, frames.shape[1:3])
        found = [Track(masks=mask, score=tag.score, label=tag.label) for mask, tag in zip(masks, tags, strict=True)]
        return sorted(found, key=lambda track: -track.score)

    def _session(self, frames: Pixels, tags: list[Tag], frame: int) -> Any:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        height, width = frames.shape[1:3]
        side = int(self._model.config.image_size)
        session = Sam2VideoInferenceSession(
            video=_prepared(frames, side),
            video_height=height,
            video_width=width,
            inference_device=self._device,
            inference_state_device=self._device,
            dtype=self._model.dtype,
        )
        scale = torch.tensor([side / width, side / height])
        for number, tag in enumerate(tags):
            corners = torch.tensor(tag.box, dtype=torch.float32).reshape(1, 1, 2, 2) * scale
            labels = torch.tensor(_CORNERS, dtype=torch.int32).reshape(1, 1, 2)
            place = session.obj_id_to_idx(number)
            session.add_point_inputs(place, frame, {"point_coords": corners, "point_labels": labels})
        session.obj_with_new_inputs = list(range(len(tags)))
        self._model(session, frame_idx=frame)
        return session


def _prepared(frames: Pixels, side: int) -> Tensor:
    """Frames [F, 3, side, side] as the network takes them."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    square = functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
    return (square - torch.tensor(_MEAN).view(3, 1, 1)) / torch.tensor(_DEVIATION).view(3, 1, 1)


def _masks(logits: Tensor, size: tuple[int, int]) -> Masks:
    """Masks [N, H, W] of the network's `logits` [N, 1, h, w]."""
    large = functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
    masks: Masks = (large[:, 0] > 0).cpu().numpy()
    return masks
