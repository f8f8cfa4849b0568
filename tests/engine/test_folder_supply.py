"""Training on a dataset folder: its clips as the trainer asks for them, and a model that says what it saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sights import write_sources
from test_trainer import RECIPE, advance
from tiny import random_linear_codec, save_linear_codec, write_text

from layerflow.data.copy_paste import CopyPasteConfig
from layerflow.data.intake import Taking
from layerflow.data.paste_maker import make_copy_paste
from layerflow.layout import ALL_LAYERS, LAYERS
from layerflow.models.folder import open_model
from layerflow.training import mini
from layerflow.training.folder_supply import FolderSupply, licences_of
from layerflow.training.render import RenderConfig
from layerflow.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = RenderConfig(num_frames=4, height=32, width=48)
TWO = ("foreground", "alpha", "foreground2", "alpha2", "background", "blended")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    write_sources(root)
    out = root / "set"
    make_copy_paste([root / "fronts"], [root / "backs"], out, taking=Taking(), config=CopyPasteConfig(), hold_out=0.25)
    return out


@pytest.mark.parametrize("layers", [LAYERS, TWO, ("foreground", "alpha", "guide", "background", "blended")])
def test_a_batch_has_the_layers_that_are_asked_for(dataset: Path, layers: tuple[str, ...]) -> None:
    fed = FolderSupply(folder=dataset, config=CONFIG)
    clips, captions = fed.batch(np.random.default_rng(0), 3, layers)
    again, same = fed.batch(np.random.default_rng(0), 3, layers)
    assert clips.shape == (3, len(layers), 4, 32, 48, 3) and clips.dtype == np.float32
    assert np.array_equal(clips, again) and captions == same
    made = dict(zip(layers, clips.swapaxes(0, 1), strict=True))
    alpha = made["alpha"]
    assert alpha.max() > 0.9 and np.array_equal(alpha[..., 0], alpha[..., 2])
    outside = alpha[..., :1] == -1
    np.testing.assert_allclose(made["foreground"][np.broadcast_to(outside, alpha.shape)], 0, atol=1e-6)
    for caption in captions:
        assert len(caption) == (4 if "foreground2" in layers else 3)
        assert caption[0] in caption[2] and caption[1] in caption[2]


def test_where_nothing_is_in_front_the_picture_is_the_background(dataset: Path) -> None:
    clips, _ = FolderSupply(folder=dataset, config=CONFIG).batch(np.random.default_rng(1), 4, TWO)
    made = dict(zip(TWO, clips.swapaxes(0, 1), strict=True))
    clear = np.broadcast_to(((made["alpha"] == -1) & (made["alpha2"] == -1)).all(axis=-1)[..., None], clips[:, 0].shape)
    assert clear.any()
    np.testing.assert_allclose(made["blended"][clear], made["background"][clear], atol=0.01)


def test_a_model_trained_on_a_folder_says_whose_pictures_it_saw(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    save_linear_codec(random_linear_codec(8), tmp_path / "init" / "codec")
    write_text(tmp_path / "init")

    def three_steps(self: Trainer) -> None:
        advance(self, 3)

    monkeypatch.setattr(Trainer, "run", three_steps)
    made = mini.train(dataset, tmp_path / "init", tmp_path / "run", replace(RECIPE, num_frames=4))
    assert "LICENSE-data.md" in open_model(made.path).manifest.sha256
    said = (made.path / "LICENSE-data.md").read_text()
    assert said == licences_of(dataset) and said.startswith("# Data sources and licences\n\n## ")


def test_all_layers_can_be_measured(dataset: Path) -> None:
    clips, _ = FolderSupply(folder=dataset, config=CONFIG).batch(np.random.default_rng(0), 2, ALL_LAYERS)
    assert clips.shape[:2] == (2, len(ALL_LAYERS)) and clips[:, ALL_LAYERS.index("guide")].max() > 0.9
