"""The backend `tensorrt` on stand-ins: v as the graph it was built of makes it, and of no network but its own."""

from __future__ import annotations

import os
import shutil
import sys

import onnxruntime
import pytest
import torch
from loras import random_lora, write_diffusers
from networks import inputs_of, network_of
from tensorrt_stand_in import Machine, install

from layerflow.errors import ModelError, RequestError
from layerflow.models.folder import open_model
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.network import load_transformer
from layerflow_export.cli.app import run
from layerflow_export.core import OUTPUT, denoiser
from layerflow_export.manifest import GRAPH, MANIFEST, read_graph_manifest
from layerflow_export.trt import engine_cache
from layerflow_export.trt.context import Log, open_engine
from layerflow_export.trt.denoiser import tensorrt_denoiser, why_not
from layerflow_export.trt.engine_cache import MAX_NETWORKS, engine_content, engines_folder
from layerflow_export.trt.report import read_report, report_path
from layerflow_export.trt.runtime import EngineCore

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

SHAPE = (2, 8, 4, 6, 3, 8)  # the largest that the tiny model's engine takes
SHORTER = (1, 4, 4, 6, 3, 5)


@pytest.fixture(params=["tensorrt_rtx", "tensorrt"])
def machine(request, monkeypatch) -> Machine:
    return install(request.param, monkeypatch)


@pytest.fixture
def rtx(monkeypatch) -> Machine:
    return install("tensorrt_rtx", monkeypatch)


@pytest.fixture(autouse=True)
def exports(monkeypatch, tmp_path, tiny_fp16_graph):
    """Stands in for the exporter: takes the graph that is ready and says it is what was asked for."""
    monkeypatch.setenv("LAYERFLOW_CACHE", str(tmp_path / "cache"))
    ready, made = read_graph_manifest(tiny_fp16_graph).content, []

    def export(transformer, target, *, content):
        made.append(content)
        manifest = shutil.copytree(tiny_fp16_graph, target) / MANIFEST
        manifest.write_text(manifest.read_text().replace(ready, content))

    monkeypatch.setattr(engine_cache, "export_onnx", export)
    return made


@pytest.fixture
def transformer(tiny_model):
    return network_of(tiny_model, torch.float16)


def engines():
    return sorted(engines_folder("x").parent.glob("*/*.engine"))


@torch.inference_mode()
def v_of(network, transformer, shape, seed=5):
    return network(**inputs_of(transformer, shape, seed))


