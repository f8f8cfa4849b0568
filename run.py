#!/usr/bin/env python3
"""Two commands for a fresh machine: `python3 run.py demo` takes the example plate apart, `python3 run.py test` tests.

Both make .venv and install what constraints.txt pins, unless that is already done. Standard library only.
"""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "layerflow-installed"  # what was installed, so that a second run needs no pip and no network
DEMO = "out/demo"


def call(*command):
    """The exit code of a command run in the project folder."""
    return subprocess.call([str(part) for part in command], cwd=str(ROOT))


def fingerprint():
    """One word that changes when the pins, the project's own needs, the folder or the Python version do."""
    digest = hashlib.sha256(repr((str(ROOT), sys.version_info[:2])).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install(extras=""):
    """The exit code of setting up .venv; nothing happens when the stamp says it is done."""
    wanted = fingerprint()
    stamp = STAMP.read_text().split() if STAMP.exists() else []
    if wanted in stamp and (not extras or extras in stamp):
        return 0
    print(f"Setting up {VENV}; the first time takes a few minutes.", flush=True)
    pip = (BIN / "python", "-m", "pip", "install", "-c", "constraints.txt", "-e", "." + extras)
    failed = call(sys.executable, "-m", "venv", VENV) or call(*pip)
    if failed:
        print("The installation failed; the lines above say why. Mend that and run this again.", file=sys.stderr)
    else:
        STAMP.write_text(wanted + " " + extras)
    return failed


def demo(_arguments):
    """Take the example plate apart with the bundled model."""
    prompts = ("--foreground", "a parrot", "--background", "a desert")
    files = ("--preview", "--overwrite", "-o", DEMO + "/demo.%04d.exr")
    decompose = (BIN / "layerflow", "decompose", "examples/plate/plate.####.png", *prompts, *files)
    failed = install() or call(*decompose)
    if not failed:
        print(f"\nThe layers, a preview movie and a contact sheet are in {ROOT / DEMO}.")
        print("What else it does: {} --help".format((BIN / "layerflow").relative_to(ROOT)))
    return failed


def test(arguments):
    """Lint, types, architecture, then the tests; every part runs, and the first failure is what counts."""
    checks = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",))
    failed = install("[dev]")
    if failed:
        return failed
    codes = [call(BIN / name, *rest) for name, *rest in (*checks, ("pytest", *arguments))]
    return next((code for code in codes if code), 0)


def main(arguments):
    """The exit code of one of the two commands."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this line is for those who have an older one
        running = ".".join(map(str, sys.version_info[:3]))
        print(f"LayerFlow needs Python 3.11 or newer and this is {running}; try: python3.11 run.py demo")
        return 1
    verbs = {"demo": demo, "test": test}
    if not arguments or arguments[0] not in verbs:
        print("usage: python3 run.py demo, or python3 run.py test [pytest options]")
        return 2
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command that runs; it leaves cleanly, then we do
    return verbs[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
