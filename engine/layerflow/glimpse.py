"""How the window that is being sampled looks so far: one picture of each layer, for whoever looks meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from layerflow import layers, preview
from layerflow.denoisers import splice
from layerflow.models.load import Engine
from layerflow.models.memory import GIB, free_bytes
from layerflow.pipeline import Conditions
from layerflow.preprocess import Fit, to_pixels, to_unit
from layerflow.preview import Picture
from layerflow.worker import Heeding

ROOM_BYTES = 3 * GIB  # on a GPU, for the weights of a video VAE and a tile of one latent frame


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """A window after one of its steps. It costs nothing until it is asked for its pictures, and changes nothing."""

    engine: Engine
    conditions: Conditions
    estimate: Tensor  # [1, predicted frames, C, h, w], the sampler's guess at the clean latents
    fit: Fit
    codec: threading.Lock  # held by whoever is at work with the engine's codec
    stopped: Callable[[], bool]

    def pictures(self) -> dict[str, Picture]:
        """By layer, about its first frame, as large as the model sees the plate; the foreground over a checkerboard.

        None at all while the codec is at work for the frames, or where there is no room for it. Raises Interrupted,
        and whatever memory that runs out raises.
        """
        if not self._has_room() or not self.codec.acquire(blocking=False):
            return {}
        try:
            made = {name: self._seen(latent) for name, latent in self._latents().items()}
        finally:
            self.codec.release()
        return {name: preview.to_bytes(pixels) for name, pixels in _shown(made).items()}

    def _has_room(self) -> bool:
        engine = self.engine
        is_there = engine.plan.codec == "device" or engine.device.type == "cpu"
        return is_there or free_bytes(engine.device) >= ROOM_BYTES

    def _latents(self) -> dict[str, Tensor]:  # [1, C, h, w]
        """The first latent frame of each layer: alone it is decoded in a moment, by any codec."""
        layout = self.conditions.layout
        whole = splice(layout, self.estimate, self.conditions.given)[0]
        return {name: whole[layout.span(name)][:1] for name in layout.layers if name != "guide"}

    def _seen(self, latent: Tensor) -> Tensor:  # [1, C, h, w] -> [1, 3, H, W] in [0, 1]
        with Heeding(self.stopped):
            first = torch.cat(list(self.engine.codec.stream(latent)))[:1]
        return self.fit.seen(to_unit(first.nan_to_num().clamp(-1.0, 1.0).cpu()))


def _shown(made: Mapping[str, Tensor]) -> dict[str, layers.Pixels]:
    """What is shown of the model's layers, display-referred `[H, W, 3]`."""
    shown = {name: to_pixels(picture)[0] for name, picture in made.items()}
    for suffix in ("", "2"):
        if f"alpha{suffix}" in shown:
            matte = shown[f"alpha{suffix}"].mean(axis=-1)
            straight = layers.straight_from_grey(shown[f"foreground{suffix}"], matte)
            shown[f"foreground{suffix}"] = preview.over_checker(layers.with_alpha(straight, matte))
            shown[f"alpha{suffix}"] = matte[..., None].repeat(3, axis=-1)
    return shown
