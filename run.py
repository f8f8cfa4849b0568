#!/usr/bin/env python3
"""Two commands for a fresh machine: `python3 run.py demo` takes the example plate apart, `python3 run.py test` tests.

Both make .venv and install what constraints.txt pins, unless that is already done; `test` does the same for each
Blender it tests with. Standard library only.
"""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
BIN = VENV / SCRIPTS
STAMP = "layerflow-installed"  # says what a venv holds, so that a second run needs no pip and no network
DEMO = "out/demo"


def call(*command):
    """The exit code of a command run in the project folder."""
    return subprocess.call([str(part) for part in command], cwd=str(ROOT))


def fingerprint(files):
    """One word that changes when the files, the folder or the Python version do."""
    contents = [(ROOT / name).read_bytes() for name in files]
    return hashlib.sha256(repr((str(ROOT), sys.version_info[:2], contents)).encode()).hexdigest()


def install(venv, what, pins, *files):
    """The exit code of making a venv that holds `what`; nothing happens when its stamp says that it is done."""
    wanted, stamp = fingerprint((pins, *files)), venv / STAMP
    made_from, _, holds = (stamp.read_text() if stamp.exists() else "").partition(" ")
    if made_from == wanted and holds.startswith(what):
        return 0
    print(f"Setting up {venv}; the first time takes a few minutes.", flush=True)
    pip = (venv / SCRIPTS / "python", "-m", "pip", "install", "-c", pins, *what.split())
    if call(sys.executable, "-m", "venv", venv) or call(*pip):
        print("The installation failed; the lines above say why. Mend that and run this again.", file=sys.stderr)
        return 1
    stamp.write_text(f"{wanted} {what}")
    return 0


def install_layerflow(extras=""):
    """The exit code of setting .venv up; what the project itself needs is in pyproject.toml."""
    return install(VENV, "-e ." + extras, "constraints.txt", "pyproject.toml")


def install_blenders():
    """Set up a venv for each Blender there are pins for; where that fails, its tests are skipped and say so."""
    if sys.version_info[:2] == (3, 11):  # bpy has no package for another Python
        for pins in sorted(ROOT.glob("constraints-blender-*.txt")):
            install(ROOT / pins.stem.replace("constraints", ".venv"), "bpy", pins.name)


def demo(_arguments):
    """Take the example plate apart with the bundled model."""
    prompts = ("--foreground", "a parrot", "--background", "a desert")
    files = ("--preview", "--overwrite", "-o", DEMO + "/demo.%04d.exr")
    decompose = (BIN / "layerflow", "decompose", "examples/plate/plate.####.png", *prompts, *files)
    failed = install_layerflow() or call(*decompose)
    if not failed:
        print(f"\nThe layers, a preview movie and a contact sheet are in {ROOT / DEMO}.")
        print("What else it does: {} --help".format((BIN / "layerflow").relative_to(ROOT)))
    return failed


def test(arguments):
    """Lint, types, architecture, then the tests; every part runs, and the first failure is what counts."""
    checks = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",))
    if install_layerflow("[dev]"):
        return 1
    install_blenders()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two tests at a time have a core each
    codes = [call(BIN / name, *rest) for name, *rest in (*checks, ("pytest", "-n2", "--dist=loadfile", *arguments))]
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
