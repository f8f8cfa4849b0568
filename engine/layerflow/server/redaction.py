"""Logs without the token in them."""

from __future__ import annotations

import logging


class RedactingFormatter(logging.Formatter):
    """Writes a record as ever, tracebacks too, but for `secret`."""

    def __init__(self, secret: str, fmt: str = "%(asctime)s %(levelname)s %(message)s") -> None:
        super().__init__(fmt)
        self._secret = secret

    def format(self, record: logging.LogRecord) -> str:
        """The record's text."""
        return super().format(record).replace(self._secret, "[token]")
