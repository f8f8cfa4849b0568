"""A loaded model that stays for the next shot, which would load the very same one."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from layerflow.models.adapter_files import find_lora
from layerflow.models.backends import Guarded, Warn
from layerflow.models.folder import ModelFolder
from layerflow.models.load import CHECKED_PARTS, Engine, LoadOptions, choose_plan, load_engine
from layerflow.models.plans import Plan
from layerflow.processes import Processes


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """All that decides an engine."""

    folder: ModelFolder
    options: LoadOptions
    loras: tuple[str, ...]  # hashes, in the order of the options

    @classmethod
    def of(cls, folder: ModelFolder, options: LoadOptions) -> _Asked:
        return cls(folder=folder, options=options, loras=tuple(find_lora(text).sha256 for text in options.lora))


class Engines:
    """Loads engines for one shot after another. With `keep_s` the last one stays, for the next that asks for the same.

    What a kept engine makes are the bits that a new one makes. It is let go of before another is loaded, after a shot
    that was not made whole, and by `let_go_of_idle`. With `processes`, all of them make the steps.
    """

    def __init__(
        self,
        *,
        keep_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        processes: Processes | None = None,
    ) -> None:
        self._keep_s, self._clock, self._processes = keep_s, clock, processes
        self._kept: tuple[_Asked, Engine] | None = None
        self._since = 0.0

    def choose_plan(self, folder: ModelFolder, options: LoadOptions) -> tuple[Plan, str]:
        """The memory plan for what is to be `lent` next, and a sentence that says so; raises as `choose_plan` does."""
        if self._kept is not None:
            asked, engine = self._kept
            if asked == _Asked.of(folder, options):
                return engine.plan, f"memory plan {engine.plan.name}, as loaded for the shot before"
            del engine
            self.let_go()  # first, for it takes of what is free
        return choose_plan(folder, options)

    @contextmanager
    def lent(self, folder: ModelFolder, options: LoadOptions, plan: Plan, *, warn: Warn) -> Iterator[Engine]:
        """Within it, the engine of `folder` under `plan`. Raises as `load_engine` does."""
        asked = _Asked.of(folder, options) if self._keep_s else None
        engine = self._taken(asked, plan)
        if engine is None:
            engine = load_engine(folder, replace(options, memory=plan.name), warn=warn, processes=self._processes)
        else:
            folder.check(*CHECKED_PARTS, "tokenizer")
            engine = _renewed(engine, warn)
        yield engine
        if asked is not None and not _has_fallen(engine):
            self._kept, self._since = (asked, engine), self._clock()

    def _taken(self, asked: _Asked | None, plan: Plan) -> Engine | None:
        """The engine that was kept, if it is the one; in any case there is none any more."""
        kept, self._kept = self._kept, None
        return kept[1] if kept is not None and kept[0] == asked and kept[1].plan == plan else None

    def let_go_of_idle(self) -> bool:
        """Whether there was an engine that nobody has asked for in `keep_s`; it is let go of."""
        is_idle = self._kept is not None and self._clock() - self._since >= self._keep_s
        if is_idle:
            self.let_go()
        return is_idle

    def let_go(self) -> None:
        """Gives back the memory of the engine that is kept."""
        self._kept = None
        gc.collect()  # hooks and modules refer to each other in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _renewed(engine: Engine, warn: Warn) -> Engine:
    """`engine` for another shot: its backend is checked at the first step again, which may be of another size."""
    network = engine.network
    if not isinstance(network, Guarded):
        return engine
    return replace(engine, network=replace(network, warn=warn, is_checked=network.is_checked_at_load))


def _has_fallen(engine: Engine) -> bool:
    return isinstance(engine.network, Guarded) and engine.network.has_fallen
