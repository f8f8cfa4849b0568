"""What can be pulled: the repositories of the Hugging Face hub that hold a release, and their files that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

from layerflow.errors import ModelError
from layerflow.models.importer import CHECKPOINT, FAMILY
from layerflow.models.released import FOLDERS

LATEST = "latest"  # a text file that names the folder of the checkpoint to use


@dataclass(frozen=True, kw_only=True)
class Release:
    """A family of models as its authors publish it: checkpoints, and the model that they were made from."""

    repo: str
    folders: Mapping[str, str]  # variant -> its folder in `repo`
    base: str  # repository of the text encoder and the VAE
    base_files: tuple[str, ...]  # patterns; nothing that can run code

    def wanted(self, variants: Iterable[str]) -> list[str]:
        """`variants` in the order of the release, all of them when there are none. Raises ModelError."""
        picked = set(variants) or set(self.folders)
        if unknown := picked - set(self.folders):
            raise ModelError(f"there is no variant {sorted(unknown)[0]}; choose from {', '.join(self.folders)}")
        return [variant for variant in self.folders if variant in picked]

    def base_names(self, names: Iterable[str]) -> list[str]:
        """Those of the base repository's files that are taken."""
        return [name for name in names if any(fnmatch(name, pattern) for pattern in self.base_files)]

    def checkpoints(self, variant: str, names: Iterable[str]) -> list[str]:
        """The checkpoints of `variant` among the repository's files."""
        return [name for name in names if fnmatch(name, f"{self.folders[variant]}/*/{CHECKPOINT}")]

    def latest(self, variant: str) -> str:
        """The file that says which of several checkpoints of `variant` to use."""
        return f"{self.folders[variant]}/{LATEST}"


RELEASES = {
    FAMILY: Release(
        repo="zjuJish/LayerFlow",
        folders=FOLDERS,
        base="zai-org/CogVideoX-2b",
        base_files=(
            "text_encoder/*.json",
            "text_encoder/*.safetensors",
            "tokenizer/*.json",
            "tokenizer/*.model",
            "vae/*.json",
            "vae/*.safetensors",
        ),
    )
}
