"""Finding `layerflow.wire`, which this plug-in asks the engine by. Standard library and Python 3.7 only."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[1]


def find_wire(plugin: Path = PLUGIN) -> None:
    """Makes `layerflow.wire` importable: as it is, or from `plugin`/vendor, or from the engine beside `plugin`.

    Raises ImportError, in one sentence, where it is in none of them.
    """
    if _is_importable():
        return
    places = (plugin / "vendor", plugin.parent / "engine")
    found = [str(place) for place in places if (place / "layerflow" / "wire" / "__init__.py").is_file()]
    if not found:
        raise ImportError(
            f"LayerFlow's plug-in in {plugin} is not whole, layerflow.wire is missing; "
            "run layerflow install nuke once more"
        )
    if found[0] not in sys.path:
        sys.path.append(found[0])
    if not _is_importable():
        other = getattr(sys.modules.get("layerflow"), "__file__", None)
        raise ImportError(f"another package named layerflow is in the way ({other}); take its folder off Python's path")


def _is_importable() -> bool:
    importlib.invalidate_caches()
    try:
        importlib.import_module("layerflow.wire")
    except ImportError:
        _forget_bare_folder()
        return False
    return True


def _forget_bare_folder() -> None:
    """Drops a `layerflow` that is nothing but a folder of that name.

    Nuke has the folder in which the installed one lies on Python's path. Once imported, it would hide the package that
    comes later on the path.
    """
    package = sys.modules.get("layerflow")
    if package is not None and getattr(package, "__file__", None) is None:
        del sys.modules["layerflow"]
