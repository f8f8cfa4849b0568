"""What a job that is done says of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def files_of(result: Mapping[str, Any]) -> Iterator[str]:
    """The path of every file that a result names: frames, those of single layers, preview and contact sheet."""
    yield from result["frames"]
    for paths in result.get("per_layer", {}).values():
        yield from paths
    yield from filter(None, (result.get("preview_movie"), result.get("contact_sheet")))
