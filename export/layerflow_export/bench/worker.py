"""A process for each backend: its memory is its own, and one that dies takes nobody along."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from layerflow.cli.running import quieten_libraries
from layerflow.errors import LayerFlowError, RequestError

if TYPE_CHECKING:
    from layerflow_export.bench.case import Case

STOP_S = 10.0  # that a worker is given to end


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    sentence: str


class Worker:
    """A Runner elsewhere: `ask("shot", "exact")` is `Runner.shot("exact")` there."""

    def __init__(self, name: str, connection: Connection, process: BaseProcess) -> None:
        self.name, self._connection, self._process = name, connection, process

    def ask(self, what: str, *arguments: Any) -> Any:
        """The answer. Raises RequestError with the sentence of what went wrong there."""
        try:
            self._connection.send((what, arguments))
            answer = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join(STOP_S)
            code = self._process.exitcode
            raise RequestError(
                f"the process of {self.name} ended with {code}; what it wrote above says why, or leave it out"
            ) from error
        if isinstance(answer, _Refusal):
            raise RequestError(answer.sentence)
        return answer


@contextmanager
def working(case: Case, backend: str, precision: str = "auto", plan: str = "full") -> Iterator[Worker]:
    """Within it, a worker that loads `backend`; what it is asked first waits for that, and says where it cannot."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    ours.send((case, backend, precision, plan))
    try:
        yield Worker(backend, ours, process)
    finally:
        ours.close()
        process.kill()  # it has nothing to keep
        process.join()


def _serve(connection: Connection) -> None:
    """Loads what it is sent, then answers until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    quieten_libraries()  # before they are imported, which receiving a Case does
    arguments = connection.recv()
    from layerflow_export.bench.runner import Runner

    runner = _answered(Runner, *arguments)
    while True:
        try:
            what, arguments = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        refused = isinstance(runner, _Refusal)
        connection.send(runner if refused else _answered(getattr(runner, what), *arguments))


def _answered(answer: Callable[..., Any], *arguments: Any) -> Any:
    """What `answer` returns, or the sentence of what can be expected to go wrong."""
    from layerflow.models.memory import is_out_of_memory

    try:
        return answer(*arguments)
    except LayerFlowError as error:
        return _Refusal(sentence=str(error))
    except FloatingPointError as error:
        return _Refusal(sentence=f"{error}; take another precision")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _Refusal(sentence="there is not enough memory; measure it alone, with --backend")
