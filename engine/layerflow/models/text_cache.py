"""Text embeddings kept on disk, so that a prompt that was encoded once never needs the encoder again.

One safetensors file per prompt. Its name is a hash of the prompt and of all that decides the embedding, its contents
are numbers, and the folder is its owner's alone. Whatever goes wrong with the disk, the shot goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from layerflow.errors import OutputError
from layerflow.files import atomic_path

MAX_BYTES = 512 * 2**20  # some 280 prompts of the released encoder, at 1.8 MB each


@dataclass(frozen=True, kw_only=True)
class TextCache:
    """Embeddings `[tokens, width]` by prompt, of one encoder run in one way."""

    folder: Path
    decides: Mapping[str, str]  # what decides an embedding, besides the prompt
    max_bytes: int = MAX_BYTES  # of all encoders in the folder together

    def load(self, prompt: str) -> Tensor | None:
        """The embedding of `prompt`, float32 and bit for bit as it was saved, or None."""
        path = self._path(prompt)
        try:
            data = path.read_bytes() if path.is_file() else b""
        except OSError:
            return None
        embedding = _unpacked(data, path.stem)
        if embedding is not None:
            with contextlib.suppress(OSError):  # a folder that may only be read still serves
                os.utime(path)
        return embedding

    def save(self, prompt: str, embedding: Tensor) -> None:
        """Keeps `embedding` if the disk lets us, and drops those that were not used for longest."""
        path = self._path(prompt)
        with contextlib.suppress(OSError, OutputError):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with atomic_path(path) as part:
                part.write_bytes(_packed(embedding, path.stem))
            self._drop_oldest()

    def _path(self, prompt: str) -> Path:
        name = hashlib.sha256(json.dumps([prompt, dict(self.decides)], sort_keys=True).encode()).hexdigest()
        return self.folder / f"{name}.safetensors"

    def _drop_oldest(self) -> None:
        found = [(path.stat(), path) for path in self.folder.iterdir()]
        total = 0
        for stat, path in sorted(found, key=lambda entry: entry[0].st_mtime_ns, reverse=True):
            total += stat.st_size
            if total > self.max_bytes:
                path.unlink(missing_ok=True)


def _packed(embedding: Tensor, name: str) -> bytes:
    """A file's bytes. What was computed in bfloat16 is kept in it, which loses nothing."""
    half = embedding.bfloat16()
    kept = (half if torch.equal(half.float(), embedding) else embedding).contiguous()
    return save({"embedding": kept, "digest": _digest(kept, name)})


def _unpacked(data: bytes, name: str) -> Tensor | None:
    """The embedding in a file's bytes, or None when they are not those that were written under that name."""
    try:
        found = load(data)
        embedding, digest = found["embedding"], found["digest"]
    except (SafetensorError, KeyError, ValueError):
        return None
    is_whole = digest.dtype == torch.uint8 and torch.equal(digest, _digest(embedding, name))
    return embedding.float() if is_whole else None


def _digest(embedding: Tensor, name: str) -> Tensor:  # -> [32] uint8
    contents = embedding.flatten().view(torch.uint8).numpy().tobytes()
    described = f"{name} {embedding.dtype} {list(embedding.shape)}".encode()
    return torch.frombuffer(bytearray(hashlib.sha256(described + contents).digest()), dtype=torch.uint8)
