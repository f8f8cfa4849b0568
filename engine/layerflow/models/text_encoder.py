"""A model folder's text encoder: its tokenizer at hand, T5 itself only for prompts that were never encoded before."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor
from transformers import AutoTokenizer, T5EncoderModel
from transformers.utils import logging as transformers_logging

from layerflow.errors import ModelError
from layerflow.models.cache import cache_path
from layerflow.models.folder import SAFE, ModelFolder, reason_of
from layerflow.models.t5 import Residence, load_t5, pick_text_precision
from layerflow.models.text_cache import TextCache
from layerflow.text import Dropped, PromptTokens, T5Text, TextEncoder
from layerflow.versions import version_of

LIBRARIES = ("torch", "transformers", "tokenizers")


def open_text(folder: ModelFolder, *, device: torch.device, precision: str, residence: Residence) -> TextEncoder:
    """The text encoder of `folder`, running on `device`; its weights are loaded when they are needed.

    `precision` is a Request's text_precision. `residence` says where the weights are then: they stay on the device
    ("keep"), are freed after every use ("drop"), or come from the disk block by block ("stream"). The embeddings are
    the same bits for all three. Raises ModelError when the tokenizer cannot be loaded, RequestError when there is no
    library for the precision.
    """
    folder.check("tokenizer")
    with folder.loading():
        precision = pick_text_precision(precision, folder.path / "text_encoder", device)
        tokens = PromptTokens(tokenizer=_tokenizer(folder.path), num_tokens=folder.manifest.prompt_tokens)
    cache = TextCache(folder=cache_path() / "text", decides=_deciding(folder, device, precision))
    return LazyText(folder=folder, tokens=tokens, device=device, precision=precision, residence=residence, cache=cache)


@dataclass(kw_only=True)
class LazyText:
    """Prompts to embeddings: those of the last call, those on disk, and T5 for the others."""

    folder: ModelFolder
    tokens: PromptTokens
    device: torch.device
    precision: str  # what T5 computes in
    residence: Residence
    cache: TextCache
    _last: dict[str, Tensor] = field(default_factory=dict)  # a shot's windows share their prompts
    _kept: T5Text | None = None

    def encode(self, prompts: list[str]) -> Tensor:  # -> [prompts, tokens, width]
        """Embeddings of the prompts, float32 on the CPU. Raises ModelError when T5 is needed and damaged."""
        known = {prompt: self._known(prompt) for prompt in prompts}
        if missing := [prompt for prompt, embedding in known.items() if embedding is None]:
            known |= self._encoded(missing)
        self._last = {prompt: embedding for prompt, embedding in known.items() if embedding is not None}
        return torch.stack([self._last[prompt] for prompt in prompts])

    def dropped(self, prompt: str) -> Dropped | None:
        """The end of `prompt` that does not fit into the encoder's tokens; None when all of it fits."""
        return self.tokens.dropped(prompt)

    def _known(self, prompt: str) -> Tensor | None:
        return self._last[prompt] if prompt in self._last else self.cache.load(prompt)

    def _encoded(self, prompts: list[str]) -> dict[str, Tensor]:
        """The prompts' embeddings, made by T5, which is then in memory or not as its residence says."""
        t5 = self._kept or self._loaded()
        embeddings = dict(zip(prompts, t5.encode(prompts), strict=True))
        for prompt, embedding in embeddings.items():
            self.cache.save(prompt, embedding)
        if self.residence == "keep":
            self._kept = t5
        else:
            del t5
            gc.collect()  # modules refer to each other in circles
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return embeddings

    def _loaded(self) -> T5Text:
        self.folder.check("text_encoder")
        with self.folder.loading():
            encoder = load_t5(
                self.folder.path / "text_encoder",
                device=self.device,
                precision=self.precision,
                residence=self.residence,
            )
        return T5Text(encoder=encoder, tokenizer=self.tokens.tokenizer, num_tokens=self.tokens.num_tokens)


def _deciding(folder: ModelFolder, device: torch.device, precision: str) -> dict[str, str]:
    """All that decides the bits of a prompt's embedding.

    Devices and libraries round in their own ways, bfloat16 most of all: a shot made again on the same machine gives the
    same bits only when the embedding does not come from another one.
    """
    named = {name: digest for name, digest in folder.manifest.sha256.items() if name.startswith(_PARTS)}
    names = (*LIBRARIES, "bitsandbytes") if precision == "int8" else LIBRARIES
    libraries = {name: version_of(name) for name in names}
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    tokens = str(folder.manifest.prompt_tokens)
    return {"tokens": tokens, "precision": precision, "device": f"{device.type} {kind}", **libraries, **named}


_PARTS = ("text_encoder/", "tokenizer/")


def load_text(path: Path, num_tokens: int, device: torch.device | None = None) -> T5Text:
    """The text encoder in the folder `path`, whole, in float32 and ready to be trained."""
    transformers_logging.disable_progress_bar()
    encoder = T5EncoderModel.from_pretrained(path / "text_encoder", dtype=torch.float32, **SAFE).eval()
    return T5Text(encoder=encoder.to(device), tokenizer=_tokenizer(path), num_tokens=num_tokens)


def open_t5(folder: ModelFolder, device: torch.device, precision: str = "auto") -> T5Text:
    """The text encoder of `folder` in memory, for many prompts at once. Raises ModelError for damaged files."""
    folder.check("tokenizer", "text_encoder")
    path = folder.path / "text_encoder"
    with folder.loading():
        precision = pick_text_precision(precision, path, device)
        encoder = load_t5(path, device=device, precision=precision, residence="keep")
        return T5Text(encoder=encoder, tokenizer=_tokenizer(folder.path), num_tokens=folder.manifest.prompt_tokens)


def save_tokenizer(source: Path, target: Path) -> None:
    """Writes the tokenizer in `source`, in whichever form, to `target` as a tokenizer.json.

    The release has a sentencepiece model, which is converted at every load; this is done once and for all here. The
    tokens are sentencepiece's own, but for a combining mark or joiner right after a character that stands for others,
    such as a ligature or a no-break space: those are left out. Raises ModelError for a tokenizer that cannot be read.
    """
    model = source / "spiece.model"
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        if not (source / "tokenizer.json").is_file():
            own = SentencePieceProcessor(str(model)).encode(_PROBE)
            if tokenizer(_PROBE, add_special_tokens=False).input_ids != own:  # an unreadable model makes an empty one
                raise ValueError(f"{model.name} was converted to other tokens")
        tokenizer.save_pretrained(target)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"the tokenizer in {source} cannot be read ({reason_of(error)}); download it again") from error


_PROBE = "0, A Red dog runs; 3 ﬁelds “behind”  the café."


def _tokenizer(path: Path) -> Any:
    return AutoTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
