"""LoRAs on disk: where they lie, what their bytes hash to, which tensors they name. Nothing here reads weights whole.

Two forms are known. diffusers: one .safetensors file, or a folder with `pytorch_lora_weights.safetensors`, whose
metadata may say rank and alpha. peft: a folder with `adapter_config.json` and `adapter_model.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from layerflow.errors import ModelError
from layerflow.models.folder import reason_of
from layerflow.models.hashes import file_sha256
from layerflow.wire import parse_lora, write_lora

PEFT_CONFIG, PEFT_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
DIFFUSERS_WEIGHTS = "pytorch_lora_weights.safetensors"
PEFT_PREFIX = "base_model.model."  # in front of the names of peft's own files
METADATA_KEY = "lora_adapter_metadata"  # where diffusers keeps peft's settings in a safetensors header
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
MAX_HEADER_BYTES = 4 * 2**20  # a LoRA on every weight of the 2B network has one of 0.2 MiB
MAX_CONFIG_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class AdapterFiles:
    """One LoRA on disk, not yet read."""

    path: Path  # as it was given: a file or a folder
    weights: Path
    config: Path | None = None  # peft's settings, where they are in a file of their own
    weight: float = 1.0  # how much of it is merged

    def __str__(self) -> str:
        return f"LoRA {self.path}"

    @property
    def text(self) -> str:
        """What a request says of it, whatever folder it is read in."""
        return write_lora(str(self.path.absolute()), self.weight)

    @cached_property
    def sha256(self) -> str:
        """One hash for the bytes that are merged. Raises ModelError when they cannot be read."""
        with _readable(self):
            hashes = [file_sha256(file) for file in (self.config, self.weights) if file is not None]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def settings(self) -> dict[str, Any] | None:
        """What peft was told when the LoRA was made, or None where nobody wrote it down. Raises ModelError."""
        with _readable(self):
            if self.config is not None:
                if self.config.stat().st_size > MAX_CONFIG_BYTES:
                    raise ValueError(f"{self.config.name} is too large")
                return _object(self.config.read_text(encoding="utf-8"))
            with self.open() as file:
                written = (file.metadata() or {}).get(METADATA_KEY)
                if written is None and any(key.startswith(PEFT_PREFIX) for key in file.keys()):  # noqa: SIM118
                    raise _without_config(self.path)
            values = None if written is None else _object(written)
        return values and {name.removeprefix("transformer."): value for name, value in values.items()}

    @contextmanager
    def open(self) -> Iterator[Any]:
        """The safetensors file, its header checked. Raises ModelError when it is not a whole one."""
        with _readable(self):
            with self.weights.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"no safetensors file has a header of {length} bytes")
            opened = safe_open(self.weights, framework="pt")
        with opened as tensors:
            yield tensors


def find_lora(text: str) -> AdapterFiles:
    """The files of the LoRA that a request calls "path" or "path:weight". Raises ModelError."""
    name, weight = parse_lora(text)
    path = Path(name)
    try:
        weights, config = _files_of(path)
    except OSError as error:  # no such name can be on this disk, or the folder is closed
        raise ModelError(f"LoRA {path} cannot be read ({error.strerror}); check its name and permissions") from error
    return AdapterFiles(path=path, weights=weights, config=config, weight=weight)


def peft_folder(path: Path, weight: float) -> AdapterFiles:
    """The files of a peft adapter in the folder `path`."""
    return AdapterFiles(path=path, weights=path / PEFT_WEIGHTS, config=path / PEFT_CONFIG, weight=weight)


def _files_of(path: Path) -> tuple[Path, Path | None]:
    if not path.exists():
        raise ModelError(f"there is no LoRA {path}; give a file or folder, with :WEIGHT behind it or not")
    if path.is_dir():
        found = next((path / name for name in (PEFT_WEIGHTS, DIFFUSERS_WEIGHTS) if (path / name).is_file()), None)
        pickled = [file for file in sorted(path.iterdir()) if file.suffix in PICKLES]
        path = found or (pickled[0] if pickled else path)
    if path.is_dir():
        raise ModelError(
            f"folder {path} holds no LoRA: neither {PEFT_WEIGHTS} nor {DIFFUSERS_WEIGHTS} is in it; name the file"
        )
    if path.suffix.lower() in PICKLES:
        raise ModelError(f"LoRA {path} is a pickle, which can run code; convert it to .safetensors where you trust it")
    if not path.is_file():
        raise ModelError(f"LoRA {path} is not a regular file; put the .safetensors there")
    config = path.with_name(PEFT_CONFIG)
    if path.name != PEFT_WEIGHTS:
        return path, None
    if not config.is_file():
        raise _without_config(path)
    return path, config


def _without_config(path: Path) -> ModelError:
    return ModelError(f"LoRA {path} is peft's and has no {PEFT_CONFIG} beside it to say its scale; copy both files")


def _object(text: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, Mapping):
        raise ValueError("its settings are not a JSON object")
    return dict(values)


@contextmanager
def _readable(files: AdapterFiles) -> Iterator[None]:
    """Turns what the libraries say of damaged files into a ModelError about this LoRA."""
    try:
        yield
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise ModelError(f"{files} cannot be read ({reason_of(error)}); download or export it again") from error
