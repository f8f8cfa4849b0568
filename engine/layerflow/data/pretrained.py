"""Weights of other people's models, through transformers: by a name on the hub, or by a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from layerflow.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Which weights, and where they run. `name` is a folder or a name on the hub."""

    name: str
    device: str = "cpu"
    local_files_only: bool = False

    def load(self, loader: Callable[..., Any], what: str) -> Any:
        """What `loader`, a `from_pretrained`, gives for these weights. Raises ModelError.

        Pickled weights are refused: only safetensors are read, and no code of a model folder is run.
        """
        options: dict[str, Any] = {"local_files_only": self.local_files_only}
        try:
            return loader(self.name, **options)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(
                f"the {what} {self.name} cannot be loaded ({first.rstrip('.')}); "
                f"download it with `hf download {self.name}`, or give the folder that it lies in"
            ) from error

    def model(self, loader: Callable[..., Any], what: str) -> Any:
        """As `load`, of a network: on its device, for inference."""
        network = self.load(lambda name, **options: loader(name, use_safetensors=True, **options), what)
        return network.to(self.device).eval()
