"""What the engine finds amiss in its own install: `layerflow doctor`, as values."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from layerflow.wire.errors import ServerError
from layerflow.wire.programs import start_program

TIMEOUT_S = 180.0  # the first start on a cold disk loads the whole of torch


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str  # what was found
    advice: str = ""  # what to do about it


class Doctor:
    """Runs the engine's doctor, one at a time. `close` ends the one that runs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def examine(self, command: Sequence[str], timeout_s: float = TIMEOUT_S) -> tuple[Finding, ...]:
        """What was found, in the engine's order. Raises ServerError with one sentence."""
        with self._start([*command, "doctor", "--json"]) as process:
            try:
                said, complaint = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                raise ServerError(
                    f"the engine did not look through itself within {timeout_s:.0f} s; try again later"
                ) from error
            finally:
                self._end()
        return findings_of(said, complaint)

    def close(self) -> None:
        """Ends the run there is, and lets no other begin."""
        self._is_closed = True
        self._end()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._is_closed or self._process is not None:
                raise ServerError("the engine is being looked through already; wait for that")
            self._process = start_program(command, "install LayerFlow again")
            return self._process

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.poll() is None:
            with contextlib.suppress(OSError):
                process.kill()


def findings_of(said: str, complaint: str = "") -> tuple[Finding, ...]:
    """What the doctor's JSON tells. Raises ServerError for anything else, with the last line of `complaint`."""
    try:
        checks = json.loads(said)["checks"]
        return tuple(_finding(check) for check in checks)
    except (ValueError, KeyError, TypeError) as error:
        lines = [line.strip() for line in complaint.splitlines() if line.strip()]
        why = f" ({lines[-1][:300]})" if lines else ""
        raise ServerError(f"the engine could not look through itself{why}; install LayerFlow again") from error


def _finding(check: dict[str, str]) -> Finding:
    status = check["status"]
    known: Literal["ok", "warn", "fail"] = "ok" if status == "ok" else "fail" if status == "fail" else "warn"
    return Finding(str(check["name"]), known, str(check.get("detail", "")), str(check.get("advice", "")))
