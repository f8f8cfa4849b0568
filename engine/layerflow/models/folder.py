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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError

from layerflow.errors import ModelError
from layerflow.layout import Layout, Task
from layerflow.mixing import Slots
from layerflow.models.fidelity import RELEASED, Fidelity
from layerflow.models.hashes import file_sha256, remembered_sha256
from layerflow.sampler import Guidance, Sampler, sampler_from_dict

MANIFEST = "layerflow.json"
FORMAT = 1
CodecKind = Literal["linear", "cogvideox"]
DECIDING = (
    "sha256",
    "layouts",
    "further",
    "all_layers",
    "sampler",
    "steps",
    "fidelity",
    "height",
    "width",
)  # what makes a model's pixels
SAFE = {"use_safetensors": True, "local_files_only": True}  # nothing that can run code, nothing fetched


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `layerflow.json` says."""

    name: str
    layouts: Mapping[Task, Layout]
    further: tuple[tuple[Task, Layout], ...] = ()  # with a guide, or with more foregrounds
    all_layers: tuple[
        str, ...
    ] = ()  # that the network has weights for, in order; () for those of its layouts, all alike
    sampler: Sampler
    height: int  # pixels of the picture that the model makes
    width: int
    fps: float
    codec: CodecKind
    prompt_tokens: int
    licence: str
    description: str = ""
    steps: Mapping[Task, int] = field(default_factory=dict)  # for tasks that want another number than the sampler's
    fidelity: Fidelity = RELEASED  # without --faithful; sampler, steps and layouts are those of the release
    sha256: Mapping[str, str] = field(default_factory=dict)  # file, relative to the folder -> hash

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the way back.

        What is as released goes without saying: a folder from before there was a choice keeps its hash.
        """
        sampler = self.sampler
        cleaned = {} if sampler.snaps else {"snaps": False}
        guidance = asdict(sampler.guidance)
        if not sampler.guidance.guided_from:
            del guidance["guided_from"]
        fidelity = {} if self.fidelity == RELEASED else {"fidelity": asdict(self.fidelity)}
        further = {} if not self.all_layers else {"all_layers": list(self.all_layers), "further": _listed(self.further)}
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
                "guidance": guidance,
                **cleaned,
            },
            "steps": dict(self.steps),
            **fidelity,
            "layouts": {task: layout.to_dict() for task, layout in self.layouts.items()},
            **further,
            "sha256": dict(self.sha256),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """The manifest that `to_dict` described. A broken one is a Key-, Type-, Value- or AttributeError."""
        fields = dict(values)
        if (found := fields.pop("format")) != FORMAT:
            raise ValueError(f"format {found} is not {FORMAT}")
        fields["layouts"] = {task: Layout.from_dict(layout) for task, layout in fields["layouts"].items()}
        fields["further"] = tuple(
            (each["task"], Layout.from_dict(each["layout"])) for each in fields.get("further", ())
        )
        fields["all_layers"] = tuple(fields.get("all_layers", ()))
        fields["sampler"] = sampler_from_dict(fields["sampler"])
        fields["fidelity"] = Fidelity(**fields.get("fidelity", {}))
        return cls(**fields)


def _listed(further: Sequence[tuple[Task, Layout]]) -> list[dict[str, Any]]:
    return [{"task": task, "layout": layout.to_dict()} for task, layout in further]


