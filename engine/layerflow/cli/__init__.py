"""The command `layerflow`. Verbs import what they need when they run, so `--help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code (docs/cli.md lists them)."""
    from layerflow.cli.stop import end_at_once

    end_at_once()
    from layerflow.cli.app import run

    leave(run(sys.argv[1:]))


def leave(code: int) -> NoReturn:
    """Ends this process with `code`."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking torch apart takes a second in which Ctrl-C seems not to have worked; all files are closed
