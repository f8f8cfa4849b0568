"""A look at a window on its way: what is shown, when there is nothing to show, and that the frames stay as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rendering import contents, render, request, write_plate

from layerflow import glimpse as module
from layerflow import shots
from layerflow.codec import LinearCodec
from layerflow.errors import Interrupted
from layerflow.glimpse import Glimpse
from layerflow.models.plans import LOW
from layerflow.preprocess import Fit
from layerflow.preview import Picture

pytestmark = pytest.mark.usefixtures("one_thread")


def glimpses(model: Path, folder: Path, **changes) -> list[Glimpse]:
    """What could be seen after every step of a shot."""
    seen: list[Glimpse] = []
    shots.render(request(model, folder, **changes), on_glimpse=seen.append)
    return seen


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"), size=(20, 20))


@pytest.fixture
def glimpse(tiny_model, plate, tmp_path) -> Glimpse:
    return glimpses(tiny_model, tmp_path / "seen", plate=plate, fit="pad")[0]


def test_looking_changes_no_bit(tiny_model, plate, tmp_path) -> None:
    seen: list[dict[str, Picture]] = []
    asked = request(tiny_model, tmp_path / "seen", plate=plate)
    shots.render(asked, on_glimpse=lambda glimpse: seen.append(glimpse.pictures()))
    render(tiny_model, tmp_path / "unseen", plate=plate)
    assert contents(tmp_path / "seen") == contents(tmp_path / "unseen")
    assert sum(len(pictures) == 4 for pictures in seen) >= 3


def test_looking_at_a_video_vae_changes_no_bit(released_model, tmp_path) -> None:
    seen: list[dict[str, Picture]] = []
    asked = request(released_model, tmp_path / "seen", task="generate", num_frames=4, per_layer=True)
    shots.render(asked, on_glimpse=lambda glimpse: seen.append(glimpse.pictures()))
    render(released_model, tmp_path / "unseen", task="generate", num_frames=4, per_layer=True)
    assert contents(tmp_path / "seen") == contents(tmp_path / "unseen")
    assert [picture.shape for picture in seen[-1].values()] == [(32, 48, 3)] * 4


def test_the_plate_is_seen_without_the_edge_that_was_held_around_it(glimpse) -> None:
    pictures = glimpse.pictures()
    assert set(pictures) == {"foreground", "alpha", "background", "blended"}
    assert {picture.shape for picture in pictures.values()} == {(32, 32, 3)}  # of the model's 32 x 48
    assert all(picture.dtype == np.uint8 for picture in pictures.values())


def test_known_latents_give_known_pictures(glimpse) -> None:
    """A codec that knows one level for each block: the foreground half there over the checkerboard."""
    levels = {"foreground": 0.75, "alpha": 0.5, "background": 0.2, "blended": 1.5}
    codec = LinearCodec(1)
    codec.basis.fill_(1.0)
    codec.scale.fill_(1.0)
    layout = glimpse.conditions.layout
    whole = torch.cat([torch.full((layout.latent_frames, 1, 4, 6), 2 * levels[name] - 1) for name in layout.layers])
    given = [index for start, stop in layout.given for index in range(start, stop)]
    made = [index for index in range(layout.num_latents) if index not in given]
    pictures = replace(
        glimpse,
        engine=replace(glimpse.engine, codec=codec),
        conditions=replace(glimpse.conditions, given=whole[given][None]),
        estimate=whole[made][None],
    ).pictures()
    assert {name: np.unique(pictures[name]).tolist() for name in ("alpha", "background", "blended")} == {
        "alpha": [128],
        "background": [51],
        "blended": [255],
    }
    straight = (0.75 - 0.5) / 0.5 + 0.5
    over = [round((0.5 * straight + 0.5 * grey) * 255) for grey in (0.35, 0.55)]
    assert np.unique(pictures["foreground"]).tolist() == over


def test_numbers_that_are_none_are_shown_as_something(glimpse) -> None:
    broken = replace(glimpse, estimate=torch.full_like(glimpse.estimate, torch.nan))
    assert len(broken.pictures()) == 4


def test_nothing_is_seen_while_the_codec_is_at_work(glimpse) -> None:
    with glimpse.codec:
        assert glimpse.pictures() == {}
    assert glimpse.pictures() and not glimpse.codec.locked()


def test_nothing_is_seen_where_the_codec_has_no_room_beside_the_transformer(glimpse, monkeypatch) -> None:
    offloaded = replace(glimpse, engine=replace(glimpse.engine, plan=LOW, device=torch.device("cuda:0")))
    monkeypatch.setattr(module, "free_bytes", lambda device: module.ROOM_BYTES - 1)
    assert offloaded.pictures() == {}
    monkeypatch.setattr(module, "free_bytes", lambda device: module.ROOM_BYTES)
    assert len(offloaded.pictures()) == 4


def test_a_stop_is_heeded_in_the_middle_of_a_look(glimpse) -> None:
    with pytest.raises(Interrupted):
        replace(glimpse, stopped=lambda: True).pictures()
    assert not glimpse.codec.locked()


@pytest.mark.parametrize(
    ("size", "kind", "aspect", "seen"),
    [
        ((48, 32), "pad", 1.0, (32, 48)),
        ((20, 20), "pad", 1.0, (32, 32)),
        ((20, 20), "pad", 2.0, (24, 48)),
        ((20, 20), "crop", 1.0, (32, 48)),
        ((8192, 16), "crop", 1.0, (32, 48)),
    ],
)
def test_the_part_of_the_models_picture_that_shows_the_plate(size, kind, aspect, seen) -> None:
    width, height = size
    fit = Fit(width=width, height=height, columns=48, rows=32, kind=kind, aspect=aspect)
    ramp = torch.arange(32 * 48, dtype=torch.float32).reshape(1, 1, 32, 48)
    part = fit.seen(ramp)
    assert part.shape[-2:] == seen
    top, left = (32 - seen[0]) // 2, (48 - seen[1]) // 2
    assert torch.equal(part, ramp[..., top : top + seen[0], left : left + seen[1]])


def test_a_bucket_is_shown_in_the_plate_s_own_shape() -> None:
    """However much the model's picture is squeezed; and never brighter than it is."""
    fit = Fit(width=8192, height=16, columns=96, rows=16, kind="bucket")
    part = fit.seen(torch.rand(1, 3, 16, 96).round())
    assert part.shape == (1, 3, 1, 96) and part.min() >= 0 and part.max() <= 1
