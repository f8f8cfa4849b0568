"""Model folders that are whole or not there: built under a hidden name, moved to their own when nothing is missing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from layerflow.errors import ModelError, OutputError
from layerflow.files import as_os_error, make_folder, output_errors, sync


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """A hidden folder to build `target` in. It becomes `target` when the block ends well, and is gone otherwise.

    What a killed build left there is removed first. Raises ModelError when `target` is there already or is being built
    elsewhere, OutputError when it cannot be written.
    """
    if target.exists():
        raise ModelError(f"{target} is already there; remove it with layerflow models remove, or choose another --name")
    make_folder(target.parent)
    part = target.with_name(f".{target.name}.part")
    with output_errors(target), _alone(target):
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
            yield part
            for file in (file for file in part.rglob("*") if file.is_file()):
                _open_to_others(file)
                sync(file)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ModelError(f"{target} is being made by another process; wait for it to end") from error
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _open_to_others(file: Path) -> None:
    """Gives a new file the permissions of its folder: safetensors makes files that only their owner may read."""
    if file.stat().st_nlink == 1:
        file.chmod(file.parent.stat().st_mode & 0o666)


def take_over(files: Iterable[Path], folder: Path) -> None:
    """Puts `files` into `folder` without using more disk where that can be done: models of one family share them."""
    folder.mkdir()
    for file in files:
        whole = file.resolve()  # a cache may hold links
        try:
            os.link(whole, folder / file.name)
        except OSError:  # another disk, or one without hard links
            shutil.copyfile(whole, folder / file.name)


def check_space(folder: Path, num_bytes: int) -> None:
    """Raises OutputError unless `num_bytes` more can be written to `folder`, which may not be there yet."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    if free < num_bytes:
        raise OutputError(
            f"{nearest} has {free / 1e9:.1f} GB free and this needs about {num_bytes / 1e9:.1f} GB; "
            "free some space, or name another folder in LAYERFLOW_MODELS"
        )


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes a safetensors file. A full disk is an OSError, as for any other file."""
    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise as_os_error(error) or error from error
