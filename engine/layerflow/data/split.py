"""The split into training and held-out: whole groups, so that near duplicates never stand on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from layerflow.data.likeness import clusters
from layerflow.data.manifest import Record, Role


def grouped(records: Sequence[Record]) -> list[Record]:
    """`records` with a group each: those that look alike, or whose maker gave them one group, are in one.

    Alike is asked among items of one role. A group is named after its first item.
    """
    parent = {record.id: record.id for record in records}

    def root(item: str) -> str:
        while parent[item] != item:
            item = parent[item]
        return item

    def join(items: Sequence[Record]) -> None:
        for other in items[1:]:
            one, two = sorted((root(items[0].id), root(other.id)))
            parent[two] = one

    for members in _by_likeness(records) + _by_group(records):
        join(members)
    return [replace(record, group=root(record.id)) for record in records]


def held_out_groups(records: Sequence[Record], share: float) -> set[str]:
    """Names of the groups to hold out, about `share` of the items of every role, chosen by a hash of the name.

    A group that would bring more than what is wanted is left in training, and of a role with one group nothing is held
    out.
    """
    roles = sorted({record.role for record in records})
    taken: set[str] = set()
    for role in roles:
        taken |= _held_out(records, role, share)
    return taken


def _held_out(records: Sequence[Record], role: Role, share: float) -> set[str]:
    sizes: dict[str, int] = {}
    for record in records:
        if record.role == role:
            sizes[record.group] = sizes.get(record.group, 0) + 1
    wanted = round(sum(sizes.values()) * share)
    if share > 0 and len(sizes) > 1:
        wanted = max(wanted, min(sizes.values()))
    taken: set[str] = set()
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        if sizes[group] <= wanted and len(taken) + 1 < len(sizes):
            taken.add(group)
            wanted -= sizes[group]
    return taken


def _by_likeness(records: Sequence[Record]) -> list[list[Record]]:
    members: dict[tuple[str, int], list[Record]] = {}
    for role in sorted({record.role for record in records}):
        those = [record for record in records if record.role == role]
        for record, cluster in zip(those, clusters([record.likeness for record in those]), strict=True):
            members.setdefault((role, cluster), []).append(record)
    return list(members.values())


def _by_group(records: Sequence[Record]) -> list[list[Record]]:
    members: dict[str, list[Record]] = {}
    for record in records:
        if record.group:
            members.setdefault(record.group, []).append(record)
    return list(members.values())
