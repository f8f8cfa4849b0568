"""The dataset of `layerflow data copy-paste`: foregrounds and backgrounds side by side, and how to paste them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layerflow.data.copy_paste import CopyPasteConfig
from layerflow.data.footage import find_footage
from layerflow.data.intake import Report, Taking, Work, take_singles
from layerflow.data.manifest import Manifest, Role
from layerflow.data.store import Store
from layerflow.data.words import read_notes
from layerflow.errors import PlateError


def make_copy_paste(
    foregrounds: Sequence[Path],
    backgrounds: Sequence[Path],
    out: Path,
    *,
    taking: Taking,
    config: CopyPasteConfig,
    hold_out: float = 0.1,
    captions: Path | None = None,
    report: Report = lambda event: None,
) -> Manifest:
    """Write the dataset folder `out` of these folders; clips of it are made on the fly. Raises LayerFlowError.

    What is in `out` already is kept where its source has not changed, so a stopped run can be repeated.
    """
    work = Work(store=Store(out), taking=taking, report=report)
    for folder in foregrounds:
        add_singles(work, "foreground", folder, captions)
    for folder in backgrounds:
        add_singles(work, "background", folder, captions)
    manifest = work.store.finish(linear=config.linear, hold_out=hold_out, recipe=config.to_dict())
    missing = [role for role in ("foreground", "background") if not any(r.role == role for r in manifest.items)]
    if missing:
        raise PlateError(f"{out} got no {missing[0]}; give folders that have some")
    return manifest


def add_singles(work: Work, role: Role, folder: Path, captions: Path | None = None) -> None:
    """Store every picture or clip of `folder`, or the one file that it is, in one role. Raises LayerFlowError."""
    root = folder if folder.is_dir() else folder.parent
    take_singles(work, role, root, find_footage(folder, stills=work.taking.stills), read_notes(root, captions))
