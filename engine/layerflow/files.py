"""Names of frames on disk, and writing them so that nothing half-written ever carries a final name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from layerflow.errors import LayerFlowError, OutputError
from layerflow.wire import checks


@contextlib.contextmanager
def refused_as(error: type[LayerFlowError]) -> Iterator[None]:
    """Turns a rule's ValueError into `error` with the same sentence."""
    try:
        yield
    except ValueError as refusal:
        raise error(str(refusal)) from refusal


@dataclass(frozen=True, kw_only=True)
class FramePattern:
    """One file per frame: `folder / (prefix + zero-padded number + suffix)`."""

    folder: Path
    prefix: str
    padding: int
    suffix: str

    @classmethod
    def parse(cls, text: str, *, error: type[LayerFlowError] = OutputError) -> FramePattern:
        """The pattern in `text`, e.g. `dog.%04d.exr` or `dog.####.exr`; raises `error` unless there is one field."""
        path = Path(text)
        with refused_as(error):
            start, end, padding = checks.find_frame_field(str(path.parent), path.name)
        return cls(folder=path.parent, prefix=path.name[:start], padding=padding, suffix=path.name[end:])

    def __str__(self) -> str:
        return str(self.folder / f"{self.prefix}%0{self.padding}d{self.suffix}")

    @property
    def stem(self) -> str:
        """The sequence's name without frame number and separator; for files that belong to all of it."""
        return self.prefix.rstrip("._- ") or "shot"

    @property
    def touches_digits(self) -> bool:
        """Whether a digit stands right beside the frame field, so that the number's ends cannot be seen."""
        return self.prefix[-1:].isdigit() or self.suffix[:1].isdigit()

    def path(self, frame: int) -> Path:
        """The file of one frame."""
        return self.folder / f"{self.prefix}{frame:0{self.padding}d}{self.suffix}"

    def frame_of(self, name: str) -> int | None:
        """The frame number in a file name, or None when the name is not of this pattern.

        Any zero-padding counts, as artists expect, unless digits touch the field: then only the exact width does.
        """
        if not (name.startswith(self.prefix) and name.endswith(self.suffix)):
            return None
        digits = name[len(self.prefix) : len(name) - len(self.suffix)]
        if not (digits.isascii() and digits.isdigit()) or len(digits) > checks.MAX_FRAME_DIGITS:
            return None
        if self.touches_digits and len(digits) != self.padding:
            return None
        return int(digits)

    def for_layer(self, layer: str) -> FramePattern:
        """The pattern of one layer's own sequence: `dog.%04d.exr` gives `dog.foreground.%04d.exr`."""
        separator = self.prefix[-1:] if self.prefix[-1:] in ("_", "-", " ") else "."
        return replace(self, prefix=f"{self.prefix}{layer}{separator}")


def output_pattern(text: str) -> FramePattern:
    """The pattern EXR frames are written to; raises OutputError when it would not be found again as a sequence."""
    with refused_as(OutputError):
        checks.check_output_pattern(text)
    return FramePattern.parse(text, error=OutputError)


def prepare_output(
    paths: Iterable[Path],
    *,
    num_bytes: int,
    sources: Iterable[Path] = (),
    may_exist: bool = False,
    remedy: str = "pass --overwrite",
) -> None:
    """Makes the folders of `paths` and proves that about `num_bytes` can be written there; raises OutputError.

    A file of `sources`, by whatever name, is never written over. Any other that is already there is refused unless
    `may_exist`, and the sentence offers `remedy`.
    """
    targets = list(paths)
    _refuse_sources(targets, sources)
    if not may_exist:
        _refuse_existing(targets, remedy)
    for folder in dict.fromkeys(path.parent for path in targets):
        make_folder(folder)
        check_room(folder, num_bytes)
        longest = max((path for path in targets if path.parent == folder), key=lambda path: len(path.name))
        with output_errors(longest):
            _create(_part_of(longest))
            _part_of(longest).unlink()


