"""Server-sent events out of bytes, by the rules of the HTML standard (section 9.2, text/event-stream)."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import List, Optional

MAX_EVENT = 1 << 26  # characters that one event may have; the end of a long shot names all its frames

_DIGITS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class Message:
    """One event as it came."""

    event: str  # "message" unless the stream says otherwise
    data: str
    id: str  # the last one the stream gave


class Parser:
    """Takes a stream in pieces of any size. `last_id` and `retry_ms` are what the stream said last."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_ms: Optional[int] = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line: List[str] = []
        self._data: List[str] = []
        self._event = ""
        self._id = last_id
        self._length = 0  # of the data of the event that is under way

    def feed(self, piece: bytes) -> List[Message]:
        """The events that this piece completes. ValueError for one that never ends."""
        text = self._decoder.decode(piece)
        if text and self._at_start:
            self._at_start = False
            text = text[1:] if text[0] == "\ufeff" else text
        if text and self._after_cr:  # the line break came in two pieces
            self._after_cr = False
            text = text[1:] if text[0] == "\n" else text
        self._after_cr = self._after_cr or text.endswith("\r")
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        found: List[Message] = []
        for line in lines:
            self._take("".join(self._line) + line, found)
            self._line = []
        self._line += [rest] if rest else []
        if self._length + sum(map(len, self._line)) > MAX_EVENT:
            raise ValueError("an event of the stream has more than {} characters".format(MAX_EVENT))
        return found

    def _take(self, line: str, found: List[Message]) -> None:
        if not line:
            self._dispatch(found)
            return
        name, _, value = line.partition(":")
        value = value[1:] if value[:1] == " " else value
        if name == "data":
            self._data.append(value)
            self._length += len(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and _DIGITS.fullmatch(value):
            self.retry_ms = int(value)

    def _dispatch(self, found: List[Message]) -> None:
        self.last_id = self._id
        if self._data:
            found.append(Message(self._event or "message", "\n".join(self._data), self.last_id))
        self._data, self._event, self._length = [], "", 0
