"""What of a path is Nuke's own: its views, and the folder of the script. Text alone, nothing of Nuke."""

from __future__ import annotations

import re

SCRIPT_FOLDER = "[file dirname [value root.name]]"

_VIEW = re.compile(r"%V|%v")


def has_view(pattern: str) -> bool:
    """Whether a pattern names the view, by %V or %v."""
    return _VIEW.search(pattern) is not None


def for_view(pattern: str, view: str) -> str:
    """The pattern of one view: %V is its name and %v its first letter."""
    return pattern.replace("%V", view).replace("%v", view[:1])


def portable(path: str, script: str) -> str:
    """The path by the folder of `script` where it lies in there, so that a script can be moved; else as it is."""
    path, folder = path.replace("\\", "/"), script.replace("\\", "/").rpartition("/")[0]
    if not folder or not path.startswith(folder + "/"):
        return path
    return SCRIPT_FOLDER + path[len(folder) :]
