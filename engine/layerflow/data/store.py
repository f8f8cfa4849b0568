"""A dataset folder being made: items appear whole or not at all, and what is there already is not made again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from layerflow.data.light import Pixels
from layerflow.data.likeness import likeness
from layerflow.data.manifest import (
    Kind,
    Layer,
    Manifest,
    Record,
    Role,
    read_json,
    record_of,
    write_json,
    write_manifest,
)
from layerflow.data.split import grouped, held_out_groups
from layerflow.errors import OutputError, PlateError
from layerflow.files import make_folder, output_errors, sync

ITEMS, ITEM = "items", "item.json"
_NO_LICENCE = "{} states no licence; add one to its captions table, put a LICENCE.txt beside it, or pass --licence"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An item about to be stored. Foregrounds are straight RGBA, top first."""

    id: str
    role: Role
    layers: Mapping[str, tuple[Pixels, str]]  # name -> [F, H, W, 3 | 4] and caption, top first
    fps: str
    source: str
    licence: str
    group: str = ""
    blended_caption: str = ""
    notes: Mapping[str, str] | None = None


class Store:
    """The items of the dataset `folder`."""

    def __init__(self, folder: Path) -> None:
        """Open or begin `folder`; leftovers of a run that was killed are taken away. Raises OutputError."""
        self.folder = folder
        make_folder(folder / ITEMS)
        for left in (folder / ITEMS).glob(".*.part"):
            with output_errors(left):
                shutil.rmtree(left)
        self.records: dict[str, Record] = {}
        self.skipped: dict[str, str] = {}

    def has(self, item: str, made_of: str) -> bool:
        """Whether `item` is there already, made (or left out) of the same source in the same way."""
        path = self.folder / ITEMS / item / ITEM
        if not path.is_file():
            return False
        values = read_json(path, missing="take that folder away and run again")
        if not isinstance(values, dict) or values.get("made_of") != made_of:
            return False
        if "skipped" in values:
            self.skipped[item] = values["skipped"]
            return True
        try:
            record = record_of(values)
        except (ValueError, KeyError, TypeError) as error:
            raise PlateError(f"{path} is damaged ({error}); take its folder away and run again") from error
        if not all((self.folder / name).is_file() for name in record.files()):
            return False
        self.records[item] = record
        return True

    def add(self, draft: Draft, made_of: str) -> Record:
        """Write an item whole, under its final name only when it is. Raises PlateError or OutputError."""
        if not draft.licence:
            raise PlateError(_NO_LICENCE.format(draft.source))
        first = next(iter(draft.layers.values()))[0]
        num_frames, height, width = first.shape[:3]
        kind: Kind = "still" if num_frames == 1 else "clip"
        record = Record(
            id=draft.id,
            kind=kind,
            role=draft.role,
            frames=num_frames,
            height=height,
            width=width,
            fps=draft.fps if kind == "clip" else "0",
            layers=tuple(
                Layer(name=name, caption=caption, files=f"{ITEMS}/{draft.id}/{name}.%04d.png")
                for name, (_, caption) in draft.layers.items()
            ),
            blended_caption=draft.blended_caption,
            source=draft.source,
            licence=draft.licence,
            group=draft.group,
            likeness=likeness([pictures for pictures, _ in draft.layers.values()]),
            notes=draft.notes or {},
            made_of=made_of,
        )
        with self._item(draft.id) as part:
            for name, (pictures, _) in draft.layers.items():
                for number, picture in enumerate(pictures, start=1):
                    write_png(part / f"{name}.{number:04d}.png", picture)
            write_json(part / ITEM, asdict(record))
        self.records[draft.id] = record
        return record

    def skip(self, item: str, made_of: str, why: str) -> None:
        """Remember that a source was looked at and left out, so that the next run does not look again."""
        with self._item(item) as part:
            write_json(part / ITEM, {"id": item, "made_of": made_of, "skipped": why})
        self.skipped[item] = why

    def finish(self, *, linear: bool, hold_out: float, recipe: Mapping[str, Any] | None = None) -> Manifest:
        """Split the items by group, write the manifest and return it. Raises PlateError or OutputError."""
        if not self.records:
            why = "; ".join(f"{item}: {reason}" for item, reason in sorted(self.skipped.items())[:3])
            raise PlateError(f"nothing was made for {self.folder} ({why or 'no source was read'}); give other sources")
        records = grouped([self.records[item] for item in sorted(self.records)])
        held = held_out_groups(records, hold_out)
        split = tuple(replace(record, held_out=record.group in held) for record in records)
        manifest = Manifest(items=split, linear=linear, recipe=recipe or {}, skipped=dict(sorted(self.skipped.items())))
        write_manifest(self.folder, manifest)
        return manifest

    @contextmanager
    def _item(self, item: str) -> Iterator[Path]:
        final = self.folder / ITEMS / item
        part = final.with_name(f".{item}.part")
        with output_errors(final):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        try:
            yield part
            with output_errors(final):
                if final.exists():
                    shutil.rmtree(final)
                part.replace(final)
                sync(final.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def made_of(paths: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """A hash of these files (folders: of the files in them) by name, size and time, and of how they are taken."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in paths:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            state = file.stat()
            digest.update(f"{file.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def item_id(path: Path, folder: Path, prefix: str = "") -> str:
    """A file-system-safe id of `path` below `folder`, the same in every run."""
    relative = path.relative_to(folder) if path.is_relative_to(folder) and path != folder else Path(path.name)
    plain = "-".join("".join(c if c.isascii() and c.isalnum() else "-" for c in str(relative)).split("-")).strip("-")
    mark = hashlib.sha256(str(relative).encode()).hexdigest()[:8]  # two names may differ in what was taken out
    return f"{prefix}{plain[:80] or 'item'}-{mark}"


def write_png(path: Path, picture: Pixels) -> None:
    """Write `picture` [H, W, 3 | 4] as PNG, straight alpha. The caller sees to its name. Raises OutputError."""
    order = cv2.COLOR_RGBA2BGRA if picture.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(picture), order))
    if not done:
        raise OutputError(f"{path} could not be written as PNG; try another folder")
    with output_errors(path):
        path.write_bytes(data.tobytes())


def read_png(path: Path) -> Pixels:
    """The picture [H, W, 3 | 4] that `write_png` wrote. Raises PlateError."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise PlateError(f"{path} cannot be read ({error.strerror}); make the dataset again") from error
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None or picture.ndim != 3:
        raise PlateError(f"{path} is damaged; take its folder away and make the dataset again")
    order = cv2.COLOR_BGRA2RGBA if picture.shape[-1] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(picture, order), np.uint8)
