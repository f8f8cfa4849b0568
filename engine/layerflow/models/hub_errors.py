"""What may go wrong between here and a model hub, each in one sentence; an error says the next step."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from httpx2 import HTTPError, InvalidURL
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from layerflow.errors import ModelError
from layerflow.models.folder import reason_of

AGAIN = "run the same command again, it goes on where it stopped"


@contextmanager
def plain_errors(endpoint: str, repo: str, revision: str) -> Iterator[None]:
    """Turns what the hub's library, the network and the disk raise into a ModelError of one sentence."""
    try:
        yield
    except (HTTPError, InvalidURL, OSError, ValueError) as error:
        raise ModelError(_sentence(error, endpoint, repo, revision)) from error


def _sentence(error: Exception, endpoint: str, repo: str, revision: str) -> str:
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, endpoint, repo, revision)
    if isinstance(error, (InvalidURL, ValueError)):
        return f"{endpoint} does not answer as a model hub does; correct or unset HF_ENDPOINT"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full; free some space and {AGAIN}"
    if isinstance(error, OSError) and error.errno:
        return f"{error.filename} cannot be used ({error.strerror}); name another folder for downloads in HF_HOME"
    return f"the connection to {endpoint} failed ({reason_of(error)}); {AGAIN}"


def not_cached(what: str) -> str:
    """The sentence for what would have to be fetched while the hub's library is told to stay offline."""
    return f"{what} is not in the cache and HF_HUB_OFFLINE is set; unset it and run the same command again"


@contextmanager
def told_warnings(warn: Callable[[str], None]) -> Iterator[None]:
    """Gives what the hub's library would log, such as that a connection broke and it goes on, to `warn` instead."""
    log, handler = logging.getLogger("huggingface_hub"), _Told(warn)
    before, log.handlers = log.handlers, [handler]
    try:
        yield
    finally:
        log.handlers = before


class _Told(logging.Handler):
    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(record.getMessage().splitlines()[0])


def _refusal(error: HfHubHTTPError, endpoint: str, repo: str, revision: str) -> str:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return f"{repo} asks you to accept its conditions; do so at {endpoint}/{repo}, run hf auth login, pull again"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision}; give a branch, a tag or a commit that it has"
    if isinstance(error, RepositoryNotFoundError) or status == 401:  # a hub does not tell these apart
        return f"{endpoint} has no {repo}, or does not show it to you; check HF_ENDPOINT, or run hf auth login"
    if isinstance(error, EntryNotFoundError):
        return f"{error.response.url} is not there; pull another --revision"
    if status == 403:
        return f"{endpoint} refuses access to {repo}; run hf auth login and pull again"
    return f"{endpoint} answered with error {status} for {repo}; wait a little and {AGAIN}"
