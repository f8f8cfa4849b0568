"""The queue a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from layerflow.server.rows import values_of

PAGE_SIZE = 1 << 22  # characters of requests and results, after which a page ends


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some jobs in their order, and the id to ask for those after them with; None when these are the last.

    Whatever happened up to the event with the number `event` is in them already.
    """

    jobs: tuple[Mapping[str, Any], ...]  # as `Job.to_dict` tells them
    next: str | None
    event: int


def fitting(rows: Iterable[sqlite3.Row], limit: int) -> tuple[tuple[Mapping[str, Any], ...], bool]:
    """The first jobs of `rows` that make one page, and whether these are all."""
    jobs: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        if len(jobs) == limit or size > PAGE_SIZE:
            return tuple(jobs), False
        jobs.append(values_of(row))
        size += len(row["request"]) + len(row["result"] or "")
    return tuple(jobs), True
