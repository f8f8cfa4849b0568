"""From the name of a release to model folders: its files are fetched, checked and imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from layerflow.errors import ModelError
from layerflow.models.catalogue import RELEASES
from layerflow.models.disk import remove
from layerflow.models.folder import ModelFolder, open_model
from layerflow.models.hashes import HashOnce
from layerflow.models.hub import MAIN, Hub
from layerflow.models.importer import import_checkpoint
from layerflow.models.shelf import has_manifest, models_path
from layerflow.models.sources import OnEvent, Sources
from layerflow.wire import Event


def pull(
    name: str,
    *,
    variants: Iterable[str] = (),
    revision: str = MAIN,
    hub: Hub | None = None,
    on_event: OnEvent = lambda event: None,
) -> list[ModelFolder]:
    """The model folders of the release `name`, all its `variants` when none is named.

    Those that are here and whole are left as they are, damaged ones are made again. `revision` is that of the
    checkpoints. Raises ModelError or OutputError; what was downloaded is kept, and the same call goes on from there.
    """
    if name not in RELEASES:
        raise ModelError(f"there is nothing to pull by the name {name!r}; choose from {', '.join(RELEASES)}")
    family, wanted, once = models_path() / name, RELEASES[name].wanted(variants), HashOnce()
    if to_make := [variant for variant in wanted if not _is_whole(family / variant, once, on_event)]:
        sources = Sources.find(RELEASES[name], to_make, revision, hub or Hub.here(), on_event)
        sources.fetch(family, on_event)
        for variant in to_make:
            _make(sources, variant, family / variant, on_event)
    return [open_model(family / variant) for variant in wanted]


def _is_whole(folder: Path, sha256: HashOnce, on_event: OnEvent) -> bool:
    if not has_manifest(folder):
        return False
    on_event(Event("stage", f"checking {folder}"))
    try:
        damage = next(open_model(folder).damaged(sha256=sha256), None)
    except ModelError:
        damage = "its manifest"
    if damage:
        on_event(Event("warning", f"{folder} is damaged ({damage}) and is made again"))
    return damage is None


def _make(sources: Sources, variant: str, target: Path, on_event: OnEvent) -> None:
    if has_manifest(target):  # it is damaged; its files are in the cache by now
        remove([target])
    import_checkpoint(
        sources.checkpoint(variant),
        sources.base_folder,
        variant=variant,
        target=target,
        licence=sources.licence,
        on_event=on_event,
    )
