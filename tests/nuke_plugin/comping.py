"""An artist at the stand-in: a plate, a node on it, and waiting for what the engine makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PLATE = Path(__file__).parents[2] / "examples" / "plate" / "plate.####.png"
FIRST = 1001


def saved_script(nuke: Any, folder: Path, name: str = "dog.nk") -> Path:
    """An empty script with a name, of the size of the example plate."""
    nuke.addFormat("480 320 0 0 480 320 1 plate")
    nuke.root()["format"].setValue("plate")
    nuke.scriptSaveAs(str(folder / name), True)
    return folder / name


def plate(nuke: Any, last: int = FIRST + 7) -> Any:
    """A selected Read of the example plate."""
    read = nuke.createNode("Read", f"file {PLATE} first {FIRST} last {last}", inpanel=False)
    read["colorspace"].setValue("sRGB")
    return read


def press(node: Any, button: str) -> None:
    """Presses a button of the panel, as an artist does."""
    node[button].execute()


def set_knobs(node: Any, **values: Any) -> None:
    """Sets knobs one after another."""
    for name, value in values.items():
        node[name].setValue(value)


def finished(node: Any, timeout_s: float = 120.0, start: str = "working") -> str:
    """What the node says once its run is over, while Nuke's event loop runs."""
    from nuke import _stand_in

    from layerflow_nuke import node as actions

    _stand_in.pump_until(lambda: node.fullName() not in actions.runs, timeout_s)
    return str(node["status"].value())
