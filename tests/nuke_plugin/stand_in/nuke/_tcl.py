"""The text of scripts: words, and how a word is quoted. What a script says in brackets is worked out in `_brackets`."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[^\s\"{}\[\]$;\\]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "[": "\\[", "$": "\\$", "{": "\\{", "}": "\\}", "\n": "\\n", "\t": "\\t"}
_ESCAPES |= {"\r": "\\r", "\v": "\\v", "\f": "\\f", "\b": "\\b", "\a": "\\a"}
_UNESCAPES = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "b": "\b", "a": "\a", "\n": " "}


def quoted(text: str) -> str:
    """`text` as one word of a script."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'


def listed(words: list[str]) -> str:
    """A list in braces."""
    return "{" + " ".join(map(quoted, words)) + "}"


class Words:
    """Reads a text word by word."""

    def __init__(self, text: str) -> None:
        """Begins at the start of `text`."""
        self._text, self._at = text, 0

    def next(self) -> str | None:
        """The next word without its quotes or braces; None at the end."""
        self._skip_space()
        if self._at >= len(self._text):
            return None
        first = self._text[self._at]
        if first == "{":
            return self._braced()
        return self._quoted() if first == '"' else self._bare()

    def rest_of_line(self) -> str:
        """What is left of the line, without the space around it."""
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        line, self._at = self._text[self._at : end], end
        return line.strip()

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t\r\n;":
            self._at += 1

    def _braced(self) -> str:
        start, depth = self._at, 0
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 2 if character == "\\" else 1
            depth += {"{": 1, "}": -1}.get(character, 0)
            if depth == 0:
                return self._text[start + 1 : self._at - 1]
        raise RuntimeError("missing close-brace")

    def _quoted(self) -> str:
        self._at += 1
        found = []
        while self._at < len(self._text):
            if self._text[self._at] == '"':
                self._at += 1
                return "".join(found)
            found.append(self._character())
        raise RuntimeError('missing "')

    def _bare(self) -> str:
        found = []
        while self._at < len(self._text) and self._text[self._at] not in " \t\r\n;":
            found.append(self._character())
        return "".join(found)

    def _character(self) -> str:
        character = self._text[self._at]
        self._at += 1
        if character != "\\" or self._at >= len(self._text):
            return character
        octal = re.compile(r"[0-7]{3}").match(self._text, self._at)
        if octal:
            self._at = octal.end()
            return chr(int(octal[0], 8))
        escaped = self._text[self._at]
        self._at += 1
        return _UNESCAPES.get(escaped, escaped)


def words(text: str) -> list[str]:
    """All words of a text."""
    reader, found = Words(text), []
    while (word := reader.next()) is not None:
        found.append(word)
    return found
