"""The prompts of before, kept on disk over all files: the last that were asked for, and what is suggested of them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

KEPT = 20
PROMPTS = ("foreground", "background", "blended")

Prompts = dict[str, str]


class History:
    """Sets of prompts, the last first."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> list[Prompts]:
        """Every set that is kept; none where the file is not there, or is damaged."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            if isinstance(found, list):
                return [{name: str(each.get(name, "")) for name in PROMPTS} for each in found if isinstance(each, dict)]
        return []

    def note(self, settings: Mapping[str, object]) -> None:
        """Puts the prompts of these settings first. Raises OSError."""
        prompts = {name: str(settings[name]).strip() for name in PROMPTS}
        if not any(prompts.values()):
            return
        others = [each for each in self.all() if each != prompts]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps([prompts, *others][:KEPT], indent=1), encoding="utf-8")
        os.replace(part, self._file)

    def suggested(self, name: str, typed: str) -> list[str]:
        """What was written in the prompt `name` before and has `typed` in it, the last first."""
        found = dict.fromkeys(each[name] for each in self.all())
        return [text for text in found if text and typed.lower() in text.lower()]
