"""Every name that is used of TensorRT is one that both flavours have, or is asked for before it is used."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import record_tensorrt_names
import tensorrt_stand_in

SOURCES = sorted((Path(__file__).parents[2] / "export" / "layerflow_export").rglob("*.py"))
RECORDED = json.loads(record_tensorrt_names.NAMES.read_text(encoding="utf-8"))
CLASS_OF = {  # what we call an instance
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "refitter": "Refitter",
    "onnx_refitter": "OnnxParserRefitter",
    "serialization": "ISerializationConfig",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "settings": "IRuntimeConfig",
    "kernels": "IRuntimeCache",
}
COMES_WITH = {  # a class that is asked for by hasattr(trt, ...), and what else is there where it is
    "ComputeCapability": {"IBuilderConfig.num_compute_capabilities", "IBuilderConfig.set_compute_capability"},
    "CudaGraphStrategy": {
        "DynamicShapesKernelSpecializationStrategy",
        "DynamicShapesKernelSpecializationStrategy.EAGER",
        "IRuntimeCache.deserialize",
        "IRuntimeCache.serialize",
        "IRuntimeConfig.create_runtime_cache",
        "IRuntimeConfig.cuda_graph_strategy",
        "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
        "IRuntimeConfig.set_runtime_cache",
    },
}
KNOWN_USES = {
    "Builder",
    "OnnxParser.parse_from_file",
    "ProfilingVerbosity.DETAILED",
    "Runtime.deserialize_cuda_engine",
    "IExecutionContext.execute_async_v3",
    "IExecutionContext.set_tensor_address",
    "ICudaEngine.get_tensor_profile_shape",
    "IRuntimeConfig.set_runtime_cache",
    "IRuntimeCache.serialize",
    "OnnxParserRefitter.refit_from_file",
    "Refitter.refit_cuda_engine",
    "SerializationFlag.INCLUDE_REFIT",
    "BuilderFlag.REFIT",
}
PYTHON = {"__members__", "__name__", "__version__"}


def names_in(flavour: str) -> set[str]:
    """`Class` and `Class.member` for all that was recorded."""
    classes = RECORDED[flavour]["classes"]
    return set(classes) | {f"{name}.{member}" for name, members in classes.items() for member in members.split()}


def chains(tree: ast.AST) -> set[str]:
    """Every `a.b.c` in a file."""
    written = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {chain for chain in written if re.fullmatch(r"[\w.]+", chain)}


def used_names(source: str) -> set[str]:
    """The names of TensorRT that `source` uses, as `Class` or `Class.member`."""
    names = set()
    for chain in chains(ast.parse(source)):
        owner, _, rest = chain.removeprefix("self.").partition(".")
        if owner == "trt":
            names.add(".".join(part for part in rest.split(".")[:2] if part not in PYTHON))
        elif rest and owner in CLASS_OF and re.search(r"\btrt\.[A-Z]", source):
            names.add(f"{CLASS_OF[owner]}.{rest.partition('.')[0]}")
    return names - {""}


def unknown_names(source: str) -> set[str]:
    """The names used that a flavour may lack. Those that come with a class that is asked for are not among them."""
    asked = set(re.findall(r'hasattr\(trt, "(\w+)"\)', source))
    both = names_in("tensorrt") & names_in("tensorrt_rtx")
    either = names_in("tensorrt") | names_in("tensorrt_rtx")
    guarded = {name for name in either if name.partition(".")[0] in asked}
    for name in asked:
        guarded |= COMES_WITH.get(name, set()) & either
    return used_names(source) - both - guarded


def test_both_flavours_have_every_name_we_use():
    used = {source: used_names(source.read_text(encoding="utf-8")) for source in SOURCES}
    assert set().union(*used.values()) >= KNOWN_USES
    for source in SOURCES:
        assert not unknown_names(source.read_text(encoding="utf-8")), source


@pytest.mark.parametrize(
    ("source", "unknown"),
    [
        ("trt.BuilderFlag.STRIP_PLAN", set()),
        ("trt.BuilderFlag.FP16", {"BuilderFlag.FP16"}),  # gone with strong typing
        ("trt.ComputeCapability.SM89", {"ComputeCapability", "ComputeCapability.SM89"}),
        ('if hasattr(trt, "ComputeCapability"): trt.ComputeCapability.SM89', set()),
        ('if hasattr(trt, "ComputeCapability"): trt.ComputeCapability.SM90', {"ComputeCapability.SM90"}),
        ("trt.Builder; config.set_compute_capability(1)", {"IBuilderConfig.set_compute_capability"}),
        ("trt.Builder; network.add_plugin_v3", {"INetworkDefinition.add_plugin_v3"}),  # only the full one has it
        ("trt.Runtime; self.context.execute_async_v2()", {"IExecutionContext.execute_async_v2"}),
        ("trt.Runtime; settings.set_runtime_cache(kernels)", {"IRuntimeConfig.set_runtime_cache"}),
        ('hasattr(trt, "CudaGraphStrategy"); trt.Runtime; settings.set_runtime_cache(kernels)', set()),
    ],
)
def test_a_name_that_a_flavour_lacks_is_found(source, unknown):
    assert unknown_names(source) == unknown


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt_rtx"])
def test_the_stand_ins_have_nothing_that_the_real_ones_have_not(flavour):
    stand_in = tensorrt_stand_in.module(flavour, tensorrt_stand_in.Machine())
    for name, members in record_tensorrt_names.names_of(stand_in).items():
        assert set(members.split()) - {"machine"} <= set(RECORDED[flavour]["classes"][name].split()), name


def test_the_record_is_of_what_is_installed():
    trt = pytest.importorskip("tensorrt_rtx", reason="there is no TensorRT-RTX for this platform")
    assert RECORDED["tensorrt_rtx"] == {
        "version": trt.__version__,
        "classes": record_tensorrt_names.names_of(trt),
    }
