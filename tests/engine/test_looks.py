"""A text encoder that is taught what words look like says it of every name, whatever else a caption says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import PROMPT_TOKENS, write_text

from layerflow.models.text_encoder import load_text
from layerflow.text import T5Text
from layerflow.training.clips import Source
from layerflow.training.looks import SIDE, lr_scale, place_picture, principal, said, teach_looks, thing_picture
from layerflow.training.supply import Sources

pytestmark = pytest.mark.usefixtures("one_thread")

COLOURS = {"dog": (200, 30, 20), "garden": (20, 180, 40), "night": (30, 40, 220)}


def sprite(colour: tuple[int, int, int], opaque: int) -> np.ndarray:
    pixels = np.zeros((2, 16, 16, 4), np.uint8)
    pixels[:, 16 - opaque :, :opaque] = (*colour, 255)
    return pixels


@pytest.fixture
def sources() -> Sources:
    things = [Source(label=name, pixels=sprite(own, 8 + 2 * i)) for i, (name, own) in enumerate(COLOURS.items())]
    photos = [Source(label=name, pixels=np.full((24, 36, 3), own, np.uint8)) for name, own in COLOURS.items()]
    return Sources(sprites=things[:2], stills=things[2:], cutouts=[], photos=photos)


@pytest.fixture
def text(tmp_path: Path) -> T5Text:
    torch.manual_seed(0)
    write_text(tmp_path)
    return load_text(tmp_path, PROMPT_TOKENS)


def test_the_error_falls_and_words_say_what_things_look_like(text: T5Text, sources: Sources) -> None:
    errors = teach_looks(text, sources, steps=60)
    assert np.mean(errors[:5]) > 0.6 and np.mean(errors[-5:]) < 0.35
    with torch.no_grad():
        known, asked = (said(text, [f"0, {way}{name}" for name in COLOURS]) for way in ("a ", ""))
    assert torch.cdist(asked, known).argmin(dim=1).tolist() == [0, 1, 2]


def test_it_follows_from_the_seed(text: T5Text, sources: Sources, tmp_path: Path) -> None:
    again = load_text(tmp_path, PROMPT_TOKENS)
    assert teach_looks(text, sources, steps=3, seed=4) == teach_looks(again, sources, steps=3, seed=4)


def test_a_picture_of_a_thing_is_grey_where_it_is_not() -> None:
    picture = thing_picture(Source(label="dog", pixels=sprite((255, 0, 0), 8))).reshape(SIDE, SIDE, 4)
    np.testing.assert_allclose(picture[0, -1], 0, atol=1e-6)
    np.testing.assert_allclose(picture[-1, 0], [0.5, -0.5, -0.5, 1], atol=1e-6)


def test_a_place_is_its_colours() -> None:
    photo = np.zeros((24, 36, 3), np.uint8)
    photo[:12] = 255
    picture = place_picture(Source(label="night", pixels=photo)).reshape(8, 12, 3)
    np.testing.assert_allclose(picture[:4], 1, atol=1e-6)
    np.testing.assert_allclose(picture[4:], 0, atol=1e-6)


def test_components_are_as_far_apart_as_the_pictures() -> None:
    pictures = np.random.default_rng(0).random((6, 9), dtype=np.float32)
    told = principal(list(pictures), 6)
    apart, far = (torch.pdist(torch.as_tensor(each).double()) for each in (told, pictures))
    torch.testing.assert_close(apart / apart.mean(), far / far.mean(), atol=1e-5, rtol=1e-5)
    assert told[:, 0].std(unbiased=False) == pytest.approx(1, abs=1e-5)


def test_learning_rates_end_at_nothing() -> None:
    assert lr_scale(0, 1000) == pytest.approx(1 / 50) and lr_scale(500, 1000) == 1.0
    assert lr_scale(999, 1000) == pytest.approx(0.001 / 0.3)
