"""The command `layerflow-export`. Verbs import what they need when they run, so `--help` answers at once."""

from __future__ import annotations

import sys
from typing import NoReturn

from layerflow.cli import leave


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code, which are those of `layerflow`."""
    from layerflow.cli.stop import end_at_once

    end_at_once()
    from layerflow_export.cli.app import run

    leave(run(sys.argv[1:]))
