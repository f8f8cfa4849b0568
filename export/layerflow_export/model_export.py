"""A model's parts as graphs: one part in a folder, or all of them, each in a folder of its own within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layerflow.errors import RequestError
from layerflow.models.building import building
from layerflow.models.folder import ModelFolder
from layerflow.models.network import load_transformer
from layerflow.models.places import DTYPES
from layerflow_export.manifest import GraphManifest, Origin
from layerflow_export.onnx_export import export_onnx
from layerflow_export.parts import PARTS, PartManifest, PartName, export_part, open_part


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a model is exported."""

    precision: str = "float32"
    lora: Sequence[str] = ()
    motion: float = 0.0


Manifests = dict[PartName, GraphManifest | PartManifest]


def export_all(model: ModelFolder, target: Path, choice: Choice) -> Manifests:
    """Makes the folder `target` of folders, one for each part, named after it. Raises as `export_one` does."""
    with building(target) as folder:
        return {name: export_one(model, name, folder / name, choice) for name in PARTS}


def export_one(model: ModelFolder, name: PartName, target: Path, choice: Choice) -> GraphManifest | PartManifest:
    """Makes the folder `target` of the graph of one part. It is whole or not there.

    Raises ModelError for a damaged model and LoRAs that do not fit, RequestError for motion without a Motion LoRA,
    OutputError.
    """
    if name != "transformer":
        return export_part(open_part(model, name, choice.precision), target, Origin.of(model))
    origin = Origin.of(model, lora=choice.lora, motion=choice.motion)
    model.check("transformer", "motion")
    with model.loading():
        transformer = load_transformer(model, dtype=DTYPES[choice.precision], lora=choice.lora, motion=choice.motion)
    return export_onnx(transformer, target, origin=origin)


def check_choice(part: str, choice: Choice) -> None:
    """Raises RequestError for LoRAs or motion with a part that they do not change."""
    if part not in ("transformer", "all") and (choice.lora or choice.motion):
        raise RequestError(f"LoRAs and motion do not change the {part}; leave them out with --part {part}")
