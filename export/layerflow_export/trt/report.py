"""What is known of an engine, kept as JSON beside it, and the check without which no engine is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from layerflow.errors import ModelError
from layerflow.models.hashes import remembered_sha256
from layerflow_export.trt.flavour import Flavour
from layerflow_export.trt.header import read_header

FORMAT = 4


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """One engine: what it was built of, by what, for what, and how well its blocks were fused."""

    key: str  # hash of all that decides the engine
    model_sha256: str  # of the model folder; of the ONNX file where that is all there is
    onnx_sha256: str
    content: str | None  # `content_hash` of the transformer it computes; None where only an ONNX file was known
    engine_sha256: str
    engine_bytes: int
    precision: str
    targets: tuple[str, ...]
    refittable: bool  # its weights can be replaced, on a GPU
    profile: Mapping[str, str]  # dimension -> MIN/OPT/MAX
    num_blocks: int
    attention_fused: int  # blocks whose attention is one kernel
    qkv_merged: int  # blocks whose query, key and value are one matrix product
    unmerged_qkv: tuple[int, ...]  # the blocks where they are not
    fp8_products: int  # matrix products in FP8
    num_layers: int
    weights_bytes: int
    activation_bytes: int  # of GPU memory, for the largest sizes
    builder: str
    builder_version: str
    layerflow_version: str
    seconds: float  # the build took

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the way back."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EngineReport:
        """The report that `to_dict` described. A broken one is a Type-, Key- or ValueError."""
        own: dict[str, Any] = dict(values)
        if (found := own.pop("format")) != FORMAT:
            raise ValueError(f"format {found} is not {FORMAT}")
        tuples = {field.name for field in fields(cls) if str(field.type).startswith("tuple")}
        return cls(**own | {name: tuple(own[name]) for name in tuples})


def report_path(engine: Path) -> Path:
    """Where the report of an engine is."""
    return engine.with_name(f"{engine.name}.json")


def read_report(engine: Path) -> EngineReport:
    """The report beside `engine`. Raises ModelError when there is none that can be read."""
    try:
        return EngineReport.from_dict(json.loads(report_path(engine).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{engine} has no readable report beside it; build it with layerflow-export build") from error


def checked_engine(engine: Path, flavour: Flavour, *, target: str | None = None, **asked: object) -> EngineReport:
    """The report of an engine that `flavour` may load: whole, built by this very version, for `target`.

    `asked` are fields of the report and what they have to be. Raises ModelError otherwise.
    """
    report = read_report(engine)
    if any(getattr(report, name) != value for name, value in asked.items()):
        raise ModelError(f"{engine} was built of another model or with other settings; build it anew")
    built_by, loaded_by = (report.builder, report.builder_version), (flavour.name, flavour.version)
    if built_by != loaded_by:
        raise ModelError(f"{engine} was built by {' '.join(built_by)} and this is {' '.join(loaded_by)}; build it anew")
    if target is not None and target not in report.targets:
        raise ModelError(f"{engine} is for {', '.join(report.targets)} and not for {target}; build it with --target")
    if (
        not engine.is_file()
        or engine.stat().st_size != report.engine_bytes
        or remembered_sha256(engine) != report.engine_sha256
    ):
        raise ModelError(f"{engine} is not the file that its report describes; build it anew")
    check_header(engine, flavour, report.targets)
    return report


def check_header(engine: Path, flavour: Flavour, targets: tuple[str, ...]) -> None:
    """Raises ModelError when a TensorRT-RTX engine itself names another version or other targets."""
    if flavour.name != "tensorrt_rtx":
        return
    header = read_header(engine)
    if header.version != flavour.version:
        raise ModelError(f"{engine} was built by TensorRT-RTX {header.version}, not {flavour.version}; build it anew")
    named = set(targets) & set(flavour.targets)  # the GPU that is here may be one without a name
    if named and named != set(header.targets):
        held = ", ".join(header.targets)
        raise ModelError(f"{engine} holds code for {held} and not for {', '.join(targets)}; build it anew")
