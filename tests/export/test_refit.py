"""Other LoRAs for a graph that is there: the bytes of an export with them, or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import onnx_ir
import pytest
import torch
from loras import MODULES, random_lora, write_diffusers, write_peft
from networks import exported, inputs_of, network_of, run_with
from tiny import tiny_transformer, write_tiny_model

from layerflow.models.folder import open_model, write_manifest
from layerflow.models.network import load_transformer
from layerflow_export.cli.app import run
from layerflow_export.manifest import DATA, GRAPH, MANIFEST, content_hash, read_graph_manifest
from layerflow_export.refit import refit_graph

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

OTHERS = ("transformer_blocks.0.attn1.to_q", "transformer_blocks.1.ff.net.0.proj", "layer_view.proj", "proj_out")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a Motion LoRA, equal matrices, and one so small that a graph has it in its own file."""
    folder = write_tiny_model(
        tmp_path_factory.mktemp("models") / "moving", transformer={"time_width": 6, "pixel_widths": []}
    )
    network = network_of(folder)
    for gate in network.copy_gate.gates:
        gate.weight.data.zero_()
    network.save_pretrained(folder / "transformer")
    tensors = random_lora(network, ("transformer_blocks.0.attn1.to_k",), rank=2, seed=9)
    write_peft(folder / "motion", tensors, r=2, lora_alpha=0.1)
    write_manifest(folder, open_model(folder).manifest)
    return folder


