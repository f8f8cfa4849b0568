"""An engine from an ONNX graph: taken from the folder where it is there and current, otherwise built and proven."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import layerflow
from layerflow.errors import ModelError, RequestError
from layerflow.files import atomic_path, prepare_output
from layerflow.models.hashes import file_sha256
from layerflow_export.trt import flavour as flavours
from layerflow_export.trt.flavour import CURRENT, Flavour, refuse_without_fp8
from layerflow_export.trt.fusion import Fusion, first_error, parse_fusion
from layerflow_export.trt.graph import FP8, Graph
from layerflow_export.trt.profile import Profile, Shapes, as_texts, shapes
from layerflow_export.trt.report import EngineReport, check_header, checked_engine, report_path

_RECIPE = 1  # raise it when the same graph and settings would give another engine

_REASON_WIDTH = 300


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine on disk."""

    path: Path
    report: EngineReport
    cached: bool  # it was there already


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """All that decides an engine."""

    onnx_sha256: str
    precision: str
    targets: tuple[str, ...]
    refittable: bool
    profile: dict[str, str]
    builder: str
    builder_version: str

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps([_RECIPE, asdict(self)], sort_keys=True).encode()).hexdigest()


def build_engine(
    graph: Graph,
    folder: Path,
    *,
    profile: Profile,
    targets: tuple[str, ...] = (),
    name: str = "model",
    model_sha256: str | None = None,
    refittable: bool = False,
) -> Engine:
    """The engine of `graph` in `folder`, its file's name beginning with `name`; built where it isn't there already.

    One that is `refittable` can be given other weights, and is built on a GPU only.
    Raises ModelError when the graph cannot be built or attention isn't one kernel in every block, and leaves nothing;
    RequestError for a profile or targets that cannot be; OutputError.
    """
    if refittable and not has_gpu():
        raise RequestError("an engine that can be refitted is built on an NVIDIA GPU only; leave --refittable out")
    flavour = flavours.installed()
    asked = flavour.checked_targets(targets, fp8=graph.precision == FP8)
    recipe = _Recipe(
        onnx_sha256=graph.sha256,
        precision=graph.precision,
        targets=named_targets(asked, fp8=graph.precision == FP8),
        refittable=refittable,
        profile=as_texts(profile),
        builder=flavour.name,
        builder_version=flavour.version,
    )
    sizes = shapes(graph.inputs, profile)
    path = engine_path(folder, name, precision=graph.precision, targets=recipe.targets)
    try:
        return Engine(path=path, report=checked_engine(path, flavour, key=recipe.key), cached=True)
    except ModelError:
        report = _built(graph, path, recipe, flavour=flavour, sizes=sizes, asked=asked, model_sha256=model_sha256)
    return Engine(path=path, report=report, cached=False)


def engine_path(folder: Path, name: str, *, precision: str, targets: tuple[str, ...]) -> Path:
    """The file of an engine, whose name says what it is for."""
    return folder / f"{name}.{precision}.{'-'.join(targets)}.engine"


def named_targets(checked: tuple[str, ...], *, fp8: bool = False) -> tuple[str, ...]:
    """`checked`, the GPU of this machine by its own name.

    Raises RequestError where that is meant and there is none, or none that computes in `fp8` if that is asked for.
    """
    if checked != (CURRENT,):
        return checked
    current = current_target()
    if fp8:
        refuse_without_fp8((current,))
    return (current,)


def has_gpu() -> bool:
    """Whether an NVIDIA GPU is here."""
    import torch

    return torch.cuda.is_available()


def current_target() -> str:
    """The generation of this machine's GPU, such as `sm89`. Raises RequestError where there is none."""
    import torch

    if not has_gpu():
        raise RequestError(f"--target {CURRENT} needs an NVIDIA GPU, which is not here; name what it is for, e.g. sm89")
    major, minor = torch.cuda.get_device_capability()
    return f"sm{major}{minor}"


