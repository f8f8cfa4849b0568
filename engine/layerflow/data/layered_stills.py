"""Layered stills as a dataset: per picture a folder of RGBA layers in z-order and a JSON of captions.

As the tools of MuLAn (Tudosiu et al. 2024) write them: `ID-layer_0.png` is the background, higher numbers lie further
up. Any names will do that end in a number; a layer called background, or the lowest number, is the background.

    {"layer_0": "a beach", "layer_1": {"caption": "a dog"}, "blended": "a dog on a beach"}   by name or its end
    {"captions": ["a beach", "a dog"]}                                                       from the background up

`source`, `licence` and `group` may stand there too. A folder without JSON takes captions from its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from layerflow.data.footage import STILL_SUFFIXES, open_footage
from layerflow.data.intake import Job, Report, Taking, Work, source_of, take
from layerflow.data.light import Pixels
from layerflow.data.manifest import Manifest, read_json
from layerflow.data.store import Draft, Store, item_id
from layerflow.data.words import Words, caption_of_name, read_notes
from layerflow.errors import PlateError

_NUMBER = re.compile(r"(\d+)$")
_OPAQUE = 0.99  # share of a background's pixels that have to be


def make_layered_stills(
    folders: Sequence[Path],
    out: Path,
    *,
    taking: Taking,
    hold_out: float = 0.1,
    captions: Path | None = None,
    report: Report = lambda event: None,
) -> Manifest:
    """Write the dataset folder `out` of every folder of layers below `folders`. Raises LayerFlowError.

    What is in `out` already is kept where its source has not changed, so a stopped run can be repeated.
    """
    work = Work(store=Store(out), taking=taking, report=report)
    for root in folders:
        notes = read_notes(root, captions)
        found = find_layered(root)
        if not found:
            raise PlateError(f"{root} holds no folders of layers; give one folder per picture, with its RGBA layers")
        jobs = {}
        for folder in found:
            item = item_id(folder, root, prefix="s-")
            table = notes.of(folder, root)
            jobs[item] = Job(paths=(folder,), words=table, make=partial(_draft, item, folder, root, table, work.taking))
        work.each(jobs)
    return work.store.finish(linear=True, hold_out=hold_out)


def find_layered(root: Path) -> list[Path]:
    """The folders in and below `root` that hold two pictures or more, sorted. Raises PlateError."""
    if not root.is_dir():
        raise PlateError(f"there is no folder {root}; check the spelling")
    folders = [root, *(path for path in root.rglob("*") if path.is_dir() and not path.name.startswith("."))]
    return sorted(folder for folder in folders if len(_pictures(folder)) > 1)


def z_sorted(paths: Sequence[Path]) -> list[Path]:
    """Layers from the background up: by the number that a name ends with, a layer called background first."""
    numbers = {path: _NUMBER.search(path.stem) for path in paths}
    named = [path for path in paths if "background" in path.stem.lower()]
    missing = [path for path, number in numbers.items() if number is None and path not in named]
    if missing:
        raise PlateError(f"{missing[0]} has no number at its end; name layers by their order, background as 0")

    def order(path: Path) -> tuple[bool, int]:
        number = numbers[path]
        return path not in named, int(number[1]) if number else 0

    found = sorted(paths, key=order)
    if len({order(path) for path in found}) < len(found):
        raise PlateError(f"{found[0].parent} has two layers of one number; number them apart")
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in STILL_SUFFIXES and path.is_file())


def _draft(item: str, folder: Path, root: Path, table: Words, taking: Taking) -> Draft:
    paths = z_sorted(_pictures(folder))
    said = _read_captions(folder)
    pictures = [_layer(path, taking) for path in paths]
    if len({picture.shape[:2] for picture in pictures}) > 1:
        sizes = ", ".join(f"{path.name} {p.shape[1]}x{p.shape[0]}" for path, p in zip(paths, pictures, strict=True))
        raise PlateError(f"the layers of {folder} differ in size ({sizes}); write them all at the picture's size")
    background, *above = pictures
    if (background[..., 3] == 255).mean() < _OPAQUE:
        raise PlateError(f"{paths[0]} is no background, it has holes; fill them, or number the layers from 0 up")
    captions = [_caption(path, number, said) for number, path in enumerate(paths)]
    fronts = [
        (front, caption or caption_of_name(_bare(path)))
        for front, caption, path in zip(above, captions[1:], paths[1:], strict=True)
    ]
    fronts.reverse()  # top first
    names = ["foreground", *(f"foreground{number}" for number in range(2, len(fronts) + 1))]
    layers = {name: (front[None], caption) for name, (front, caption) in zip(names, fronts, strict=True)}
    words = Words(
        source=str(said.get("source") or table.source),
        licence=str(said.get("licence") or said.get("license") or table.licence),
    )
    return Draft(
        id=item,
        role="layers",
        layers={**layers, "background": (background[None, ..., :3], captions[0] or "a background")},
        fps="0",
        source=source_of(words, folder, root, taking),
        licence=words.licence or taking.licence,
        group=str(said.get("group") or table.group),
        blended_caption=str(said.get("blended") or said.get("caption") or ""),
    )


def _layer(path: Path, taking: Taking) -> Pixels:
    picture: Pixels = take(open_footage(path), taking)[0][0]
    if picture.shape[-1] == 4:
        return picture
    return np.concatenate([picture, np.full_like(picture[..., :1], 255)], axis=-1)


def _read_captions(folder: Path) -> Mapping[str, Any]:
    tables = sorted(folder.glob("*.json"))
    if len(tables) > 1:
        raise PlateError(f"{folder} holds {tables[0].name} and {tables[1].name}; keep the one with the captions")
    if not tables:
        return {}
    values = read_json(tables[0], missing="correct it or take it away")
    if not isinstance(values, dict):
        raise PlateError(f'{tables[0]} is not an object of captions; write {{"layer_0": …, "layer_1": …}}')
    return values


def _caption(path: Path, number: int, said: Mapping[str, Any]) -> str:
    """What the JSON says of a layer: by its file's name, by the end of it, by its number, or by its place in a list."""
    listed = said.get("captions", said.get("layers"))
    if isinstance(listed, list):
        found = listed[number] if number < len(listed) else ""
    else:
        by_name = listed if isinstance(listed, dict) else said
        end = f"layer_{_NUMBER.search(path.stem)[1]}" if _NUMBER.search(path.stem) else path.stem  # type: ignore[index]
        keys = (path.name, path.stem, end, str(number), *(("background",) if number == 0 else ()))
        found = next((by_name[key] for key in keys if key in by_name), "")
    if isinstance(found, dict):
        found = next((found[key] for key in ("caption", "text", "blip2", "llava") if found.get(key)), "")
    return " ".join(str(found).split())


def _bare(path: Path) -> str:
    """A layer's name without its number and what every layer is called."""
    return re.sub(r"(layer|foreground)?[-_ ]*\d+$", "", path.stem, flags=re.IGNORECASE)
