"""Seconds and peak memory of one command, as a user starts it: `python benchmarks/shot.py layerflow decompose …`.

Prints one JSON line. The peak is of the largest process that the command started, from the system's own accounting.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time


def main() -> int:
    started = time.monotonic()
    code = subprocess.run(sys.argv[1:], check=False).returncode
    seconds = time.monotonic() - started
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    measured = {"seconds": round(seconds, 1), "peak_gib": round(peak_kib / 2**20, 2), "machine": platform.platform()}
    print(json.dumps({"command": sys.argv[1:], "exit_code": code, **measured}))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
