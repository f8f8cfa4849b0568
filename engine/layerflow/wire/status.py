"""What a host says of its job: one line, from what the queue tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from layerflow.wire.jobs import Job
from layerflow.wire.transfer import Transfer

WORKING, DONE, FAILED, CANCELLED = "working", "done", "failed", "cancelled"
STATES = (WORKING, DONE, FAILED, CANCELLED)


@dataclass(frozen=True)
class Status:
    """One line for an artist, and how it stands."""

    text: str
    state: str = WORKING
    fraction: Optional[float] = None  # of the stage at hand, 0 to 1; None where nobody can say


def rendering(name: str, done: int, total: int) -> Status:
    """While inputs are rendered."""
    return Status(f"rendering {name} {done}/{total}", fraction=done / total if total else None)


def carrying(transfer: Transfer) -> Status:
    """While files go to a server elsewhere, or come back."""
    fraction = transfer.bytes_done / transfer.bytes_total if transfer.bytes_total else None
    done, total = transfer.files_done, counted(transfer.files_total, "file")
    return Status(f"{transfer.verb} {done} of {total}", fraction=fraction)


def of_job(job: Job, left_s: Optional[float] = None) -> Status:
    """How a job stands; `left_s` seconds are left of the stage at hand."""
    if job.state == "done":
        return Status(_done(job), DONE)
    if job.state == "failed":
        return Status(f"failed: {job.message}", FAILED)
    if job.state == "cancelled":
        return Status("cancelled; frames that were whole are still there", CANCELLED)
    if job.state != "running":
        return Status(f"{job.state}: {job.message}" if job.message else f"{job.state}, waiting for its turn")
    at = job.progress
    parts = [f"{at.stage} {at.done}/{at.total}" if at.total else at.stage or "starting"]
    if at.frames_total:
        parts.append(f"frame {at.frames_done}/{at.frames_total}")
    if left_s is not None:
        parts.append(f"about {duration(left_s)} left")
    return Status(", ".join(parts), fraction=at.done / at.total if at.total else None)


def _done(job: Job) -> str:
    result = job.result or {}
    frames, seconds = result.get("frames"), result.get("seconds")
    text = "done"
    if isinstance(frames, list):
        text += f": {counted(len(frames), 'frame')}"
    if isinstance(seconds, (int, float)):
        text += f" in {duration(seconds)}"
    if job.warnings:
        text += f"; {job.warnings[0]}"
    if len(job.warnings) > 1:
        text += f"; and {len(job.warnings) - 1} more"
    return text


def counted(number: int, what: str) -> str:
    """2 and "frame" as "2 frames"."""
    return f"{number} {what}" + ("s" if number != 1 else "")


def duration(seconds: float) -> str:
    """75 as "1 m 15 s"."""
    whole = max(round(seconds), 0)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"
