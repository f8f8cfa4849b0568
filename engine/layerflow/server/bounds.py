"""What a worker holds its jobs to: it alone opens their files, and so knows where they lead and how large they are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from layerflow.server.roots import Roots
from layerflow.server.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """None: as far as the engine goes."""

    roots: Roots | None = None
    frames: int | None = None  # of one job
    pixels: int | None = None  # of one frame

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Those of a server."""
        limits = settings.limits
        return cls(roots=Roots(folders=settings.roots), frames=limits.frames, pixels=limits.pixels)

    @property
    def options(self) -> list[str]:
        """What `of_options` reads, for the command line of a worker."""
        numbers = {"--max-frames": self.frames, "--max-pixels": self.pixels}
        options = [f"{name}={number}" for name, number in numbers.items() if number is not None]
        return [*options, "--roots", *map(str, self.roots.folders)] if self.roots is not None else options

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Has `parser` know them."""
        parser.add_argument("--max-frames", type=int, help="that one job may have")
        parser.add_argument("--max-pixels", type=int, help="that one frame may have")
        parser.add_argument("--roots", type=Path, nargs="*", help="that jobs may read and write in; none: no folder")

    @classmethod
    def of_options(cls, arguments: argparse.Namespace) -> Bounds:
        """Those that `parser` found."""
        roots = None if arguments.roots is None else Roots(folders=tuple(arguments.roots))
        return cls(roots=roots, frames=arguments.max_frames, pixels=arguments.max_pixels)


UNBOUNDED = Bounds()
