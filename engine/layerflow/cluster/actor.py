"""A maker as a Ray actor."""

from __future__ import annotations

from typing import Any

import ray

from layerflow.cluster.maker import Maker
from layerflow.cluster.share import Share

CALLS = 4  # at a time: an order, and short questions meanwhile


class RayMaker(Maker):
    """A maker on the node that Ray has chosen."""

    def __init__(self) -> None:
        super().__init__(ray.get_runtime_context().get_node_id(), ray.get)


def start(share: Share) -> Any:
    """The handle of a new actor, which comes up once a node has room for it."""
    return ray.remote(RayMaker).options(max_restarts=0, max_concurrency=CALLS, **share.options).remote()
