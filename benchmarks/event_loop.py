"""How long an event loop of Qt keeps what waits in it waiting: a probe, and the same in an empty app beside it.

`python benchmarks/event_loop.py` is that empty app: it beats like the probe, and tells for every line on its standard
input what was since the line before. What holds it up as well is the machine, not the app that is looked at.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from PySide6.QtCore import QCoreApplication, QObject, QSocketNotifier, Qt, QTimer

BEAT_MS = 5
LATE_MS = 50.0
_CPU_EVERY_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """Between two beats of a loop that had nothing else to do they are about BEAT_MS."""

    seconds: float
    longest_ms: float
    p999_ms: float
    median_ms: float
    num_late: int  # over LATE_MS
    late_cpu_ms: float  # the most that the loop's own thread worked in one of these, and up to 50 ms before

    @staticmethod
    def of(gaps: list[tuple[float, float]], seconds: float) -> Gaps:
        """Of pairs: how long a gap was, and how much of it the thread was at work."""
        lengths = sorted(1e3 * gap for gap, _ in gaps) or [0.0]
        late = [1e3 * cpu for gap, cpu in gaps if 1e3 * gap > LATE_MS]
        return Gaps(
            seconds=seconds,
            longest_ms=lengths[-1],
            p999_ms=lengths[min(len(lengths) - 1, int(len(lengths) * 0.999))],
            median_ms=lengths[len(lengths) // 2],
            num_late=len(late),
            late_cpu_ms=max(late, default=0.0),
        )


class Probe(QObject):
    """A timer in the loop. With `stacks`, a thread that looks at what is run while a beat is late."""

    def __init__(self, stacks: bool = False) -> None:
        super().__init__()
        self._gaps: list[tuple[float, float]] = []
        self._began = self._last = time.perf_counter()
        self._cpu, self._cpu_at = time.thread_time(), self._began
        self._main = threading.get_ident()
        self.stacks: Counter[str] = Counter()
        self._timer = QTimer(self, interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start()
        if stacks:
            threading.Thread(target=self._watch, daemon=True).start()

    def begin(self) -> None:
        """Forgets what was."""
        self._gaps.clear()
        self.stacks.clear()
        self._began = self._last = time.perf_counter()
        self._cpu, self._cpu_at = time.thread_time(), self._began

    def take(self) -> Gaps:
        """What was since `begin`."""
        return Gaps.of(self._gaps, time.perf_counter() - self._began)

    def _beat(self) -> None:
        now = time.perf_counter()
        cpu = 0.0
        if now - self._cpu_at > _CPU_EVERY_S or now - self._last > LATE_MS / 1e3:  # asking is a call of the system
            cpu, self._cpu, self._cpu_at = time.thread_time() - self._cpu, time.thread_time(), now
        self._gaps.append((now - self._last, cpu))
        self._last = time.perf_counter()

    def _watch(self) -> None:
        seen = 0.0
        while True:
            time.sleep(BEAT_MS / 1e3)
            last = self._last
            if last != seen and time.perf_counter() - last > 0.6 * LATE_MS / 1e3:
                seen = last
                self.stacks[self._now()] += 1

    def _now(self) -> str:
        """Where the loop's thread is, and in a line each where others are that do not wait."""
        frames = sys._current_frames()
        text = "".join(traceback.format_stack(frames[self._main])[-7:])
        for thread in threading.enumerate():
            stack = traceback.extract_stack(frames.get(thread.ident or 0))[-3:]
            if thread.ident not in (self._main, threading.get_ident()) and stack and stack[-1].name != "wait":
                places = " < ".join(f"{each.name}:{each.lineno}" for each in reversed(stack))
                text += f"    beside: {thread.name.split('_')[0]}: {places}\n"
        return text


class Control:
    """The empty app, beside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self) -> Gaps:
        """What was since the last time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Gaps(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def control() -> Iterator[Control]:
    """Starts the empty app; it ends with this one."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        beside = Control(process)
        beside.take()
        yield beside
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    application = QCoreApplication([])
    probe = Probe()

    def tell() -> None:
        if not sys.stdin.readline():
            application.quit()
            return
        print(json.dumps(asdict(probe.take())), flush=True)
        probe.begin()

    notifier = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(tell)
    application.exec()


if __name__ == "__main__":
    main()
