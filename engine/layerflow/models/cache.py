"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_path() -> Path:
    """The folder of things that can be made again. LAYERFLOW_CACHE overrides it."""
    override = os.environ.get("LAYERFLOW_CACHE")
    return Path(override) if override else user_cache_path("layerflow")
