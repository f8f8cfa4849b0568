"""What a maker is asked for, and what it tells meanwhile. Both go between machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layerflow.cluster.mirror import Parcel
from layerflow.wire import Event, Request
from layerflow.wire.whole_paths import Move

Verb = Literal["sample", "write"]


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a node that shares no folder needs of a shot: copies, and the shot's journal as it stands."""

    parcels: Mapping[str, Parcel]  # by path
    memory: str | None  # the plan that the shot was begun under
    backend: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """Some windows of a shot, to be sampled or to be written."""

    job: str  # a name for the shot, the same for all its orders
    verb: Verb
    request: Request
    windows: range  # counted from 0
    recorded: Move = str
    files: Files | None = None  # None: every path means the same here


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A file that was made where its folder is not shared."""

    path: str  # where it belongs
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The plan and the backend that a maker that shares no folder began a shot under."""

    memory: str | None
    backend: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """How the layers look so far, by layer: what there is to show in place of a glimpse."""

    layers: Mapping[str, NDArray[np.uint8 | np.uint16]] = field(repr=False)

    def pictures(self) -> dict[str, NDArray[np.uint8 | np.uint16]]:
        """As a Glimpse gives them."""
        return dict(self.layers)


Told = Event | Copy | Begun | Pictures
