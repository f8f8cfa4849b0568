"""Where server and hosts meet: the folder of the file that says where a server runs, and that of what it keeps.

The same places as platformdirs' user_runtime_path and user_state_path, by the standard library alone.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Optional

NAME = "layerflow"
RUNTIME_FOLDER = "LAYERFLOW_RUNTIME"
SERVER_FOLDER = "LAYERFLOW_SERVER"


def runtime_folder(platform: str = sys.platform) -> Path:
    """Where the file of a running server is: LAYERFLOW_RUNTIME, or the user's own folder for such files."""
    chosen = os.environ.get(RUNTIME_FOLDER)
    if chosen:
        return Path(chosen)
    if platform == "win32":
        return _local_app_data() / "Temp" / NAME / NAME
    folder = _xdg("XDG_RUNTIME_DIR")
    if folder and _is_private(Path(folder), missing_ok=True):
        return Path(folder) / NAME
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "TemporaryItems" / NAME
    user = os.geteuid()
    folder = "/run/user/{}".format(user)
    if not _is_private(Path(folder), missing_ok=False):
        folder = os.path.join(tempfile.gettempdir(), "runtime-{}".format(user))
    return Path(folder) / NAME


def server_folder(platform: str = sys.platform) -> Path:
    """Where the server keeps its jobs: LAYERFLOW_SERVER, or the user's own folder for what programs remember."""
    chosen = os.environ.get(SERVER_FOLDER)
    if chosen:
        return Path(chosen)
    if platform == "win32":
        return _local_app_data() / NAME / NAME / "server"
    folder = _xdg("XDG_STATE_HOME")
    default = ".local/state" if platform != "darwin" else "Library/Application Support"
    return (Path(folder) if folder else Path.home() / default) / NAME / "server"


def server_file(runtime: Optional[Path] = None) -> Path:
    """The file that says where the server of a runtime folder runs; by default of this user's own."""
    return (runtime or runtime_folder()) / "server.json"


def _local_app_data() -> Path:
    return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")


def _xdg(name: str) -> str:
    """What such a variable says; one that is not absolute counts as not there."""
    folder = os.environ.get(name, "").strip()
    return folder if os.path.isabs(folder) else ""


def _is_private(folder: Path, missing_ok: bool) -> bool:
    """Whether a folder, not a link to one, is ours and closed to everyone else."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return missing_ok
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o777 == 0o700
