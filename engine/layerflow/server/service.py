"""What every answer of a running server is made from."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from layerflow.server.folder import ServerFolder
from layerflow.server.settings import Settings
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.server.survey import Survey


@dataclass(kw_only=True)
class Service:
    """The queue, the machine it works on, and who may ask."""

    folder: ServerFolder
    store: Store
    settings: Settings
    token: str = field(repr=False)
    port: int = 0  # once it listens
    found: Future[Survey] = field(
        default_factory=Future
    )  # devices and models, some seconds after the start; another one when it was looked again
    supervisor: Supervisor | None = None  # once the devices are known
    leaving: threading.Event = field(default_factory=threading.Event)  # set once it takes no more work
    changed: threading.Event = field(default_factory=threading.Event)  # a client changed the queue just now
