"""FP8 graphs: what is quantized and by which scales, held to the same arithmetic in plain torch."""

from __future__ import annotations

from functools import partial

import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from loras import random_lora, write_diffusers
from networks import every_shape, inputs_of, network_of
from onnx import TensorProto

from layerflow.models.float8 import LARGEST, big_linears, rounded_rows
from layerflow.models.folder import open_model
from layerflow.models.network import load_transformer
from layerflow_export.core import denoiser
from layerflow_export.fp8 import HEADROOM, export_fp8, fp8_content, input_scale
from layerflow_export.manifest import GRAPH, Origin, content_hash, read_graph_manifest
from layerflow_export.refit import refit_graph
from layerflow_export.trt.graph import read_graph

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

SEEN = 6.0  # as if calibration had seen it everywhere
MERGED = ("attn1.to_qkv", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")


@pytest.fixture(scope="module")
def network(released_model):
    return network_of(released_model)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """The FP8 graph of `network`, all else float32, which onnxruntime can run on a CPU."""
    folder = tmp_path_factory.mktemp("fp8") / "graph"
    export_fp8(network, folder, largest={name: SEEN for name, _ in big_linears(network)})
    return folder


def in_onnxruntime(folder, network):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # it knows integers only
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
    return denoiser(
        network, lambda inputs: torch.from_numpy(session.run(None, {k: v.numpy() for k, v in inputs.items()})[0])
    )


def held(x, scale):
    """`x` as FP8 with that scale holds it."""
    return (x / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn).float() * scale


def in_torch(network):
    """Has the big linear layers of `network` computed from FP8 numbers."""
    for _, linear in big_linears(network):
        linear.forward = partial(
            lambda x, weight, bias: F.linear(held(x, torch.tensor(input_scale(SEEN))), weight, bias),
            weight=rounded_rows(linear.weight),
            bias=linear.bias,
        )
    return network


@every_shape
def test_v_is_that_of_plain_torch(released_model, network, folder, shape):
    """Sums in another order may round to the next step of FP8 in a later layer, so it is near and not equal."""
    inputs = inputs_of(network, shape)
    expected, exact = in_torch(network_of(released_model))(**inputs), network(**inputs)
    error, far = ((v - expected).square().mean().sqrt() for v in (in_onnxruntime(folder, network)(**inputs), exact))
    assert error < 0.1 * far and 0 < far < 0.1 * exact.std()


def test_a_scale_on_paper():
    """4 times what was seen is the largest of the 448 numbers; a layer that nothing has entered has a scale too."""
    assert HEADROOM == 4 and input_scale(112.0) == 1.0 and input_scale(0.0) > 0


def test_four_products_of_each_block_are_quantized(network, folder):
    graph = read_graph(folder / GRAPH)
    assert (graph.precision, graph.fp8_products) == ("fp8", 2 * len(MERGED))
    assert len(graph.blocks) == 2 and all(block.is_merged for block in graph.blocks)
    values = ir.load(folder / GRAPH).graph.initializers
    stored = {name: value for name, value in values.items() if value.dtype == ir.DataType.FLOAT8E4M3FN and value.shape}
    assert {*stored} == {f"transformer_blocks.{i}.{name}.weight_fp8" for i in range(2) for name in MERGED}
    width = network.config.num_attention_heads * network.config.attention_head_dim
    merged = "transformer_blocks.0.attn1.to_qkv"
    assert tuple(values[f"{merged}.weight_fp8"].shape) == (width, 3 * width)
    assert tuple(values[f"{merged}.weight_scale"].shape) == (3 * width,)


def test_weights_are_those_of_the_engine_s_own_float8(network, folder):
    values = ir.load(folder / GRAPH).graph.initializers
    weight, scale = (
        torch.from_numpy(values[f"transformer_blocks.1.attn1.to_qkv.{part}"].const_value.numpy().astype("float32"))
        for part in ("weight_fp8", "weight_scale")
    )
    for name, stored in zip("qkv", (weight * scale).T.chunk(3), strict=True):
        assert torch.equal(stored, rounded_rows(network.get_parameter(f"transformer_blocks.1.attn1.to_{name}.weight")))


def test_the_manifest_says_what_is_in_fp8(network, folder):
    manifest = read_graph_manifest(folder)
    names = [name for name, _ in big_linears(network)]
    assert manifest.largest_inputs == dict.fromkeys(names, SEEN)
    assert not {f"{name}.weight" for name in names} & manifest.weights.keys()
    assert {f"{name}.bias" for name in names} | {"proj_out.weight"} <= manifest.weights.keys()
    assert manifest.content == fp8_content(content_hash(network, manifest.opset)) and not manifest.damaged(folder)
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", GRAPH, f"{GRAPH}.data"]
    data, where = (folder / f"{GRAPH}.data").read_bytes(), manifest.weights["proj_out.weight"]
    stored = network.proj_out.weight.detach()
    stored = (stored.T if where.transposed else stored).contiguous().numpy().tobytes()
    if where.offset is not None:
        assert data[where.offset : where.offset + where.length] == stored


@pytest.mark.long
def test_the_rest_stays_in_the_type_of_the_graph(bf16_fp8_graph):
    """In bfloat16 too the file is by the standard, and nothing else is in FP8."""
    onnx.checker.check_model(bf16_fp8_graph / GRAPH)
    model = onnx.load(bf16_fp8_graph / GRAPH, load_external_data=False)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert types["proj_out.weight"] == types["transformer_blocks.0.norm1.linear.weight"] == TensorProto.BFLOAT16
    assert types["transformer_blocks.0.attn1.to_qkv.weight_scale"] == TensorProto.BFLOAT16


@pytest.mark.long
def test_other_loras_are_quantized_anew(tiny_model, bf16_fp8_graph, tmp_path):
    """Query and feed-forward of one block and a layer that is not in FP8: the scales of what enters stay."""
    modules = ("transformer_blocks.0.attn1.to_q", "transformer_blocks.0.ff.net.2", "proj_out")
    lora = f"{write_diffusers(tmp_path, random_lora(network_of(tiny_model), modules))}:0.1"
    refitted = refit_graph(bf16_fp8_graph, tmp_path / "refitted", lora=[lora], model=str(tiny_model))
    network = load_transformer(open_model(tiny_model), dtype=torch.bfloat16, lora=[lora])
    export_fp8(network, tmp_path / "direct", largest={name: SEEN for name, _ in big_linears(network)})
    assert refitted.num_changed == 3 and refitted.manifest.origin.loras == (lora,)
    one, other = (read_graph_manifest(tmp_path / name) for name in ("refitted", "direct"))
    assert one.sha256 == other.sha256 and one.content == other.content
    assert one.sha256 != read_graph_manifest(bf16_fp8_graph).sha256


@pytest.fixture(scope="module")
def bf16_fp8_graph(tiny_model, tmp_path_factory):
    network = network_of(tiny_model, torch.bfloat16)
    folder, origin = tmp_path_factory.mktemp("fp8") / "bf16", Origin.of(open_model(tiny_model))
    export_fp8(network, folder, largest={name: SEEN for name, _ in big_linears(network)}, origin=origin)
    return folder
