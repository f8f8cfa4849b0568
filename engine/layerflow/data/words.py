"""Captions: what people wrote beside their pictures, and what file names say where they wrote nothing."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layerflow.errors import PlateError

_TABLES = ("captions.csv", "captions.json", "captions.jsonl")
_FIELDS = ("caption", "background", "blended", "licence", "source", "group")
_LICENCE_FILES = ("LICENCE.txt", "LICENSE.txt", "LICENCE", "LICENSE", "LICENCE.md", "LICENSE.md")
_PLURAL_OR_MASS = ("s", "water", "sky", "grass", "sand", "snow", "fire", "smoke")


@dataclass(frozen=True, kw_only=True)
class Words:
    """What is said of one source; empty where nothing is."""

    caption: str = ""  # of the foreground, or of the one layer that there is
    background: str = ""
    blended: str = ""
    licence: str = ""
    source: str = ""
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a folder says of its pictures: a table, text files beside them, a licence file."""

    table: Mapping[str, Words] = field(default_factory=dict)  # by path below the folder, name or stem
    licence: str = ""

    def of(self, path: Path, folder: Path) -> Words:
        """The words of `path`, a file or a folder of frames below `folder`; a caption at least, from its name."""
        names = (
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name,
            path.name,
            path.stem,
        )
        found = next((self.table[name] for name in names if name in self.table), Words())
        return Words(
            caption=found.caption or _beside(path) or caption_of_name(path.stem if path.is_file() else path.name),
            background=found.background,
            blended=found.blended,
            licence=found.licence or self.licence,
            source=found.source,
            group=found.group,
        )


def read_notes(folder: Path, table: Path | None = None) -> Notes:
    """The notes of `folder`: `table`, or its captions.csv, captions.json or captions.jsonl. Raises PlateError."""
    tables = [table] if table else [folder / name for name in _TABLES if (folder / name).is_file()]
    if len(tables) > 1:
        raise PlateError(f"{folder} holds {tables[0].name} and {tables[1].name}; keep one of them")
    return Notes(table=_read_table(tables[0]) if tables else {}, licence=_read_licence(folder))


def caption_of_name(stem: str) -> str:
    """A caption from a file's name: "red-fox_03" gives "a red fox"; a name without letters gives "an object"."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", stem)
    words = " ".join(re.sub(r"[^A-Za-z'’]+", " ", words).lower().split())
    return with_article(words) if re.search("[a-z]{2}", words) else "an object"


def with_article(name: str) -> str:
    """`name` with "a" or "an" before it, but for a plural or what has an article already."""
    if re.match(r"(an?|the|some|two|three|several) ", name) or name.endswith(_PLURAL_OR_MASS):
        return name
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def blended_caption(foregrounds: Sequence[str], background: str) -> str:
    """The caption of the blended picture: "a fox and a dog in front of snowy mountains"."""
    return f"{' and '.join(foregrounds)} in front of {background}" if foregrounds else background


def _beside(path: Path) -> str:
    """The text beside a picture or a folder of frames: dog.txt for dog.png, caption.txt within a folder."""
    places = (path.with_suffix(".txt"), *((path / "caption.txt",) if path.is_dir() else ()))
    found = next((place for place in places if place.is_file()), None)
    return " ".join(_text(found).split()) if found else ""


def _read_licence(folder: Path) -> str:
    for name in _LICENCE_FILES:
        if (folder / name).is_file():
            lines = [line.strip(" #\t") for line in _text(folder / name).splitlines()]
            return next((line for line in lines if line), "")
    return ""


def _read_table(path: Path) -> dict[str, Words]:
    text = _text(path)
    try:
        rows = _rows(path, text)
    except (json.JSONDecodeError, csv.Error) as error:
        raise PlateError(f"{path} cannot be read ({error}); correct it or take it away") from error
    return dict(_row(path, name, values) for name, values in rows)


def _rows(path: Path, text: str) -> list[tuple[Any, Any]]:
    if path.suffix == ".csv":
        return [(row.get("file"), row) for row in csv.DictReader(text.splitlines())]
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [(line.get("file") if isinstance(line, dict) else None, line) for line in lines]
    value = json.loads(text)
    if isinstance(value, list):
        return [(row.get("file") if isinstance(row, dict) else None, row) for row in value]
    return list(value.items()) if isinstance(value, dict) else [(None, value)]


def _row(path: Path, name: Any, values: Any) -> tuple[str, Words]:
    values = {"caption": values} if isinstance(values, str) else values
    if not isinstance(name, str) or not isinstance(values, dict):
        raise PlateError(f"{path} has a row without a file's name; every row needs `file` and `caption`")
    values = {"licence": values.get("license"), **{key: value for key, value in values.items() if value}}
    words = {key: " ".join(str(values[key]).split()) for key in _FIELDS if values.get(key)}
    return name.removeprefix("./"), Words(**words)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PlateError(f"{path} cannot be read as UTF-8 text ({error}); save it as plain text") from error
