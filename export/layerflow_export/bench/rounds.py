"""One bench: every backend in its process, in turns, so that what else the machine does meets them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from layerflow.errors import RequestError
from layerflow.models.backends import EAGER, backends
from layerflow.models.float8 import FLOAT8
from layerflow.models.folder import ModelFolder
from layerflow.models.load import LoadOptions, choose_plan
from layerflow.models.places import DTYPES, pick_device
from layerflow.models.shelf import find_model
from layerflow.quality import QUALITIES
from layerflow_export.bench.case import Case
from layerflow_export.bench.ceiling import measure_ceiling
from layerflow_export.bench.closeness import closeness, v_difference
from layerflow_export.bench.machine import describe_machine
from layerflow_export.bench.report import PEER, Report, Row, Spread
from layerflow_export.bench.runner import ShotSeconds
from layerflow_export.bench.subject import describe_model, describe_shot
from layerflow_export.bench.worker import Worker, working

PARTS = ("steps", "shots", "errors", "render")
STEPS_AT_ONCE = 3  # of one backend before it is the next one's turn

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured, and of whom."""

    case: Case
    backends: tuple[str, ...]
    qualities: tuple[str, ...] = ("exact",)
    precisions: tuple[str, ...] = ("auto",)
    rounds: int = 5
    shot_rounds: int | None = None  # of whole shots, where it is another number
    parts: tuple[str, ...] = PARTS
    steps_compared: int | None = None  # of the run whose numbers are held against float32; None: the shot's own


def everybody() -> tuple[str, ...]:
    """Every backend that is installed."""
    return tuple(backends())


