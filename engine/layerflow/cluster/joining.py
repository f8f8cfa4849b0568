"""Joining a Ray cluster, and what nodes it has."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import ray

from layerflow.errors import RequestError

OWN = "local"  # what Ray calls a cluster that is made and ended with the process
KNOCK_S = 10.0  # the longest for a head to take a connection


def join(address: str) -> None:
    """Joins the cluster at `address`, or that of RAY_ADDRESS, or makes one. Raises RequestError where there is none.

    One that happens to run here is joined where it is asked for, by "auto": it may be somebody else's.
    """
    address = address or os.environ.get("RAY_ADDRESS", "") or OWN
    where = "on this machine" if address == "auto" else f"at {address}"
    try:
        _knock(address)
        ray.init(
            address=address,
            namespace="layerflow",
            include_dashboard=False if address == OWN else None,
            log_to_driver=False,
            configure_logging=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise RequestError(
            f"no Ray cluster answers {where}; start one with ray start --head, or leave --address out for one of this "
            "machine alone"
        ) from error


def alive_nodes() -> list[Mapping[str, float]]:
    """The resources of each node that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _knock(address: str) -> None:
    """Raises OSError where nothing listens at HOST:PORT: Ray would find that out in two minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()
