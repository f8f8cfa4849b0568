"""What of a model is exported beside the transformer, which has more to say: the codec's decoder, the text encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.export import Dim

from layerflow.models.building import building
from layerflow.models.codecs import load_codec
from layerflow.models.folder import ModelFolder
from layerflow.models.hashes import file_sha256
from layerflow.models.places import DTYPES
from layerflow.models.plans import FULL
from layerflow.models.t5 import load_t5
from layerflow.versions import version_of
from layerflow_export.decoder import decoder_of
from layerflow_export.manifest import DATA, GRAPH, MANIFEST, Origin, made_with
from layerflow_export.onnx_export import graph_of

PartName = Literal["transformer", "decoder", "text"]
PARTS: tuple[PartName, ...] = ("transformer", "decoder", "text")
FORMAT = 1
OPSET = 20
CPU = torch.device("cpu")


class TextCore(nn.Module):
    """T5 as the engine runs it: token numbers `[B, N]` to embeddings `[B, N, width]` float32, pads attended to."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self.encoder(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return embeddings.float()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A network to export: one tensor in, one out."""

    name: PartName
    module: nn.Module
    precision: str  # of its weights
    example: Tensor
    dims: Mapping[int, str]  # the input's sides that may be of any length, and their names
    input: str
    output: str
    prompt_tokens: int | None = None  # what the engine's tokenizer cuts or pads a prompt to


@dataclass(frozen=True, kw_only=True)
class PartManifest:
    """What `MANIFEST` says beside a part's graph."""

    part: PartName
    origin: Origin
    precision: str
    opset: int
    inputs: Mapping[str, tuple[int | str, ...]]  # a side of any length has a name, or an expression of names
    outputs: Mapping[str, tuple[int | str, ...]]
    prompt_tokens: int | None
    versions: Mapping[str, str]
    sha256: Mapping[str, str]  # file -> hash

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"format": FORMAT, **asdict(self)}


def open_part(folder: ModelFolder, name: Literal["decoder", "text"], precision: str) -> Part:
    """That part of a model, on the CPU, in the type that the engine runs it in when the transformer has `precision`.

    A linear codec is float32 whatever is asked, and so is the text encoder for float16, in which T5 overflows. Raises
    ModelError.
    """
    folder.check({"decoder": "codec", "text": "text_encoder"}[name])
    with folder.loading():
        return _decoder(folder, precision) if name == "decoder" else _text(folder, precision)


def _decoder(folder: ModelFolder, precision: str) -> Part:
    codec = load_codec(folder, CPU, DTYPES[precision], FULL)
    return Part(
        name="decoder",
        module=decoder_of(codec),
        precision="float32" if folder.manifest.codec == "linear" else precision,
        example=torch.zeros(2, 5, codec.latent_channels, 3, 7),
        dims={0: "batch", 1: "frames", 3: "rows", 4: "columns"},
        input="latents",
        output="pixels",
    )


def _text(folder: ModelFolder, precision: str) -> Part:
    precision = "float32" if precision == "float16" else precision
    encoder = load_t5(folder.path / "text_encoder", device=CPU, precision=precision, residence="keep")
    return Part(
        name="text",
        module=TextCore(encoder),
        precision=precision,
        example=torch.zeros(2, 7, dtype=torch.int64),
        dims={0: "batch", 1: "tokens"},
        input="ids",
        output="embeddings",
        prompt_tokens=folder.manifest.prompt_tokens,
    )


def export_part(part: Part, target: Path, origin: Origin) -> PartManifest:
    """Writes the graph of `part` into the new folder `target`, which is whole or not there; returns its manifest.

    Raises ModelError when it is there or being made elsewhere, OutputError when it cannot be written.
    """
    with building(target) as folder:
        graph = graph_of(
            part.module.eval(),
            {part.input: part.example},
            {part.input: {side: Dim(name) for side, name in part.dims.items()}},
            output=part.output,
            opset=OPSET,
        )
        ir.save(graph, folder / GRAPH, external_data=DATA)
        manifest = PartManifest(
            part=part.name,
            origin=origin,
            precision=part.precision,
            opset=OPSET,
            inputs={str(value.name): _sides(value) for value in graph.graph.inputs},
            outputs={str(value.name): _sides(value) for value in graph.graph.outputs},
            prompt_tokens=part.prompt_tokens,
            versions={**made_with(), "transformers": version_of("transformers")},
            sha256={name: file_sha256(folder / name) for name in (GRAPH, DATA)},
        )
        (folder / MANIFEST).write_text(json.dumps(manifest.to_dict(), indent=1) + "\n", encoding="utf-8")
    return manifest


def _sides(value: ir.Value) -> tuple[int | str, ...]:
    assert value.shape is not None
    return tuple(side if isinstance(side, int) else str(side) for side in value.shape)
