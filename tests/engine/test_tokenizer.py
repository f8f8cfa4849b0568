"""The release's tokenizer, a sentencepiece model: our tokens are sentencepiece's, and what is cut is told exactly."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from layerflow.errors import ModelError
from layerflow.models.text_encoder import save_tokenizer
from layerflow.text import PromptTokens

WORDS = ["a", "red", "dog", "in", "the", "garden", "at", "night", "parrot", "camera", "slowly", "0", "1", "2", ",", "."]
NUM_EXTRA = 100
ROOM = 225  # tokens of a prompt besides the end token

PROMPTS = [
    "",
    " ",
    "0, ",
    "0, a red dog",
    "  0,  a   red dog  ",
    "a\tred\r\ndog\n\nin the garden\n",
    "ＲＥＤ　ｄｏｇ ①②½ ﬁlm ㎏ ｶﾞ",
    "red\u00a0dog \u200b\u200d\ufeff\u00ad…“quoted” don't",
    "▁dog ▁ dog▁",
    "犬\U0001f415 \U0001f468\u200d\U0001f469\u200d\U0001f467 ❤️ 1️⃣ \U0001f1eb\U0001f1f7",
    "כֶּלֶב אָדֹם \u200f\u202e كَلْبٌ أَحْمَرُ",
    "Một con chó đỏ trong vườn",
    "बगीचे में लाल कुत्ता สุนัขสีแดงในสวน 정원에 있는 빨간 개",
    "İstanbul Straße Ελληνικά ώρα ёж й",
    "dog" * 3000,
    "a red dog " * 1000,
]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer folder with the files that CogVideoX-2B has, its sentencepiece model trained on a few words."""
    folder = tmp_path_factory.mktemp("released") / "tokenizer"
    folder.mkdir()
    chance = random.Random(0)
    sentences = [" ".join(chance.choices(WORDS, k=12)) for _ in range(500)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(folder / "spiece"),
        vocab_size=100,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    size = pieces(folder).get_piece_size()
    names = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    extra = {f"<extra_id_{index}>": size + NUM_EXTRA - 1 - index for index in range(NUM_EXTRA)}
    special = {"additional_special_tokens": list(extra), **names}
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": NUM_EXTRA, "model_max_length": 226, **special}
    for name, values in {"added_tokens": extra, "special_tokens_map": special, "tokenizer_config": config}.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def saved(released: Path) -> Path:
    """The same, as save_tokenizer writes it."""
    save_tokenizer(released, released.with_name("saved"))
    return released.with_name("saved")


def pieces(folder: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(str(folder / "spiece.model"))


def opened(folder: Path) -> PromptTokens:
    return PromptTokens(tokenizer=AutoTokenizer.from_pretrained(folder, local_files_only=True), num_tokens=ROOM + 1)


def expected(released: Path, prompt: str) -> list[int]:
    """Sentencepiece's tokens, cut, then the end token, then pads."""
    kept = [*pieces(released).encode(prompt)[:ROOM], 1]
    return kept + [0] * (ROOM + 1 - len(kept))


@pytest.mark.parametrize("form", ["released", "saved"])
@pytest.mark.parametrize("composed", ["NFC", "NFD"])
def test_our_tokens_are_sentencepiece_s(released: Path, saved: Path, form: str, composed) -> None:
    tokens = opened(released if form == "released" else saved)
    for prompt in (unicodedata.normalize(composed, prompt) for prompt in PROMPTS):
        assert tokens.ids([prompt]).tolist() == [expected(released, prompt)], prompt[:80]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "M"], exclude_characters="\u200c\u200d"), max_size=40))
def test_any_text_without_marks_gives_sentencepiece_s_tokens(released: Path, saved: Path, prompt: str) -> None:
    assert opened(saved).ids([prompt]).tolist() == [expected(released, prompt)]


def test_what_is_saved_needs_no_sentencepiece(released: Path, saved: Path) -> None:
    assert {"tokenizer.json", "tokenizer_config.json"} <= {file.name for file in saved.iterdir()}
    assert not (saved / "spiece.model").exists()
    code = (
        "import sys; sys.modules['sentencepiece'] = None; from transformers import AutoTokenizer\n"
        f"print(AutoTokenizer.from_pretrained({str(saved)!r}, local_files_only=True)('0, a red dog').input_ids)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [*pieces(released).encode("0, a red dog"), 1]


@pytest.mark.parametrize("num_words", [ROOM, ROOM + 1, 3000])
def test_what_is_cut_is_told_to_the_token(released: Path, saved: Path, num_words: int) -> None:
    """Each word is one token; the layer's index and its comma take two, the end token one."""
    words = ["dog", "red", "garden"] * 1000
    prompt = f"0, {' '.join(words[: num_words - 2])}"
    assert len(pieces(released).encode(prompt)) == num_words
    dropped = opened(saved).dropped(prompt)
    if num_words == ROOM:
        assert dropped is None
        return
    assert dropped is not None and dropped.num_tokens == num_words - ROOM
    assert dropped.text == " ".join(words[ROOM - 2 : num_words - 2])


def test_what_is_cut_is_told_in_the_prompt_s_own_characters(saved: Path) -> None:
    kept = "0, " + "dog " * (ROOM - 2)
    tail = "犬\U0001f415  ＲＥＤ\nשלום"
    dropped = opened(saved).dropped(kept + tail)
    assert dropped is not None and dropped.text == tail
    assert dropped.in_short() == "犬\U0001f415 ＲＥＤ שלום"


def test_a_long_tail_is_told_in_short(saved: Path) -> None:
    prompt = "0, " + " ".join(f"{number}" for number in range(2500))
    dropped = opened(saved).dropped(prompt)
    assert len(prompt) > 10_000 and dropped is not None and prompt.endswith(dropped.text)
    short = dropped.in_short()
    start, end = short.split(" … ")
    assert len(short) <= 120 and dropped.text.startswith(start) and dropped.text.endswith(end)


@pytest.mark.parametrize("spoil", ["spiece.model", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: None])
def test_a_tokenizer_that_cannot_be_read(
    released: Path, tmp_path: Path, spoil: str, damage: Callable[[bytes], bytes | None]
) -> None:
    for file in released.iterdir():
        data = file.read_bytes()
        if (left := damage(data) if file.name == spoil else data) is not None:
            (tmp_path / file.name).write_bytes(left)
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be read \(.*\); download it again") as caught:
        save_tokenizer(tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)