@pytest.fixture(scope="module")
def graph(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(model, tmp_path_factory.mktemp("graphs") / "bare")


@pytest.fixture(scope="module")
def loras(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two LoRAs that share modules, at weights that leave the numbers about as large as they were."""
    network = network_of(model)
    one = write_diffusers(
        tmp_path_factory.mktemp("loras"), random_lora(network, (*MODULES, "time_embedding.linear_2")), r=4, lora_alpha=2
    )
    other = write_diffusers(tmp_path_factory.mktemp("loras"), random_lora(network, OTHERS, rank=2, seed=1))
    return [f"{one}:0.04", f"{other}:-0.03"]


def refitted(source: Path, folder: Path, model: Path, *lora: str, motion: float = 0.0) -> Path:
    refit_graph(source, folder, lora=lora, motion=motion, model=str(model))
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (GRAPH, DATA)}


@pytest.fixture(scope="module")
def merged(model: Path, graph: Path, loras: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph with both LoRAs and some motion."""
    return refitted(graph, tmp_path_factory.mktemp("graphs") / "merged", model, *loras, motion=0.5)


@pytest.mark.parametrize("shape", [(1, 8, 4, 6, 3, 8), (2, 12, 8, 4, 2, 5)])
def test_it_computes_what_torch_computes_with_the_loras_merged(model, graph, merged, loras, shape):
    transformer = load_transformer(open_model(model), dtype=torch.float32, lora=loras, motion=0.5)
    inputs = inputs_of(transformer, shape)
    with torch.inference_mode():
        eager = transformer(**inputs)
        assert (run_with(merged, transformer)(**inputs) - eager).abs().max() <= 2e-6
        assert (run_with(graph, transformer)(**inputs) - eager).abs().max() > 1e-2


def test_it_is_the_export_of_the_merged_model(model, merged, loras, tmp_path):
    options = [argument for text in loras for argument in ("--lora", text)]
    new = exported(model, tmp_path / "new", *options, "--motion", "0.5")
    assert bytes_of(new) == bytes_of(merged)
    assert read_graph_manifest(new) == read_graph_manifest(merged)


@pytest.mark.long
def test_a_half_graph_too(tiny_model, bf16_graph, tmp_path):
    lora = str(write_diffusers(tmp_path / "lora", random_lora(network_of(tiny_model))))
    merged = refitted(bf16_graph, tmp_path / "merged", tiny_model, lora)
    new = exported(tiny_model, tmp_path / "new", "--precision", "bfloat16", "--lora", lora)
    assert bytes_of(new) == bytes_of(merged) != bytes_of(bf16_graph)
    assert read_graph_manifest(new) == read_graph_manifest(merged)


def test_what_it_holds_is_written_down(model, graph, merged, loras):
    bare, manifest = read_graph_manifest(graph), read_graph_manifest(merged)
    assert manifest.origin.loras == tuple(loras) and manifest.origin.motion == 0.5
    assert [len(digest) for digest in manifest.origin.lora_sha256] == [64, 64]
    transformer = load_transformer(open_model(model), dtype=torch.float32, lora=loras, motion=0.5)
    assert manifest.content == content_hash(transformer, manifest.opset) != bare.content
    assert not manifest.damaged(merged) and manifest.weights == bare.weights
    assert sorted(path.name for path in merged.iterdir()) == [MANIFEST, GRAPH, DATA]


def test_a_matrix_inside_the_graph_changes_and_all_else_stays(graph, merged):
    weights = read_graph_manifest(graph).weights
    assert weights["time_embedding.linear_2.weight"].offset is None
    before, after = (onnx_ir.load(folder / GRAPH).graph.initializers for folder in (graph, merged))
    changed = {
        name
        for name, weight in weights.items()
        if (before[weight.initializer].const_value.numpy() != after[weight.initializer].const_value.numpy()).any()
    }
    modules = {*MODULES, *OTHERS, "time_embedding.linear_2", "transformer_blocks.0.attn1.to_k"}
    assert changed == {f"{module}.weight" for module in modules}


def test_without_loras_it_is_the_model_again(model, graph, merged, tmp_path):
    bare = refitted(merged, tmp_path / "bare", model)
    assert bytes_of(bare) == bytes_of(graph) and read_graph_manifest(bare) == read_graph_manifest(graph)


def test_versions_stay_those_that_made_the_graph(model, graph, tmp_path):
    source = shutil.copytree(graph, tmp_path / "source")
    written = json.loads((source / MANIFEST).read_text())
    written["versions"]["torch"] = "2.0"
    (source / MANIFEST).write_text(json.dumps(written))
    manifest = read_graph_manifest(refitted(source, tmp_path / "refitted", model))
    assert manifest.versions["torch"] == "2.0"
    assert manifest.content == content_hash(network_of(model), manifest.opset, versions=manifest.versions)
    assert manifest.content != read_graph_manifest(graph).content


def test_the_command_line_finds_the_model_by_its_hash(model, graph, loras, tmp_path, monkeypatch, capsys):
    shutil.copytree(model, tmp_path / "models" / "under another name")
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tmp_path / "models"))
    line = ["refit", str(graph), "-o", str(tmp_path / "one"), "--lora", loras[1]]
    assert run([*line, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["path"] == str(tmp_path / "one" / GRAPH) and printed["changed"] == len(OTHERS)
    assert printed["content"] == read_graph_manifest(tmp_path / "one").content
    assert run([*line, "--json"]) == 6
    assert f"{tmp_path / 'one'} is already there; remove it" in capsys.readouterr().err
    assert run(["refit", str(tmp_path / "one"), "-o", str(tmp_path / "none")]) == 0
    assert f"{tmp_path / 'none' / GRAPH}: {len(OTHERS)} of " in capsys.readouterr().out


def refused(capsys, graph: Path, folder: Path, *options: object) -> str:
    """The sentence of a refit that fails and leaves nothing."""
    folder.mkdir()
    code = run(["refit", str(graph), "-o", str(folder / "graph"), *map(str, options)])
    assert code and not list(folder.iterdir())
    return capsys.readouterr().err.strip()


def test_another_model_is_refused(tiny_model, graph, tmp_path, capsys):
    sentence = refused(capsys, graph, tmp_path / "a")
    assert sentence.endswith(f"the model tiny that {graph} was exported from is not here; name it with --model")
    sentence = refused(capsys, graph, tmp_path / "b", "--model", tiny_model)
    assert f"was exported from a model tiny that is not the one in {tiny_model}; name that one" in sentence
    nameless = shutil.copytree(graph, tmp_path / "nameless")
    (nameless / MANIFEST).write_text(json.dumps({**json.loads((nameless / MANIFEST).read_text()), "origin": None}))
    sentence = refused(capsys, nameless, tmp_path / "c", "--model", model)
    assert "does not say which model it is of; export that one" in sentence


def test_loras_that_are_not_there_or_do_not_fit_are_refused(model, graph, tmp_path, capsys):
    sentence = refused(capsys, graph, tmp_path / "a", "--model", model, "--lora", tmp_path / "none.safetensors")
    assert "there is no LoRA" in sentence
    wide = tiny_transformer(6, {"generate": open_model(model).layout("generate")}, time_width=10, mixed_layers=4)
    foreign = write_diffusers(tmp_path / "lora", random_lora(wide, ("time_embedding.linear_1",)))
    sentence = refused(capsys, graph, tmp_path / "b", "--model", model, "--lora", foreign)
    assert "time_embedding.linear_1" in sentence
    sentence = refused(capsys, graph, tmp_path / "c", "--model", model, "--lora", f"{foreign}:9")
    assert "weight" in sentence


def test_motion_without_a_motion_lora_is_refused(released_model, released_graph, tmp_path, capsys):
    sentence = refused(capsys, released_graph, tmp_path / "a", "--model", released_model, "--motion", "1")
    assert sentence.endswith("model released-rgba has no Motion LoRA; leave motion at 0 or choose another model")


def test_a_damaged_graph_is_refused(model, graph, tmp_path, capsys):
    source = shutil.copytree(graph, tmp_path / "source")
    (source / DATA).write_bytes(b"half")
    sentence = refused(capsys, source, tmp_path / "a", "--model", model)
    assert sentence.endswith(f"{source / DATA} is not the file that was exported; export the model again")
    assert "holds no exported graph" in refused(capsys, tmp_path / "lora", tmp_path / "b")


def test_a_full_disk_leaves_nothing(model, graph, loras, tmp_path, capsys, monkeypatch):
    def full(path, contents):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    sentence = refused(capsys, graph, tmp_path / "a", "--model", model, "--lora", loras[0])
    assert "the disk is full" in sentence


def test_equal_matrices_that_are_one_in_the_graph_cannot_part(model, graph, tmp_path, capsys):
    lora = write_diffusers(tmp_path / "lora", random_lora(network_of(model), ("copy_gate.gates.2",)))
    sentence = refused(capsys, graph, tmp_path / "a", "--model", model, "--lora", lora)
    assert "holds copy_gate.gates.0.weight and copy_gate.gates.2.weight as one, which they are not" in sentence
