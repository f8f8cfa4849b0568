"""Who asks: a user with a space, or the machine's own, who sees all there is and has the machine's folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layerflow.server.errors import MachineOnlyError, NoSpaceError
from layerflow.server.spaces import Space


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Whoever brought a token; without a space, the machine's own."""

    space: Space | None = None

    @property
    def sees(self) -> str | None:
        """Whose jobs alone this one hears of; None: everybody's."""
        return None if self.space is None else self.space.owner

    @property
    def own_space(self) -> Space:
        """The space. Raises NoSpaceError."""
        if self.space is None:
            raise NoSpaceError(
                "this is the machine's own token, which has no space; layerflow users add makes a user with one"
            )
        return self.space

    def told(self, value: Any) -> Any:
        """What this one is told where others are told `value`."""
        return value if self.space is None else self.space.told(value)

    def refuse_users(self) -> None:
        """Raises MachineOnlyError where this is not the machine's own."""
        if self.space is not None:
            raise MachineOnlyError("that is for the machine's own token alone; ask who runs the server")


MACHINE = Asker()
