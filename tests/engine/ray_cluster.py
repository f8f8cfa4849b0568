"""A Ray cluster of several raylets on this machine, in a process of its own: a head that makes nothing, and nodes of
one core.

As a program it says its address, and does what lines of its input ask for: kill or add a node. It ends with them.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

NODES = 2


@dataclass
class RayCluster:
    """The process, and where its head listens."""

    process: subprocess.Popen[str]
    address: str

    @classmethod
    def start(cls) -> RayCluster:
        """A cluster that is up."""
        command = [sys.executable, __file__]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cluster = cls(process, "")
        cluster.address = cluster._answer()
        return cluster

    def ask(self, what: str) -> None:
        """Has a node killed as a power cut does, or added; returns when that is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        self._answer()

    def end(self) -> None:
        """Ends all of it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("cluster: "):
                return line.removeprefix("cluster: ").strip()
        raise AssertionError("the cluster did not come up")


def main() -> None:
    import psutil
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES)]
    print("cluster:", cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "add":
            nodes.append(cluster.add_node(num_cpus=1))
        else:
            raylet = psutil.Process(nodes.pop().all_processes["raylet"][0].process.pid)
            for process in [raylet, *raylet.children(recursive=True)]:
                process.kill()
        print("cluster:", line.strip(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
