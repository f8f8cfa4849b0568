"""What crosses the socket: requests, jobs and events. Standard library and Python 3.7 only: every host can load it."""

from layerflow.wire.events import Event
from layerflow.wire.jobs import Job, JobEvent, Progress
from layerflow.wire.lora import parse_lora, write_lora
from layerflow.wire.matte import parse_matte, write_matte
from layerflow.wire.request import Request, parse_frames

__all__ = [
    "Event",
    "Job",
    "JobEvent",
    "Progress",
    "Request",
    "parse_frames",
    "parse_lora",
    "parse_matte",
    "write_lora",
    "write_matte",
]