def check_room(folder: Path, num_bytes: int, *, what: str = "this") -> None:
    """Raises OutputError unless the disk of `folder` has room for so many bytes, which `what` needs."""
    with output_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise OutputError(
            f"{folder} has {free / 1e9:.1f} GB free and {what} needs about {num_bytes / 1e9:.1f} GB; "
            "free some space or choose another output folder"
        )


def _refuse_sources(targets: list[Path], sources: Iterable[Path]) -> None:
    read = {_identity(path) for path in sources}
    for path in targets:
        with output_errors(path):
            if read and path.exists() and _identity(path) in read:
                raise OutputError(f"{path} is one of the files that are read; choose another output")


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _refuse_existing(targets: list[Path], remedy: str) -> None:
    there = []
    for path in targets:
        with output_errors(path):
            there += [path] if path.exists() else []
    if there:
        more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        raise OutputError(f"{there[0]}{more} already there; {remedy} or choose another output")


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it, where they are not there yet. Raises OutputError."""
    with output_errors(folder):
        for place in (folder, *folder.parents):
            if place.is_symlink() and not place.exists():
                raise OutputError(f"{place} is a link to a place that is not there; repair it or choose another folder")
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def atomic_path(final: Path, *, durable: bool = True, owner: str = "") -> Iterator[Path]:
    """A file aside in the same folder to write to; becomes `final` when the block ends well, and is gone otherwise.

    If `durable`, the data is on disk before the name is (fsync of file, rename, fsync of folder). Raises OutputError.
    Where several processes write `final`, each has an `owner` of its own: the last one is the one that stays.
    """
    part = _part_of(final, owner)
    created = False
    try:
        with output_errors(final):
            if final.is_symlink() and not final.exists():
                raise OutputError(f"{final} is a link to a file that is not there; remove it or choose another output")
            if final.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(final))
            identity = _create(part)
            created = True
            yield part
            if part.stat().st_ino != identity:
                raise OutputError(f"something else is writing {final} at the same time; choose another output")
            if durable:
                sync(part)
            part.replace(final)
            if durable and os.name == "posix":
                sync(final.parent)
    finally:
        if created:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def as_os_error(error: Exception) -> OSError | None:
    """The OSError behind an imaging library's exception, told by the system's own words in its text, or None."""
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENOENT, errno.EIO):
        if os.strerror(code) in str(error):
            return OSError(code, os.strerror(code))
    return None


def _part_of(final: Path, owner: str = "") -> Path:
    return final.with_name(f".{final.name}{owner and '.'}{owner}.part")


def _create(part: Path) -> int:
    """Makes `part` anew (a leftover of a killed job is dropped, a planted link never followed); returns its inode."""
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return os.fstat(handle).st_ino
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Returns when `path`, a file or a folder, is on disk."""
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def output_errors(final: Path) -> Iterator[None]:
    """Turns what the system says of writing `final` into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(_sentence(final, error)) from error


def _sentence(final: Path, error: OSError) -> str:
    folder = final.parent
    sentences = {
        errno.ENOSPC: f"the disk is full, {final} was not written; free some space in {folder} and run again",
        errno.EDQUOT: f"your disk quota is used up, {final} was not written; free some space and run again",
        errno.EFBIG: f"{final} is larger than this system lets a file grow; choose another output folder",
        errno.EACCES: f"there is no permission to write {final}; choose another output folder",
        errno.EPERM: f"there is no permission to write {final}; choose another output folder",
        errno.EROFS: f"{folder} is read-only; choose another output folder",
        errno.ENAMETOOLONG: f"the name {final.name[:40]}… is too long for this disk; choose a shorter output name",
        errno.ENOENT: f"the folder {folder} is not there; make it or choose another output folder",
        errno.ENOTDIR: f"part of {folder} is a file, not a folder; choose another output folder",
        errno.EEXIST: f"{final} is a file, not a folder; choose another output folder",
        errno.EISDIR: f"{final} is a folder; remove it or choose another output name",
        errno.ELOOP: f"the links in {folder} lead in a circle; choose another output folder",
    }
    return sentences.get(
        error.errno or 0, f"{final} could not be written ({error.strerror or error}); try another folder"
    )
