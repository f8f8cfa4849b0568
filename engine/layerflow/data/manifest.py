"""The manifest of a dataset folder: one record per item, checked when it is read.

DATASET/manifest.json          format, version, how light is added up, the recipe, and a record per item
DATASET/items/ID/item.json     the same record, beside its pictures
DATASET/items/ID/LAYER.0001.png …
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from layerflow.errors import PlateError
from layerflow.files import atomic_path
from layerflow.layers import is_foreground, z_order

FORMAT, VERSION = "layerflow-data", 1
MANIFEST = "manifest.json"
Kind = Literal["clip", "still"]
Role = Literal["layers", "foreground", "background"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's pictures and caption. `files` is a path below the dataset with one %04d, counting from 1."""

    name: str
    caption: str
    files: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One item: layers that belong together, or a foreground or background to be paired on the fly."""

    id: str
    kind: Kind
    role: Role
    frames: int
    height: int
    width: int
    fps: str  # a fraction, such as 24 or 24000/1001; "0" for a still
    layers: tuple[Layer, ...]  # top first
    blended_caption: str = ""
    source: str
    licence: str
    group: str
    held_out: bool = False
    likeness: str = ""  # hex of a small picture, to tell near duplicates by
    notes: Mapping[str, str] = field(default_factory=dict)
    made_of: str = ""  # a hash of the source and of how it was taken

    def __post_init__(self) -> None:
        _check(self)

    @property
    def foregrounds(self) -> tuple[Layer, ...]:
        """Its foregrounds, top first."""
        return tuple(layer for layer in self.layers if is_foreground(layer.name))

    @property
    def background(self) -> Layer | None:
        """Its background, if it has one."""
        return next((layer for layer in self.layers if layer.name == "background"), None)

    def files(self) -> list[str]:
        """Every picture of the item, below the dataset."""
        return [layer.files % number for layer in self.layers for number in range(1, self.frames + 1)]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dataset folder holds."""

    items: tuple[Record, ...]
    linear: bool = True  # the blended picture is the `over` in scene-linear light, else of sRGB values
    recipe: Mapping[str, Any] = field(default_factory=dict)  # how its foregrounds are laid over its backgrounds
    skipped: Mapping[str, str] = field(default_factory=dict)  # what was looked at and left out, and why

    def __post_init__(self) -> None:
        ids = [record.id for record in self.items]
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise ValueError(f"item {twice} is there twice; every id may stand once")
        held = {record.group for record in self.items if record.held_out}
        leaked = held & {record.group for record in self.items if not record.held_out}
        if leaked:
            raise ValueError(f"group {min(leaked)} is in both parts of the split; hold out whole groups")

    def part(self, role: Role, *, held_out: bool) -> tuple[Record, ...]:
        """The items of one role, in one part of the split."""
        return tuple(record for record in self.items if record.role == role and record.held_out == held_out)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the dataset `folder`. Raises PlateError."""
    values = read_json(folder / MANIFEST, missing="make the dataset with `layerflow data`")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise PlateError(f"{folder / MANIFEST} is not the manifest of a dataset; make the dataset again")
    if values.get("version") != VERSION:
        raise PlateError(
            f"{folder / MANIFEST} is of version {values.get('version')}, this LayerFlow reads {VERSION}; "
            "make the dataset again"
        )
    try:
        return Manifest(
            items=tuple(record_of(item) for item in values["items"]),
            linear=bool(values["linear"]),
            recipe=dict(values["recipe"]),
            skipped=dict(values["skipped"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PlateError(f"{folder / MANIFEST} is damaged ({error}); make the dataset again") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of `folder`, whole or not at all. Raises OutputError."""
    values = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
    write_json(folder / MANIFEST, values)


def record_of(values: Mapping[str, Any]) -> Record:
    """The record of plain JSON values; raises ValueError, KeyError or TypeError for what is none."""
    fields = dict(values)
    fields["layers"] = tuple(Layer(**layer) for layer in fields["layers"])
    return Record(**fields)


def read_json(path: Path, *, missing: str) -> Any:
    """The JSON value in `path`. Raises PlateError; `missing` is the next step when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PlateError(f"{path} is not there; {missing}") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PlateError(f"{path} cannot be read ({error}); {missing}") from error


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, whole or not at all. Raises OutputError."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check(record: Record) -> None:
    if record.kind not in get_args(Kind) or record.role not in get_args(Role):
        raise ValueError(
            f"item {record.id} is a {record.kind} of {record.role}; known are {(*get_args(Kind), *get_args(Role))}"
        )
    if (record.kind == "still") != (record.frames == 1) or min(record.frames, record.height, record.width) < 1:
        raise ValueError(
            f"item {record.id} is a {record.kind} of {record.frames} frames of {record.width}x{record.height}; "
            "a still has one frame, a clip more"
        )
    if not record.licence:
        raise ValueError(f"item {record.id} states no licence; say which one it has")
    if Fraction(record.fps) < 0:
        raise ValueError(f"item {record.id} runs at {record.fps} frames per second; give a rate above 0")
    names = [layer.name for layer in record.layers]
    if not names or tuple(names) != z_order(names):
        raise ValueError(f"item {record.id} has layers {names}; foregrounds come first, top first, then the background")
    _check_role(record)
    for layer in record.layers:
        _check_files(record.id, layer.files)


def _check_role(record: Record) -> None:
    counts = len(record.foregrounds), int(record.background is not None)
    fits = {"foreground": counts == (1, 0), "background": counts == (0, 1), "layers": counts[0] >= 1 and counts[1] == 1}
    if not fits[record.role]:
        raise ValueError(
            f"item {record.id} is of role {record.role} but has {counts[0]} foregrounds, {counts[1]} backgrounds"
        )


def _check_files(item: str, files: str) -> None:
    path = PurePosixPath(files)
    if path.is_absolute() or ".." in path.parts or "\\" in files or files.count("%") != 1 or "%04d" not in path.name:
        raise ValueError(f"item {item} has files {files!r}; give a path below the dataset with one %04d in its name")


def summary(records: Sequence[Record]) -> dict[str, int]:
    """How many items there are of each role and kind, and how many are held out."""
    counts: dict[str, int] = {}
    for record in records:
        for name in (f"{record.role}: {record.kind}s", *(("held out",) if record.held_out else ())):
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))
