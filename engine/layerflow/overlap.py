"""The windows of a shot in a row: while one is sampled, the one before is decoded, coloured and written.

this thread    read, encode 1 | sample 1 | read, encode 2 | sample 2                  | read, encode 3 | ...
the other one                                             | decode 1, colour 1, write 1
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from layerflow.assemble import Made, behind, fronts, takes_apart
from layerflow.closeup import CloseUp, place
from layerflow.finishing import Finishing
from layerflow.frame_windows import Window
from layerflow.glimpse import Glimpse
from layerflow.models.load import Engine
from layerflow.pipeline import Conditions, decode_clip
from layerflow.sampler import SamplerState
from layerflow.seams import CrossFade, goes_on
from layerflow.shot import Closer, Sampled, Shot
from layerflow.wire import Event
from layerflow.worker import MAX_WAITING, Worker


def make_windows(shot: Shot, engine: Engine, waiting: deque[Window]) -> None:
    """Makes the `waiting` windows and takes each from the row when its frames are on disk.

    Raises what either thread raises, and Interrupted; what was done is kept.
    """
    with Worker(engine.device, shot.stopped) as worker:
        row = _Row(shot=shot, engine=engine, worker=worker, waiting=waiting, finishing=shot.finishing(worker.halted))
        for window in tuple(waiting):
            row.make(window)
        row.finish_sampled()


def sample_windows(shot: Shot, engine: Engine, waiting: deque[Window]) -> None:
    """Samples the `waiting` windows to their last states, which the journal keeps, and takes each from the row then.

    No frame is written. Raises as `make_windows` does.
    """
    with Worker(engine.device, shot.stopped) as worker:
        row = _Row(shot=shot, engine=engine, worker=worker, waiting=waiting, finishing=shot.finishing(worker.halted))
        while waiting:
            shot.say(Event("stage", f"sampling window {waiting[0].index + 1} of {len(shot.windows)}"))
            row.sample_alone(waiting[0])
            waiting.popleft()


@dataclass(kw_only=True)
class _Row:
    shot: Shot
    engine: Engine
    worker: Worker
    waiting: deque[Window]
    finishing: Finishing
    sampled: Sampled | None = None  # and not handed over yet
    last: Sampled | None = None  # its latents alone
    crossfade: CrossFade = field(default_factory=CrossFade)  # the worker's own
    codec: threading.Lock = field(default_factory=threading.Lock)  # at work once at a time: it takes the most memory

    def make(self, window: Window) -> None:
        """Samples `window`, and has the one before finished meanwhile. OutputError where the rest has no room."""
        self.shot.delivery.check_room([frame for left in self.waiting for frame in left.new])
        if self.shot.has_made(window):
            with self._last_handed_over():
                pass
            self.worker.submit(tuple, partial(self._done, window))
            return
        if self.last is None or self.last.window.index != window.index - 1:
            for before in self.shot.lead_in(window):
                self._keep(replace(self._sample(before), is_written=True))
        self._keep(self._sample(window))

    def sample_alone(self, window: Window) -> None:
        """Samples `window`, and has nothing finished: what it goes on from is there, or is sampled first."""
        if goes_on(self.shot.layout) and (self.last is None or self.last.window.index != window.index - 1):
            for before in self.shot.lead_in(window):
                self._remember(self._sample(before))
        self._remember(self._sample(window))

    def _keep(self, sampled: Sampled) -> None:
        self.sampled = sampled
        self._remember(sampled)

    def _remember(self, sampled: Sampled) -> None:
        self.last = replace(sampled, above=(), made=None, closer=None)

    def _sample(self, window: Window) -> Sampled:
        """The last foreground of `window`, sampled behind all the others."""
        shot, engine = self.shot, self.engine
        with self._last_handed_over():  # encoding first: sampling waits for it, and for nothing else
            given = shot.showing.given(window)
            conditions = shot.showing.encode(engine, given, hint=shot.showing.hint(window))
            conditions = shot.continuing(engine, conditions, window, self.last)
        sampled = shot.sample(engine, window, conditions, after_step=partial(self._after_step, conditions))
        for depth in range(1, shot.num_foregrounds):
            with self.worker.holding(self.codec):
                above = (*sampled.above, decode_clip(engine, shot.layout, sampled.latents))
                given = behind(given, above[-1])
                conditions = shot.showing.encode(engine, given, depth)
            after_step = partial(self._after_step, conditions)
            sampled = shot.sample(engine, window, conditions, above=above, after_step=after_step)
        return self._looked_closer(sampled) if shot.request.closeup else sampled

    def _looked_closer(self, sampled: Sampled) -> Sampled:
        """The same with a second look at where its foreground is, if there is anything to be gained."""
        shot, engine, window = self.shot, self.engine, sampled.window
        with self.worker.holding(self.codec):
            made = decode_clip(engine, shot.layout, sampled.latents)
            area = place(made["alpha"].mean(dim=1).numpy(), shot.fit)
            if area is None:
                return replace(sampled, made=made)
            given, hint = shot.showing.given(window, area), shot.showing.hint(window, area)
            conditions = shot.showing.encode(engine, given, hint=hint)
        looked = shot.sample(engine, window, conditions, closer=True, after_step=lambda _: self.worker.look())
        return replace(sampled, made=made, header=looked.header, closer=Closer(area=area, latents=looked.latents))

    @contextmanager
    def _last_handed_over(self) -> Iterator[None]:
        """Within it the codec is free, and the last window that was sampled is on its way."""
        self.worker.wait(MAX_WAITING)  # before the codec is taken, since a job may need it to come to its end
        with self.worker.holding(self.codec):
            self.finish_sampled()
            yield

    def finish_sampled(self) -> None:
        """Has the last window that was sampled decoded and written; decoded here where the codec has to make room."""
        if self.sampled is None:
            return
        sampled, self.sampled = self.sampled, None
        if self.engine.plan.decodes_aside:
            job = partial(self._decode_and_write, sampled)
        else:
            job = partial(self._write, sampled, *self._decoded(sampled))
        self.worker.submit(job, partial(self._gone_through if sampled.is_written else self._done, sampled.window))

    def _after_step(self, conditions: Conditions, state: SamplerState) -> None:
        self.worker.look()
        shot = self.shot
        if shot.on_glimpse is not None and state.previous is not None:
            shot.on_glimpse(
                Glimpse(
                    engine=self.engine,
                    conditions=conditions,
                    estimate=state.previous,
                    fit=shot.fit,
                    codec=self.codec,
                    stopped=shot.stopped,
                )
            )

    def _decode_and_write(self, sampled: Sampled) -> tuple[str, ...]:
        with self.worker.job_holding(self.codec):
            decoded = self._decoded(sampled)
        return self._write(sampled, *decoded)

    def _decoded(self, sampled: Sampled) -> tuple[Made, CloseUp | None]:
        engine, layout, closer = self.engine, self.shot.layout, sampled.closer
        made = sampled.made or decode_clip(engine, layout, sampled.latents)
        if closer is None:
            return made, None
        fit, part = self.shot.showing.closer_fit(closer.area), decode_clip(engine, layout, closer.latents)
        return made, CloseUp(area=closer.area, fit=fit, made=part)

    def _write(self, sampled: Sampled, made: Made, closeup: CloseUp | None) -> tuple[str, ...]:
        parts = fronts(made) if takes_apart(self.shot.layout) else (made,)
        clips = self.crossfade.join(sampled.window, (*sampled.above, *parts))
        return () if sampled.is_written else self.finishing.write(sampled.window, clips, sampled.header, closeup)

    def _gone_through(self, window: Window, _: tuple[str, ...]) -> None:
        self.shot.journal.drop(window.index - 1)

    def _done(self, window: Window, notes: tuple[str, ...]) -> None:
        self.waiting.popleft()
        self.shot.warn(*notes)
        self.shot.is_done(window)
