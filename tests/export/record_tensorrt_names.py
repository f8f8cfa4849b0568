"""Writes tensorrt_names.json: what the Python modules of both TensorRT flavours have, as far as engines need it.

    python tests/export/record_tensorrt_names.py tensorrt_rtx tensorrt_bindings

TensorRT-RTX imports as it is. Of the full TensorRT the package tensorrt_cu13_bindings is enough, without its 4 GB of
libraries: put empty shared libraries named libnvinfer.so.11, libnvinfer_plugin.so.11 and libnvonnxparser.so.11, the
first with a function for every symbol that tensorrt.so lacks, on LD_LIBRARY_PATH. It can be looked at then, not run.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType

NAMES = Path(__file__).with_name("tensorrt_names.json")
OF_THE_NETWORK = ("Layer", "Plugin", "Loop", "Condition", "Operation", "Attention")  # what is added node by node


def names_of(module: ModuleType) -> dict[str, str]:
    """Every class of `module` that is about building, refitting, inspecting or running engines, and its members."""
    return {
        name: " ".join(member for member in dir(found) if not member.startswith("_"))
        for name, found in inspect.getmembers(module, inspect.isclass)
        if not name.startswith("_") and not any(part in name for part in OF_THE_NETWORK)
    }


def main() -> None:
    """Record the modules named on the command line, each under its own name."""
    modules = {name.removesuffix("_bindings"): importlib.import_module(name) for name in sys.argv[1:]}
    recorded = {
        flavour: {"version": module.__version__, "classes": names_of(module)} for flavour, module in modules.items()
    }
    NAMES.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
