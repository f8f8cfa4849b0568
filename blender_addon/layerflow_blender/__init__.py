"""LayerFlow in Blender's Video Sequencer: the layers of a strip, or of words, as strips."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

VENDOR = str(Path(__file__).resolve().parent / "vendor")  # where an installed add-on has its copy of the wire


def register() -> None:
    """Has Blender know the add-on."""
    _find_wire()
    from . import registering

    registering.register()


def unregister() -> None:
    """Has Blender forget it, and its modules with it."""
    from . import registering

    registering.unregister()
    for name in [name for name in sys.modules if name.startswith(__name__ + ".")]:
        del sys.modules[name]
        globals().pop(name.rpartition(".")[2], None)  # or the next import would find the old one here
    _lose_wire()


def _find_wire() -> None:
    """Makes `layerflow.wire` importable: as it is, or from the add-on's own copy."""
    try:
        importlib.import_module("layerflow.wire.run")
    except ImportError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "layerflow"]:
            del sys.modules[name]  # of an older one, or a bare folder
        sys.path.append(VENDOR)
        importlib.invalidate_caches()
        importlib.import_module("layerflow.wire.run")


def _lose_wire() -> None:
    if VENDOR in sys.path:
        sys.path.remove(VENDOR)
        for name in [name for name in sys.modules if name.partition(".")[0] == "layerflow"]:
            del sys.modules[name]
