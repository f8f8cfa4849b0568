"""Every kernel compiles for the H100 and H200, which needs no GPU; what it takes of one is read from its code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

triton = pytest.importorskip("triton", reason="Triton is for Linux only")

from triton.backends.compiler import GPUTarget  # noqa: E402

from layerflow_export.kernels.bias_gelu import bias_gelu_kernel  # noqa: E402
from layerflow_export.kernels.gate_residual import gate_residual_kernel  # noqa: E402
from layerflow_export.kernels.layer_norm_modulate import layer_norm_modulate_kernel  # noqa: E402
from layerflow_export.kernels.qk_norm import qk_norm_kernel  # noqa: E402
from layerflow_export.kernels.rows import MAX_WIDTH, NUM_WARPS, tile  # noqa: E402

SHARED_BYTES = 227 * 1024  # what one program may have there
SCALAR = re.compile("_(batch|token|stride|rows)$|^(tokens|heads)$")
UNALIGNED = {"num_rows", "tokens", "heads"}  # all other numbers and addresses are multiples of 16 at model widths
CASES = [
    (layer_norm_modulate_kernel, 1920, {"EPS": 1e-5}),
    (layer_norm_modulate_kernel, MAX_WIDTH, {"EPS": 1e-5}),
    (gate_residual_kernel, 1920, {}),
    (bias_gelu_kernel, 7680, {}),
    (qk_norm_kernel, 64, {"EPS": 1e-6}),
]


def compiled(kernel: triton.JITFunction, dtype: str, constants: dict[str, float]) -> triton.compiler.CompiledKernel:
    """The kernel for sm_90a with the types that its launcher gives it."""
    kinds = {True: "i32", False: f"*{dtype}"}
    signature = {
        parameter.name: "constexpr" if parameter.is_constexpr else kinds[bool(SCALAR.search(parameter.name))]
        for parameter in kernel.params
    }
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, (name, kind) in enumerate(signature.items())
        if kind != "constexpr" and name not in UNALIGNED
    }
    source = triton.compiler.ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": NUM_WARPS})


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize(("kernel", "width", "constants"), CASES)
def test_it_compiles_for_hopper_without_spilling(kernel, width, constants, dtype, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    binary = compiled(kernel, dtype, tile(width) | constants)
    assert ".target sm_90a" in binary.asm["ptx"] and binary.metadata.shared <= SHARED_BYTES
    (tmp_path / "kernel.cubin").write_bytes(binary.asm["cubin"])
    command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", tmp_path / "kernel.cubin"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert re.search(r"STACK:0 .*LOCAL:0 ", told), told  # spilled registers would lie there
