"""What is left to do of a shot: windows to be sampled, and runs of them to be written once all of a run are sampled."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from layerflow.cluster.orders import Verb
from layerflow.errors import LayerFlowError
from layerflow.seams import goes_on
from layerflow.shot import Shot

MAX_LOSSES = 3  # makers that one task may lose in a row
TASKS_EACH = 4  # to sample, for each maker, where there are windows enough
RUN = 8  # windows that are written by one task: one more is decoded for each


@dataclass(frozen=True)
class Task:
    """Some windows, counted from 0, and what is to be done with them."""

    verb: Verb
    windows: range

    def __str__(self) -> str:
        first, last = self.windows.start + 1, self.windows.stop
        return f"window {first}" if first == last else f"windows {first}-{last}"


class Tasks:
    """The tasks of a shot whose journal is open, for so many makers. What is there of it is no task."""

    def __init__(self, shot: Shot, makers: int) -> None:
        shot.resuming = True
        self._shot, self._makers = shot, makers
        self.made = {window.index for window in shot.windows if window.new and shot.has_made(window)}
        self.sampled: set[int] = set()  # of those that have to be
        self._waiting: deque[Task] = deque()
        self._later: list[Task] = []  # runs whose windows are not all sampled
        self._losses: Counter[Task] = Counter()
        missing = [window.index for window in shot.windows if window.new and window.index not in self.made]
        if len(missing) > 1 and makers > 1 and not goes_on(shot.layout):
            self._split(missing)
        elif missing:
            self._waiting.append(Task("write", range(missing[0], missing[-1] + 1)))

    def __len__(self) -> int:
        """How many could be done now."""
        return len(self._waiting)

    def next(self) -> Task:
        """Takes one out that can be done now."""
        return self._waiting.popleft()

    def done(self, task: Task) -> None:
        """Takes note of a task that is done, and of what can be done since."""
        self._losses.pop(task, None)
        if task.verb == "sample":
            self.sampled.update(task.windows)
            self._begin_runs()

    def again(self, task: Task) -> None:
        """Puts a task in front whose maker was lost. Raises LayerFlowError when it has lost too many in a row."""
        self._losses[task] += 1
        if self._losses[task] >= MAX_LOSSES:
            raise LayerFlowError(
                f"{task} lost {MAX_LOSSES} workers of the cluster in a row; look at the logs of its nodes, then retry "
                "the job"
            )
        self._waiting.appendleft(task)

    def _split(self, missing: list[int]) -> None:
        self._later = [Task("write", part) for run in _runs(missing) for part in _parts(run, RUN)]
        needed = sorted({window for task in self._later for window in self._needed(task)})
        self.sampled = {index for index in needed if self._shot.is_sampled(self._shot.windows[index])}
        for run in _runs(index for index in needed if index not in self.sampled):
            size = min(max(len(run) // (TASKS_EACH * self._makers), 1), RUN)  # so that all end about together
            self._waiting.extend(Task("sample", part) for part in _parts(run, size))
        self._begin_runs()

    def _needed(self, task: Task) -> range:
        """The windows whose states a run is written from: its own, and the one that its first fades in from."""
        first = self._shot.windows[task.windows.start]
        return range(first.index - (1 if first.overlap else 0), task.windows.stop)

    def _begin_runs(self) -> None:
        """Puts runs whose windows are all sampled in front, so that frames come as early as they can."""
        ready = [task for task in self._later if self.sampled.issuperset(self._needed(task))]
        self._later = [task for task in self._later if task not in ready]
        self._waiting.extendleft(reversed(ready))


def _parts(run: range, size: int) -> Iterator[range]:
    return (run[at : at + size] for at in range(0, len(run), size))


def _runs(numbers: Iterable[int]) -> Iterator[range]:
    """The numbers, which are in order, as runs without a gap."""
    run = range(0)
    for number in numbers:
        if run and number == run.stop:
            run = range(run.start, number + 1)
            continue
        if run:
            yield run
        run = range(number, number + 1)
    if run:
        yield run
