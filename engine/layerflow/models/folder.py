"""A model on disk: weights in diffusers' layout, and `layerflow.json` that says what they are.

transformer/config.json, *.safetensors      LayerFlowTransformer
codec/                                      a linear codec, or a diffusers video VAE
text_encoder/, tokenizer/                   transformers T5
layerflow.json                              layouts, sampler, sha256 of every file, licence
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path

from layerflow.errors import ModelError
from layerflow.layout import Layout, Task
from layerflow.sampler import Sampler, sampler_from_dict

MANIFEST = "layerflow.json"
FORMAT = 1
CodecKind = Literal["linear", "cogvideox"]
SAFE = {"use_safetensors": True, "local_files_only": True}  # nothing that can run code, nothing fetched


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `layerflow.json` says."""

    name: str
    layouts: Mapping[Task, Layout]
    sampler: Sampler
    height: int  # pixels of the picture that the model makes
    width: int
    fps: float
    codec: CodecKind
    prompt_tokens: int
    licence: str
    description: str = ""
    steps: Mapping[Task, int] = field(default_factory=dict)  # for tasks that want another number than the sampler's
    sha256: Mapping[str, str] = field(default_factory=dict)  # file, relative to the folder -> hash

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the way back."""
        sampler = self.sampler
        return {
            "format": FORMAT,
            "name": self.name,
            "description": self.description,
            "licence": self.licence,
            "height": self.height,
            "width": self.width,
            "fps": self.fps,
            "codec": self.codec,
            "prompt_tokens": self.prompt_tokens,
            "sampler": {
                "num_steps": sampler.num_steps,
                "kind": sampler.kind,
                "schedule": asdict(sampler.schedule),
                "guidance": asdict(sampler.guidance),
            },
            "steps": dict(self.steps),
            "layouts": {task: layout.to_dict() for task, layout in self.layouts.items()},
            "sha256": dict(self.sha256),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """The manifest that `to_dict` described. A broken one is a Key-, Type-, Value- or AttributeError."""
        fields = dict(values)
        if (found := fields.pop("format")) != FORMAT:
            raise ValueError(f"format {found} is not {FORMAT}")
        fields["layouts"] = {task: Layout.from_dict(layout) for task, layout in fields["layouts"].items()}
        fields["sampler"] = sampler_from_dict(fields["sampler"])
        return cls(**fields)


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that has a readable manifest."""

    path: Path
    manifest: Manifest

    @cached_property
    def sha256(self) -> str:
        """One hash for all that decides the model's pixels: files, layouts, sampler. Goes into every header."""
        values = self.manifest.to_dict()
        deciding = {name: values[name] for name in ("sha256", "layouts", "sampler", "steps", "height", "width")}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def sampler(self, task: Task) -> Sampler:
        """The sampler that the model was tuned for in `task`."""
        own = self.manifest.sampler
        return replace(own, num_steps=self.manifest.steps.get(task, own.num_steps))

    def layout(self, task: Task) -> Layout:
        """The layout for `task`. Raises ModelError when this model was not made for it."""
        if task not in self.manifest.layouts:
            can = ", ".join(self.manifest.layouts)
            raise ModelError(f"model {self.manifest.name} cannot {task}; it can: {can} - choose another with --model")
        return self.manifest.layouts[task]

    def damaged(self) -> Iterator[str]:
        """Files that are missing or differ from what the manifest says."""
        for name, expected in self.manifest.sha256.items():
            if not _is_intact(self.path / name, expected):
                yield name


def _is_intact(file: Path, expected: str) -> bool:
    try:
        return file.is_file() and file_sha256(file) == expected
    except OSError:  # it may not be read
        return False


def models_path() -> Path:
    """Where models other than the bundled one are kept. LAYERFLOW_MODELS overrides it."""
    override = os.environ.get("LAYERFLOW_MODELS")
    return Path(override) if override else user_data_path("layerflow") / "models"


def bundled_path() -> Path:
    """The folder of models that ship inside the package."""
    return Path(__file__).parent


def find_model(name: str) -> ModelFolder:
    """The model called `name`: a path, a bundled one, or one in `models_path()`. Raises ModelError."""
    for folder in (Path(name), bundled_path() / name, models_path() / name):
        if _has_manifest(folder):
            return open_model(folder)
    known = ", ".join(model.manifest.name for model in list_models()) or "none"
    raise ModelError(f"there is no model {name!r}; models here: {known} - give one of them or the path of a folder")


def _has_manifest(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).is_file()
    except OSError:  # no such name can be on this disk
        return False


def list_models() -> list[ModelFolder]:
    """All models with a readable manifest, bundled ones first."""
    roots = [root for root in (bundled_path(), models_path()) if root.is_dir()]
    models = []
    for manifest in (file for root in roots for file in sorted(root.glob(f"*/{MANIFEST}"))):
        with contextlib.suppress(ModelError):
            models.append(open_model(manifest.parent))
    return models


def open_model(path: Path) -> ModelFolder:
    """The model in the folder `path`, its weights not yet loaded. Raises ModelError when its manifest is unreadable."""
    try:
        manifest = Manifest.from_dict(json.loads((path / MANIFEST).read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(
            f"{path} is not a model folder: {MANIFEST} cannot be read ({error.strerror}); give the folder that holds it"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path / MANIFEST} is damaged ({error}); install the model again") from error
    return ModelFolder(path, manifest)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, manifest: Manifest) -> ModelFolder:
    """Writes `layerflow.json` with the hashes of the files that are in the folder now."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)
    hashes = {file.relative_to(path).as_posix(): file_sha256(file) for file in files}
    values = manifest.to_dict() | {"sha256": hashes}
    part = path / f"{MANIFEST}.part"
    part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    part.replace(path / MANIFEST)
    return open_model(path)
