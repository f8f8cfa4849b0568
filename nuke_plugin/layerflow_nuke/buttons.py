"""What the buttons of a node and Nuke's callbacks call: nothing raises out of here.

What went wrong is on the node, and in one dialog, in one sentence. An error nobody foresaw goes to the terminal, whole.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Optional

from layerflow.wire.errors import ServerError
from layerflow.wire.run import Gone, HostError
from layerflow_nuke import host, node

if TYPE_CHECKING:
    import nuke


def _guarded(action: Callable[[], Any], group: Optional[nuke.Group] = None) -> None:
    try:
        action()
    except Gone:
        pass  # the node was deleted meanwhile
    except (HostError, ServerError, ValueError, OSError) as error:
        _tell(group, str(error))
    except Exception as error:
        logging.getLogger("layerflow").exception("an error that nobody foresaw")
        _tell(group, f"the plug-in met an error of its own ({error}); the terminal has more")


def _tell(group: Optional[nuke.Group], text: str) -> None:
    if group is not None and host.is_ours(group):
        host.set_values(group, {"status": text, "tile_color": host.RED})
        text = f"{host.full_name(group)}: {text}"
    host.tell(text)


def place() -> None:
    """The menu's entry."""
    _guarded(node.place)


def generate(group: nuke.Group) -> None:
    """Generate."""
    _guarded(lambda: node.generate(group), group)


def submit(group: nuke.Group) -> None:
    """Submit to farm."""
    _guarded(lambda: node.submit(group), group)


def cancel(group: nuke.Group) -> None:
    """Cancel."""
    _guarded(lambda: node.cancel(group), group)


def reload(group: nuke.Group) -> None:
    """Reload."""
    _guarded(lambda: node.reload(group), group)


def new_seed(group: nuke.Group) -> None:
    """New."""
    _guarded(lambda: node.seed_anew(group), group)


def open_folder(group: nuke.Group) -> None:
    """Open folder."""
    _guarded(lambda: node.open_folder(group), group)


def recomp_check(group: nuke.Group) -> None:
    """Recomp check."""
    _guarded(lambda: node.recomp_check(group), group)


def build_tree(group: nuke.Group) -> None:
    """Build comp tree."""
    _guarded(lambda: node.build_tree(group), group)


def knob_changed() -> None:
    """Nuke's callback for every Group."""
    group, knob = host.this()
    if host.is_ours(group):
        _guarded(lambda: node.knob_changed(group, knob), group)


def script_loaded() -> None:
    """Nuke's callback for a script that was opened."""
    _guarded(node.script_loaded)


def script_closes() -> None:
    """Nuke's callback for a script that is closed."""
    _guarded(node.script_closes)