@dataclass(frozen=True)
class ModelFolder:
    """A model folder that has a readable manifest."""

    path: Path
    manifest: Manifest

    @cached_property
    def sha256(self) -> str:
        """One hash for all that decides the model's pixels: files, layouts, sampler. Goes into every header."""
        deciding = {name: value for name, value in self.manifest.to_dict().items() if name in DECIDING}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def fidelity(self, *, faithful: bool = False) -> Fidelity:
        """Which of the release's quirks are kept: all of them, or those the manifest keeps."""
        return RELEASED if faithful else self.manifest.fidelity

    @property
    def cleaned_up(self) -> tuple[str, ...]:
        """The quirks that the model does without, unless `faithful`."""
        own = self.manifest.fidelity
        kept = replace(own, guidance=own.guidance and self.manifest.sampler.guidance.jumps)
        return tuple(name for name, value in asdict(kept).items() if not value)

    def sampler(self, task: Task, *, faithful: bool = False) -> Sampler:
        """The sampler that the model was tuned for in `task`; `faithful` with the guidance that jumps, even if not."""
        own = self.manifest.sampler
        tuned = replace(own, num_steps=self.manifest.steps.get(task, own.num_steps))
        if faithful and not own.guidance.jumps:
            tuned = replace(tuned, guidance=Guidance())
        return self.fidelity(faithful=faithful).sampler(tuned)

    def layout(self, task: Task, *, faithful: bool = False, num_foregrounds: int = 1, guided: bool = False) -> Layout:
        """The layout for `task`: with so many foregrounds and a guide, if the model has learned that, else without.

        Raises ModelError when this model was not made for the task, or not for so many foregrounds at once where they
        cannot be taken off one after another.
        """
        if task not in self.manifest.layouts:
            can = ", ".join(self.manifest.layouts)
            raise ModelError(f"model {self.manifest.name} cannot {task}; it can: {can} - choose another with --model")
        wanted = (layout for each, layout in self.manifest.further if each == task)
        fitting = (own for own in wanted if (own.num_foregrounds, "guide" in own.layers) == (num_foregrounds, guided))
        layout = next(fitting, self.manifest.layouts[task])
        if task != "decompose" and layout.num_foregrounds != num_foregrounds:
            most = self.most_foregrounds(task)
            raise ModelError(
                f"model {self.manifest.name} can {task} {most} foreground{'s' * (most > 1)} at once and "
                f"{num_foregrounds} are asked for; leave some out, or choose another with --model"
            )
        return self.fidelity(faithful=faithful).layout(layout)

    def most_foregrounds(self, task: Task) -> int:
        """How many foregrounds the model makes at once in `task`, one of its own."""
        further = (layout for each, layout in self.manifest.further if each == task)
        return max(layout.num_foregrounds for layout in (self.manifest.layouts[task], *further))

    def slots(self, layers: Sequence[str]) -> Slots:
        """Which of the network's layers a sequence of `layers` holds. Raises ModelError for one that it has not."""
        every = self.manifest.all_layers
        if unknown := [name for name in layers if name not in every]:
            raise ModelError(f"model {self.manifest.name} has no layer {unknown[0]}; it has: {', '.join(every)}")
        return tuple(every.index(name) for name in layers)

    def damaged(self, part: str = "", *, sha256: Callable[[Path], str] | None = None) -> Iterator[str]:
        """Files that are missing or differ from what the manifest says; with `part`, only those below that folder.

        `sha256` reads a file; for many models that share files, a HashOnce.
        """
        for name, expected in self.manifest.sha256.items():
            if name.startswith(f"{part}/" if part else "") and not _is_intact(self.path / name, expected, sha256):
                yield name

    def check(self, *parts: str) -> None:
        """Raises ModelError naming a file below the folders `parts` that is missing or damaged."""
        for name in (name for part in parts for name in self.damaged(part, sha256=remembered_sha256)):
            raise ModelError(f"{name} of model {self.manifest.name} is missing or damaged; install the model again")

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Turns what the libraries say of files that do not hold what they need into a ModelError."""
        try:
            yield
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"model {self.manifest.name} cannot be loaded ({reason_of(error)}); install the model again"
            ) from error


def _is_intact(file: Path, expected: str, sha256: Callable[[Path], str] | None) -> bool:
    try:
        return file.is_file() and (sha256 or file_sha256)(file) == expected
    except OSError:  # it may not be read
        return False


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


def reason_of(error: Exception) -> str:
    """The first line of what a library said."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def write_manifest(path: Path, manifest: Manifest) -> ModelFolder:
    """Writes `layerflow.json` with the hashes of the files that are in the folder now."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)
    hashes = {file.relative_to(path).as_posix(): remembered_sha256(file) for file in files}
    values = manifest.to_dict() | {"sha256": hashes}
    part = path / f"{MANIFEST}.part"
    part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    part.replace(path / MANIFEST)
    return open_model(path)
