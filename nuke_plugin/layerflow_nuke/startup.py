"""What Nuke runs at its start: init() in every Nuke, menu() in one with a window. Both return in milliseconds."""

from __future__ import annotations

from layerflow_nuke.wire_path import find_wire

MENU = "from layerflow_nuke import buttons; buttons.place()"


def init() -> None:
    """Makes the wire known; nothing more, for a render farm starts Nuke often."""
    find_wire()


def menu() -> None:
    """The toolbar's entry, and the callbacks that follow jobs and knobs."""
    import nuke

    nuke.menu("Nodes").addMenu("LayerFlow").addCommand("LayerFlow", MENU)
    nuke.addOnScriptLoad(_script_loaded)
    nuke.addOnScriptClose(_script_closes)
    nuke.addKnobChanged(_knob_changed, nodeClass="Group")


def _script_loaded() -> None:
    from layerflow_nuke import buttons

    buttons.script_loaded()


def _script_closes() -> None:
    from layerflow_nuke import buttons

    buttons.script_closes()


def _knob_changed() -> None:
    from layerflow_nuke import buttons

    buttons.knob_changed()
