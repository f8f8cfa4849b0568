"""What the engine said to a take: its job, no, or that it may not use a folder yet; and what waits for that folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from psygnal import Signal

from layerflow.wire import Job, remote
from layerflow.wire.errors import Busy, LocalFile, Outside, Refused, Stopped, Unauthorised
from layerflow_desktop.controllers.engine import Engine
from layerflow_desktop.models.allowing import folder_to_allow


@dataclass(frozen=True)
class No:
    """That the engine will not have a take, and why."""

    text: str


@dataclass(frozen=True)
class NotYet(No):
    """That jobs may not use a folder, which somebody could allow."""

    folder: str
    roots: tuple[str, ...]  # the folders that they may use


def submitted(submit: Callable[[], Job]) -> Job | No:
    """The job, or why the engine will not have it. What may be otherwise a moment later is raised."""
    try:
        return submit()
    except Unauthorised:
        raise
    except Busy as error:
        if error.status != 429:
            raise
        return No(str(error))
    except Outside as error:
        return _not_yet(error) if remote.connected() is None else No(str(error))  # nobody here may allow it there
    except (LocalFile, Refused, Stopped, ValueError) as error:
        return No(str(error))


def _not_yet(error: Outside) -> No:
    folder = ""
    with contextlib.suppress(OSError):  # such as one that we may not look into either
        folder = folder_to_allow(error.path)
    return NotYet(str(error), folder, error.roots) if folder else No(str(error))


class Permissions:
    """Takes that are not asked for until somebody says whether a folder may be used."""

    asks = Signal(str)  # about a folder; empty: about none any more

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: dict[str, NotYet] = {}  # by the key of the take
        self._allowed: list[str] = []  # since the app came up
        self._is_starting = False
        self._asked = ""

    def waits_for(self, key: str) -> str:
        """The folder that a take waits for; empty for none."""
        return self._held[key].folder if key in self._held else ""

    def hold(self, key: str, answer: NotYet) -> None:
        """Has a take wait."""
        self._held[key] = answer
        self._ask()

    def keep_only(self, keys: Collection[str]) -> None:
        """Forgets every take but these: another project was opened."""
        self._held = {key: answer for key, answer in self._held.items() if key in keys}
        self._ask()

    def allow(self, folder: str, then: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Lets jobs use a folder that a take waits for, then has `then` called; or `failed` told one sentence."""
        if folder != self._asked:
            return
        roots = [root for answer in self._held.values() for root in answer.roots]
        self._is_starting = True
        self._ask()

        def allowed() -> None:
            self._allowed.append(folder)
            self._is_starting = False
            self.release(folder)
            then()

        def refused(sentence: str) -> None:
            self._is_starting = False
            failed(sentence)

        self._engine.allow([*dict.fromkeys([*roots, *self._allowed, folder])], allowed, refused)

    def release(self, folder: str) -> dict[str, No]:
        """The takes that waited for a folder, and what the engine said to them; they wait no longer."""
        released: dict[str, No] = {key: answer for key, answer in self._held.items() if answer.folder == folder}
        self.keep_only(self._held.keys() - released.keys())
        return released

    def _ask(self) -> None:
        """Asks about the first folder that is waited for; about one at a time, for the engine starts anew for each."""
        first = next(iter(self._held.values()), None)
        folder = first.folder if first is not None and not self._is_starting else ""
        if folder != self._asked:
            self._asked = folder
            self.asks.emit(folder)
