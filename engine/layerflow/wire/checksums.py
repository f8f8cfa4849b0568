"""Digests of bytes as HTTP writes them (RFC 9530): `sha-256=:BASE64:`."""

from __future__ import annotations

import base64


def written(sha256: bytes) -> str:
    """The value of a header for that digest."""
    return "sha-256=:{}:".format(base64.b64encode(sha256).decode("ascii"))
