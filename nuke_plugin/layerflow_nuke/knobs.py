"""A knob of a LayerFlow node, as data: what it is called, holds at first and means. Nothing of Nuke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

from layerflow.wire.request import TASKS

KINDS = ("tab", "divider", "string", "multiline", "file", "int", "double", "bool", "choice", "button")

BUTTON = """try:
    from layerflow_nuke import buttons
except ImportError:
    nuke.message("LayerFlow is not installed for this Nuke; run: layerflow install nuke")
else:
    buttons.{name}(nuke.thisNode())
"""


@dataclass(frozen=True)
class Knob:
    """One knob of the panel."""

    kind: str  # one of KINDS
    name: str
    label: str = ""
    help: str = ""
    default: Any = None
    choices: Tuple[str, ...] = ()
    range: Tuple[float, float] = (0.0, 0.0)  # of a slider
    same_line: bool = False  # as the knob before
    hidden: bool = False
    tasks: Tuple[str, ...] = TASKS  # for which it counts; for others it is greyed out

    @property
    def is_value(self) -> bool:
        """Whether it holds something that a script keeps."""
        return self.kind not in ("tab", "divider", "button")

    @property
    def code(self) -> str:
        """What a button does; it says what to do on a machine without the plugin."""
        return BUTTON.format(name=self.name)
