"""Send to Blender: the layers of a take as sequences of their own, and a Blender that opens with them as strips."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psygnal import Signal

from layerflow.wire import starting
from layerflow.wire.errors import NotRunning
from layerflow.wire.versions import Frames
from layerflow_desktop.controllers.background import Background, Post
from layerflow_desktop.controllers.delivering import Delivery
from layerflow_desktop.controllers.engine import engine_command
from layerflow_desktop.models.blender_script import BlenderShot, blender_script
from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.exports import Export, as_made, layer_pattern
from layerflow_desktop.models.layer_stack import BLENDED, RESIDUAL

_PLACES = {  # where Blender's own installers and archives put it; the last one found is the newest
    "win32": ("C:/Program Files/Blender Foundation/Blender */blender.exe",),
    "darwin": (
        "/Applications/Blender*.app/Contents/MacOS/Blender",
        "~/Applications/Blender*.app/Contents/MacOS/Blender",
    ),
    "linux": ("/opt/blender*/blender", "~/blender*/blender", "/snap/bin/blender", "/usr/local/blender*/blender"),
}
_MOST_FOLDERS = 1000
_NOT_FOUND = "Blender is not found; name its program in Preferences, or install Blender 4.5 or later"
_started: list[subprocess.Popen[bytes]] = []  # kept, so that Python can take notice of their end


@dataclass(frozen=True)
class Take:
    """What is sent: a take as the project has it."""

    name: str
    pattern: str
    frames: tuple[int, ...]  # rising and without gaps
    layers: tuple[LayerState, ...]  # from front to back
    width: int
    height: int
    fps: float
    colorspace: str
    pixel_aspect: float = 1.0


class SendToBlender:
    """All of its methods belong to the interface's thread, and its signals come in it."""

    progress = Signal(int, int)  # frames that are written, of how many
    done = Signal(str)  # the folder of the sequences
    failed = Signal(str)  # one sentence
    cancelled = Signal()

    def __init__(
        self, background: Background, post: Post, command: Callable[[], Sequence[str]] = engine_command
    ) -> None:
        self._background, self._post, self._command = background, post, command
        self._delivery: Delivery | None = None
        self.is_busy = False
        self._is_closed = self._is_stopped = False

    def send(self, take: Take, program: str = "") -> None:
        """Writes what is not written yet, then starts Blender: `program`, or the one that is found."""
        if self.is_busy or self._is_closed:
            return
        self.is_busy, self._is_stopped = True, False
        self._background.run(lambda: self._send(take, program), self._came, self._broke)

    def cancel(self) -> None:
        """Stops writing; Blender is not started then."""
        self._is_stopped = True
        if self._delivery is not None:
            self._delivery.stop()

    def close(self) -> None:
        """Stops, and nothing is told any more. A Blender that was started stays."""
        self._is_closed = True
        self.cancel()

    def _send(self, take: Take, program: str) -> str | None:
        """In a thread: the folder of the sequences, None where it was stopped. Raises what `Background` expects."""
        found = find_blender(program)
        export = layers_export(take)
        files = _files_of(export)
        script = blender_script(_shot(take, files))
        if not _are_fresh(take, files):
            self._delivery = delivery = Delivery(self._command, export)
            if self._is_stopped:
                delivery.stop()
            if delivery.run(self._pass_on) is None:
                return None
        start(found, script)
        return str(Path(export.output).parent)

    def _pass_on(self, done: int, total: int) -> None:
        """From the thread that writes."""
        self._post(lambda: None if self._is_closed else self.progress.emit(done, total))

    def _came(self, folder: str | None) -> None:
        self._over()
        if not self._is_closed:
            self.cancelled.emit() if folder is None else self.done.emit(folder)

    def _broke(self, message: str) -> None:
        self._over()
        if not self._is_closed:
            self.failed.emit(message)

    def _over(self) -> None:
        self.is_busy, self._delivery = False, None


def find_blender(chosen: str = "") -> str:
    """The Blender to start: what was chosen, that on PATH, or one where it is usually put. Raises NotRunning."""
    if chosen:
        program = _inside_app(chosen)
        if shutil.which(program) is None:
            raise NotRunning(f"{chosen} is no program; choose Blender's own in Preferences")
        return program
    on_path = shutil.which("blender")
    if on_path is not None and Path(on_path).is_absolute():  # Windows looks into the current folder too
        return on_path
    for place in _PLACES.get(sys.platform, _PLACES["linux"]):
        whole = Path(place).expanduser()
        there = sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
        if programs := [path for path in there if os.access(path, os.X_OK)]:
            return str(programs[-1])
    raise NotRunning(_NOT_FOUND)


def _inside_app(chosen: str) -> str:
    """The program in an app of macOS; anything else as it is."""
    inside = Path(chosen, "Contents", "MacOS", "Blender")
    return str(inside) if chosen.endswith(".app") and inside.is_file() else chosen


def start(program: str, script: str) -> None:
    """Starts a Blender that outlives this app, with a new file, and runs the script in it. Raises NotRunning."""
    handle, path = tempfile.mkstemp(".py", "layerflow-to-blender-")  # it is read when Blender is there, and then goes
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{script}\nos.unlink(__file__)\n")
    try:
        process = subprocess.Popen(
            [program, "--python", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=starting.variables_for_others(),
            start_new_session=True,
        )
    except OSError as error:
        Path(path).unlink()
        raise NotRunning(f"{program} cannot be started ({error.strerror}); choose another Blender") from error
    _started[:] = [each for each in _started if each.poll() is None]
    _started.append(process)


def layers_export(take: Take) -> Export:
    """The sequences of a take, every layer as it was made, in a folder beside it.

    Files that are there are used where they are whole and no older than the take, and never replaced: otherwise the
    next folder is taken. Raises OSError.
    """
    states = as_made(take.layers)
    for folder in _folders(take):
        export = Export("exr-layers", take.pattern, str(folder / Path(take.pattern).name), take.frames, states)
        files = export.files()
        if not any(os.path.lexists(path) for path in files) or _are_fresh(take, _files_of(export)):
            return export
    raise FileExistsError(f"{Path(take.pattern).parent} has no more room for folders; remove old ones named blender")


def _folders(take: Take) -> Iterator[Path]:
    beside = Path(take.pattern).parent
    yield beside / "blender"
    for number in range(2, _MOST_FOLDERS):
        yield beside / f"blender_{number}"


def _files_of(export: Export) -> dict[str, list[str]]:
    """Layer -> its files, in the order of the frames."""
    names = [state.name for state in export.layers if state.name not in (BLENDED, RESIDUAL)]
    patterns = {name: Frames.of(layer_pattern(export.output, name)) for name in (*names, BLENDED)}
    return {name: [frames.path(frame) for frame in export.frames] for name, frames in patterns.items()}


def _are_fresh(take: Take, files: Mapping[str, Sequence[str]]) -> bool:
    """Whether all of the files are there, and none is older than the frame that it is of."""
    source = Frames.of(take.pattern)
    with contextlib.suppress(FileNotFoundError):
        made = [Path(source.path(frame)).stat().st_mtime_ns for frame in take.frames]
        return all(
            Path(path).stat().st_mtime_ns >= at for own in files.values() for path, at in zip(own, made, strict=True)
        )
    return False


def _shot(take: Take, files: Mapping[str, Sequence[str]]) -> BlenderShot:
    return BlenderShot(
        name=take.name,
        files=files,
        layers=take.layers,
        first=take.frames[0],
        width=take.width,
        height=take.height,
        fps=take.fps,
        colorspace=take.colorspace,
        pixel_aspect=take.pixel_aspect,
    )
