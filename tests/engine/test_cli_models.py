"""The verbs that make and judge models: evaluate, train."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from layerflow.cli.app import run
from layerflow.evaluate.score import Evaluation
from layerflow.evaluate.whole import Wish
from layerflow.training.recipe import Recipe


def module(name, **contents):
    """A module of that name that holds `contents`."""
    made = ModuleType(name)
    vars(made).update(contents)
    return made


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_evaluate(stand_in, tmp_path, capsys):
    wishes = []

    def evaluate(wish, *, told, on_event):
        wishes.append((wish, told))
        return Evaluation(scores={"decompose.matte_iou": 0.5625, "decompose.background_psnr": 23.0}, notes=["absent"])

    stand_in(module("layerflow.evaluate.whole", evaluate=evaluate, Wish=Wish))
    assert run(["evaluate", "--model", "big", "--clips", "8", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == "decompose.matte_iou: 0.562\ndecompose.background_psnr: 23.0 dB\n" and err == "absent\n"
    assert wishes[0] == (
        Wish(model="big", num_clips=8, seed=3),
        "layerflow evaluate --model big --clips 8 --seed 3",
    )
    folder = str(tmp_path)
    tasks = ["--task", "generate", "--task", "decompose", "--steps", "2"]
    assert run(["evaluate", *tasks, "--davis", folder, "--pack", folder, "--page", "new", "--json"]) == 0
    assert last_json(capsys) == {"decompose.matte_iou": 0.5625, "decompose.background_psnr": 23.0}
    wish = Wish(model="mini", tasks=("generate", "decompose"), steps=2, davis=tmp_path, pack=tmp_path, page=Path("new"))
    said = f"layerflow evaluate --task generate --task decompose --steps 2 --davis {folder} --pack {folder}"
    assert wishes[1] == (wish, said)


def test_evaluate_says_where_the_page_is(stand_in, capsys):
    stand_in(module("layerflow.evaluate.whole", evaluate=lambda wish, **_: Evaluation(), Wish=Wish))
    assert run(["evaluate", "--page", "new"]) == 0
    assert capsys.readouterr().out == f"page: {Path('new') / 'index.html'}\n"
    assert run(["evaluate", "--task", "peel"]) == 2


def test_train_mini(stand_in, tmp_path, capsys):
    def train(dataset, init, folder, recipe, *, seed, resume, device, report):
        assert (dataset, init, folder, seed, resume) == (tmp_path, tmp_path, Path("out"), 2, True)
        assert (recipe, str(device)) == (Recipe(minutes=5.0), "cpu")
        report(SimpleNamespace(step=99, seconds=60.0, losses=[9.0]))
        report(SimpleNamespace(step=100, seconds=60.0, losses=[9.0, *[0.5] * 100]))
        return SimpleNamespace(path=folder / "model")

    stand_in(module("layerflow.training.mini", train=train))
    folder = str(tmp_path)
    command = ["train", "mini", folder, "--init", folder, "-o", "out", "--minutes", "5", "--seed", "2", "--resume"]
    assert run(command) == 0
    out, err = capsys.readouterr()
    assert out == f"model: {Path('out/model')}\n" and err == "step 100, 1.0 min, loss 0.5000\n"


def test_train_pack(stand_in, tmp_path, capsys):
    packed = []
    archives = SimpleNamespace(in_folder=lambda folder: ("archives", folder))
    stand_in(module("layerflow.training.pack", Archives=archives, pack=lambda *pair: packed.append(pair)))
    assert run(["train", "pack", str(tmp_path), "-o", "data"]) == 0
    assert packed == [(("archives", tmp_path), Path("data"))]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pack", ".", "-o", "pack"], "holds 0 files named lobehub-fluent-emoji-3d-*.tgz, one is needed"),
        (["init", ".", "--minilm", ".", "-o", "init"], "captions.json is not there; docs/training.md says which step"),
        (["mini", ".", "--init", ".", "-o", "run"], "captions.json is not there; docs/training.md says which step"),
    ],
)
def test_a_step_of_training_before_its_turn(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == 2
    assert sentence in capsys.readouterr().err and not list(tmp_path.iterdir())
