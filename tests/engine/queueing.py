"""Queues with a clock that stands still, and workers that are this process: what the tests of the server share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from layerflow.server.leases import register
from layerflow.server.store import Store
from layerflow.wire import JobEvent, Request


class Clock:
    """Seconds since 1970, as told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def open_store(path: Path, *, clock: Callable[[], float] | None = None, max_waiting: int = 1000) -> Store:
    return Store(path, clock=clock or Clock(), max_waiting=max_waiting)


def generate(name: str = "dog", /, **changes) -> Request:
    """A small shot of the bundled model, to `name.%04d.exr`."""
    values = {"foreground": "a red dog", "background": "the garden", "num_frames": 8, "steps": 2, **changes}
    return Request("generate", output=f"{name}.%04d.exr", **values)


def submit(store: Store, *names: str, **changes) -> list[str]:
    """The ids of new jobs with outputs of these names."""
    return [store.submit(generate(name, **changes))[0].id for name in names]


def worker(store: Store, name: str = "w", device: str = "cpu") -> str:
    register(store, name, device)
    return name


def told(store: Store, job: str | None = None, after: int = 0) -> list[str]:
    """What was told, in words."""
    return [_words(event) for event in store.events_after(after, job=job)]


def _words(event: JobEvent) -> str:
    data = event.data
    if event.kind == "state":
        return str(data["state"])
    if event.kind == "progress":
        return f"{data['stage']} {data['done']}/{data['total']}"
    return f"{event.kind} {data.get('message', data.get('done'))}"
