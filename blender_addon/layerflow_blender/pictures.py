"""Small pictures of jobs that run, for the panel: how their layers look so far. No part of any file."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import bpy
import bpy.utils.previews


class Pictures:
    """A picture for each job that has one."""

    def __init__(self) -> None:
        self._collection: Any = bpy.utils.previews.new()

    def show(self, key: str, jpeg: bytes) -> None:
        """Takes the newest picture of a job. Raises OSError."""
        path = self._path(key)
        with open(path, "wb") as file:
            file.write(jpeg)
        if key in self._collection:
            self._collection[key].reload()
        else:
            self._collection.load(key, path, "IMAGE")

    def icon(self, key: str) -> int:
        """The icon to draw for a job; 0 for none."""
        return int(self._collection[key].icon_id) if key in self._collection else 0

    def drop(self, key: str) -> None:
        """Shows it no more. The picture itself stays in memory until `close`, since a panel may be drawing it."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(key))

    def close(self) -> None:
        """Lets go of all of them."""
        for key in self._collection:
            self.drop(key)
        bpy.utils.previews.remove(self._collection)

    def _path(self, key: str) -> str:
        return os.path.join(bpy.app.tempdir, f"layerflow-{key}.jpg")
