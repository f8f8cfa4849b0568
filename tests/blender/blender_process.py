"""A real Blender in a process of its own, driven call by call: `blender.do("press", "generate")`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerflow_blender.installing import extension_files

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("inside.py")
VERSIONS = [path.stem.rpartition("-")[2] for path in sorted(ROOT.glob("constraints-blender-*.txt"))]
MARK = "\x1elayerflow "
ANSWER_S = 240.0


def python_of(version: str) -> Path:
    """The Python that has this Blender; skips where it is not installed."""
    venv = ROOT / f".venv-blender-{version}"
    if not (venv / "layerflow-installed").exists():
        pytest.skip(f"needs Blender's Python package, which only Python 3.11 can set up: python3.11 {ROOT}/run.py test")
    return venv / ("Scripts" if os.name == "nt" else "bin") / "python"


def place_addon(resources: Path) -> None:
    """Puts the extension where a Blender with these user resources finds it."""
    for name, content in extension_files().items():
        path = resources / "extensions" / "user_default" / "layerflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class Blender:
    """One process. `do` has it call a function of inside.py, and gives what that returned."""

    def __init__(self, version: str, resources: Path) -> None:
        self.version, self.resources = version, resources
        self.log = resources / "stderr.txt"
        resources.mkdir(parents=True, exist_ok=True)
        place_addon(resources)
        environment = {**os.environ, "BLENDER_USER_RESOURCES": str(resources)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [python_of(version), "-I", "-u", INSIDE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )

    def do(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """What the function returned; AssertionError with its traceback where it raised."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"name": name, "args": args, "kwargs": kwargs}) + "\n")
        self._process.stdin.flush()
        killer = threading.Timer(ANSWER_S, self._process.kill)
        killer.start()
        try:
            line = next((line for line in self._process.stdout if line.startswith(MARK)), None)
        finally:
            killer.cancel()
        assert line is not None, f"Blender {self.version} died in {name}: {self.said()[-3000:]}"
        told = json.loads(line[len(MARK) :])
        assert "error" not in told, told["error"]
        return told["value"]

    def said(self) -> str:
        """All that it wrote to its console as an error."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """Ends it as kill -9 does."""
        self._process.kill()
        self._close()

    def quit(self) -> None:
        """Ends it as its menu does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self.kill()

    def _close(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def started(version: str, resources: Path) -> Iterator[Blender]:
    """A Blender with the add-on enabled. Nothing may have been an error that nobody foresaw."""
    blender = Blender(version, resources)
    try:
        enabled = blender.do("enable")
        assert enabled["enabled"] and enabled["version"].startswith(version), blender.said()
        yield blender
        assert "Traceback" not in blender.said(), blender.said()
    finally:
        blender.kill()
