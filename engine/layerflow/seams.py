"""Where one window of a shot meets the next: what the later one knows, and how their pictures become one.

Every window makes the frames that it shares with the one before anew, and these are faded from one to the other. Where
the plate does not say what a layer shows, the later window also knows from the start what the earlier one made.

Shapes: F frame, f latent frame of the whole sequence, P latent frame that the model makes, C channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from layerflow.frame_windows import Window
from layerflow.layout import Layout

Clips = Sequence[Mapping[str, Tensor]]  # layers by name, [F, 3, h, w] in [0, 1], of every pass over a window


def shared_frames(layout: Layout) -> int:
    """How many frames a window shares with the one before: one latent frame's, none where a layer has no other."""
    return layout.num_frames // layout.latent_frames if layout.latent_frames > 1 else 0


def goes_on(layout: Layout) -> bool:
    """Whether a window has to know what the one before made: what is blended says by itself what every layer shows."""
    return not layout.is_given("blended")


@dataclass(frozen=True, kw_only=True)
class Known:
    """Clean latents of some of the frames that a model is to make."""

    latents: Tensor  # [1, P, C, h, w], of no meaning where nothing is known
    mask: Tensor  # [P] bool

    def put(self, estimate: Tensor) -> Tensor:  # [B, P, C, h, w]
        """The sampler's `estimate` of the clean latents, with what is known in its place.

        The noisy latents follow by themselves: each update of an estimate that never changes leaves them at the next
        noise level.
        """
        return torch.where(self.mask[:, None, None, None], self.latents.to(estimate), estimate)


def continued(layout: Layout, latents: Tensor, num_frames: int) -> Known:
    """What a window knows whose first `num_frames` are the last of the clip with `latents` `[f, C, h, w]`."""
    count = num_frames * layout.latent_frames // layout.num_frames
    whole, mask = torch.zeros_like(latents), torch.zeros(layout.num_latents, dtype=torch.bool)
    for span in (layout.span(name) for name in layout.layers if not layout.is_given(name)):
        first, last = slice(span.start, span.start + count), slice(span.stop - count, span.stop)
        whole[first], mask[first] = latents[last], True
    made = [frame for start, stop in layout.predicted for frame in range(start, stop)]
    return Known(latents=whole[None, made], mask=mask[made])


@dataclass(kw_only=True)
class CrossFade:
    """Fades windows in over the frames that they share with the one before, where that came by last."""

    _index: int = -1  # of the window that came by last
    _ends: list[dict[str, Tensor]] = field(default_factory=list)  # its frames that the next one makes too

    def join(self, window: Window, clips: Clips) -> list[dict[str, Tensor]]:
        """The clips of `window`, faded in; what is given stays as it is."""
        before, ends, num_own = self._index, self._ends, len(window.new)
        self._index = window.index
        self._ends = [{name: clip[num_own:].clone() for name, clip in made.items()} for made in clips]
        if not window.overlap or before != window.index - 1:
            return [dict(made) for made in clips]
        return [
            {name: _faded(old[name], clip) for name, clip in made.items()}
            for old, made in zip(ends, clips, strict=True)
        ]


def _faded(before: Tensor, clip: Tensor) -> Tensor:  # [n, 3, h, w], [F, 3, h, w]
    share = torch.arange(1, len(before) + 1)[:, None, None, None] / (len(before) + 1)
    return torch.cat([torch.lerp(before, clip[: len(before)], share), clip[len(before) :]])
