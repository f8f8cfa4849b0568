"""The models on this machine: where they are, and which of them a name means.

Bundled ones lie inside the package, others in `models_path()`; a folder of models there is a family.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from platformdirs import user_data_path

from layerflow.errors import ModelError
from layerflow.layout import Task
from layerflow.models.folder import MANIFEST, ModelFolder, open_model


def models_path() -> Path:
    """Where models other than the bundled one are kept. LAYERFLOW_MODELS overrides it."""
    override = os.environ.get("LAYERFLOW_MODELS")
    return Path(override) if override else user_data_path("layerflow") / "models"


def bundled_path() -> Path:
    """The folder of models that ship inside the package."""
    return Path(__file__).parent


def find_model(name: str, task: str | None = None) -> ModelFolder:
    """The model called `name`: a path, a bundled one, or one in `models_path()`.

    The name of a family stands for its member that can `task`, one with alpha before one without. Raises ModelError.
    """
    place = find_place(name)
    if has_manifest(place):
        return open_model(place)
    models = _readable(members_of(place))
    members = ", ".join(f"{name}/{model.path.name}" for model in models)
    if task is None:
        raise ModelError(f"{name} is a family of models; name one of them: {members}")
    able = [model for model in models if task in model.manifest.layouts]
    if not able:
        raise ModelError(
            f"no model of {name} here can {task}; here are: {members} - get one that can, or another model"
        )
    return min(able, key=lambda model: "alpha" not in model.layout(cast(Task, task)).layers)


def find_models(name: str) -> list[ModelFolder]:
    """Every model that `name` stands for: the one of that name, or all members of the family. Raises ModelError."""
    place = find_place(name)
    return [open_model(folder) for folder in ([place] if has_manifest(place) else members_of(place))]


def find_place(name: str) -> Path:
    """The folder of the model or of the family called `name`. Raises ModelError."""
    for place in (Path(name), bundled_path() / name, models_path() / name):
        if has_manifest(place) or members_of(place):
            return place
    known = ", ".join(map(model_name, list_models())) or "none"
    raise ModelError(f"there is no model {name!r}; models here: {known} - give one of them or the path of a folder")


def exact_name(name: str, folder: ModelFolder) -> str:
    """What finds `folder` again from anywhere, whatever joins its family; `name` has found it."""
    if Path(name) in (folder.path, folder.path.parent):
        return str(folder.path.absolute())
    is_member = folder.path not in (bundled_path() / name, models_path() / name)
    return f"{name}/{folder.path.name}" if is_member else name


def model_name(folder: ModelFolder) -> str:
    """What --model takes for `folder`: its place below the folder of models, or its path."""
    for root in (bundled_path(), models_path()):
        if folder.path.is_relative_to(root):
            return folder.path.relative_to(root).as_posix()
    return str(folder.path)


def members_of(family: Path) -> list[Path]:
    """The model folders in `family`, by name. What is being built or removed has a hidden name and is none."""
    try:
        found = sorted(file.parent for file in family.glob(f"*/{MANIFEST}"))
    except OSError:
        return []
    return [folder for folder in found if not folder.name.startswith(".")]


def has_manifest(folder: Path) -> bool:
    """Whether `folder` is a model folder, be it a damaged one."""
    try:
        return (folder / MANIFEST).is_file()
    except OSError:  # no such name can be on this disk
        return False


def list_models() -> list[ModelFolder]:
    """All models with a readable manifest, bundled ones first, members of families after the models beside them."""
    folders: list[Path] = []
    for root in (bundled_path(), models_path()):
        folders += members_of(root)
        for family in sorted(root.glob("[!.]*/")):
            folders += members_of(family)
    return _readable(folders)


def _readable(folders: Iterable[Path]) -> list[ModelFolder]:
    models = []
    for folder in folders:
        with contextlib.suppress(ModelError):
            models.append(open_model(folder))
    return models
