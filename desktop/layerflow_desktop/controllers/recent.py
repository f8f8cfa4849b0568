"""What the app remembers over all projects: those opened last, plates, prompts, and presets."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psygnal import Signal
from pydantic import Field

from layerflow_desktop.controllers.asking import prompts_of
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.models.document import ShotSettings, Value
from layerflow_desktop.models.files import studio_folder, write_whole
from layerflow_desktop.models.presets import BUILT_IN, preset_of, with_preset

FILE = "recent.json"
MAX_PATHS, MAX_PROMPTS = 12, 40


class Remembered(Value):
    """What the file says. The last used comes first everywhere."""

    version: int = 1
    projects: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()
    prompts: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # by layer
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Recent:
    """That file. What is here belongs to the interface's thread; with a `background`, writing does not."""

    changed = Signal()

    def __init__(self, folder: Path | None = None, background: Background | None = None) -> None:
        self._file = (folder or studio_folder()) / FILE
        self._background = background
        self._writing = threading.Lock()
        self._now = _read(self._file)

    @property
    def projects(self) -> tuple[str, ...]:
        """Projects that were opened or saved, the last first."""
        return self._now.projects

    @property
    def plates(self) -> tuple[str, ...]:
        """Plates that were dropped, the last first."""
        return self._now.plates

    def prompts(self, layer: str) -> tuple[str, ...]:
        """Prompts that were asked for of a layer, the last first; all foregrounds share theirs."""
        return self._now.prompts.get(_kind(layer), ())

    @property
    def presets(self) -> Mapping[str, Mapping[str, Any]]:
        """Presets by name: those that come with the app, then one's own."""
        return {**BUILT_IN, **self._now.presets}

    def is_own(self, preset: str) -> bool:
        """Whether a preset was kept here, and can be forgotten."""
        return preset in self._now.presets

    def note_project(self, path: Path | str) -> None:
        """Puts a project first."""
        self._become(projects=_first(str(path), self._now.projects, MAX_PATHS))

    def drop_project(self, path: Path | str) -> None:
        """Forgets a project, such as one that is not there any more."""
        self._become(projects=tuple(each for each in self._now.projects if each != str(path)))

    def note_plate(self, path: str) -> None:
        """Puts a plate first."""
        self._become(plates=_first(path, self._now.plates, MAX_PATHS))

    def note_prompts(self, shot: ShotSettings) -> None:
        """Puts the prompts of a shot first."""
        prompts = dict(self._now.prompts)
        for layer, text in prompts_of(shot).items():
            prompts[_kind(layer)] = _first(text, prompts.get(_kind(layer), ()), MAX_PROMPTS)
        self._become(prompts=prompts)

    def keep_preset(self, name: str, shot: ShotSettings) -> None:
        """Keeps how a shot is made under a name. ValueError without one."""
        name = name.strip()
        if not name or not name.isprintable():
            raise ValueError("a preset needs a name; give it a word or two")
        self._become(presets={**self._now.presets, name: preset_of(shot)})

    def drop_preset(self, name: str) -> None:
        """Forgets a preset of one's own."""
        self._become(presets={each: values for each, values in self._now.presets.items() if each != name})

    def with_preset(self, name: str, shot: ShotSettings) -> ShotSettings:
        """The shot, made as a preset says. ValueError for one that is not there or makes no sense any more."""
        if name not in self.presets:
            raise ValueError(f"there is no preset {name}; choose another one")
        return with_preset(shot, self.presets[name])

    def _become(self, **values: Any) -> None:
        now = self._now.with_(**values)
        if now == self._now:
            return
        self._now = now
        if self._background is None:
            self._write()
        else:
            self._background.run(self._write)
        self.changed.emit()

    def _write(self) -> None:
        """What is remembered now, as a whole file or not at all. Raises OSError."""
        with self._writing:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, self._now.model_dump_json(indent=1))


def _read(file: Path) -> Remembered:
    """What the file says; nothing where it is not there, or damaged."""
    try:
        return Remembered.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return Remembered()


def _first(text: str, others: tuple[str, ...], most: int) -> tuple[str, ...]:
    return (text, *(each for each in others if each != text))[:most]


def _kind(layer: str) -> str:
    return "foreground" if layer.startswith("foreground") else layer
