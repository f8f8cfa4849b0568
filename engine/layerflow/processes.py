"""Processes that make one shot together, as torchrun or accelerate started them.

The main one runs the whole program, and the others wait for what it tells them. They talk on the CPU, by gloo, which
notices at once when one of them is gone; what GPUs hand each other within a step goes by NCCL.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from layerflow.errors import ProcessLost, RequestError

CPU = torch.device("cpu")
MAIN = 0
WAIT = timedelta(days=30)  # for the next order: between two steps a whole plate may be read
STEP_WAIT = timedelta(minutes=10)  # for each other within a step, where all do the same


@dataclass(kw_only=True)
class Processes:
    """Those that make one shot, seen from one of them."""

    rank: int
    count: int
    orders: distributed.ProcessGroup
    in_step: bool = False  # and after an error in a step for ever: what the others wait for never comes

    @property
    def is_main(self) -> bool:
        """Whether this one runs the program."""
        return self.rank == MAIN

    def tell(self, order: object) -> None:
        """Hands the main process's `order` to all others. Raises ProcessLost."""
        with _noticing_loss():
            distributed.broadcast_object_list([order], src=MAIN, group=self.orders, device=CPU)

    def hear(self) -> Any:
        """The next order of the main process; None when there will be none. Raises ProcessLost."""
        heard: list[Any] = [None]
        with _noticing_loss():
            distributed.broadcast_object_list(heard, src=MAIN, group=self.orders, device=CPU)
        return heard[0]

    @contextmanager
    def step(self) -> Iterator[None]:
        """Within it, all of them compute together. Raises ProcessLost when one is gone."""
        self.in_step = True
        with _noticing_loss():
            yield
        self.in_step = False


def share(tensors: Sequence[Tensor]) -> None:
    """Fills `tensors` of the other processes with the numbers of the main one's."""
    for tensor in tensors:
        distributed.broadcast(tensor, src=MAIN)


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that this one was started with, all of them there, by the environment that torchrun gave them.

    At its end the main process lets the others go. Raises ProcessLost when they do not find each other.
    """
    if not distributed.is_available():
        raise RequestError("this torch cannot make a shot in several processes; start LayerFlow without torchrun")
    with _noticing_loss():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=STEP_WAIT)
        orders = distributed.new_group(backend="gloo", timeout=WAIT)
    processes = Processes(rank=distributed.get_rank(), count=distributed.get_world_size(), orders=orders)
    try:
        yield processes
    finally:
        if not processes.in_step:
            with suppress(ProcessLost):  # of one that is not needed any more
                if processes.is_main:
                    processes.tell(None)
            distributed.destroy_process_group()


def leave_stopping_to_main() -> None:
    """From now on a signal that all processes get, as by Ctrl-C, ends this one with the main one, not before it."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def _noticing_loss() -> Iterator[None]:
    """Turns what is said of a process that is gone, or does not answer, into ProcessLost."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise ProcessLost(
                "another of the processes that make this shot is gone; the same command with --resume goes on from "
                "here, in as many processes as you like"
            ) from error
        raise
