"""Facts about this machine that take a while to find out, kept in small files of the cache folder."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from layerflow.errors import OutputError
from layerflow.files import atomic_path


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Words by key in one JSON file. A file that is damaged or gone is empty, and one that cannot be written stays."""

    file: Path

    def read(self) -> dict[str, str]:
        """What is noted."""
        try:
            found = json.loads(self.file.read_bytes())
        except (OSError, ValueError):
            return {}
        items = found.items() if isinstance(found, dict) else ()
        return {key: word for key, word in items if isinstance(word, str)}

    def add(self, key: str, word: str) -> None:
        """Notes it. Of two processes that note at once one may lose its own, and finds it out again."""
        with contextlib.suppress(OSError, OutputError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_path(self.file) as part:
                part.write_text(json.dumps(self.read() | {key: word}, indent=1, sort_keys=True))
