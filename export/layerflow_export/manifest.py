"""What lies beside an exported graph: where every weight is, what it was made of, and the hashes of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from layerflow.errors import ModelError, RequestError
from layerflow.files import refused_as
from layerflow.models.adapter_files import find_lora
from layerflow.models.folder import ModelFolder
from layerflow.models.hashes import file_sha256
from layerflow.transformer import LayerFlowTransformer
from layerflow.versions import version_of
from layerflow.wire import checks

GRAPH, DATA, MANIFEST = "model.onnx", "model.onnx.data", "manifest.json"
FORMAT = 1
MAKERS = ("layerflow", "torch", "diffusers", "onnx", "onnxscript", "onnx-ir")  # another version, another graph


@dataclass(frozen=True, kw_only=True)
class Weight:
    """Where one of the transformer's parameters is in the graph."""

    initializer: str
    shape: tuple[int, ...]  # as stored
    transposed: bool  # stored [in, out], where torch has [out, in]
    offset: int | None  # bytes into `DATA`; None for one that is so small that it is inside the graph
    length: int  # bytes


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a graph was exported from, in words."""

    model: str
    model_sha256: str
    loras: tuple[str, ...] = ()  # as a request names them
    lora_sha256: tuple[str, ...] = ()  # of each of them
    motion: float = 0.0

    @classmethod
    def of(cls, folder: ModelFolder, *, lora: Sequence[str] = (), motion: float = 0.0) -> Self:
        """The model in `folder` with these LoRAs. Raises ModelError for one that cannot be read, RequestError."""
        with refused_as(RequestError):
            checks.check_range("motion", motion, 0.0, 1.0)
            files = [find_lora(text) for text in lora]
        return cls(
            model=folder.manifest.name,
            model_sha256=folder.sha256,
            loras=tuple(lora),
            lora_sha256=tuple(each.sha256 for each in files),
            motion=motion,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The origin that `asdict` described; a list is as good as a tuple."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)


@dataclass(frozen=True, kw_only=True)
class GraphManifest:
    """What `MANIFEST` says."""

    content: str  # `content_hash` of the transformer
    origin: Origin | None  # None for a graph in the cache, which is known by its content
    precision: str
    opset: int
    frames_per_step: int  # latent frames are a multiple of it
    versions: Mapping[str, str]
    weights: Mapping[str, Weight]  # the transformer's parameter -> where it is; those in FP8 are not among them
    sha256: Mapping[str, str]  # file -> hash
    largest_inputs: Mapping[str, float] = field(default_factory=dict)  # linear layer in FP8 -> what its scale holds

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the way back."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The manifest that `to_dict` described. A broken one is a Key-, Type-, Value- or AttributeError."""
        fields = dict(values)
        if (found := fields.pop("format")) != FORMAT:
            raise ValueError(f"format {found} is not {FORMAT}")
        origin = fields["origin"]
        fields["origin"] = origin and Origin.from_dict(origin)
        fields["weights"] = {
            name: Weight(**{**weight, "shape": tuple(weight["shape"])}) for name, weight in fields["weights"].items()
        }
        return cls(**fields)

    def damaged(self, folder: Path) -> list[str]:
        """The graph's files that are missing from `folder` or are not those that were written."""
        return [name for name, hashed in self.sha256.items() if not _is_intact(folder / name, hashed)]


def _is_intact(file: Path, hashed: str) -> bool:
    try:
        return file_sha256(file) == hashed
    except OSError:
        return False


def read_graph_manifest(folder: Path) -> GraphManifest:
    """The manifest of the transformer's graph in `folder`. Raises ModelError."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if part := values.get("part"):
            raise ModelError(f"{folder} holds a model's {part} and no transformer; name the folder of the transformer")
        return GraphManifest.from_dict(values)
    except OSError as error:
        raise ModelError(f"{folder} holds no exported graph ({error.strerror}); export it again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / MANIFEST} is damaged ({error}); export the model again") from error


def made_with() -> dict[str, str]:
    """The versions that a graph depends on."""
    return {name: version_of(name) for name in MAKERS}


def content_hash(transformer: LayerFlowTransformer, opset: int, *, versions: Mapping[str, str] | None = None) -> str:
    """One hash for all that decides a graph: every number, the configuration, the precision, the opset and versions.

    `versions` are those that made the graph; None: those that are here.
    """
    decides = {
        "config": dict(transformer.config),
        "opset": opset,
        "versions": dict(versions or made_with()),
        "format": FORMAT,
    }
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode())
    for name, value in sorted(transformer.state_dict().items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
