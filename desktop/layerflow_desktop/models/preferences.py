"""What an artist sets once: kept for the user, not in a project."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from layerflow_desktop.models.document import Value
from layerflow_desktop.models.files import studio_folder, write_whole

GIB = 2**30


class Preferences(Value):
    """Settings of the app itself."""

    cache_gib: float | None = Field(default=None, ge=0.25, le=1024)  # None: a share of the machine's memory
    folder: str = ""  # for layers of projects without a file; empty: LayerFlow in the user's documents
    blender: str = ""  # the program; empty: the one that is found
    drops_frames: bool = False  # playing: keep time rather than show every frame

    @property
    def cache_bytes(self) -> int | None:
        """The cache's limit; None for a share of the machine's memory."""
        return None if self.cache_gib is None else round(self.cache_gib * GIB)


def preferences_file() -> Path:
    """Where they are kept."""
    return studio_folder() / "preferences.json"


def load_preferences() -> Preferences:
    """Those that were kept; the first ones where there are none, or what is there cannot be read."""
    try:
        return Preferences.model_validate_json(preferences_file().read_bytes())
    except (OSError, ValidationError):
        return Preferences()


def save_preferences(preferences: Preferences) -> None:
    """Keeps them. Raises OSError."""
    preferences_file().parent.mkdir(parents=True, exist_ok=True)
    write_whole(preferences_file(), preferences.model_dump_json(indent=1) + "\n")
