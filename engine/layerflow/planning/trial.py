"""One shot by a process of its own, which is how long a plain command takes. The request comes on standard input."""

from __future__ import annotations

import sys

from layerflow import shots
from layerflow.errors import LayerFlowError
from layerflow.wire import Request


def main() -> int:
    """Makes the shot over what lies there; the exit code, with the reason on stderr."""
    try:
        shots.render(Request.from_json(sys.stdin.read()), overwrite=True)
    except LayerFlowError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0