def _built(
    graph: Graph,
    path: Path,
    recipe: _Recipe,
    *,
    flavour: Flavour,
    sizes: Shapes,
    asked: tuple[str, ...],
    model_sha256: str | None,
) -> EngineReport:
    start = time.monotonic()
    prepare_output([path, report_path(path)], num_bytes=graph.num_bytes, sources=[graph.path], may_exist=True)
    log = path.with_name(f"{path.name}.log")
    with _kept_on_failure(log), atomic_path(path) as part:
        fusion = _run_builder(graph, part, log, sizes, asked, refittable=recipe.refittable)
        check_fusion(fusion, graph)
        check_header(part, flavour, asked)
        report = EngineReport(
            key=recipe.key,
            content=graph.content,
            model_sha256=model_sha256 or graph.sha256,
            engine_sha256=file_sha256(part),
            engine_bytes=part.stat().st_size,
            num_blocks=fusion.num_blocks,
            attention_fused=fusion.attention_fused,
            qkv_merged=fusion.qkv_merged,
            unmerged_qkv=fusion.unmerged_qkv,
            fp8_products=fusion.fp8_products,
            num_layers=fusion.num_layers,
            weights_bytes=fusion.weights_bytes,
            activation_bytes=fusion.activation_bytes,
            layerflow_version=layerflow.__version__,
            seconds=round(time.monotonic() - start, 3),
            **asdict(recipe),
        )
    write_report(path, report)
    return report


@contextmanager
def _kept_on_failure(log: Path) -> Iterator[None]:
    """Leaves the builder's `log` where it is when the build fails, which the sentence then says, and only then."""
    failed = False
    try:
        yield
    except ModelError as error:
        failed = log.exists()
        if not failed:
            raise
        raise ModelError(f"{error}, or read {log}") from error
    finally:
        if not failed:
            log.unlink(missing_ok=True)


def with_other_weights(report: EngineReport, graph: Graph, engine: Path, *, seconds: float) -> EngineReport:
    """The report of `engine`, which is the one that `report` is about with the weights of `graph`."""
    decides = {field.name: getattr(report, field.name) for field in fields(_Recipe)} | {"onnx_sha256": graph.sha256}
    return replace(
        report,
        key=_Recipe(**decides).key,
        onnx_sha256=graph.sha256,
        content=graph.content,
        engine_sha256=file_sha256(engine),
        engine_bytes=engine.stat().st_size,
        layerflow_version=layerflow.__version__,
        seconds=round(seconds, 3),
    )


def write_report(engine: Path, report: EngineReport) -> None:
    """Writes `report` beside `engine`. Raises OutputError."""
    with atomic_path(report_path(engine)) as part:
        part.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")


def check_fusion(fusion: Fusion, graph: Graph) -> None:
    """Raises ModelError unless attention is one kernel in every block and what is quantized is computed in FP8."""
    if unfused := fusion.unfused_attention:
        blocks = f"blocks {', '.join(map(str, unfused))}" if len(unfused) > 1 else f"block {unfused[0]}"
        raise ModelError(
            f"attention is not one kernel in {blocks} of {fusion.num_blocks}, which would be slow, and "
            f"{graph.path.name} is {graph.precision}; export it with --precision bf16 or fp16"
        )
    if fusion.fp8_products < graph.fp8_products:
        raise ModelError(
            f"{fusion.fp8_products} of the {graph.fp8_products} matrix products that are to be in FP8 are; "
            "build with --precision bf16"
        )


def _run_builder(
    graph: Graph, engine: Path, log: Path, sizes: Shapes, targets: tuple[str, ...], *, refittable: bool
) -> Fusion:
    """What the builder's log says, once there is an engine. Raises ModelError when there is none."""
    job = {
        "onnx": str(graph.path),
        "engine": str(engine),
        "log": str(log),
        "shapes": sizes,
        "targets": targets,
        "refittable": refittable,
    }
    worker = [sys.executable, "-m", "layerflow_export.trt.worker"]
    ended = subprocess.run(worker, input=json.dumps(job), capture_output=True, text=True)
    written = log.read_text(encoding="utf-8") if log.exists() else ""
    if ended.returncode:
        reason = textwrap.shorten(_reason(ended, written), _REASON_WIDTH, placeholder="…")
        raise ModelError(
            f"{graph.path} is {graph.precision} and cannot be built ({reason}); export it anew in bf16 or fp16"
        )
    return parse_fusion(written, graph.blocks)


def _reason(ended: subprocess.CompletedProcess[str], log: str) -> str:
    if ended.returncode < 0:
        return f"the builder was ended by signal {-ended.returncode}, for want of memory if that is 9"
    last_words = ended.stderr.strip().splitlines() or [f"the builder ended with code {ended.returncode}"]
    return first_error(log) or last_words[-1]
