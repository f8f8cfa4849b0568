"""Matting sets as a dataset: colours in `fgr/`, mattes in `pha/`, and where there are some, composites and backgrounds.

As VideoMatte240K (Lin et al. 2021) lays them out, stills or clips, and sets like AIM-500 (Li et al. 2021) with
`original/` and `mask/`. What is made of them:

    fgr + pha             a foreground to paste
    fgr + pha + bgr       layers
    com + pha (+ fgr)     layers, their background painted in where the matte hides it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from layerflow import layers
from layerflow.data.apart import grown
from layerflow.data.clip import as_codes
from layerflow.data.copy_paste import CopyPasteConfig
from layerflow.data.footage import Footage, find_footage, open_footage, pick_times
from layerflow.data.intake import Job, Report, Taking, Work, kept_rate, source_of, take
from layerflow.data.light import Pixels, decode, to_codes, unit
from layerflow.data.manifest import Manifest
from layerflow.data.paste_maker import add_singles
from layerflow.data.pictures import fitting, one_thread, resized, scaled
from layerflow.data.segmenting import Inpainter
from layerflow.data.store import Draft, Store, item_id
from layerflow.data.words import Notes, Words, read_notes
from layerflow.errors import PlateError

FOLDERS = {
    "fgr": ("fgr", "fg", "foreground"),
    "pha": ("pha", "alpha", "mask", "matte"),
    "com": ("com", "original", "original_image", "image", "merged"),
    "bgr": ("bgr", "bg", "background"),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The files of one item, by part; at least a matte, and colours to go with it."""

    pha: Path
    fgr: Path | None = None
    com: Path | None = None
    bgr: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(path for path in (self.fgr, self.pha, self.com, self.bgr) if path)


def make_matting(
    roots: Sequence[Path],
    out: Path,
    inpainter: Inpainter,
    *,
    taking: Taking,
    backgrounds: Sequence[Path] = (),
    config: CopyPasteConfig | None = None,
    hold_out: float = 0.1,
    captions: Path | None = None,
    report: Report = lambda event: None,
) -> Manifest:
    """Write the dataset folder `out` of the sets in `roots`, and of `backgrounds` to paste on. Raises LayerFlowError.

    What is in `out` already is kept where its source has not changed, so a stopped run can be repeated.
    """
    config = config or CopyPasteConfig()
    work = Work(store=Store(out), taking=taking, report=report)
    for root in roots:
        notes = read_notes(root, captions)
        work.each(dict(_job(root, name, parts, notes, work, inpainter) for name, parts in find_parts(root).items()))
    for folder in backgrounds:
        add_singles(work, "background", folder, captions)
    return work.store.finish(linear=config.linear, hold_out=hold_out, recipe=config.to_dict())


def find_parts(root: Path) -> dict[str, Parts]:
    """The items of a matting set by name: `pha/NAME` with the same name in the folders beside. Raises PlateError."""
    if not root.is_dir():
        raise PlateError(f"there is no folder {root}; check the spelling")
    folders = {part: _folder(root, names) for part, names in FOLDERS.items()}
    matte_folder = folders["pha"]
    if matte_folder is None or not (folders["fgr"] or folders["com"]):
        raise PlateError(f"{root} holds no pha/ beside fgr/ or com/; give the folder that they lie in")
    named = {part: _by_name(folder) for part, folder in folders.items() if folder}
    found: dict[str, Parts] = {}
    for name, matte in named["pha"].items():
        paths = {part: named[part].get(name) for part in ("fgr", "com", "bgr") if part in named}
        if not (paths.get("fgr") or paths.get("com")):
            raise PlateError(f"{matte} has no colours of that name beside it; add them, or take the matte away")
        found[name] = Parts(pha=matte, **paths)
    return found