def graph_denoiser(transformer, path):
    """A denoiser on an ONNX file, its weights in it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run_graph(inputs):
        (v,) = session.run([OUTPUT], {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(v)

    return denoiser(transformer, run_graph)


def test_v_is_that_of_its_graph(machine, transformer, tiny_fp16_graph):
    network, graph = tensorrt_denoiser(transformer), graph_denoiser(transformer, tiny_fp16_graph / GRAPH)
    for seed, shape in enumerate((SHAPE, SHAPE, SHORTER, SHORTER, SHORTER, SHAPE)):
        v, eager = v_of(network, transformer, shape, seed), v_of(transformer, transformer, shape, seed)
        assert torch.equal(v, v_of(graph, transformer, shape, seed))
        assert (v - eager).abs().max() < 5e-3 * eager.abs().max()


def core_inputs(transformer, shape):
    """What a denoiser hands to its core."""
    seen = {}
    v_of(denoiser(transformer, lambda inputs: seen.update(inputs) or inputs["latents"]), transformer, shape)
    return seen


def test_a_later_v_leaves_an_earlier_one_alone(machine, transformer):
    tensorrt_denoiser(transformer)
    core, inputs = EngineCore(engines()[0]), core_inputs(transformer, SHAPE)
    first = core(inputs)
    kept = first.clone()
    assert not torch.equal(core({**inputs, "latents": 2 * inputs["latents"]}), kept) and torch.equal(first, kept)


def test_after_a_shape_that_is_refused_the_one_before_runs_again(machine, transformer):
    tensorrt_denoiser(transformer)
    core, inputs = EngineCore(engines()[0]), core_inputs(transformer, SHAPE)
    before = core(inputs)
    too_long = {
        name: inputs[name].repeat_interleave(2, dim=0 if name == "text_table" else 1)
        for name in inputs
        if "text" in name
    }
    with pytest.raises(ModelError, match="text"):
        core({**core_inputs(transformer, SHORTER), **too_long})
    assert torch.equal(core(inputs), before)


def test_around_the_full_tensorrt_torch_records_each_shape_once(transformer, monkeypatch):
    machine = install("tensorrt", monkeypatch)
    network = tensorrt_denoiser(transformer)
    for shape in (SHAPE, SHAPE, SHORTER, SHORTER, SHORTER, SHAPE):
        v_of(network, transformer, shape)
    assert machine.replays == 3 and len(machine.runs) == 6  # a shape's first step is run, and recorded after it


def test_tensorrt_rtx_records_by_itself_and_waits_for_its_kernels(rtx, transformer):
    network = tensorrt_denoiser(transformer)
    v_of(network, transformer, SHAPE)
    v_of(network, transformer, SHAPE)
    assert rtx.replays == 0 and rtx.settings.cuda_graph_strategy.name == "WHOLE_GRAPH_CAPTURE"
    assert rtx.settings.dynamic_shapes_kernel_specialization_strategy.name == "EAGER"


def test_compiled_kernels_are_kept(rtx, transformer):
    v_of(tensorrt_denoiser(transformer), transformer, SHAPE)
    kernels = engines()[0].with_suffix(".kernels")
    assert kernels.read_bytes() == b"kernels[[2, 8, 6, 4, 6]]"
    v_of(tensorrt_denoiser(transformer), transformer, SHORTER)
    assert kernels.read_bytes() == b"kernels[[2, 8, 6, 4, 6], [1, 4, 6, 4, 6]]"
    kernels.write_bytes(b"of another GPU")
    v_of(tensorrt_denoiser(transformer), transformer, SHORTER)
    assert kernels.read_bytes() == b"kernels[[1, 4, 6, 4, 6]]"


def test_the_same_network_is_built_once_whatever_the_prompt(machine, transformer, exports):
    for tokens in (8, 3, 1):
        v_of(tensorrt_denoiser(transformer), transformer, (1, 8, 4, 6, 3, tokens))
    assert len(exports) == len(engines()) == 1
    kept = {path.suffix for path in engines()[0].parent.iterdir()}
    assert kept - {".kernels"} == {".engine", ".json"}  # and neither graph nor log


def test_another_network_never_runs_it(machine, transformer, exports):
    tensorrt_denoiser(transformer)
    transformer.transformer_blocks[0].attn1.to_q.weight.data[0] += 0.25  # as a LoRA would
    with pytest.raises(RequestError, match="there is no engine of this network here; build one with layerflow-export"):
        tensorrt_denoiser(transformer, prepared=True)
    ours = engines_folder(engine_content(transformer))
    shutil.copytree(engines()[0].parent, ours)
    with pytest.raises(RequestError, match="was built of another model or with other settings; build it anew"):
        tensorrt_denoiser(transformer, prepared=True)
    assert len(exports) == 1
    tensorrt_denoiser(transformer)
    assert len(exports) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is not the file that its report describes"),
        (lambda path: report_path(path).write_text("{}"), "has no readable report beside it"),
    ],
)
def test_an_engine_that_is_not_whole_is_never_loaded(rtx, transformer, exports, change, sentence):
    tensorrt_denoiser(transformer)
    change(engines()[0])
    with pytest.raises(RequestError, match=sentence):
        tensorrt_denoiser(transformer, prepared=True)
    tensorrt_denoiser(transformer)
    assert len(exports) == 2


def test_the_one_built_last_is_taken(rtx, transformer, tiny_model):
    tensorrt_denoiser(transformer)
    wider = ["build", str(tiny_model), "--precision", "fp16", "--target", "sm86,sm89", "--profile"]
    assert run([*wider, "text_tokens=1/24/99"]) == 0
    first, last = engines() if "sm86" in engines()[1].name else reversed(engines())
    os.utime(first, (1e9, 1e9))
    assert "sm86" in last.name and read_report(last).profile["text_tokens"] == "1/24/99"
    v_of(tensorrt_denoiser(transformer, prepared=True), transformer, (1, 8, 4, 6, 3, 33))


def test_what_build_puts_into_the_cache_the_backend_takes(rtx, transformer, tiny_model, tiny_fp16_graph, exports):
    with pytest.raises(
        RequestError, match="no TensorRT engine is in the cache folder; build one with layerflow-export"
    ):
        tensorrt_denoiser(transformer, prepared=True)
    assert run(["build", str(tiny_model), "--precision", "fp16", "--target", "sm89"]) == 0
    v_of(tensorrt_denoiser(transformer, prepared=True), transformer, SHAPE)
    assert run(["build", str(tiny_model), "--precision", "fp16", "--target", "sm89"]) == 0
    assert len(exports) == 1
    shutil.rmtree(engines()[0].parent)
    sizes = [f"--profile={size}" for size in ("batch=1/2/2", "frames=1/2/2", "rows=2", "columns=3", "text_tokens=24")]
    assert run(["build", str(tiny_fp16_graph), "--target", "current", *sizes]) == 0
    v_of(tensorrt_denoiser(transformer, prepared=True), transformer, SHAPE)


def test_build_merges_loras(rtx, tiny_model, exports, tmp_path):
    lora = write_diffusers(tmp_path, random_lora(network_of(tiny_model)))
    command = ["build", str(tiny_model), "--precision", "fp16", "--target", "sm89"]
    assert run([*command, "--lora", f"{lora}:0.5"]) == 0
    merged = load_transformer(open_model(tiny_model), dtype=torch.float16, lora=(f"{lora}:0.5",))
    assert exports == [engine_content(merged)] != [engine_content(network_of(tiny_model, torch.float16))]
    tensorrt_denoiser(merged, prepared=True)


def test_a_graph_is_merged_already(rtx, tiny_fp16_graph, capsys):
    assert run(["build", str(tiny_fp16_graph), "--motion", "0.5"]) == 2
    assert "is a graph already; give it other LoRAs with layerflow-export refit" in capsys.readouterr().err


def test_the_graph_of_a_model_that_is_here_has_its_sizes(rtx, tiny_model, tiny_fp16_graph, monkeypatch):
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tiny_model.parent))
    assert run(["build", str(tiny_fp16_graph), "--target", "sm89"]) == 0
    profile = {"batch": "1/2/2", "columns": "3/3/3", "frames": "1/2/2", "rows": "2/2/2", "text_tokens": "1/24/24"}
    assert read_report(engines()[0]).profile == profile


def test_a_graph_of_no_known_network_has_no_place_in_the_cache(rtx, tiny_fp16_graph, tmp_path, capsys):
    bare = shutil.copytree(tiny_fp16_graph, tmp_path / "bare", ignore=shutil.ignore_patterns(MANIFEST))
    assert run(["build", str(bare)]) == 2
    assert "no manifest says which network" in capsys.readouterr().err


def test_networks_that_were_not_used_for_longest_go(rtx, transformer):
    for step in range(MAX_NETWORKS + 2):
        transformer.proj_out.bias.data[0] += 1.0
        tensorrt_denoiser(transformer)
        os.utime(engines_folder(engine_content(transformer)), (1e9 + step, 1e9 + step))
    assert len(engines()) == MAX_NETWORKS and engines_folder(engine_content(transformer)).exists()


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((3, 8, 4, 6, 3, 8), "the engine takes batch from 1 to 2 and this shot has 3; .* --profile batch=1/3/3"),
        ((1, 12, 4, 6, 3, 8), "takes frames from 1 to 2 and this shot has 3; .* --profile frames=1/3/3"),
        ((1, 8, 2, 6, 3, 8), "takes rows from 2 to 2 and this shot has 1; .* --profile rows=1/1/2"),
        ((1, 8, 4, 6, 3, 9), "takes text_tokens from 1 to 24 and this shot has 27; .* text_tokens=1/27/27"),
    ],
)
def test_sizes_that_it_was_not_built_for(rtx, transformer, shape, sentence):
    network = tensorrt_denoiser(transformer)
    with pytest.raises(RequestError, match=sentence):
        v_of(network, transformer, shape)
    assert v_of(network, transformer, SHAPE).shape == (2, 8, 6, 4, 6)


OUT = "[defaultAllocator.cpp::allocate::58] Error Code 1: Cuda Runtime (out of memory)"


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        (OUT, MemoryError, "out of memory"),
        ("Error Code 2: OutOfMemory (Requested size was 1777 bytes.)", MemoryError, "1777"),
        (
            "Error Code 1: Myelin",
            ModelError,
            r"TensorRT cannot run this engine \(Error Code 1: Myelin\); build it anew, or",
        ),
    ],
)
def test_what_fails_is_one_sentence(machine, transformer, said, error, sentence):
    network = tensorrt_denoiser(transformer)
    machine.broken = said
    with pytest.raises(error, match=sentence):
        v_of(network, transformer, SHAPE)
    with pytest.raises(error, match=sentence):
        tensorrt_denoiser(transformer)
    machine.broken = ""
    assert v_of(network, transformer, SHAPE).isfinite().all()


def test_one_that_leaves_no_room_is_taken_only_by_its_name(rtx, transformer):
    tensorrt_denoiser(transformer)
    rtx.free_bytes = 50_000
    with pytest.raises(RequestError, match=r"the engine needs 0\.0 GiB more on the GPU and 0\.0 are free; name"):
        tensorrt_denoiser(transformer, prepared=True)
    tensorrt_denoiser(transformer)


def test_the_real_one_says_why_it_refuses_a_file(tmp_path):
    trt = pytest.importorskip("tensorrt_rtx", reason="there is no TensorRT-RTX for this platform")
    (tmp_path / "x.engine").write_bytes(b"vtrt".ljust(5000))
    with pytest.raises(
        ModelError, match=r"^TensorRT cannot run this engine \(.*Error Code.*\); build it anew, or take"
    ):
        open_engine(trt, Log.of(trt), tmp_path / "x.engine")


def test_inputs_have_to_be_where_the_engine_is(rtx, transformer):
    tensorrt_denoiser(transformer)
    with pytest.raises(RequestError, match="runs on cpu, not on meta; leave --device auto"):
        EngineCore(engines()[0])({"latents": torch.zeros(1, device="meta")})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"precision": "float32"}, "computes in half types; take --precision bfloat16 or float16"),
        ({"precision": "float16", "memory": "low"}, "needs the whole transformer; take --memory full or balanced"),
    ],
)
def test_what_it_cannot_run_is_a_sentence(rtx, tiny_model, options, sentence):
    with pytest.raises(RequestError, match=sentence):
        load_engine(open_model(tiny_model), LoadOptions(backend="tensorrt", device="cpu", **options))


def test_why_not(monkeypatch, transformer):
    install("tensorrt_rtx", monkeypatch)
    assert why_not() is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert why_not() == "the backend tensorrt needs an NVIDIA GPU; leave --backend auto"
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "neither TensorRT nor TensorRT-RTX is installed" in str(why_not())
    with pytest.raises(RequestError, match="neither"):
        tensorrt_denoiser(transformer)
