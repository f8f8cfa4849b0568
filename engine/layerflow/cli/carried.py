"""Files on their way to a server elsewhere, or back: shown on stderr, and stopped by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from layerflow.cli.progress import progress
from layerflow.cli.stop import stop_on_signal
from layerflow.errors import Interrupted
from layerflow.wire import Event
from layerflow.wire.errors import Stopped
from layerflow.wire.transfer import UPLOADING, Transfer


@contextmanager
def carried(again: str) -> Iterator[dict[str, Any]]:
    """The arguments for a client's `submit` and `fetch` that show how far files are, and stop them.

    `again` is what goes on where they were stopped.
    """
    said: set[str] = set()
    with stop_on_signal(raises=False) as stop, progress() as show:

        def on_transfer(transfer: Transfer) -> None:
            stop.keep_work()
            if transfer.verb not in said:
                said.add(transfer.verb)
                show(Event("stage", f"{transfer.verb} {transfer.files_total} files"))
            kind = "upload" if transfer.verb == UPLOADING else "download"
            show(Event(kind, done=transfer.bytes_done, total=transfer.bytes_total))

        try:
            yield {"on_transfer": on_transfer, "stopped": stop.asked}
        except Stopped as error:
            raise Interrupted(f"stopped; {again} goes on from here") from error
