"""Clips as a stage trains on them, encoded once: latents of the whole sequence, and embeddings of their prompts.

A folder of shards, each two Arrow files that stand by themselves, and `cache.json`, which says what they were made of.
A shard is whole or not there, so filling goes on where it was stopped, and processes share the work.

Shapes: F latent frame of the whole sequence, C channel, H W latent rows and columns, G prompt, N token.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerflow.codec import Codec
from layerflow.errors import ModelError
from layerflow.files import atomic_path, make_folder
from layerflow.layout import ALL_PROMPTS, Layout
from layerflow.models.codecs import load_codec
from layerflow.models.folder import ModelFolder
from layerflow.models.places import pick_dtype
from layerflow.models.plans import FULL
from layerflow.models.text_encoder import open_t5
from layerflow.text import T5Text
from layerflow.training.batches import numbers
from layerflow.training.joint import LayeredData
from layerflow.training.kinds import Wanted, digest, open_clips
from layerflow.training.tensor_file import TensorFile, write_tensors

KEY, FORMAT = "cache.json", 1
Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Sequenced:
    """How the clips of a cache lie on the sequence; what is given of it, and which prompts count, is not cached."""

    layers: tuple[str, ...]
    num_frames: int
    lead_frames: int

    @classmethod
    def of(cls, layout: Layout) -> Sequenced:
        """That of `layout`."""
        return cls(layers=layout.layers, num_frames=layout.num_frames, lead_frames=layout.lead_frames)


@dataclass(frozen=True, kw_only=True)
class LatentCache:
    """A cache in `folder` for clips of one kind, as one model sees them."""

    folder: Path
    model: ModelFolder
    wanted: Wanted
    sequenced: Sequenced
    shard: int = 128  # clips of a shard
    _open: dict[Path, TensorFile] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return self.wanted.num_clips

    @property
    def key(self) -> dict[str, Any]:
        """All that decides what is in it. Raises RequestError without a dataset."""
        wanted = {name: value for name, value in asdict(self.wanted).items() if name != "data"}
        return {
            "format": FORMAT,
            "codec": _hash_of(self.model, "codec/"),
            "text encoder": [_hash_of(self.model, "text_encoder/", "tokenizer/"), self.model.manifest.prompt_tokens],
            "data": digest(self.wanted.data),
            "clips": wanted,
            "layout": asdict(self.sequenced),
            "shard": self.shard,
        }

    def missing(self) -> list[int]:
        """Shards that are not there yet."""
        return [number for number in range(-(-len(self) // self.shard)) if not self._is_there(number)]

    def row(self, number: int, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Latents [F, C, H, W] and embeddings [G, N, width] of clip `number`, float32. Raises ModelError."""
        clips, texts = self._files(number // self.shard)
        place = number % self.shard
        spoken = dict(zip(ALL_PROMPTS, json.loads(clips.labels[place]), strict=False))
        embeddings = [texts.row(texts.places[spoken[name]]) for name in prompts]
        return clips.row(place).float(), torch.stack(embeddings).float()

    def refresh(self, tell: Told = lambda sentence: None) -> None:
        """Empties it where it was made of something else, or is damaged; `tell` gets a sentence that says so."""
        place, key = self.folder / KEY, json.loads(json.dumps(self.key))
        found = _read(place)
        if found != key:
            if found is not None:
                changed = sorted(name for name in key if found.get(name) != key[name])
                tell(f"the cache {self.folder} was made of another {changed[0]}; it is made again")
            shutil.rmtree(self.folder, ignore_errors=True)
            make_folder(self.folder)
            with atomic_path(place) as part:
                part.write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")
        self._drop_damaged(tell)

    def fill(
        self,
        device: torch.device,
        *,
        rank: int = 0,
        num_processes: int = 1,
        on_shard: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Makes what is missing; each process its own share. `on_shard` hears how many of how many it has made."""
        own = [number for number in self.missing() if number % num_processes == rank]
        if not own:
            return
        data, encoder = open_clips(self.wanted), Encoder.of(self.model, device)
        for done, number in enumerate(own, start=1):
            self._write(number, data, encoder)
            on_shard(done, len(own))

    def _write(self, number: int, data: LayeredData, encoder: Encoder) -> None:
        last = min(len(self), (number + 1) * self.shard)
        latents, labels = [], []
        for clip in range(number * self.shard, last):
            pixels, (captions,) = data.batch(numbers(self.wanted.seed, clip), 1, self.sequenced.layers)
            latents.append(encoder.latents(torch.as_tensor(pixels)[0], self.sequenced.lead_frames))
            labels.append([f"{place}, {caption}" for place, caption in enumerate(captions)])
        spoken = sorted({prompt for row in labels for prompt in row})
        clips, texts = self._paths(number)
        write_tensors(texts, spoken, encoder.embeddings(spoken))
        write_tensors(clips, [json.dumps(row) for row in labels], torch.stack(latents))

    def _drop_damaged(self, tell: Told) -> None:
        for number in range(-(-len(self) // self.shard)):
            for path in self._paths(number):
                if not path.is_file():
                    continue
                try:
                    _ = TensorFile(path).places
                except ModelError:
                    tell(f"the cache's {path} is damaged; it is made again")
                    path.unlink()

    def _is_there(self, number: int) -> bool:
        return all(path.is_file() for path in self._paths(number))

    def _paths(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"clips-{number:05d}.arrow", self.folder / f"prompts-{number:05d}.arrow"

    def _files(self, number: int) -> tuple[TensorFile, TensorFile]:
        clips, texts = (self._open.setdefault(path, TensorFile(path)) for path in self._paths(number))
        return clips, texts


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The frozen networks around the one that is trained."""

    codec: Codec
    text: T5Text
    device: torch.device

    @classmethod
    def of(cls, model: ModelFolder, device: torch.device) -> Encoder:
        """Those of `model`. Raises ModelError for damaged files."""
        model.check("codec")
        with model.loading():
            codec = load_codec(model, device, pick_dtype("auto", device), FULL)
        return cls(codec=codec, text=open_t5(model, device), device=device)

    def latents(self, pixels: Tensor, lead_frames: int) -> Tensor:
        """Float16 [F, C, H, W] of layers [G, frames, rows, columns, 3] in [-1, 1], laid one after another."""
        layers = pixels.movedim(-1, 2)
        sequence = torch.cat([layers[0, :lead_frames], *layers])
        return self.codec.encode(sequence.to(self.device), None).half().cpu()

    def embeddings(self, prompts: list[str]) -> Tensor:
        """[prompts, N, width] in bfloat16 where that loses nothing, else in float32."""
        whole = self.text.encode(prompts)
        half = whole.bfloat16()
        return half if torch.equal(half.float(), whole) else whole


def _hash_of(model: ModelFolder, *parts: str) -> str:
    named = {name: value for name, value in model.manifest.sha256.items() if name.startswith(parts)}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def _read(place: Path) -> Mapping[str, Any] | None:
    """What a cache says it was made of; None where there is none, nothing for a file that says nothing."""
    if not place.is_file():
        return None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}
