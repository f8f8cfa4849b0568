"""A process of the supervisor's: it works for as long as its standard input stays open.

The supervisor holds the other end of that pipe. It closes it to have the worker stop at its next step; and the system
closes it when the supervisor dies, however that goes.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

from layerflow.errors import LayerFlowError
from layerflow.server import heap
from layerflow.server.bounds import Bounds

GRACE_S = 30.0  # to stop in; then the process ends with what it has in hand, which is requeued


def add_options(parser: argparse.ArgumentParser) -> None:
    """Has `parser` know what every worker is told."""
    parser.add_argument("--folder", type=Path, required=True, help="of the server")
    parser.add_argument("--id", required=True, help="that the supervisor gave it")
    Bounds.add_options(parser)


def work(job: Callable[[threading.Event], None]) -> NoReturn:
    """Does `job` until the event that it is given is set, and ends the process. What is said goes to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    heap.use_one_arena()
    leaving = threading.Event()
    threading.Thread(target=_leave_with, args=(sys.stdin.buffer, leaving), daemon=True).start()
    heed_signals(leaving)
    code = 0
    try:
        job(leaving)
    except LayerFlowError as error:
        logging.error("%s", error)
        code = error.exit_code
    sys.stderr.flush()
    os._exit(code)  # taking torch apart takes a second


def heed_signals(leaving: threading.Event) -> None:
    """Has signals that ask for the end, which may go to every process of a group, set `leaving`."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda signum, frame: leaving.set())


def _leave_with(pipe: BinaryIO, leaving: threading.Event) -> None:
    """Never returns: waits for the end of `pipe`, gives the worker its time to leave, and then ends it."""
    pipe.read()
    leaving.set()
    time.sleep(GRACE_S)
    os._exit(1)
