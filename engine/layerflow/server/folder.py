"""Where a server keeps what it has to know after a restart."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from layerflow.wire.places import server_folder

LOOKS_S = 5.0  # how long one who asked for a preview counts as looking


@dataclass(frozen=True, kw_only=True)
class ServerFolder:
    """The files of one server; the folder is its user's alone."""

    path: Path

    @classmethod
    def own(cls) -> ServerFolder:
        """The folder that hosts know too."""
        return cls(path=server_folder())

    @property
    def queue(self) -> Path:
        """The file of the queue."""
        return self.path / "jobs.sqlite3"

    @property
    def roots(self) -> Path:
        """The file of the folders that jobs may use where nothing else says so."""
        return self.path / "roots.json"

    @property
    def spaces(self) -> Path:
        """Where users' spaces are unless the server was told otherwise."""
        return self.path / "spaces"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.path / "logs"

    @property
    def log(self) -> Path:
        """What the server itself has to say."""
        return self.logs / "server.log"

    def log_of(self, job: str) -> Path:
        """What the workers of the job with this id wrote down."""
        return self.logs / f"{job}.log"

    def log_of_worker(self, device: str) -> Path:
        """What the worker processes of `device` wrote besides."""
        return self.logs / f"worker-{device.replace(':', '-')}.log"

    def preview_of(self, job: str, layer: str) -> Path:
        """The picture of how a layer of the job looks so far."""
        return self.path / "previews" / job / f"{layer}.jpg"

    def looked_at(self, job: str) -> Path:
        """Touched whenever somebody asks for a preview of the job; nobody makes pictures that no one looks at."""
        return self.path / "previews" / job / "looked-at"

    def is_looked_at(self, job: str) -> bool:
        """Whether somebody asked for a preview of the job within the last seconds."""
        try:
            return time.time() - self.looked_at(job).stat().st_mtime < LOOKS_S
        except OSError:
            return False

    def drop_previews(self, before: float) -> None:
        """Drops the pictures of jobs that nobody has looked at since that time."""
        for folder in self.path.glob("previews/*"):
            if all(path.stat().st_mtime < before for path in (folder, *folder.iterdir())):
                shutil.rmtree(folder)

    def drop_logs(self, before: float) -> None:
        """Drops logs to which nothing was added since that time."""
        for path in self.logs.glob("*.log*"):
            if path.stat().st_mtime < before:
                path.unlink()

    def make(self) -> None:
        """Makes the folder, for nobody but its owner, where it is not there yet."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
