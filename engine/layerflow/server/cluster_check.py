"""Whether there is a cluster that can be used, as a process of its own finds it: a server holds nothing of Ray."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from layerflow.cluster.share import ClusterOptions, room_for, share_of
from layerflow.errors import LayerFlowError, RequestError

PATIENCE_S = 60.0  # for a cluster to answer, or one of this machine alone to come up


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is of a cluster."""

    nodes: int
    workers: int  # that it has room for
    share: str  # of each, in words


def check_cluster(options: ClusterOptions, python: Sequence[str] = (sys.executable, "-P")) -> Found:
    """What there is of the cluster. Raises RequestError where it cannot be used."""
    if importlib.util.find_spec("ray") is None:
        raise RequestError("the backend ray needs Ray; install it with pip install 'layerflow[cluster]'")
    command = [*python, "-m", "layerflow.server.cluster_check", options.to_json()]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RequestError("the Ray cluster does not answer; ray status says what keeps it") from error
    said = (ended.stdout if ended.returncode == 0 else ended.stderr).strip().splitlines()
    if ended.returncode:
        raise RequestError(said[-1] if said else "the Ray cluster cannot be used; ray status says more")
    return Found(**json.loads(said[-1]))


def look(options: ClusterOptions) -> Found:
    """As `check_cluster`, for a process that may join it."""
    from layerflow.cluster.joining import alive_nodes, join

    join(options.address)
    nodes = alive_nodes()
    share = share_of(options, nodes)
    return Found(nodes=len(nodes), workers=options.most or room_for(share, nodes), share=str(share))


def main() -> int:
    """Prints what there is; the exit code, with the reason on stderr."""
    try:
        print(json.dumps(asdict(look(ClusterOptions.from_json(sys.argv[1])))))
    except LayerFlowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
