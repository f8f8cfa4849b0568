"""The kinds of clips that the stages train on, out of a packed dataset or a dataset folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from layerflow.data.manifest import MANIFEST, read_manifest
from layerflow.errors import RequestError
from layerflow.models.hashes import remembered_sha256
from layerflow.training.folder_supply import FolderSupply
from layerflow.training.render import RenderConfig
from layerflow.training.supply import Sources, Supply

Kind = Literal["video", "moving", "frozen", "stills"]

# "video"   all there is, a share of it held still
# "moving"  copy-paste video: every clip moves
# "frozen"  the same clips, each showing one of its frames throughout
# "stills"  layered pictures, which came as stills
_STILLS = (0.0, 0.45, 0.55, 0.0)  # of sprites, stills, cut-outs and made-up shapes
_PACK = ("captions.json", "split.json", "sprites.npy", "stills.npy", "cutouts.npy", "photos.npy")
MAX_DRAWN = 3072  # foregrounds and backgrounds of a pack that clips are paired from


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which clips of which data."""

    data: Path
    kind: Kind
    size: RenderConfig
    held_out: bool = False
    frozen: float = 0.0  # of "video"
    seed: int = 0
    num_clips: int = 1024


def open_clips(wanted: Wanted) -> Supply | FolderSupply:
    """A source of such clips. Raises PlateError for a damaged dataset, RequestError where there is none."""
    frozen = {"video": wanted.frozen, "moving": 0.0, "frozen": 1.0, "stills": 1.0}[wanted.kind]
    if (wanted.data / MANIFEST).is_file():
        footage = _footage(wanted)
        return FolderSupply(
            folder=wanted.data, config=wanted.size, frozen=frozen, held_out=wanted.held_out, footage=footage
        )
    _refuse_absent(wanted.data)
    sources = _shared(Sources.of_pack(wanted.data, held_out=wanted.held_out), wanted.kind)
    moves = wanted.kind in ("moving", "frozen")
    return Supply(
        sources=sources,
        config=replace(wanted.size, drift=1.0) if moves else wanted.size,
        num_clips=min(wanted.num_clips, MAX_DRAWN),
        renewed=0,
        seed=wanted.seed,
        frozen=frozen,
    )


def digest(data: Path) -> str:
    """One hash for what a dataset holds. Raises RequestError where there is none."""
    if (data / MANIFEST).is_file():
        return remembered_sha256(data / MANIFEST)
    _refuse_absent(data)
    hashes = [remembered_sha256(data / name) for name in _PACK]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _shared(sources: Sources, kind: Kind) -> Sources:
    """`sources` with the shares of that kind, less those of groups that are empty: no cut-outs are held out."""
    shares = _STILLS if kind == "stills" else sources.shares
    groups = (sources.sprites, sources.stills, sources.cutouts, sources.photos)  # shapes are filled with photos
    left = [share if group else 0.0 for share, group in zip(shares, groups, strict=True)]
    return replace(sources, shares=tuple(share / sum(left) for share in left))


def _footage(wanted: Wanted) -> str:
    """Moving pictures alone where there are some; pictures that are only moved over the canvas are video too."""
    if wanted.kind == "stills":
        return "still"
    if wanted.kind == "video":
        return "any"
    records = read_manifest(wanted.data).items
    fronts = [record for record in records if record.role != "background" and record.held_out == wanted.held_out]
    return "moving" if any(record.kind == "clip" for record in fronts) else "any"


def _refuse_absent(data: Path) -> None:
    if missing := next((name for name in _PACK if not (data / name).is_file()), None):
        raise RequestError(
            f"{data} is no dataset: it has neither {MANIFEST} nor {missing}; name in the config a folder that "
            "layerflow data or layerflow train pack made"
        )
