"""The command `layerflow-desktop`."""

from __future__ import annotations

import sys


def main() -> int:
    """Opens the window; the exit code."""
    try:
        from layerflow_desktop.views.application import run
    except ModuleNotFoundError as error:
        if error.name not in ("PySide6", "psygnal", "PyOpenColorIO"):
            raise
        print(f'LayerFlow Studio needs {error.name}; install it by: pip install "layerflow[desktop]"', file=sys.stderr)
        return 1
    return run(sys.argv[1:])
