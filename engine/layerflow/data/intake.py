"""What every maker does with a source: open it, keep some of its frames at a fair size, say whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from layerflow import timecode
from layerflow.data.footage import Footage, open_footage, pick_times
from layerflow.data.light import Pixels
from layerflow.data.manifest import Role
from layerflow.data.pictures import fitting, one_thread, resized
from layerflow.data.store import Draft, Store, item_id, made_of
from layerflow.data.words import Notes, Words, read_notes
from layerflow.errors import PlateError
from layerflow.wire import Event

Report = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Taking:
    """How sources are taken: size, length, rate; and what is said of those that say nothing of themselves."""

    max_side: int = 768
    max_frames: int = 120
    fps: float | None = None  # of clips; a slower one stays as it is
    licence: str = ""
    source: str = ""
    stills: bool = False  # every picture is one, numbered or not
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.max_side < 1 or self.max_frames < 1:
            raise ValueError(f"at least one pixel and one frame are taken, got {self.max_side} and {self.max_frames}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be above 0 and at most 1000, got {self.fps}")

    @property
    def rate(self) -> Fraction | None:
        """Frames per second to keep, or None for all."""
        return None if self.fps is None else timecode.as_fps(self.fps)

    def settings(self) -> dict[str, Any]:
        """What of this changes an item's pictures or record."""
        return {name: value for name, value in asdict(self).items() if name != "skip_broken"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One item to be made: of which files, told by which words, and how.

    `make` gives the draft, or a sentence on why there is none.
    """

    paths: tuple[Path, ...]
    words: Words
    make: Callable[[], Draft | str]


@dataclass(frozen=True, kw_only=True)
class Work:
    """A dataset being made of many sources, one after another."""

    store: Store
    taking: Taking
    report: Report = lambda event: None

    def each(self, jobs: Mapping[str, Job], settings: Mapping[str, Any] | None = None) -> None:
        """Make every item, by id, that is not there yet; `settings` is what else its pictures follow from.

        A broken source stops the run unless `skip_broken`; what was made is kept. Raises PlateError or OutputError.
        """
        for done, (item, job) in enumerate(jobs.items()):
            self.report(Event("frame", done=done, total=len(jobs)))
            self.one(item, job, settings)
        self.report(Event("frame", done=len(jobs), total=len(jobs)))

    def one(self, item: str, job: Job, settings: Mapping[str, Any] | None = None) -> None:
        """As `each`, of one item."""
        mark = made_of(job.paths, {**self.taking.settings(), **(settings or {}), "words": asdict(job.words)})
        if self.store.has(item, mark):
            return
        try:
            made = job.make()
        except PlateError as error:
            if not self.taking.skip_broken:
                raise
            self.report(Event("warning", f"left out: {error}"))
            self.store.skipped[item] = f"broken: {error}"  # not on disk: the next run looks whether it was repaired
            return
        if isinstance(made, str):
            self.store.skip(item, mark, made)
        else:
            self.store.add(made, mark)


def take(footage: Footage, taking: Taking) -> tuple[Pixels, str]:
    """Frames [F, H, W, 3 | 4] of `footage` at most so large and so many, and their rate. Raises PlateError."""
    times = pick_times(footage.num_frames, footage.fps, taking.rate, taking.max_frames)
    height, width = fitting(footage.height, footage.width, taking.max_side)
    with one_thread():
        frames = np.stack([resized(footage.read(time), height, width) for time in times])
    return frames, kept_rate(footage, taking)


def kept_rate(footage: Footage, taking: Taking) -> str:
    """The frames per second of what is taken, as a fraction."""
    own = footage.fps or Fraction(24)
    return str(min(own, taking.rate) if taking.rate else own)


def take_singles(work: Work, role: Role, folder: Path, paths: Iterable[Path], notes: Notes | None = None) -> None:
    """Store every still or clip of `paths`, below `folder`, as an item of its own. Raises PlateError or OutputError."""
    notes = notes or read_notes(folder)
    jobs = {}
    for path in paths:
        item, words = item_id(path, folder, prefix=f"{role[0]}-"), notes.of(path, folder)
        jobs[item] = Job(paths=(path,), words=words, make=_single(item, role, path, words, folder, work.taking))
    work.each(jobs)


def _single(item: str, role: Role, path: Path, words: Words, folder: Path, taking: Taking) -> Callable[[], Draft | str]:
    def make() -> Draft | str:
        footage = open_footage(path)
        if role == "foreground" and not footage.has_alpha:
            raise PlateError(f"{path} has no alpha; give pictures with an alpha channel, or mattes by `data mattes`")
        pictures, fps = take(footage, taking)
        if role == "foreground" and not pictures[..., 3].any():
            return "its alpha is 0 everywhere"
        if role == "background":
            pictures = pictures[..., :3]
        return Draft(
            id=item,
            role=role,
            layers={role: (pictures, words.caption)},
            fps=fps,
            source=source_of(words, path, folder, taking),
            licence=words.licence or taking.licence,
            group=words.group,
        )

    return make


def source_of(words: Words, path: Path, folder: Path, taking: Taking) -> str:
    """Where an item comes from: what its table says, else the general word for all, and its path below the folder."""
    if words.source:
        return words.source
    place = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    return f"{taking.source or folder.name}: {place}"
