"""What has been asked for and is not in the timeline yet, kept on disk: a job outlives Blender, and undo.

One small JSON file per press of Generate and strip. It goes when its layers are in the timeline, or is thrown away.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from layerflow.wire import Request
from layerflow.wire.labels import label_of
from layerflow.wire.run import Render
from layerflow.wire.status import STATES, WORKING

from .look import Look

STRIP_KEY = "layerflow"  # the custom property of a strip


@dataclass(frozen=True)
class Ticket:
    """One shot on its way: what was asked, and where its layers go."""

    request: Request
    name: str  # for people
    scene: str  # of the .blend
    frame: int  # of the timeline, where the first frame goes
    last: int | None = None  # where a still ends, inclusive
    channel: int = 1  # the lowest that its layers may take
    look: Look = field(default_factory=Look)
    lock_seed: bool = True  # whether Regenerate keeps the seed
    blend: str = ""  # the file; empty while it was never saved
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    jobs: tuple[str, ...] = ()  # ids in the queue
    renders: tuple[Render, ...] = ()  # what is rendered before the job is asked for
    state: str = WORKING
    message: str = ""  # what was said last

    @property
    def label(self) -> str:
        """By which the job is found in the queue."""
        return label_of("blender", self.blend, self.name)

    def to_values(self) -> dict[str, Any]:
        """Every field by name, ready for JSON."""
        return {**asdict(self), "request": self.request.to_dict(), "look": self.look.to_dict()}

    @classmethod
    def from_values(cls, values: Any) -> Ticket:
        """The ticket that `to_values` described, by this version or a newer one. ValueError for anything else."""
        try:
            known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
            known["request"] = Request.accepted(known["request"])
            known["look"] = Look.from_dict(known.get("look", {}))
            known["jobs"] = tuple(map(str, known.get("jobs", ())))
            known["renders"] = tuple(map(_render, known.get("renders", ())))
            found = cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no ticket ({error})") from error
        if found.state not in STATES or not found.key.isalnum():
            raise ValueError("this is no ticket")
        return found


def _render(values: Mapping[str, Any]) -> Render:
    return Render(str(values["input"]), str(values["pattern"]), tuple(values["frames"]))


class Tickets:
    """The tickets in a folder. What the system refuses is an OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Ticket]:
        """Every ticket, the oldest first; files that are none are left alone."""
        found = []
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(ValueError, OSError):
                found.append(
                    (path.stat().st_mtime_ns, Ticket.from_values(json.loads(path.read_text(encoding="utf-8"))))
                )
        return [ticket for _, ticket in sorted(found, key=lambda pair: pair[0])]

    def save(self, ticket: Ticket) -> None:
        """Writes it, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(ticket.key)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(ticket.to_values()), encoding="utf-8")
        os.replace(part, path)

    def change(self, ticket: Ticket, **values: Any) -> Ticket:
        """The ticket with other values, written."""
        changed = replace(ticket, **values)
        self.save(changed)
        return changed

    def drop(self, key: str) -> None:
        """Throws one away; nothing happens where it is not there."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def of_strip(strip: Any) -> dict[str, Any] | None:
    """What a strip of ours says of itself; None for any other strip."""
    text = strip.get(STRIP_KEY)
    if not isinstance(text, str):
        return None
    with contextlib.suppress(ValueError):
        values = json.loads(text)
        if isinstance(values, dict) and "ticket" in values:
            return values
    return None


def for_strip(ticket: Ticket, layer: str) -> str:
    """What a strip of ours says of itself: its layer, and everything by which it can be made again."""
    return json.dumps({"layer": layer, "ticket": ticket.to_values()})
