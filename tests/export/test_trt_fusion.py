"""What is read from a builder's log: recorded lines of TensorRT-RTX 1.7.1, building tests' two-block model.

Of the recorded logs only the layers of attention are kept, without the shapes of their inputs and outputs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from layerflow_export.trt.fusion import first_error, parse_fusion, parse_layers
from layerflow_export.trt.graph import Block

LOGS = Path(__file__).with_name("logs")
FUSED, UNFUSED = ((LOGS / f"rtx_{precision}.txt").read_text(encoding="utf-8") for precision in ("fp16", "fp32"))


def block(attention: str, *products: int) -> Block:
    return Block(attention=frozenset({attention}), projections=frozenset(f"node_MatMul_{each}" for each in products))


FP16 = (
    block("node_scaled_dot_product_attention", 188, 190, 192),
    block("node_scaled_dot_product_attention_1", 366, 368, 370),
)
FP32 = (
    block("node_scaled_dot_product_attention", 188, 190, 192),
    block("node_scaled_dot_product_attention_1", 396, 398, 400),
)


def test_a_half_engine_is_fused_in_every_block():
    fusion = parse_fusion(FUSED, FP16)
    assert (fusion.num_blocks, fusion.attention_fused, fusion.qkv_merged) == (2, 2, 2)
    assert fusion.unfused_attention == fusion.unmerged_qkv == ()
    assert (fusion.weights_bytes, fusion.activation_bytes) == (88640, 9037312)


def test_a_float32_engine_has_a_softmax_of_its_own():
    fusion = parse_fusion(UNFUSED, FP32)
    assert fusion.unfused_attention == (0, 1) and fusion.attention_fused == 0
    assert fusion.qkv_merged == 2


def test_the_block_that_is_not_fused_is_named():
    lines = FUSED.splitlines(keepends=True)
    without_last = "".join(lines[: max(i for i, line in enumerate(lines) if "_mha" in line)])
    assert parse_fusion(without_last, FP16).unfused_attention == (1,)


def test_one_product_of_two_is_not_merged():
    split = FUSED.replace("[ONNX Layer: node_MatMul_366]", "")
    assert parse_fusion(split, FP16).unmerged_qkv == (1,)
    missing = (FP16[0], block("node_scaled_dot_product_attention_1", 366))
    assert parse_fusion(FUSED, missing).unmerged_qkv == (1,)


@pytest.mark.parametrize("log", ["", "VERBOSE: Name: _gemm_mha_v2_myl0_17\n"])
def test_a_log_without_layers_says_that_nothing_was_fused(log):
    fusion = parse_fusion(log, FP16)
    assert (fusion.attention_fused, fusion.qkv_merged, fusion.num_layers) == (0, 0, 0)


def test_layers_know_their_nodes():
    merged = parse_layers(FUSED)[0]
    assert merged.kind == "gemm"
    assert merged.origins == {"node_MatMul_188", "node_MatMul_190", "node_MatMul_192"}


def test_the_first_error_counts():
    log = "VERBOSE: ERROR: no\nERROR: In node 3: unsupported\nINTERNAL_ERROR: later\n"
    assert first_error(log) == "In node 3: unsupported" and first_error("INFO: fine\n") == ""
