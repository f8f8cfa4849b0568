"""What every answer of a running server is made from."""

from __future__ import annotations

import hmac
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from layerflow.server.askers import MACHINE, Asker
from layerflow.server.folder import ServerFolder
from layerflow.server.ledger import Ledger
from layerflow.server.settings import Settings
from layerflow.server.spaces import Space
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.server.survey import Survey
from layerflow.server.uploads import Uploads
from layerflow.server.users import Users


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
    users: Users = field(init=False)
    ledger: Ledger = field(init=False)  # of their spaces
    uploads: Uploads = field(init=False)

    def __post_init__(self) -> None:
        self.users, self.ledger = Users(self.store.database), Ledger(self.store.database)
        self.uploads = Uploads(self.ledger)

    @property
    def spaces(self) -> Path:
        """The folder with a space for each user."""
        return self.settings.spaces or self.folder.spaces

    def is_own(self, token: str) -> bool:
        """Whether that is the machine's own token; compared in the same time however much of it is right."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def asker(self, token: str) -> Asker | None:
        """Whose token that is; None: nobody's. Raises StoreError."""
        if self.is_own(token):
            return MACHINE
        user = self.users.of_token(token)
        if user is None:
            return None
        return Asker(space=Space.below(self.spaces, user.name, limit_bytes=user.space_bytes, limit_jobs=user.jobs))
