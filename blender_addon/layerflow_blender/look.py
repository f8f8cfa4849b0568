"""How a strip lies in the picture: what the layers of its pixels take over, so that they lie where it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

_TRANSFORM = ("offset_x", "offset_y", "scale_x", "scale_y", "rotation", "origin", "filter")
_CROP = ("min_x", "max_x", "min_y", "max_y")
_FLAGS = ("use_flip_x", "use_flip_y")


@dataclass(frozen=True)
class Look:
    """Transform, crop and flips of a strip, as Blender names them; empty: as a new strip has them."""

    transform: Mapping[str, Any] = field(default_factory=dict)
    crop: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)
    fits: bool = False  # scaled to fit the picture, for pixels that were made without a strip

    @classmethod
    def of(cls, strip: Any) -> Look:
        """That of a strip of pictures."""
        return cls(
            {name: _plain(getattr(strip.transform, name)) for name in _TRANSFORM},
            {name: getattr(strip.crop, name) for name in _CROP},
            {name: getattr(strip, name) for name in _FLAGS},
        )

    def give(self, strip: Any) -> None:
        """Has another strip lie the same."""
        for owner, values in ((strip.transform, self.transform), (strip.crop, self.crop), (strip, self.flags)):
            for name, value in values.items():
                setattr(owner, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Look:
        """What `to_dict` described; what is unknown is left out."""
        return cls(**{each.name: values[each.name] for each in fields(cls) if each.name in values})


def _plain(value: Any) -> Any:
    """A number or a word as it is, a vector as a list."""
    return value if isinstance(value, (str, int, float)) else list(value)