def _folder(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _by_name(folder: Path) -> Mapping[str, Path]:
    """Stills and clips of `folder` by their place in it, without the suffix."""
    paths = find_footage(folder)
    return {
        (path.relative_to(folder) if path.is_dir() else path.relative_to(folder).with_suffix("")).as_posix(): path
        for path in paths
    }


def _job(root: Path, name: str, parts: Parts, notes: Notes, work: Work, inpainter: Inpainter) -> tuple[str, Job]:
    item = item_id(Path(name), Path(), prefix="m-")
    words = notes.of(parts.fgr or parts.com or parts.pha, root)
    make = partial(_draft, item, root, name, parts, words, work.taking, inpainter)
    return item, Job(paths=parts.paths, words=words, make=make)


def _draft(
    item: str, root: Path, name: str, parts: Parts, words: Words, taking: Taking, inpainter: Inpainter
) -> Draft | str:
    matte = open_footage(parts.pha, raw=True)
    colours = _opened(parts.fgr, matte)
    plate = _opened(parts.com, matte)
    behind = _opened(parts.bgr, matte)
    alpha = _mattes(matte, taking)
    if not alpha.any():
        return "its matte is 0 everywhere"
    background = None if behind is None else take(behind, taking)[0][..., :3]
    seen = None if plate is None else take(plate, taking)[0][..., :3]
    if background is None and seen is not None:
        background = inpainter.filled(seen, grown(alpha > 0))
    foreground = _cut_out(colours, matte, taking) if colours else _solved(seen, background, alpha)
    made = {"foreground": (foreground, words.caption)}
    if background is not None:
        made["background"] = (background, words.background or "a background")
    return Draft(
        id=item,
        role="foreground" if background is None else "layers",
        layers=made,
        fps=kept_rate(colours or matte, taking),
        source=source_of(words, root / name, root, taking),
        licence=words.licence or taking.licence,
        group=words.group,
        blended_caption=words.blended,
    )


def _opened(path: Path | None, matte: Footage) -> Footage | None:
    """The footage at `path`, as large and as long as its matte. Raises PlateError."""
    if path is None:
        return None
    found = open_footage(path)
    if (found.num_frames, found.height, found.width) != (matte.num_frames, matte.height, matte.width):
        raise PlateError(f"{path} is {_size(found)} but its matte {_size(matte)}; make them one size and length")
    return found


def _size(footage: Footage) -> str:
    return f"{footage.width}x{footage.height} of {footage.num_frames} frames"


def _times(footage: Footage, taking: Taking) -> list[int]:
    return pick_times(footage.num_frames, footage.fps, taking.rate, taking.max_frames)


def _mattes(matte: Footage, taking: Taking) -> Pixels:
    """Alpha [F, H, W] of a matte's first channel, averaged as the number it is."""
    size = fitting(matte.height, matte.width, taking.max_side)
    with one_thread():
        frames = [scaled(unit(matte.read(time)[..., :1]), *size)[..., 0] for time in _times(matte, taking)]
    return to_codes(np.stack(frames))


def _cut_out(colours: Footage, matte: Footage, taking: Taking) -> Pixels:
    """Straight RGBA of colours and matte, made smaller together: what lies outside of the matte does not run in."""
    size = fitting(matte.height, matte.width, taking.max_side)
    with one_thread():
        pictures = [
            resized(np.concatenate([colours.read(time)[..., :3], matte.read(time)[..., :1]], axis=-1), *size)
            for time in _times(matte, taking)
        ]
    return np.stack(pictures)


def _solved(seen: Pixels | None, behind: Pixels | None, alpha: Pixels) -> Pixels:
    """Straight RGBA of the colours that give the picture `seen` again over what is `behind`."""
    assert seen is not None and behind is not None  # find_parts sees to it that there are colours
    weight = unit(alpha)[..., None]
    premultiplied = np.clip(decode(seen) - decode(behind) * (1 - weight), 0, weight)
    return as_codes(layers.with_alpha(premultiplied, weight[..., 0]), linear=True)
