"""Digests in the headers of requests and answers (RFC 9530), as the wire writes them."""

from __future__ import annotations

import base64
import hashlib
import re

from layerflow.wire import checksums

PATTERN = "^sha-256=:[A-Za-z0-9+/]{43}=:$"


def written_of(content: bytes) -> str:
    """The value of a header for the digest of `content`."""
    return checksums.written(hashlib.sha256(content).digest())


def read(text: str) -> bytes:
    """The digest in a header that is of PATTERN. Raises ValueError for any other."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"there is no SHA-256 in {text[:100]!r}; write sha-256=:BASE64:")
    return base64.b64decode(text.removeprefix("sha-256=:").removesuffix(":"))
