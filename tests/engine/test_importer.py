"""From files in the released layout to a model folder that renders, and nothing in between."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from released_files import TINY_GRID, random_checkpoint, write_base, write_checkpoint, write_sat_base
from rendering import write_plate
from safetensors.torch import load_file

from layerflow.cli.app import run
from layerflow.errors import ModelError, OutputError
from layerflow.layout import VARIANTS
from layerflow.models import building, importer
from layerflow.models.folder import open_model
from layerflow.models.importer import find_checkpoint, import_checkpoint
from layerflow.models.load import LoadOptions, load_engine
from layerflow.models.released import FOLDERS, PREFIX
from layerflow.models.shelf import list_models

pytestmark = pytest.mark.usefixtures("one_thread")

SEG = "seg_rgba"
SIZE = ("--height", "32", "--width", "48", "--prompt-tokens", "8")


def checkpoint(variant: str = SEG, **options: Any) -> dict[str, torch.Tensor]:
    known = VARIANTS[variant]
    return random_checkpoint(TINY_GRID.positions(known), has_layer_embedding=known.layer_embedding, **options)


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two downloaded variants."""
    folder = tmp_path_factory.mktemp("download")
    for variant in (SEG, "gen_rgb"):
        write_checkpoint(folder, variant, checkpoint(variant))
    return folder


