"""Programs that a host starts: no terminal, nothing to ask, and an environment that is not the host's Python's."""

from __future__ import annotations

import subprocess
from typing import IO, Any, Callable, List, Sequence, Tuple, Union

from layerflow.wire.errors import NotRunning
from layerflow.wire.starting import no_console, variables_for_others

_LOOK_S = 0.2  # how often it is looked whether to stop


def start_program(
    command: Sequence[str], advice: str, complaints: Union[int, IO[Any]] = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """The program, whose stdout is a pipe of text; what it says on stderr goes to `complaints`.

    Raises NotRunning where it cannot be run, with `advice` as the next step.
    """
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            errors="replace",
            env=variables_for_others(),
            creationflags=no_console(),
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotRunning("{} cannot be run ({}); {}".format(command[0], reason, advice)) from error


def run_program(
    command: Sequence[str], advice: str, stopped: Callable[[], bool] = lambda: False
) -> Tuple[int, List[str], List[str]]:
    """The exit code of a program, and the lines that it said on stdout and on stderr, without empty ones.

    Once `stopped` says so it is ended. Raises NotRunning as `start_program` does.
    """
    with start_program(command, advice) as process:
        while True:
            try:
                said, complaint = process.communicate(timeout=_LOOK_S)
            except subprocess.TimeoutExpired:
                if stopped():
                    process.terminate()
            else:
                return process.returncode, _lines(said), _lines(complaint)


def _lines(text: str) -> List[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
