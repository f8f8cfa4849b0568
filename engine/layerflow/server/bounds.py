"""What a worker holds its jobs to: it alone opens their files, and so knows where they lead and how large they are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from layerflow.server.roots import Roots
from layerflow.server.settings import Settings
from layerflow.server.spaces import Space


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """None: as far as the engine goes."""

    roots: Roots | None = None
    spaces: Path | None = None  # the folder with one for each user, whose jobs stay in that
    frames: int | None = None  # of one job
    pixels: int | None = None  # of one frame

    @classmethod
    def of(cls, settings: Settings, spaces: Path) -> Bounds:
        """Those of a server with the users' files in `spaces`."""
        limits = settings.limits
        return cls(roots=Roots(folders=settings.roots), spaces=spaces, frames=limits.frames, pixels=limits.pixels)

    def space_of(self, owner: str) -> Space | None:
        """Where a user's jobs stay; None for the machine's own jobs."""
        return Space.below(self.spaces, owner) if self.spaces is not None and owner else None

    @property
    def options(self) -> list[str]:
        """What `of_options` reads, for the command line of a worker."""
        values = {"--max-frames": self.frames, "--max-pixels": self.pixels, "--spaces": self.spaces}
        options = [f"{name}={value}" for name, value in values.items() if value is not None]
        return [*options, "--roots", *map(str, self.roots.folders)] if self.roots is not None else options

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Has `parser` know them."""
        parser.add_argument("--max-frames", type=int, help="that one job may have")
        parser.add_argument("--max-pixels", type=int, help="that one frame may have")
        parser.add_argument("--spaces", type=Path, help="the folder with one for each user")
        parser.add_argument("--roots", type=Path, nargs="*", help="that jobs may read and write in; none: no folder")

    @classmethod
    def of_options(cls, arguments: argparse.Namespace) -> Bounds:
        """Those that `parser` found."""
        roots = None if arguments.roots is None else Roots(folders=tuple(arguments.roots))
        return cls(roots=roots, spaces=arguments.spaces, frames=arguments.max_frames, pixels=arguments.max_pixels)


UNBOUNDED = Bounds()
