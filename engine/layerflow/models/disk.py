"""Models as files on disk: the space they take, and taking them away.

Models of one family share files by hard links, so a file counts once, and deleting a folder never harms another.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from os import stat_result
from pathlib import Path

from rich.filesize import decimal

from layerflow.errors import ModelError
from layerflow.models.shelf import bundled_path, find_place, has_manifest, members_of, models_path


def size_on_disk(folders: Iterable[Path]) -> int:
    """Bytes of all files in `folders`, those that they share counted once."""
    files, _ = _files(folders)
    return sum(file.st_size for file in files.values())


def bytes_freed(folders: Iterable[Path]) -> int:
    """Bytes that deleting `folders` gives back: of files that nothing else links to."""
    files, links = _files(folders)
    return sum(file.st_size for key, file in files.items() if file.st_nlink <= links[key])


def _files(folders: Iterable[Path]) -> tuple[dict[tuple[int, int], stat_result], Counter[tuple[int, int]]]:
    """Every file once, and how often it is linked from `folders`."""
    found = [path.stat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    keys = [(file.st_dev, file.st_ino) for file in found]
    return dict(zip(keys, found, strict=True)), Counter(keys)


def removable(name: str) -> list[Path]:
    """The model folders that go when `name`, a model or a family, is removed.

    Raises ModelError for what is not there, for a bundled model and for anything outside the folder of models.
    """
    left = models_path() / name
    if not left.exists() and _hidden(left).is_dir():  # an earlier removal was killed
        return [left]
    place = find_place(name)
    if place.resolve().is_relative_to(bundled_path()):
        raise ModelError(f"{name} is a part of LayerFlow and stays; name a model in {models_path()}")
    folders = [place] if has_manifest(place) else members_of(place)
    root = models_path().resolve()
    for folder in (place, *folders):
        if folder.is_symlink():
            raise ModelError(f"{folder} is a link to {folder.resolve()}; remove the link yourself")
        if root not in folder.resolve().parents:
            raise ModelError(f"{folder} is not below {root}, where LayerFlow keeps models; delete it yourself")
    return folders


def remove(folders: Iterable[Path]) -> None:
    """Deletes what `removable` named, and a family that has no member left. Raises ModelError.

    A folder loses its name first, so that a removal killed half-way leaves no model that could be loaded.
    """
    for folder in folders:
        hidden = _hidden(folder)
        try:
            if hidden.exists():
                shutil.rmtree(hidden)
            if folder.exists():
                folder.rename(hidden)
                shutil.rmtree(hidden)
        except OSError as error:
            reason = error.strerror or error
            raise ModelError(f"{folder} could not be removed ({reason}); delete it yourself as {hidden}") from error
        if folder.parent.resolve() != models_path().resolve():
            with contextlib.suppress(OSError):  # it has other members
                folder.parent.rmdir()


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.removed")


def device_of(folder: Path) -> int:
    """The disk that `folder` is on, or will be."""
    return _nearest(folder).stat().st_dev


def check_disks(needed: Mapping[Path, int]) -> None:
    """Raises ModelError unless each folder can take so many bytes, together where they are on one disk."""
    for device in {device_of(folder) for folder in needed}:
        here = {folder: count for folder, count in needed.items() if device_of(folder) == device}
        free = shutil.disk_usage(_nearest(next(iter(here)))).free
        if (lacking := sum(here.values()) - free) > 0:
            places = " and ".join(f"{decimal(count)} in {folder}" for folder, count in here.items())
            raise ModelError(
                f"the disk lacks {decimal(lacking)}: this needs {places}, and {decimal(free)} are free; free some "
                "space, pull fewer with --variant, or name other folders in HF_HOME and LAYERFLOW_MODELS"
            )


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())
