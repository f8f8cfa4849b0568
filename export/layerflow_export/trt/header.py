"""The first bytes of a TensorRT-RTX engine, which say who built it and for which GPUs.

NVIDIA documents none of this. It was found by building one engine per target with 1.7.1, and is used only to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layerflow.errors import ModelError

MAGIC = b"vtrt"
_VERSION = slice(24, 28)  # four numbers, one byte each
_TARGETS = 32  # the byte whose bits are the targets
_BITS = {"sm75": 0x01, "sm80": 0x02, "sm86": 0x04, "sm89": 0x08, "sm120": 0x10, "sm121": 0x20}
_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a TensorRT-RTX engine says of itself."""

    version: str
    targets: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """The header that `data` begins with. Raises ValueError when it is not of such an engine."""
        if len(data) < _SIZE or not data.startswith(MAGIC):
            raise ValueError("not a TensorRT-RTX engine")
        mask = data[_TARGETS]
        return cls(
            version=".".join(map(str, data[_VERSION])),
            targets=tuple(name for name, bit in _BITS.items() if mask & bit),
        )


def read_header(engine: Path) -> Header:
    """The header of that file. Raises ModelError when there is none or it cannot be read."""
    try:
        with engine.open("rb") as file:
            return Header.parse(file.read(_SIZE))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{engine} is no engine of TensorRT-RTX ({reason}); build it anew") from error
