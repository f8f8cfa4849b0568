"""Jobs as a table for people, or as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from layerflow.cli.report import print_json
from layerflow.wire.jobs import Job

SHORT_ID = 8  # hex digits; enough to tell the jobs of one queue apart

_WIDTH_IN_FILES = 160  # columns
_STYLES = {"running": "cyan", "paused": "yellow", "done": "green", "failed": "red", "cancelled": "dim"}
_COLUMNS = ("job", "state", "label", "task", "stage", "frames", "device", "message")


def report_jobs(jobs: Sequence[Job], as_json: bool) -> None:
    """Print jobs on stdout."""
    if as_json:
        print_json({"jobs": [job.to_dict() for job in jobs]})
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_IN_FILES)
    console.print(table_of(jobs) if jobs else "there are no jobs")


def table_of(jobs: Iterable[Job]) -> Table:
    """One row per job. Text of others is shown as it is, never read as markup."""
    table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for job in jobs:
        texts = (job.id[:SHORT_ID], job.state, job.label, job.request.task, stage(job), _frames(job), job.device or "")
        table.add_row(*(Text(text, overflow="fold") for text in (*texts, job.message)), style=_STYLES.get(job.state))
    return table


def stage(job: Job) -> str:
    """What a running job is at, and how far."""
    at = job.progress
    if job.state != "running":
        return ""
    return f"{at.stage} {at.done}/{at.total}".strip() if at.total else at.stage


def _frames(job: Job) -> str:
    at = job.progress
    return f"{at.frames_done}/{at.frames_total}" if at.frames_total else ""
