"""Where takes are written: rules on paths. Nothing here looks at a disk."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePath

import platformdirs

from layerflow.wire.checks import find_frame_field, has_frame_field
from layerflow.wire.versions import Versions, check_here, with_version
from layerflow_desktop.models.document import Document, ShotSettings, Take

_NAME = re.compile(r"v([0-9]{1,9})")  # of a take
_TRAILING = re.compile(r"([._-]+v?[0-9]+)*[._-]*$")


def documents_folder() -> Path:
    """Where layers go that have no other place: LayerFlow in the user's documents."""
    return Path(platformdirs.user_documents_dir()) / "LayerFlow"


def output_text(document: Document, project: Path | None, folder: Path | None = None) -> str:
    """The pattern that takes are written to, whichever version it has: the panel's, or the rule where it has none.

    Beside the project in a folder of its name; before there is a project, in `folder`, or in LayerFlow in the user's
    documents. ValueError.
    """
    text = document.shot.output.strip()
    if text:
        text = text if has_frame_field(PurePath(text).name) else _with_frame_field(text)
        check_here(text)
        return with_version(text)
    name = project.stem if project is not None else _plate_name(document.shot)
    home = project.parent if project is not None else folder or documents_folder()
    return str(home / name / f"{name}_v001.%04d.exr")


def take_output(text: str, number: int, takes: Collection[Take], taken: Collection[str] = ()) -> tuple[str, str]:
    """The name of the next take, and the pattern of its frames: `number` or the first after it that is nobody's.

    A take's name is the version of its frames, so a number that another take of the project has is passed over, and
    so is a pattern that some job is to write.
    """
    versions = Versions.of(text, str)
    numbers = (_NAME.fullmatch(take.name) for take in takes)
    named = {versions.pattern(int(match[1])) for match in numbers if match}
    version = versions.free(number, {take.pattern for take in takes}.union(named, taken))
    return f"v{version:03d}", versions.pattern(version)


def _with_frame_field(text: str) -> str:
    """A file's or a folder's name as a pattern."""
    path = PurePath(text)
    stem = path.with_suffix("") if path.suffix.lower() == ".exr" else path
    return f"{stem}.%04d.exr"


def _plate_name(shot: ShotSettings) -> str:
    """What files are called where the project has no name: as the plate, without its frame number and version."""
    if shot.task == "generate" or not shot.plate.strip():
        return "untitled"
    name = PurePath(shot.plate.strip()).name
    name = name[: find_frame_field("", name)[0]] if has_frame_field(name) else PurePath(name).stem
    return _TRAILING.sub("", name.rstrip("#")) or "plate"
