"""Prompts: what the encoder is given, and what it does not get to see."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import PROMPT_TOKENS, TEXT_WIDTH, WORDS

from layerflow.layout import VARIANTS, Layout
from layerflow.models.text_encoder import load_text
from layerflow.text import Dropped, T5Text, layer_index, layer_prompts

pytestmark = pytest.mark.usefixtures("one_thread")

GENERATE, DECOMPOSE = VARIANTS["gen_rgba"].layout, VARIANTS["seg_rgba"].layout


@pytest.fixture(scope="module")
def text(tiny_model: Path) -> T5Text:
    return load_text(tiny_model, PROMPT_TOKENS)


def test_prompts_carry_their_layer_s_index_in_the_layout_s_order() -> None:
    prompts = {"blended": "both", "background": "sea", "foreground": "a dog"}
    assert layer_prompts(GENERATE, prompts) == ["0, a dog", "1, sea", "2, both"]
    assert layer_prompts(DECOMPOSE, prompts) == ["0, a dog", "1, sea"]
    assert layer_prompts(GENERATE, {"background": "sea"}) == ["0, ", "1, sea", "2, "]
    turned = Layout(layers=("blended",), prompts=("blended", "foreground"))
    assert layer_prompts(turned, prompts) == ["2, both", "0, a dog"]
    assert layer_index(turned).tolist() == [2.0, 0.0] and layer_index(GENERATE).dtype == torch.float32


def test_each_prompt_is_encoded_alone(text: T5Text) -> None:
    whole = text.encode(["0, a red dog", "1, the garden", ""])
    assert whole.shape == (3, PROMPT_TOKENS, TEXT_WIDTH) and whole.dtype == torch.float32
    for row, prompt in enumerate(["0, a red dog", "1, the garden", ""]):
        torch.testing.assert_close(text.encode([prompt])[0], whole[row])


def test_pads_are_kept_and_are_seen(text: T5Text) -> None:
    """No mask: every pad has an embedding of its own, and the words' embeddings depend on the pads."""
    embedded = text.encode(["0, dog"])[0]
    assert (embedded.abs().sum(-1) > 0).all()
    ids = text.tokenizer("0, dog", return_tensors="pt").input_ids
    bare = text.encoder(ids).last_hidden_state[0]
    assert len(bare) == 4 and not torch.allclose(embedded[: len(bare)], bare, atol=1e-3)


def test_the_mask_is_the_encoder_s_no_mask(text: T5Text) -> None:
    ids = text.tokenizer("0, dog", padding="max_length", max_length=PROMPT_TOKENS, return_tensors="pt").input_ids
    torch.testing.assert_close(text.encode(["0, dog"]), text.encoder(ids).last_hidden_state)


@given(st.lists(st.sampled_from(WORDS[3:]), max_size=20))
def test_what_is_dropped_is_exactly_the_end_that_is_not_seen(text: T5Text, words: list[str]) -> None:
    room = PROMPT_TOKENS - 1  # one is the end's own
    dropped = text.dropped(" ".join(words))
    left_out = words[room:]
    assert dropped == (Dropped(text=" ".join(left_out), num_tokens=len(left_out)) if left_out else None)
    seen = text.encode([" ".join(words)])
    torch.testing.assert_close(seen, text.encode([" ".join(words[:room])]))


def test_other_calls_do_not_change_what_is_dropped(text: T5Text) -> None:
    long = " ".join(["dog"] * 9)
    for _ in range(2):
        assert text.dropped(long) == Dropped(text="dog dog", num_tokens=2) and text.dropped("dog") is None
        text.encode([long])


@pytest.mark.parametrize("prompt", ["", " ", "\n", "犬\U0001f415", "שלום", "a" * 10_000, "dog " * 5_000])
def test_any_text_is_encoded(text: T5Text, prompt: str) -> None:
    assert text.encode([prompt]).isfinite().all()
