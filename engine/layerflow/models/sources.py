"""The files of a release that model folders are made from: which they are, how large, and fetching them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from layerflow.errors import ModelError
from layerflow.models.catalogue import Release
from layerflow.models.disk import check_disks, device_of
from layerflow.models.hub import Hub, HubFile, Listing
from layerflow.models.hub_errors import not_cached, told_warnings
from layerflow.wire import Event

OnEvent = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The files that model folders are made from, at one commit of each repository."""

    hub: Hub
    checkpoints: Listing
    base: Listing
    picked: dict[str, HubFile]  # variant -> its checkpoint
    base_files: list[HubFile]

    @classmethod
    def find(cls, release: Release, variants: Sequence[str], revision: str, hub: Hub, on_event: OnEvent) -> Sources:
        """What the repositories list for `variants`. Raises ModelError when something is not there."""
        on_event(Event("stage", f"looking into {hub.cache}" if hub.offline else f"asking {hub.endpoint}"))
        checkpoints, base = hub.listing(release.repo, revision), hub.listing(release.base)
        return cls(
            hub=hub,
            checkpoints=checkpoints,
            base=base,
            picked={variant: _checkpoint(release, variant, hub, checkpoints) for variant in variants},
            base_files=_base_files(release, hub, base),
        )

    @property
    def licence(self) -> str:
        """What the model cards say."""
        return f"LayerFlow: {self.checkpoints.licence}; text encoder and VAE of {self.base.repo}: {self.base.licence}"

    def fetch(self, family: Path, on_event: OnEvent) -> None:
        """Downloads what is missing and checks everything. Raises ModelError."""
        wanted = [(self.base, file) for file in self.base_files]  # first, since every variant needs it
        wanted += [(self.checkpoints, file) for file in self.picked.values()]
        missing = {file.digest: self.hub.missing_bytes(listing, file) for listing, file in wanted}
        downloads, models = sum(missing.values()), self._size_of_models(family)
        sizes = f"{decimal(downloads)} to download into {self.hub.cache}, {decimal(models)} of models in {family}"
        on_event(Event("stage", sizes))
        check_disks({self.hub.cache: downloads, family: models})
        total = sum({file.digest: file.size for _, file in wanted if missing[file.digest]}.values())
        before = 0
        with told_warnings(lambda sentence: on_event(Event("warning", sentence))):
            for listing, file in wanted:
                if not self.hub.missing_bytes(listing, file):
                    on_event(Event("stage", f"checking {file.name}"))
                    self.hub.fetch(listing, file)
                    continue
                on_event(Event("stage", f"downloading {listing.repo}/{file.name}, {decimal(file.size)}"))
                self.hub.fetch(listing, file, _counted(before, file.size, total, on_event))
                before += file.size
        for listing in (self.base, self.checkpoints):
            self.hub.keep_ref(listing)

    def _size_of_models(self, family: Path) -> int:
        """Bytes of the model folders, at most: a checkpoint's LoRA is merged; the base is linked where it can be."""
        base = sum(file.size for file in self.base_files)
        linked = device_of(family) == device_of(self.hub.cache)
        return sum(file.size + (0 if linked else base) for file in self.picked.values())

    def checkpoint(self, variant: str) -> Path:
        """The fetched checkpoint of `variant`."""
        return self.hub.snapshot(self.checkpoints) / self.picked[variant].name

    @property
    def base_folder(self) -> Path:
        """The folder of the fetched text encoder, tokenizer and VAE."""
        return self.hub.snapshot(self.base)


def _counted(before: int, size: int, total: int, on_event: OnEvent) -> Callable[[int], None]:
    return lambda count: on_event(Event("download", done=before + min(count, size), total=total))


def _checkpoint(release: Release, variant: str, hub: Hub, listing: Listing) -> HubFile:
    """The checkpoint of `variant`; of several the one that the file `latest` names. Raises ModelError."""
    found = release.checkpoints(variant, listing.files)
    if len(found) > 1 and release.latest(variant) in listing.files:
        named = hub.fetch(listing, listing.files[release.latest(variant)]).read_text(encoding="utf-8", errors="replace")
        found = [name for name in found if name.split("/")[-2] == named.strip()]
    if not found and hub.offline:
        raise ModelError(not_cached(f"{listing.repo} {variant}"))
    if len(found) != 1:
        count = len(found) or "no"
        raise ModelError(
            f"{listing.repo} has {count} checkpoints of {variant} at revision {listing.revision}, and one is needed; "
            "pull another --revision or leave that --variant out"
        )
    return listing.files[found[0]]


def _base_files(release: Release, hub: Hub, base: Listing) -> list[HubFile]:
    """The files of text encoder, tokenizer and VAE. Raises ModelError when there are none of one of them."""
    names = release.base_names(base.files)
    for pattern in release.base_files:
        part = pattern.split("/")[0]
        there = any(name.startswith(f"{part}/") for name in names)
        if not there and hub.offline:
            raise ModelError(not_cached(f"{base.repo} {part}"))
        if not there:
            raise ModelError(f"{base.repo} has no {part} to download; tell us, for it has changed since this was made")
    return [base.files[name] for name in names]
