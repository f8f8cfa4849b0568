"""Training on a dataset folder of `layerflow data`, as on the bundled pack.

Letters: N clips, L layers, F frame, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from layerflow.data.copy_paste import ClipShape
from layerflow.data.manifest import read_manifest
from layerflow.data.supply import LayeredFolder
from layerflow.layout import ALL_LAYERS
from layerflow.training.render import Floats, RenderConfig
from layerflow.training.roto import rough_matte
from layerflow.training.supply import Captions, signed


@dataclass(kw_only=True)
class FolderSupply:
    """Layered clips of the training part of `folder`, or of the one held out, without end."""

    folder: Path
    config: RenderConfig = field(default_factory=RenderConfig)
    frozen: float = 0.5  # share of clips that show one frame throughout
    step: int = 0  # how often it was advanced
    held_out: bool = False
    footage: str = "any"  # or "moving" or "still": how a foreground came

    def advance(self) -> None:
        """Counts a step: every clip follows from what the trainer draws, so nothing has to be kept."""
        self.step += 1

    def batch(
        self, rng: np.random.Generator, size: int, layers: Sequence[str], *, framed: bool = False
    ) -> tuple[Floats, list[Captions]]:
        """As `Supply.batch`, framed as the folder has them.

        Raises PlateError for a picture that cannot be read, or where there is no second clip.
        """
        source = self._two if "foreground2" in layers else self._one
        clips, captions = source.batch(rng, size, sprites=self.footage)
        made = dict(zip(_names(source.shape.num_foregrounds), clips.swapaxes(0, 1), strict=True))
        if "guide" in layers:
            codes = np.rint((made["alpha"][..., 0] + 1) * np.float32(127.5)).astype(np.uint8)
            made["guide"] = signed(np.stack([rough_matte(alpha, rng) for alpha in codes])[..., None])
        return np.stack([made[name] for name in layers], axis=1), [_in_order(caption) for caption in captions]

    @cached_property
    def _one(self) -> LayeredFolder:
        return self._of(1)

    @cached_property
    def _two(self) -> LayeredFolder:
        return self._of(2)

    def _of(self, num_foregrounds: int) -> LayeredFolder:
        config = self.config
        shape = ClipShape(
            num_frames=config.num_frames, height=config.height, width=config.width, num_foregrounds=num_foregrounds
        )
        return LayeredFolder(self.folder, shape, frozen=self.frozen, held_out=self.held_out)


def licences_of(folder: Path) -> str:
    """Where the items of the dataset `folder` are from, and under which licences, as Markdown. Raises PlateError."""
    sources: dict[str, set[str]] = {}
    for record in read_manifest(folder).items:
        sources.setdefault(record.licence, set()).add(record.source)
    parts = ["# Data sources and licences"]
    for licence, named in sources.items():
        parts += [f"## {licence}", "\n".join(f"- {name}" for name in sorted(named))]
    return "\n\n".join(parts) + "\n"


def _names(num_foregrounds: int) -> list[str]:
    """The layers of a folder's clips, in their order there."""
    second = ("foreground2", "alpha2")
    return [name for name in ALL_LAYERS if name != "guide" and (num_foregrounds == 2 or name not in second)]


def _in_order(captions: Captions) -> Captions:
    """Captions of foregrounds, background and blended in the order of `layout.ALL_PROMPTS`."""
    first, *more = captions[:-2]
    return (first, *captions[-2:], *more)
