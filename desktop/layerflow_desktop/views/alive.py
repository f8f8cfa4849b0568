"""Answers that come when the widget that asked is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from PySide6.QtCore import QObject
from shiboken6 import isValid

P = ParamSpec("P")


def while_alive(owner: QObject, call: Callable[P, object]) -> Callable[P, None]:
    """The same call, which does nothing once Qt has destroyed `owner`."""

    def unless_gone(*args: P.args, **kwargs: P.kwargs) -> None:
        if isValid(owner):
            call(*args, **kwargs)

    return unless_gone
