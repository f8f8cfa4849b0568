"""A shot for a render farm: a file, which the engine's `submit` makes a job of, and a command that hands the job over.

It needs plate, model and output at the same paths here and there; docs/farm.md says what else.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import Callable, List, Sequence

from layerflow.wire.errors import ServerError
from layerflow.wire.programs import run_program
from layerflow.wire.request import Request
from layerflow.wire.starting import find_command
from layerflow.wire.versions import shot_file
from layerflow.wire.whole_paths import with_whole_paths

BUNDLE = "{bundle}"  # of a farm's command: where the folder of the job goes
USUAL = "deadline bundle submit " + BUNDLE  # what an artist is told where there is no such command

Stopped = Callable[[], bool]


@dataclass(frozen=True)
class Farm:
    """How a shot is cut for a farm, what a task needs there, and what hands a job over."""

    chunk: int = 4  # windows that a task samples
    gpus: int = 1
    gpu_memory_gib: float = 0.0  # 0: not asked for
    memory_gib: float = 0.0
    program: str = "layerflow"  # what starts LayerFlow on a machine of the farm
    folder: str = ""  # for jobs; empty: each beside its frames
    hand_over: str = ""  # a command line with {bundle} in it; empty: people do it

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError("a task of the farm samples {} windows; give it 1 or more".format(self.chunk))
        if min(self.gpus, self.gpu_memory_gib, self.memory_gib) < 0:
            raise ValueError("a task of the farm needs less than nothing; write 0 for what is not asked for")
        if not self.program.strip():
            raise ValueError("nothing says what starts LayerFlow on the farm; write layerflow, or its whole path there")
        if self.hands_over and BUNDLE not in self.hand_over:
            raise ValueError(
                "the farm's command does not say where the job is; write {} into it, as in {}".format(BUNDLE, USUAL)
            )
        if self.folder and not os.path.isabs(self.folder):
            raise ValueError("the folder for jobs {!r} has no beginning; give a whole path".format(self.folder))
        farm_command(self.hand_over, "")  # raises where quotes do not end

    @property
    def hands_over(self) -> bool:
        """Whether a command takes the job to the farm, and no people."""
        return bool(self.hand_over.strip())


@dataclass(frozen=True)
class Bundle:
    """A job that lies ready for a farm."""

    folder: str
    windows: int
    tasks: int  # that sample


def write_bundle(request: Request, farm: Farm, stopped: Stopped = lambda: False) -> Bundle:
    """The job of a shot, whose request is a file beside its frames from then on. Nothing is replaced.

    Raises ServerError with one sentence; then there is no such file.
    """
    shot = shot_file(request.output)
    name = os.path.splitext(os.path.basename(shot))[0]
    folder = os.path.join(farm.folder or os.path.dirname(shot), name + ".openjd")
    if os.path.exists(folder):
        raise ServerError("a job is at {} already; remove it, or choose another folder for jobs".format(folder))
    _write(shot, with_whole_paths(request).to_json())
    try:
        return _bundle([*find_command(), "submit", shot, *_options(farm, folder)], stopped)
    except BaseException:
        os.unlink(shot)
        raise


def hand_over(bundle: Bundle, farm: Farm, stopped: Stopped = lambda: False) -> str:
    """The last line that the farm's command printed. Raises ServerError where it failed; the job is still there."""
    command = farm_command(farm.hand_over, bundle.folder)
    still = "the job is whole at {}; correct the farm's command, and hand it over in a terminal".format(bundle.folder)
    code, said, complaints = run_program(command, still, stopped)
    if code != 0:
        why = (complaints or said or ["it ended with {}".format(code)])[-1][:300]
        raise ServerError("{} did not take the job ({}); {}".format(command[0], why, still))
    return said[-1][:300] if said else ""


def farm_command(text: str, folder: str) -> List[str]:
    """A farm's command as arguments, which no shell reads, with `folder` for {bundle}. ValueError for open quotes."""
    posix = os.name != "nt"  # elsewhere a backslash is part of a path, and quotes stay
    try:
        parts = shlex.split(text, posix=posix)
    except ValueError as error:
        raise ValueError("the farm's command cannot be read ({}); close its quotes".format(error)) from error
    return [(part if posix else part.strip('"')).replace(BUNDLE, folder) for part in parts]


def as_text(command: Sequence[str]) -> str:
    """A command line to be copied into a terminal."""
    return subprocess.list2cmdline(command) if os.name == "nt" else " ".join(map(shlex.quote, command))


def _options(farm: Farm, folder: str) -> List[str]:
    needed = {"--gpu-memory-gib": farm.gpu_memory_gib, "--memory-gib": farm.memory_gib}
    return [
        "--openjd",
        "--json",
        "--output=" + folder,
        "--chunk={}".format(farm.chunk),
        "--gpus={}".format(farm.gpus),
        "--command=" + farm.program.strip(),
        *("{}={:g}".format(option, gib) for option, gib in needed.items() if gib),
    ]


def _bundle(command: Sequence[str], stopped: Stopped) -> Bundle:
    """What the engine's `submit` made. ServerError with its sentence where it made nothing."""
    code, said, complaints = run_program(command, "install LayerFlow again", stopped)
    try:
        told = json.loads(said[-1])
        if code == 0:
            return Bundle(str(told["folder"]), int(told["windows"]), int(told["chunks"]))
        why = str(told["error"])
    except (IndexError, KeyError, TypeError, ValueError):  # an engine that is older, or broken
        last = (complaints or ["it said nothing"])[-1][:300]
        why = "{}; install the same LayerFlow here and in the engine".format(last)
    raise ServerError("there is no job for the farm: {}".format(why))


def _write(path: str, text: str) -> None:
    """Writes a file that is not there yet."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerError("{} cannot be written ({}); see to the disk of the output".format(path, reason)) from error