class Bench:
    """The report as it grows, and the workers that it comes from."""

    def __init__(self, plan: Plan, command: str, say: Say, save: Callable[[Report], None]) -> None:
        self.plan, self._say, self._save = plan, say, save
        self.folder = find_model(plan.case.model, plan.case.task)
        self.device = pick_device(plan.case.device)
        self._memory = _plan_of(plan, self.folder)
        self._workers: dict[str, Worker] = {}
        self.report = Report(
            command=command,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=describe_machine(self.device),
            model=describe_model(self.folder),
            shot=describe_shot(plan.case, self.folder) | {"codec_plan": self._memory},
        )

    def run(self) -> Report:
        """Measures all of it; what is known so far is saved after every part."""
        with ExitStack() as stack:
            for backend in self.plan.backends:
                for precision in self.plan.precisions[:1] if backend == PEER else self.plan.precisions:
                    self._load(backend, precision, stack)
            for part in self.plan.parts:
                {"steps": self._steps, "shots": self._shots, "errors": self._errors, "render": self._render}[part]()
                self._save(self.report)
        return self.report

    def _load(self, backend: str, precision: str, stack: ExitStack) -> None:
        name = f"{backend} {precision}" if self.plan.precisions[1:] else backend
        self._say(f"loading {name}")
        worker = stack.enter_context(working(self.plan.case, backend, precision, self._memory))
        try:
            facts = worker.ask("facts")
            worker.ask("warm_up")
        except RequestError as error:
            self._refuse(name, error)
            return
        self._workers[name] = worker
        qualities = ("exact",) if backend == PEER else self.plan.qualities
        rows = [Row(name=name, quality=quality, **facts) for quality in qualities]
        self.report = replace(self.report, rows=(*self.report.rows, *rows))

    def _raise_ceilings(self) -> None:
        """Once a round: what else the machine does meets the matrix products as it meets the steps."""
        before = {each["dtype"]: each for each in self.report.ceilings}
        found = []
        for name in dict.fromkeys(_computed_in(row) for row in self.report.rows):
            ceiling = asdict(measure_ceiling(self.device, DTYPES[name]))
            found.append(max(before.get(name, ceiling), ceiling, key=lambda each: float(each["flops_per_s"])))
        self.report = replace(self.report, ceilings=tuple(found))

    def _steps(self) -> None:
        """Only of exact rows: in another quality no step is like the next."""
        rows = [row for row in self.report.rows if row.quality == "exact"]
        seconds: dict[str, list[float]] = {row.label: [] for row in rows}
        for number in range(self.plan.rounds):
            self._say(f"steps, round {number + 1} of {self.plan.rounds}")
            self._raise_ceilings()
            for row in rows:
                for taken in self._ask(row, "step", STEPS_AT_ONCE) or ():
                    seconds[row.label].append(taken)
        for row in rows:
            if taken := seconds[row.label]:
                self._note(row.label, step=Spread(seconds=tuple(taken)), flops_share=self._share(row, min(taken)))

    def _share(self, row: Row, seconds: float) -> float:
        ceiling = next(each for each in self.report.ceilings if each["dtype"] == _computed_in(row))
        return float(self.report.shot["flops_per_step"] / seconds / ceiling["flops_per_s"])

    def _shots(self) -> None:
        order = tuple(QUALITIES)  # exact first
        rows = sorted(self.report.rows, key=lambda row: order.index(row.quality))
        taken: dict[str, list[ShotSeconds]] = {row.label: [] for row in rows}
        rounds = self.plan.shot_rounds or self.plan.rounds
        for row in rows:
            self._ask(row, "warm_codec")
        for number in range(rounds):
            for row in rows:
                self._say(f"{row.label}: shot {number + 1} of {rounds}")
                if (seconds := self._ask(row, "shot", row.quality)) is not None:
                    taken[row.label].append(seconds)
                    self._note(row.label, **_summary(taken[row.label]))
                    self._save(self.report)

    def _errors(self) -> None:
        self._say("comparing with eager float32")
        steps = self.plan.steps_compared
        with working(self.plan.case, EAGER, "float32", self._memory) as exact:
            try:
                calls, made = exact.ask("record", steps), exact.ask("make", "exact", steps)
                default = exact.ask("default")
            except RequestError as error:
                self._refuse("eager float32", error)
                return
        for row in self.report.rows:
            if steps is not None and row.quality != "exact":  # so few steps leave nothing out
                continue
            if (ours := self._ask(row, "make", row.quality, steps)) is None:
                continue
            v = None
            if row.quality == "exact":
                answers = [self._ask(row, "answer", call) for call, _ in calls]
                v = v_difference(answers, [each for _, each in calls])
            self._note(row.label, closeness=closeness(ours, made, v), is_default=row.backend == default)

    def _render(self) -> None:
        """The last part: a worker has no network any more after it."""
        for row in self.report.rows:
            if row.quality == "exact" and row.backend != PEER:
                self._say(f"{row.label}: a whole render")
                with TemporaryDirectory(prefix="layerflow-bench-") as folder:
                    self._note(row.label, render_s=self._ask(row, "render", Path(folder)))

    def _ask(self, row: Row, what: str, *arguments: Any) -> Any:
        """The worker's answer; None where it refuses, which it is not asked again after. A row of nothing is gone."""
        if row.label in self.report.refused:
            return None
        try:
            return self._workers[row.name].ask(what, *arguments)
        except RequestError as error:
            self._refuse(row.label, error)
            kept = (each for each in self.report.rows if each.label != row.label or each.step or each.shot)
            self.report = replace(self.report, rows=tuple(kept))
            return None

    def _refuse(self, label: str, error: RequestError) -> None:
        self._say(f"{label}: {error}")
        self.report = replace(self.report, refused={**self.report.refused, label: str(error)})

    def _note(self, label: str, **values: Any) -> None:
        rows = (replace(row, **values) if row.label == label else row for row in self.report.rows)
        self.report = replace(self.report, rows=tuple(rows))


def _plan_of(plan: Plan, folder: ModelFolder) -> str:
    """The memory plan that is chosen while nothing is loaded yet: all have the same codec."""
    options = LoadOptions(device=plan.case.device, precision=plan.precisions[0])
    return choose_plan(folder, options)[0].name


def _computed_in(row: Row) -> str:
    """The type whose matrix products are the row's ceiling."""
    return "bfloat16" if row.precision == FLOAT8 else row.precision


def _summary(taken: Sequence[ShotSeconds]) -> dict[str, Any]:
    quickest = min(taken, key=lambda each: each.total)
    return {
        "shot": Spread(seconds=tuple(each.total for each in taken)),
        "text_s": quickest.text,
        "sampling_s": quickest.sampling,
        "decode_s": quickest.decode,
        "peak_bytes": max(each.peak_bytes for each in taken),
    }
