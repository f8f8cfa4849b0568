"""The engine's `deliver` in a process of its own: what it says, what came of it, and how it is stopped."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from layerflow.wire.errors import ServerError
from layerflow.wire.programs import start_program
from layerflow_desktop.models.exports import Export, comp_text

OnProgress = Callable[[int, int], None]  # frames that are done, of how many

_PATIENCE_S = 10.0  # for a process that was asked to stop
_WARNING = "warning: "


@dataclass(frozen=True)
class Exported:
    """What an export became."""

    export: Export
    files: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())


class Delivery:
    """One run of the engine. `run` belongs to a thread of its own, `stop` to any."""

    def __init__(self, command: Callable[[], Sequence[str]], export: Export) -> None:
        self._command, self._export = command, export
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    def run(self, on_progress: OnProgress = lambda done, total: None) -> Exported | None:
        """What it became; None where it was stopped. Raises ServerError with one sentence."""
        with tempfile.TemporaryDirectory(prefix="layerflow-") as folder, tempfile.TemporaryFile() as complaints:
            comp = Path(folder) / "comp.json"
            comp.write_text(comp_text(self._export.layers), encoding="utf-8")
            process = self._start(self._export.arguments(str(comp)), complaints)
            if process is None:
                return None
            with process:
                last = _listen(process.stdout, on_progress)
            said = _lines(complaints)
        return self._outcome(process.returncode, last, said)

    def stop(self) -> None:
        """Ends it. What is half written is taken away by the engine, as far as the system lets it."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None and self._process.poll() is None:
                _ask_to_stop(self._process)
                threading.Thread(target=_end_at_last, args=(self._process,), daemon=True).start()

    def _start(self, arguments: Sequence[str], complaints: IO[bytes]) -> subprocess.Popen[str] | None:
        command = [*self._command(), *arguments]
        with self._lock:
            if self._is_stopped:
                return None
            self._process = start_program(command, "install LayerFlow again", complaints)
            return self._process

    def _outcome(self, code: int, last: dict[str, Any], said: Sequence[str]) -> Exported | None:
        files = last.get("files")
        if code == 0 and isinstance(files, list):
            warnings = tuple(line.removeprefix(_WARNING) for line in said if line.startswith(_WARNING))
            return Exported(self._export, tuple(map(str, files)), warnings)
        if self._is_stopped:
            return None
        if isinstance(last.get("error"), str):
            raise ServerError(_in_this_app(last["error"]))
        why = f" ({said[-1][:300]})" if said else ""
        raise ServerError(f"the engine ended in the middle of the export{why}; export again")


def _in_this_app(sentence: str) -> str:
    """The engine's sentence, with what to do here in the place of an option of its command line."""
    return sentence.replace("pass --overwrite", "tick Replace")


def _listen(lines: IO[str] | None, on_progress: OnProgress) -> dict[str, Any]:
    """The last object that was printed; progress is passed on as it comes."""
    last: dict[str, Any] = {}
    for line in lines or ():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if not isinstance(told, dict):
            continue
        last = told
        done, total = told.get("done"), told.get("total")
        if isinstance(done, int) and isinstance(total, int):
            on_progress(done, total)
    return last


def _lines(complaints: IO[bytes]) -> list[str]:
    complaints.seek(0)
    return [line.strip() for line in complaints.read().decode("utf-8", "replace").splitlines() if line.strip()]


def _ask_to_stop(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.terminate()
        else:
            process.send_signal(signal.SIGINT)


def _end_at_last(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
