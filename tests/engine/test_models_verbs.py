"""Families of models, and `models list`, `info`, `verify` and `remove` on real folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from layerflow.cli.app import run
from layerflow.errors import ModelError
from layerflow.models import disk, hashes
from layerflow.models.folder import MANIFEST, open_model
from layerflow.models.hashes import file_sha256
from layerflow.models.shelf import bundled_path, exact_name, find_model, find_models, list_models, model_name
from layerflow.shot import Shot
from layerflow.wire import Request

MEMBERS = {  # member: its task, and whether it makes an alpha layer
    "gen_rgb": ("generate", False),
    "gen_rgba": ("generate", True),
    "seg_rgb": ("decompose", False),
}


@pytest.fixture
def models(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models with `alone` and the family `lf`, and what a killed build left."""
    root = tmp_path / "models"
    shutil.copytree(tiny_model, root / "alone")
    for name, (task, has_alpha) in MEMBERS.items():
        member = Path(shutil.copytree(tiny_model, root / "lf" / name))
        manifest = json.loads((member / MANIFEST).read_text())
        layout = manifest["layouts"][task]
        if not has_alpha:
            layout |= {"layers": [layer for layer in layout["layers"] if layer != "alpha"], "given": []}
        (member / MANIFEST).write_text(json.dumps(manifest | {"layouts": {task: layout}}))
    shutil.copytree(tiny_model, root / "lf" / ".seg_rgba.part")
    shutil.copytree(tiny_model, root / ".other.part")
    monkeypatch.setenv("LAYERFLOW_MODELS", str(root))
    return root


