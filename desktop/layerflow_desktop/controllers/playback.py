"""Playing a clip: at the shot's rate, by a clock that is given, with a count of what was left out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal

from psygnal import Signal

from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, Loop
from layerflow_desktop.models.playhead import (
    Anchor,
    Head,
    Key,
    exact_rate,
    held,
    marked,
    nearest,
    shuttled,
    stepped,
)

Policy = Literal["every", "realtime"]

_SLOW = 0.97  # of the rate: below it, the readout says so
_MEASURED_S = 1.0  # the time over which the rate is measured
_WAIT_S = 0.01  # between looks at a frame that is waited for


class Playback:
    """The playhead of a session. Everything belongs to the interface's thread; `tick` is called by a timer there.

    "every" shows each frame in its turn and waits for those that are not read yet; once all are, it keeps time, as
    "realtime" always does: that leaves frames out, and counts them. Faster than the shot's rate, time always counts.
    """

    frame_changed = Signal(int, int)  # the frame, and which way it goes: 1, -1, or 0 for a jump
    state_changed = Signal()  # anything else: speed, range, loop, clip, policy

    def __init__(
        self,
        session: Session,
        clock: Callable[[], float] = time.monotonic,
        is_cached: Callable[[int], bool] = lambda frame: True,
    ) -> None:
        self.session = session
        self._clock = clock
        self._is_cached = is_cached
        self._frames: tuple[int, ...] = ()
        self._rate = Fraction(24)
        self._policy: Policy = "every"
        self._speed = 0
        self._anchor = Anchor(0.0, self._rate)
        self._number = session.document.timeline.frame  # of the playhead, which may stand where no frame is
        self._moving = 0  # which way a change of frame that is our own goes
        self._shown_at: deque[float] = deque()
        self._is_waiting = False  # for the next frame, which is shown once it comes, however late
        self.num_dropped = 0
        session.changed.connect(self._on_changed)

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames there are."""
        return self._frames

    @property
    def range(self) -> tuple[int, ...]:
        """The frames that are played."""
        timeline = self.session.document.timeline
        return marked(self._frames, timeline.mark_in, timeline.mark_out)

    @property
    def rate(self) -> Fraction:
        """Frames per second of the shot."""
        return self._rate

    @property
    def frame(self) -> int:
        """The frame that is looked at."""
        return self.session.document.timeline.frame

    @property
    def speed(self) -> int:
        """How many times the shot's rate; below 0 backwards, 0 when it stands."""
        return self._speed

    @property
    def is_playing(self) -> bool:
        """Whether it plays."""
        return self._speed != 0

    @property
    def policy(self) -> Policy:
        """What happens when frames are not read in time."""
        return self._policy

    @property
    def loop(self) -> Loop:
        """What happens at the end."""
        return self.session.document.timeline.loop

    @property
    def measured_fps(self) -> float | None:
        """Frames per second that were really shown in the last second; None before there are two."""
        times = self._shown_at
        if len(times) < 2:
            return None
        waited_until_s = self._clock() - float(1 / self._anchor.rate) if self._speed else 0.0
        took_s = max(times[-1], waited_until_s) - times[0]
        return (len(times) - 1) / took_s if took_s > 0 else None

    @property
    def is_slow(self) -> bool:
        """Whether it shows fewer frames than the shot has, at the shot's own speed."""
        measured = self.measured_fps
        return abs(self._speed) == 1 and measured is not None and measured < _SLOW * float(self._rate)

    def set_clip(self, frames: Sequence[int], fps: float) -> None:
        """Plays these frames from now on; more of them may come while it plays."""
        frames, rate = tuple(sorted(set(frames))), exact_rate(fps)
        if (frames, rate) == (self._frames, self._rate):
            return
        self._frames, self._rate = frames, rate
        if not frames:
            self._speed = 0
        elif self.frame not in frames:
            self._go(nearest(frames, self.frame), 0)
        self._anchor_here()
        self.state_changed.emit()

    def set_policy(self, policy: Policy) -> None:
        """Plays every frame, or in real time."""
        self._policy = policy
        self._anchor_here()
        self.state_changed.emit()

    def set_loop(self, loop: Loop) -> None:
        """Goes on like this at the end."""
        self._look(loop=loop)

    def play(self, speed: int = 1) -> None:
        """Plays, from the start of the range where the playhead is outside of it, or at the end and to play once."""
        if not self._frames or not speed:
            return self.stop()
        there = self.range
        end, start = (there[-1], there[0]) if speed > 0 else (there[0], there[-1])
        is_over = self.loop == "once" and self.frame == end
        if is_over or not there[0] <= self.frame <= there[-1]:
            self._go(start, 0)
        if not self._speed:
            self.num_dropped = 0
        self._set_speed(speed)

    def stop(self) -> None:
        """Stands at the frame that is on."""
        self._set_speed(0)

    def toggle(self, speed: int = 1) -> None:
        """Stops where it plays, plays where it stands."""
        self.stop() if self.is_playing else self.play(speed)

    def shuttle(self, key: Key, k_is_down: bool = False) -> None:
        """J, K or L was pressed. With K held down, J and L step."""
        if k_is_down and key != "k":
            self.step(1 if key == "l" else -1)
        else:
            self.play(shuttled(self._speed, key))

    def scrub(self, frame: int) -> None:
        """Goes to the frame nearest to this number, and on from there where it plays."""
        self._go(nearest(self._frames, frame), 0)
        self._anchor_here()

    def step(self, steps: int) -> None:
        """Stops, and goes so many frames on or back within the range, round its ends."""
        self.stop()
        self._go(stepped(self.range, self.frame, steps), 1 if steps > 0 else -1)

    def to_start(self) -> None:
        """Goes to the first frame of the range."""
        if self._frames:
            self.scrub(self.range[0])

    def to_end(self) -> None:
        """Goes to the last frame of the range."""
        if self._frames:
            self.scrub(self.range[-1])

    def mark_in(self, frame: int | None = None) -> None:
        """Plays from this frame on, or from the one that is on; an out before it is cleared."""
        first = self.frame if frame is None else frame
        out = self.session.document.timeline.mark_out
        self._look(mark_in=first, mark_out=None if out is not None and out < first else out)

    def mark_out(self, frame: int | None = None) -> None:
        """Plays up to this frame, or to the one that is on; an in after it is cleared."""
        last = self.frame if frame is None else frame
        start = self.session.document.timeline.mark_in
        self._look(mark_out=last, mark_in=None if start is not None and start > last else start)

    def clear_marks(self) -> None:
        """Plays all there is."""
        self._look(mark_in=None, mark_out=None)

    def due_in_s(self) -> float | None:
        """Seconds until `tick` has something to do; None when it stands."""
        if not self._speed:
            return None
        left_s = self._anchor.on(1).at_s - self._clock()
        return left_s if left_s > 0 else _WAIT_S

    def tick(self) -> None:
        """Shows the frame that is due."""
        now_s = self._clock()
        steps = self._anchor.steps(now_s) if self._speed else 0
        if not steps:
            return
        if self._keeps_time(steps):
            self._advance(steps, now_s)
        elif self._is_cached(self._shown_by(self._head().after(1, self.loop))):
            self._advance(1, now_s)
        else:
            self._is_waiting = True
            self._trim(now_s)

    def _keeps_time(self, steps: int) -> bool:
        if self._policy == "realtime" or abs(self._speed) > 1:
            return True
        return (
            steps > 1 and not self._is_waiting and all(map(self._is_cached, self.range))
        )  # the question costs, and only matters when late

    def _head(self) -> Head:
        there = self.range
        return Head(there[0], there[-1], self._number, 1 if self._speed > 0 else -1)

    def _shown_by(self, head: Head) -> int:
        return held(self._frames, head.number)

    def _advance(self, steps: int, now_s: float) -> None:
        head = self._head().after(steps, self.loop)
        self._is_waiting = False
        late = self._anchor.steps(now_s) > steps  # a frame came late: time starts anew, nothing is caught up with
        self._anchor = Anchor(now_s, self._anchor.rate) if late else self._anchor.on(steps)
        is_there = self._is_cached(self._shown_by(head))
        self._count(steps - 1 + (not is_there) if not head.has_ended else 0)
        self._note_shown(now_s, is_there)
        self._number = head.number
        self._go(self._shown_by(head), head.way, head.number)
        if head.has_ended:
            self.stop()
        elif head.way * self._speed < 0:
            self._turn()

    def _count(self, num_dropped: int) -> None:
        if num_dropped and abs(self._speed) == 1:
            self.num_dropped += num_dropped

    def _note_shown(self, now_s: float, is_there: bool) -> None:
        if is_there:
            self._shown_at.append(now_s)
        self._trim(now_s)

    def _trim(self, now_s: float) -> None:
        while len(self._shown_at) > 2 and self._shown_at[0] < now_s - _MEASURED_S:
            self._shown_at.popleft()

    def _turn(self) -> None:
        self._speed = -self._speed
        self.state_changed.emit()

    def _set_speed(self, speed: int) -> None:
        if speed == self._speed:
            return
        self._speed = speed
        self._anchor_here()
        self.state_changed.emit()

    def _anchor_here(self) -> None:
        self._number = self.frame
        self._is_waiting = False
        now_s = self._clock()
        self._anchor = Anchor(now_s, self._rate * (abs(self._speed) or 1))
        self._shown_at = deque([now_s])

    def _go(self, frame: int, way: int, number: int | None = None) -> None:
        self._number = frame if number is None else number
        self._moving = way
        try:
            self._look(frame=frame)
        finally:
            self._moving = 0

    def _look(self, **changes: object) -> None:
        self.session.look(timeline=self.session.document.timeline.with_(**changes))

    def _on_changed(self, now: Document, before: Document) -> None:
        new, old = now.timeline, before.timeline
        if new.frame != old.frame:
            if not self._moving and new.frame != self._number:  # another part of the app went there
                self._anchor_here()
            self.frame_changed.emit(new.frame, self._moving)
        if (new.mark_in, new.mark_out, new.loop) != (old.mark_in, old.mark_out, old.loop):
            self.state_changed.emit()
