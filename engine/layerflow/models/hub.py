"""Files of a model hub, in the cache of huggingface_hub: listed, fetched, and held against the hashes the hub states.

The library makes every request, so that HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and logins work as everywhere. What it
leaves out is done here: it throws away what it has of a file when a download breaks off, and it checks no hash.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self, cast

from filelock import FileLock
from huggingface_hub import HfApi, constants, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # it is made known at run time

from layerflow.errors import ModelError
from layerflow.files import atomic_path, make_folder
from layerflow.models.hashes import file_sha256
from layerflow.models.hub_errors import AGAIN, not_cached, plain_errors

MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

OnBytes = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a repository."""

    name: str
    size: int  # bytes
    digest: str  # hex: sha256 of a large file, git's hash of a small one; "" when offline and not known


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a repository holds at one commit."""

    repo: str
    revision: str  # as asked for
    commit: str
    files: dict[str, HubFile] = field(default_factory=dict)
    licence: str


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A model hub and the cache of its files."""

    endpoint: str
    cache: Path
    offline: bool = False

    @classmethod
    def here(cls) -> Self:
        """The hub and the cache that this process' environment names."""
        return cls(
            endpoint=constants.ENDPOINT, cache=Path(constants.HF_HUB_CACHE), offline=bool(constants.HF_HUB_OFFLINE)
        )

    def listing(self, repo: str, revision: str = MAIN) -> Listing:
        """The files of `repo` at `revision`: as the hub says, or what is cached when offline. Raises ModelError."""
        return self._cached_listing(repo, revision) if self.offline else self._fresh_listing(repo, revision)

    def _fresh_listing(self, repo: str, revision: str) -> Listing:
        with plain_errors(self.endpoint, repo, revision):
            info = HfApi(endpoint=self.endpoint).model_info(
                repo, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
            commit, files = info.sha or "", list(map(_file_of, info.siblings or ()))
            if not _COMMIT.fullmatch(commit):
                raise ValueError(f"not a commit: {commit!r}")
        licence = info.card_data.get("license") if info.card_data else None
        return Listing(
            repo=repo,
            revision=revision,
            commit=commit,
            files={file.name: file for file in files},
            licence=str(licence or "not stated by its authors"),
        )

    def _cached_listing(self, repo: str, revision: str) -> Listing:
        ref = self._storage(repo) / "refs" / revision
        commit = revision if _COMMIT.fullmatch(revision) else ref.read_text().strip() if ref.is_file() else ""
        snapshot = self._storage(repo) / "snapshots" / commit
        if not commit or not snapshot.is_dir():
            raise ModelError(not_cached(f"{repo} {revision}"))
        files = [_cached_file(path, snapshot) for path in sorted(snapshot.rglob("*")) if path.is_file()]
        return Listing(
            repo=repo,
            revision=revision,
            commit=commit,
            files={file.name: file for file in files},
            licence=f"see the model card of {repo}",
        )

    def snapshot(self, listing: Listing) -> Path:
        """The folder of the cache where the fetched files of `listing` have their names."""
        return self._storage(listing.repo) / "snapshots" / listing.commit

    def missing_bytes(self, listing: Listing, file: HubFile) -> int:
        """How much of `file` has yet to be downloaded."""
        if self._cached(listing, file) or self._blob(listing, file).exists():
            return 0
        part = self._part(listing, file)
        return file.size - min(part.stat().st_size, file.size) if part.exists() else file.size

    def fetch(self, listing: Listing, file: HubFile, on_bytes: OnBytes = lambda count: None) -> Path:
        """The path of `file` in the cache, its hash checked; `on_bytes` is told how much of it is there.

        Raises ModelError. What was downloaded is kept then, unless its hash is wrong.
        """
        with plain_errors(self.endpoint, listing.repo, listing.revision):
            if cached := self._cached(listing, file):
                self._check(listing, file, cached)
                return cached
            blob = self._blob(listing, file)
            lock = self.cache / ".locks" / self._storage(listing.repo).name / f"{file.digest}.lock"
            for folder in (blob.parent, lock.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):  # the library's own, so that one process at a time fetches the file
                if blob.exists():  # of another commit, or another program's
                    self._check(listing, file, blob)
                else:
                    self._download(listing, file, on_bytes)
                return self._link(listing, file)

    def keep_ref(self, listing: Listing) -> None:
        """Remembers which commit the revision stands for, for a pull that is offline. Raises OutputError."""
        ref = self._storage(listing.repo) / "refs" / listing.revision
        if listing.revision == listing.commit or (ref.is_file() and ref.read_text() == listing.commit):
            return
        make_folder(ref.parent)
        with atomic_path(ref) as part:
            part.write_text(listing.commit)

    def _download(self, listing: Listing, file: HubFile, on_bytes: OnBytes) -> None:
        """Goes on with what there is of the file. It gets its final name when its hash is right."""
        part = self._part(listing, file)
        if part.exists() and part.stat().st_size > file.size:
            part.unlink()
        with part.open("ab") as stream:
            http_get(
                hf_hub_url(listing.repo, file.name, revision=listing.commit, endpoint=self.endpoint),
                stream,
                resume_size=part.stat().st_size,
                headers=build_hf_headers(library_name="layerflow") | {"Accept-Encoding": "identity"},
                expected_size=file.size,
                displayed_filename=file.name,
                tqdm_class=cast(Any, _bytes_of_file(on_bytes)),
            )
        self._check(listing, file, part)
        part.replace(self._blob(listing, file))

    def _link(self, listing: Listing, file: HubFile) -> Path:
        """The file's own name in the cache, where the library and every program that uses it will find it."""
        blob, path = self._blob(listing, file), self.snapshot(listing) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            path.symlink_to(os.path.relpath(blob, path.parent))
        except OSError:  # no links here; the library then has the file itself in this place
            blob.replace(path)
        return path

    def _check(self, listing: Listing, file: HubFile, path: Path) -> None:
        """Raises ModelError when `path` does not hold what the hub says, and takes it out of the cache."""
        if not file.digest or digest_of(path, large=len(file.digest) == 64) == file.digest:
            return
        for wrong in {path.resolve(), path}:
            wrong.unlink(missing_ok=True)
        raise ModelError(
            f"{file.name} of {listing.repo} is damaged: it is not what the hub says it should be, and was removed from "
            f"the cache; {AGAIN}"
        )

    def _cached(self, listing: Listing, file: HubFile) -> Path | None:
        found = try_to_load_from_cache(listing.repo, file.name, cache_dir=self.cache, revision=listing.commit)
        return Path(found) if isinstance(found, str) else None

    def _storage(self, repo: str) -> Path:
        return self.cache / repo_folder_name(repo_id=repo, repo_type="model")

    def _blob(self, listing: Listing, file: HubFile) -> Path:
        return self._storage(listing.repo) / "blobs" / file.digest

    def _part(self, listing: Listing, file: HubFile) -> Path:
        return self._storage(listing.repo) / "blobs" / f"{file.digest}.incomplete"


def _file_of(sibling: RepoSibling) -> HubFile:
    """A file as the hub lists it. Raises ValueError: digest and name become parts of paths, so both are checked."""
    digest = (sibling.lfs.sha256 if sibling.lfs else sibling.blob_id) or ""
    name, size = PurePosixPath(sibling.rfilename), sibling.size
    leads_out = name.is_absolute() or ".." in name.parts or not {"\\", ":"}.isdisjoint(sibling.rfilename)
    if not _DIGEST.fullmatch(digest) or not isinstance(size, int) or leads_out:
        raise ValueError(f"not a file of a repository: {sibling}")
    return HubFile(name=sibling.rfilename, size=size, digest=digest)


def _cached_file(path: Path, snapshot: Path) -> HubFile:
    """A file of the cache. It is a link to one named after its digest, except where the disk has no links."""
    digest = path.readlink().name if path.is_symlink() else ""
    known = digest if _DIGEST.fullmatch(digest) else ""
    return HubFile(name=path.relative_to(snapshot).as_posix(), size=path.stat().st_size, digest=known)


def digest_of(path: Path, *, large: bool) -> str:
    """The hash that a hub states for a file: sha256 of a `large` one, else what git calls it."""
    if large:
        return file_sha256(path)
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _bytes_of_file(on_bytes: OnBytes) -> type:
    """What the library takes for a tqdm bar: it passes on how much of the file is there."""

    class Bytes:
        def __init__(self, *, initial: int = 0, **options: object) -> None:
            self._count = initial
            on_bytes(initial)

        def update(self, count: int) -> None:
            self._count += count
            on_bytes(self._count)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            """A bar would leave the screen here."""

    return Bytes
