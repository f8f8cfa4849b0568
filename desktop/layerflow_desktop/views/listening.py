"""Widgets that listen to controllers, for as long as they live."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from psygnal import SignalInstance
from PySide6.QtCore import QObject


def listen(owner: QObject, signal: SignalInstance, method: Callable[..., Any]) -> None:
    """Has a method of `owner` called by a controller's signal, until Qt destroys the owner. Keeps nothing alive."""
    signal.connect(method)
    kept = weakref.WeakMethod(method)

    def stop() -> None:
        alive = kept()
        if alive is not None:
            signal.disconnect(alive, missing_ok=True)

    owner.destroyed.connect(stop)