@pytest.fixture(scope="module")
def source(download: Path) -> Path:
    return download / FOLDERS[SEG]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAYERFLOW_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_an_imported_model_renders_by_its_name(
    download: Path, base: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "import", str(download / FOLDERS[SEG]), "--base", str(base), *SIZE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["name"] == "layerflow-2b/seg_rgba" and Path(told["path"]) == models / "layerflow-2b" / SEG
    assert run(["models", "import", str(download / FOLDERS["gen_rgb"]), *SIZE]) == 0  # its base is the first one's
    assert run(["models", "verify", "layerflow-2b"]) == 0

    plate = write_plate(tmp_path / "plate", count=16, size=(32, 48))
    out = ("--steps", "1", "-o", str(tmp_path / "out" / "a.%04d.exr"), "--device", "cpu")
    assert run(["decompose", plate, "--model", "layerflow-2b/seg_rgba", *out]) == 0
    assert len(list((tmp_path / "out").glob("a.*.exr"))) == 16
    prompts = ("--foreground", "a red dog", "--background", "the garden", "--overwrite")
    assert run(["generate", *prompts, "--model", "layerflow-2b", *out]) == 0


def test_what_is_in_the_folder(source: Path, base: Path, tmp_path: Path) -> None:
    model = import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    manifest, known = model.manifest, VARIANTS[SEG]
    assert manifest.name == "m" and dict(manifest.layouts) == {known.task: known.layout}
    assert (manifest.height, manifest.width, manifest.prompt_tokens) == (32, 48, 8)
    assert manifest.sampler.num_steps == 50 and manifest.sampler.guidance.power == 5.0
    assert "not stated by its authors" in manifest.licence and "Apache-2.0" in manifest.licence
    assert not list(model.damaged())
    kept = {path.relative_to(model.path).as_posix() for path in model.path.rglob("*") if path.is_file()}
    assert kept == {"layerflow.json", *manifest.sha256}
    modes = {
        path.stat().st_mode & 0o777 for path in model.path.rglob("*") if path.is_file() and path.stat().st_nlink == 1
    }
    assert modes == {model.path.stat().st_mode & 0o666}  # a studio shares its models
    assert json.loads((model.path / "motion" / "adapter_config.json").read_text())["lora_alpha"] == 1


def test_the_same_files_give_the_same_model(source: Path, base: Path, tmp_path: Path) -> None:
    one = import_checkpoint(source, base, target=tmp_path / "one", grid=TINY_GRID)
    two = import_checkpoint(source, base, target=tmp_path / "two", grid=TINY_GRID, variant=SEG)
    assert one.sha256 == two.sha256
    shared = "text_encoder/model.safetensors"
    assert (one.path / shared).stat().st_ino == (two.path / shared).stat().st_ino  # 9.5 GB, on disk once


def test_what_cannot_be_linked_is_copied(
    source: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    model = import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    assert not list(model.damaged())
    assert (model.path / "text_encoder" / "model.safetensors").stat().st_nlink == 1


def content_merged(name: str, tensors: dict[str, torch.Tensor], rows: slice) -> torch.Tensor:
    """W + D C / rank, in float64."""
    get = {key: tensors[f"{PREFIX}{name}{key}"].double() for key in ("original.weight", "matrix_C.1", "matrix_D.1")}
    return get["original.weight"][rows] + get["matrix_D.1"] @ get["matrix_C.1"] / 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_content_lora_is_merged_in_float32_and_then_cast(base: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {key: value.to(dtype) for key, value in checkpoint().items()}
    source = write_checkpoint(tmp_path, SEG, tensors)
    model = import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    stored = load_file(model.path / "transformer" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in stored.values()} == {dtype}
    merged = content_merged("transformer.layers.1.attention.query_key_value.", tensors, slice(32, 64))
    got = stored["transformer_blocks.1.attn1.to_k.weight"]
    if dtype == torch.float32:
        torch.testing.assert_close(got.double(), merged, atol=1e-7, rtol=0)
    else:
        assert (got != merged.to(dtype)).float().mean() < 0.01  # but for a tie on the way through float32
    motion = load_file(model.path / "motion" / "adapter_model.safetensors")
    name = "base_model.model.transformer_blocks.1.attn1.to_k.lora_B.weight"
    assert torch.equal(motion[name], tensors[f"{PREFIX}transformer.layers.1.attention.query_key_value.matrix_B.1"])


def test_another_precision_and_shards(
    source: Path,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    whole = import_checkpoint(source, base, target=tmp_path / "whole", grid=TINY_GRID)
    monkeypatch.setattr(importer, "SHARD", "30KB")
    sharded = import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID, precision=torch.bfloat16)
    assert len(list((sharded.path / "transformer").glob("*-of-*.safetensors"))) > 2
    options = LoadOptions(device="cpu", precision="bfloat16")
    capfd.readouterr()
    load_engine(sharded, options)
    assert capfd.readouterr() == ("", "")  # no bar of the library's own
    ours, theirs = (load_engine(model, options).transformer.state_dict() for model in (sharded, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("form", ["diffusers", "sat", "model"])
def test_every_form_of_the_base_gives_the_same_weights(source: Path, tmp_path: Path, form: str) -> None:
    from tiny import tiny_vae

    torch.manual_seed(3)
    vae = tiny_vae(channels=32, groups=32)  # the authors' form knows no other number of groups
    plain = write_base(tmp_path / "base", vae)
    if form == "sat":
        base = write_sat_base(tmp_path / "sat", sat_keys(vae.state_dict()))
    elif form == "model":
        base = import_checkpoint(source, plain, target=tmp_path / "first", grid=TINY_GRID).path
    else:
        base = plain
    model = import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    codec: Any = load_engine(model, LoadOptions(device="cpu")).codec
    assert all(torch.equal(value, vae.state_dict()[name]) for name, value in codec.vae.state_dict().items())
    assert codec.scale == 1.15258426


def sat_keys(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A diffusers VAE under the keys of its authors: the way back from what the import does, written down anew."""
    pairs = (
        ("conv_shortcut", "nin_shortcut"),
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
    )
    named = {}
    for key, value in state.items():
        for ours, theirs in pairs:
            key = key.replace(ours, theirs)
        for level in range(4):
            key = key.replace(f"down_blocks.{level}.", f"down.{level}.").replace(
                f"up_blocks.{level}.", f"up.{3 - level}."
            )
        key = key.replace("downsamplers.0.", "downsample.").replace("upsamplers.0.", "upsample.")
        named[key.replace("resnets.", "block.")] = value
    return named


def other(base: Path, folder: Path, change: Any) -> Path:
    """A copy of the base with one thing changed."""
    import shutil

    shutil.copytree(base, folder)
    change(folder)
    return folder


def rewrite(name: str, **values: Any) -> Any:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | values))

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda base: (base / "vae" / "config.json").unlink(), "has no VAE; give with --base"),
        (lambda base: (base / "tokenizer" / "tokenizer_config.json").unlink(), "has no tokenizer; give with --base"),
        (lambda base: (base / "text_encoder" / "config.json").unlink(), "has no text encoder; give with --base"),
        (
            lambda base: (base / "text_encoder" / "model.safetensors").rename(base / "x.bin"),
            r"has no \.safetensors file",
        ),
        (rewrite("text_encoder/config.json", d_ff=64), "the text encoder .* is missing or of another shape"),
        (rewrite("text_encoder/config.json", num_layers=2), r"encoder\.block\.1\..* is missing or of another shape"),
        (
            lambda base: (base / "text_encoder" / "model.safetensors").write_bytes(b"x" * 100),
            "the text encoder .* cannot be read",
        ),
        (rewrite("vae/config.json", scaling_factor=0.7), "is not the VAE of CogVideoX-2B: its latents are scaled"),
        (rewrite("vae/config.json", latent_channels=5), "cannot be read"),
        (
            lambda base: (base / "text_encoder" / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"a": "model-00002-of-00002.safetensors"}})
            ),
            "lacks model-00002-of-00002.safetensors; download",
        ),
        (lambda base: (base / "text_encoder" / "config.json").write_text("{"), "cannot be read"),
        (
            lambda base: (base / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"x"),
            "the VAE .* cannot be read",
        ),
    ],
)
def test_a_base_that_does_not_do(source: Path, base: Path, tmp_path: Path, change: Any, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence) as caught:
        import_checkpoint(source, other(base, tmp_path / "b", change), target=tmp_path / "m", grid=TINY_GRID)
    assert "\n" not in str(caught.value) and not (tmp_path / "m").exists() and not (tmp_path / ".m.part").exists()


def test_a_text_encoder_of_another_width(source: Path, tmp_path: Path) -> None:
    wide = write_base(tmp_path / "wide", text_width=64)
    with pytest.raises(ModelError, match="is 64 wide and the checkpoint needs 32; give with --base"):
        import_checkpoint(source, wide, target=tmp_path / "m", grid=TINY_GRID)


def test_a_vae_that_lacks_a_weight_is_not_filled_with_noise(source: Path, base: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    def drop(folder: Path) -> None:
        file = folder / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(file)
        del tensors["decoder.conv_in.conv.weight"]
        save_file(tensors, file, metadata={"format": "pt"})

    with pytest.raises(ModelError, match=r"decoder\.conv_in\.conv\.weight is missing"):
        import_checkpoint(source, other(base, tmp_path / "b", drop), target=tmp_path / "m", grid=TINY_GRID)


def test_which_checkpoint_a_folder_means(download: Path, source: Path, tmp_path: Path) -> None:
    assert find_checkpoint(source) == source / "1000" / "mp_rank_00_model_states.pt"
    (source / "latest").write_text("elsewhere")
    assert find_checkpoint(source) == source / "1000" / "mp_rank_00_model_states.pt"
    with pytest.raises(ModelError, match="holds 2 checkpoints; give one of them, such as"):
        find_checkpoint(download)
    with pytest.raises(ModelError, match=r"holds no mp_rank_00_model_states\.pt; give"):
        find_checkpoint(tmp_path)


def test_a_full_disk_leaves_nothing(source: Path, base: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(building, "save_file", full)
    with pytest.raises(OutputError, match="the disk is full"):
        import_checkpoint(source, base, grid=TINY_GRID)
    assert list((models / "layerflow-2b").iterdir()) == []
    monkeypatch.setattr(building.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match="GB free and this needs about"):
        import_checkpoint(source, base, grid=TINY_GRID)
    assert list((models / "layerflow-2b").iterdir()) == []


def test_a_model_that_is_there_or_being_made(source: Path, base: Path, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".m.lock")
    with lock, pytest.raises(ModelError, match="is being made by another process; wait"):
        import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    made = import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    with pytest.raises(ModelError, match="is already there; remove it with layerflow models remove"):
        import_checkpoint(source, base, target=tmp_path / "m", grid=TINY_GRID)
    assert not list(made.damaged())


def test_a_killed_import_leaves_nothing_that_loads(source: Path, base: Path, models: Path, tmp_path: Path) -> None:
    """Killed when all weights are written and only the manifest is missing."""
    waiting = tmp_path / "waiting"
    code = f"""
import pathlib, time
from layerflow.models import importer
def wait(*_, **__):
    pathlib.Path({str(waiting)!r}).touch()
    time.sleep(600)
importer.write_manifest = wait
from layerflow.cli.app import run
run(["models", "import", {str(source)!r}, "--base", {str(base)!r}, *{SIZE!r}])
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not waiting.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    family = models / "layerflow-2b"
    assert [path.name for path in family.iterdir() if path.is_dir()] == [".seg_rgba.part"]  # it was under way
    assert [model.manifest.name for model in list_models()] == ["mini"]
    with pytest.raises(ModelError):
        open_model(family / SEG)
    assert run(["models", "import", str(source), "--base", str(base), *SIZE]) == 0
    assert [path.name for path in family.iterdir()] == [SEG]
    assert not list(open_model(family / SEG).damaged())


def test_a_malicious_checkpoint_at_the_command_line(
    base: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_checkpoint import Calls

    torch.save({"module": checkpoint(), "x": Calls(os.mkdir, str(tmp_path / "ran"))}, tmp_path / "c.pt")
    assert run(["models", "import", str(tmp_path / "c.pt"), "--base", str(base), *SIZE]) == 5
    assert capsys.readouterr().err.startswith("layerflow: ") and not (tmp_path / "ran").exists()
    sat = write_sat_base(tmp_path / "sat", {"x": Calls(os.mkdir, str(tmp_path / "ran"))})  # type: ignore[dict-item]
    torch.save(checkpoint(), tmp_path / "good.pt")
    assert run(["models", "import", str(tmp_path / "good.pt"), "--base", str(sat), *SIZE]) == 5
    assert not (tmp_path / "ran").exists() and not (models / "layerflow-2b" / SEG).exists()


def test_without_a_base(source: Path, models: Path) -> None:
    assert run(["models", "import", str(source), *SIZE]) == 5
    assert np.all([not path.exists() for path in models.glob("*/*")])