def last_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_family_gives_the_member_that_can_do_the_task_with_alpha_first(models: Path) -> None:
    assert find_model("lf", "generate").path == models / "lf" / "gen_rgba"
    assert find_model("lf", "decompose").path == models / "lf" / "seg_rgb"
    assert find_model("lf/gen_rgb", "generate").path == find_model("lf/gen_rgb").path == models / "lf" / "gen_rgb"
    assert find_model(str(models / "lf"), "decompose").path == models / "lf" / "seg_rgb"


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (None, "lf is a family of models; name one of them: lf/gen_rgb, lf/gen_rgba, lf/seg_rgb"),
        ("background", "no model of lf here can background; here are: lf/gen_rgb, lf/gen_rgba, lf/seg_rgb - "),
    ],
)
def test_a_family_without_the_right_member_names_those_it_has(models: Path, task: str | None, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        find_model("lf", task)


def test_a_damaged_member_does_not_hide_the_others(models: Path) -> None:
    (models / "lf" / "gen_rgba" / MANIFEST).write_text("{")
    assert find_model("lf", "generate").path.name == "gen_rgb"
    with pytest.raises(ModelError, match=r"gen_rgba/layerflow\.json is damaged"):
        find_models("lf")


def test_a_shot_says_which_member_made_it(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shot_of(model: str) -> Shot:
        request = Request("generate", foreground="a", background="b", model=model, output=str(models / "a.%04d.exr"))
        return Shot.prepare(request, lambda event: None, lambda: False)

    assert shot_of("lf").request.model == shot_of("lf/gen_rgba").request.model == "lf/gen_rgba"
    monkeypatch.chdir(models)
    for given in ("lf", "lf/gen_rgba", "./lf"):  # a path here, which may be another model's elsewhere
        assert shot_of(given).request.model == str(models / "lf" / "gen_rgba")
    assert exact_name("alone", open_model(models / "alone")) == "alone"
    monkeypatch.chdir(models.parent)
    assert shot_of("alone").request.model == "alone"


def test_members_are_listed_by_the_name_that_finds_them_and_hidden_folders_are_not(models: Path) -> None:
    names = [model_name(model) for model in list_models()]
    assert names == ["mini", "alone", "lf/gen_rgb", "lf/gen_rgba", "lf/seg_rgb"]
    assert [find_model(name).path for name in names] == [model.path for model in list_models()]
    assert model_name(open_model(models / "lf" / ".seg_rgba.part")) == "lf/.seg_rgba.part"


def test_a_model_elsewhere_has_its_path_for_a_name(tiny_model: Path, models: Path) -> None:
    assert model_name(open_model(tiny_model)) == str(tiny_model)


def test_list(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    size = sum(path.stat().st_size for path in (models / "lf" / "gen_rgb").rglob("*") if path.is_file())
    assert lines[2] == f"lf/gen_rgb: generate, {size / 1000:.1f} kB ({models / 'lf' / 'gen_rgb'})"
    assert run(["models", "list", "--json"]) == 0
    listed = last_json(capsys)["models"]
    assert [model["name"] for model in listed][2:] == [f"lf/{name}" for name in MEMBERS]
    assert listed[2]["bytes"] == size and listed[2]["tasks"] == ["generate"]


def test_info(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "info", "lf/seg_rgb", "--json"]) == 0
    one = last_json(capsys)
    assert run(["models", "info", "lf", "--json"]) == 0
    assert last_json(capsys)["models"][2] == one
    assert run(["models", "info", "lf"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"name: lf/gen_rgb", "tasks: generate", "name: lf/seg_rgb", "licence: none"} <= set(lines)


def test_verify(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(open_model(models / "alone").manifest.sha256)
    assert run(["models", "verify", "lf"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"lf/gen_rgba: {count} files are as they should be"
    assert run(["models", "verify", "alone", "--json"]) == 0
    assert last_json(capsys) == {"name": "alone", "files": count, "sha256": open_model(models / "alone").sha256}
    weights = next((models / "lf" / "gen_rgba" / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert run(["models", "verify", "lf"]) == 5
    assert f"damaged or missing: {weights}; remove that model" in capsys.readouterr().err


def test_remove_one_of_a_family(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "remove", "lf/gen_rgb", "--yes", "--json"]) == 0
    removed = last_json(capsys)
    assert removed["removed"] == [str(models / "lf" / "gen_rgb")] and removed["bytes"] > 0
    assert [model.path.name for model in find_models("lf")] == ["gen_rgba", "seg_rgb"]


def test_remove_a_family(models: Path) -> None:
    shutil.rmtree(models / "lf" / ".seg_rgba.part")
    assert run(["models", "remove", "lf", "--yes"]) == 0
    assert sorted(path.name for path in models.iterdir()) == [".other.part", "alone"]


def test_remove_asks(models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_below(models)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "n")
    assert run(["models", "remove", "lf"]) == 130
    assert files_below(models) == before
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "y")
    assert run(["models", "remove", "alone"]) == 0
    assert not (models / "alone").exists()
    assert "removed alone, " in capsys.readouterr().out


def test_what_other_models_share_is_read_once_and_not_counted_as_freed(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = models / "lf" / "gen_rgb", models / "lf" / "gen_rgba"
    shared = next((one / "text_encoder").glob("*.safetensors"))
    (other / "text_encoder" / shared.name).unlink()
    (other / "text_encoder" / shared.name).hardlink_to(shared)
    alone, both = disk.size_on_disk([one]), disk.size_on_disk([one, other])
    assert both == alone + disk.size_on_disk([other]) - shared.stat().st_size
    assert disk.bytes_freed([one]) == alone - shared.stat().st_size and disk.bytes_freed([one, other]) == both
    read, once = [], hashes.HashOnce()
    monkeypatch.setattr(hashes, "file_sha256", lambda path: read.append(path) or file_sha256(path))
    assert not [file for folder in (one, other) for file in open_model(folder).damaged(sha256=once)]
    assert shared in read and other / "text_encoder" / shared.name not in read
    disk.remove([one])
    assert not list(open_model(other).damaged())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mini", "mini is a part of LayerFlow and stays"),
        (str(bundled_path() / "mini"), "is a part of LayerFlow and stays"),
        ("nothing", "there is no model 'nothing'"),
        ("lf/.seg_rgba.part/transformer", "there is no model"),
        (".", "is a part of LayerFlow and stays"),
        ("lf/..", "is not below"),
        ("{outside}", "is not below"),
        ("link", "is a link to"),
        ("linked", "is a link to"),
    ],
)
def test_what_may_not_be_removed(
    models: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    (models / "link").symlink_to(models / "lf")
    (models / "linked").mkdir()
    (models / "linked" / "outside").symlink_to(tiny_model)
    before = files_below(models)
    assert run(["models", "remove", name.format(outside=tiny_model), "--yes"]) == 5
    assert sentence in capsys.readouterr().err
    assert files_below(models) == before and open_model(tiny_model)


def test_a_killed_removal_leaves_nothing_that_loads_and_goes_on(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("layerflow.models.disk.shutil.rmtree", die)
        disk.remove(disk.removable("alone"))
    assert "alone" not in [model_name(model) for model in list_models()]
    with pytest.raises(ModelError, match="there is no model 'alone'"):
        find_model("alone")
    assert run(["models", "remove", "alone", "--yes"]) == 0
    assert sorted(path.name for path in models.iterdir()) == [".other.part", "lf"]
    with pytest.raises(ModelError, match="there is no model 'alone'"):
        disk.removable("alone")


def test_a_removal_that_the_system_refuses_is_one_sentence(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("layerflow.models.disk.shutil.rmtree", refuse)
    assert run(["models", "remove", "alone", "--yes"]) == 5
    assert "alone could not be removed (Permission denied); delete it yourself as" in capsys.readouterr().err
