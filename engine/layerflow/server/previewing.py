"""Pictures of a running job, for as long as somebody looks at them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from layerflow.errors import OutputError
from layerflow.glimpse import Glimpse
from layerflow.preview import write_picture
from layerflow.server.folder import ServerFolder

EVERY_S = 1 / 3  # at most
SHARE = 0.05  # of the time, at most: the frames are what the job is about

logger = logging.getLogger("layerflow.server")


class Previews:
    """Writes how each layer of one job looks so far, now and then. The job goes on whatever becomes of them."""

    def __init__(self, folder: ServerFolder, job: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._job, self._clock = folder, job, clock
        self._next = 0.0

    def show(self, glimpse: Glimpse) -> None:
        """Takes a look after one step, if there is somebody to show it to. Raises Interrupted."""
        began = self._clock()
        if began < self._next or not self._folder.is_looked_at(self._job):
            return
        try:
            for layer, picture in glimpse.pictures().items():
                write_picture(self._folder.preview_of(self._job, layer), picture, durable=False)
        except (OutputError, MemoryError, RuntimeError) as error:  # torch's errors are of the last kind
            logger.warning("there are no more previews of this job: %s", error)
            self._next = math.inf
            return
        took = self._clock() - began
        self._next = began + max(EVERY_S, took / SHARE)
