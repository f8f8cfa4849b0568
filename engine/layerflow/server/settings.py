"""What one server was told when it was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from layerflow.cluster.share import ClusterOptions


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one client may ask for; more is refused with a sentence."""

    body_bytes: int = 1 << 20
    prompt_characters: int = 10_000  # a text encoder reads some 226 words of them, and says which it left out
    frames: int = 100_000  # of one job
    pixels: int = 8192 * 8192  # of one frame
    waiting_jobs: int = 1000
    streams: int = 64  # of events, open at a time
    streams_of_user: int = 16  # of them
    connections: int = 256  # open at a time
    chunk_bytes: int = 4 << 20  # of a file, sent or asked for at a time
    chunk_patience_s: float = 60.0  # for a chunk to come
    patience_s: float = 10.0  # for a client to say what it wants, and to take what it asked for

    def patience_with(self, method: str) -> float:
        """How long a body may take to come."""
        return self.chunk_patience_s if method == "PATCH" else self.patience_s


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a server listens, and what it lets its clients reach."""

    host: str = "127.0.0.1"
    port: int | None = None  # None: the usual one, or any that is free; 0: any that is free
    names: tuple[str, ...] = ()  # by which clients may call it besides the loopback's own
    roots: tuple[Path, ...] = ()  # folders, resolved, that jobs may read and write in
    spaces: Path | None = None  # the folder with one for each user; None: in the server's own
    limits: Limits = field(default_factory=Limits)
    idle_exit_s: float | None = None  # after which it ends when there is nothing to do
    certificate: Path | None = None  # of TLS; None: plain HTTP
    key: Path | None = None
    cluster: ClusterOptions | None = None  # that makes the jobs; None: the devices of this machine
