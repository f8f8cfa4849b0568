"""The small text encoder: a static table of word pieces distilled from MiniLM, under a fresh two-layer T5 encoder.

Each piece goes through MiniLM alone; the 384 numbers are reduced to 128 by principal components, and common pieces are
weighted down by their rank (Zipf's law stands in for counts, as the vocabulary is sorted by frequency).
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from transformers import AutoModel, PreTrainedTokenizerFast, T5Config, T5EncoderModel

PAD, UNKNOWN = "[PAD]", "[UNK]"
WIDTH = 128
MAX_TOKENS = 16

NOTICE = """The embedding table in this folder is distilled from sentence-transformers/all-MiniLM-L6-v2
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), licensed under the Apache License, Version 2.0
(https://www.apache.org/licenses/LICENSE-2.0), as is its vocabulary. Changes: a part of the vocabulary, each piece
encoded alone, reduced to 128 dimensions and weighted by rank.
"""


def make_text_folders(
    minilm: Path, out: Path, words: Iterable[str] = (), *, num_pieces: int = 8192, seed: int = 0
) -> None:
    """Write `out/text_encoder` and `out/tokenizer` from a MiniLM folder; pieces of `words` are always kept."""
    vocabulary = (minilm / "vocab.txt").read_text(encoding="utf-8").splitlines()
    pieces = choose_pieces(vocabulary, words, num_pieces - 2)
    places = {piece: i for i, piece in enumerate(vocabulary)}
    table = distil(minilm, [places[piece] for piece in pieces], places)
    table = np.concatenate([np.zeros((2, WIDTH), np.float32), table])
    make_tokenizer([PAD, UNKNOWN, *pieces]).save_pretrained(out / "tokenizer")
    make_encoder(table, seed).save_pretrained(out / "text_encoder")
    for folder in ("tokenizer", "text_encoder"):
        (out / folder / "NOTICE").write_text(NOTICE, encoding="utf-8")


def choose_pieces(vocabulary: Sequence[str], words: Iterable[str], num_pieces: int) -> list[str]:
    """`num_pieces` (more if `words` need them) of `vocabulary`, in its order: ASCII characters, `words`, the commonest.

    With every letter and digit there, alone and as a "##" continuation, no ASCII text needs the unknown piece.
    """
    known = set(vocabulary)
    characters = string.ascii_lowercase + string.digits
    kept = {*characters, *string.punctuation, *(f"##{c}" for c in characters)} & known
    kept |= _split(words, known)
    for piece in vocabulary:
        if len(kept) >= num_pieces:
            break
        if len(piece) > 1 and piece.isascii() and not piece.startswith("["):
            kept.add(piece)
    return [piece for piece in vocabulary if piece in kept]


def distil(minilm: Path, ids: Sequence[int], places: dict[str, int]) -> NDArray[np.float32]:
    """The static table [pieces, 128] float32, root mean square 1, of vocabulary entries `ids`, commonest first."""
    meanings = _encode_alone(minilm, ids, places["[CLS]"], places["[SEP]"])
    centred = meanings - meanings.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    table = centred @ directions[:WIDTH].T
    table *= np.log1p(np.arange(1, len(table) + 1))[:, None]
    scaled: NDArray[np.float32] = (table / np.sqrt(np.mean(table**2))).astype(np.float32)
    return scaled


def make_tokenizer(pieces: Sequence[str]) -> PreTrainedTokenizerFast:
    """A lower-casing word-piece tokenizer without special tokens, padded with id 0."""
    model = WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token=UNKNOWN)
    backend = Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=PAD, unk_token=UNKNOWN, model_max_length=MAX_TOKENS, padding_side="right"
    )


def make_encoder(table: NDArray[np.float32], seed: int) -> Any:
    """A two-layer T5 encoder, its shared embedding `table` [pieces, 128] and every other weight at T5's own start."""
    config = T5Config(
        vocab_size=len(table),
        d_model=table.shape[1],
        d_kv=32,
        d_ff=256,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=0,
        is_encoder_decoder=False,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = T5EncoderModel(config)
    with torch.no_grad():
        encoder.shared.weight.copy_(torch.from_numpy(table))
    return encoder.eval()


@torch.inference_mode()
def _encode_alone(minilm: Path, ids: Sequence[int], start: int, end: int) -> NDArray[np.float64]:
    # Mean over start, piece and end, as the sentence model pools; [pieces, 384].
    model = AutoModel.from_pretrained(minilm).eval()
    tokens = torch.tensor([[start, i, end] for i in ids])
    pooled = [model(chunk).last_hidden_state.mean(dim=1).double().numpy() for chunk in torch.split(tokens, 512)]
    meanings: NDArray[np.float64] = np.concatenate(pooled)
    return meanings


def _split(words: Iterable[str], known: set[str]) -> set[str]:
    model = WordPiece({piece: i for i, piece in enumerate(sorted(known))}, unk_token=UNKNOWN)
    before = pre_tokenizers.BertPreTokenizer()
    parts = {part for word in words for part, _ in before.pre_tokenize_str(word.lower())}
    return {token.value for part in parts for token in model.tokenize(part)} - {UNKNOWN}
