"""One shot made in parts, by processes that share nothing but its output folder: prepare, sample, assemble, verify.

A part is some of the shot's windows, sampled to their last states, which the journal keeps; what is sampled already is
not sampled again. Assembling goes on from those states, as a shot that was stopped does, to the very same bits.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from layerflow.edits import stages
from layerflow.errors import OutputError, RequestError
from layerflow.files import atomic_path
from layerflow.frame_windows import Window
from layerflow.models.engines import Engines
from layerflow.overlap import sample_windows
from layerflow.seams import goes_on
from layerflow.shot import OnEvent, Shot
from layerflow.shots import ShotResult, finished, go_through, render
from layerflow.wire import Event, Request

_PLAN = "parts.json"  # in the journal's folder


@dataclass(frozen=True, kw_only=True)
class Part:
    """One window of a shot, which is numbered from 1 here."""

    window: int
    frames: tuple[int, int]  # first and last that it writes
    after: int | None  # the window that has to be sampled before it, if any


@dataclass(frozen=True, kw_only=True)
class PartsPlan:
    """What a shot is made in, and of."""

    parts: tuple[Part, ...]
    in_order: bool  # each window goes on from the one before: one process samples all of them
    model: str
    model_sha256: str
    output: str


def plan_parts(request: Request) -> PartsPlan:
    """The windows of the shot that `request` asks for. Raises as `render` does before it writes anything."""
    return _plan_of(_checked(request))


def prepare(request: Request, *, overwrite: bool = False, on_event: OnEvent = lambda event: None) -> PartsPlan:
    """Opens the output and the journal for the parts of a shot; what is there of it already is kept.

    With `overwrite` the shot is made anew: its states and its whole frames are removed, and frames of other shots are
    replaced when they are written. Raises as `render` does before it writes anything.
    """
    return open_shot(_checked(request, on_event), overwrite=overwrite, resume=not overwrite)


def open_shot(shot: Shot, *, overwrite: bool, resume: bool) -> PartsPlan:
    """As `prepare`, for a shot that was checked. Without `resume`, what is there of it already is made anew."""
    shot.open_output(overwrite=overwrite, resume=resume)
    for path in () if resume else shot.files:
        if shot.journal.is_own(path):
            path.unlink()
    shot.journal.begin()
    plan = _plan_of(shot)
    with atomic_path(shot.journal.folder / _PLAN) as part:
        part.write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")
    return plan


def sample(
    request: Request,
    *,
    windows: range,
    on_event: OnEvent = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
    engines: Engines | None = None,
) -> tuple[int, ...]:
    """Samples those windows of a prepared shot, counted from 0; the numbers of those that were not there yet.

    Several processes may do so at the same time, and one that was killed begins again where it was. The steps that
    `on_event` is told of are those of this part. Raises as `render` does, OutputError for a shot that is not prepared
    or was prepared by another request, and RequestError for windows that it does not have.
    """
    shot = _checked(request, stopped=stopped)
    return sample_part(shot, windows, on_event, engines or Engines())


def sample_part(shot: Shot, windows: range, on_event: OnEvent, engines: Engines) -> tuple[int, ...]:
    """As `sample`, for a shot that was checked."""
    asked = _asked(shot, windows)
    _take_in_hand(shot, asked, on_event)
    is_prepared = shot.journal.is_there() and (shot.journal.folder / _PLAN).is_file()
    missing = [window for window in asked if _is_needed(shot, window) and not shot.is_sampled(window)]
    if not missing:
        return ()
    if not is_prepared:
        raise OutputError(f"no shot is prepared at {shot.delivery.pattern}; run layerflow part prepare first")
    shot.say(Event("stage", f"loading model {shot.folder.manifest.name}"))
    go_through(shot, engines, missing, make=sample_windows)
    return tuple(window.index for window in missing)


def write_part(shot: Shot, windows: range, on_event: OnEvent, engines: Engines) -> None:
    """Has the frames of those windows written, counted from 0; whole ones are left as they are.

    A window that is not sampled yet is sampled on the way. States stay until the shot is finished. The `shot` was
    prepared; raises as `render` does.
    """
    asked = shot.windows[windows.start : windows.stop]
    _take_in_hand(shot, asked, on_event)
    missing = [window for window in asked if not shot.has_made(window)]
    if missing:
        shot.say(Event("stage", f"loading model {shot.folder.manifest.name}"))
        go_through(shot, engines, missing)


def finish(shot: Shot) -> ShotResult:
    """What came of a shot whose frames are all written, with its preview made and its states gone; it took no time.

    Raises OutputError, also where a file of a frame is gone.
    """
    if missing := [path for path in shot.files if not path.is_file()]:
        raise OutputError(f"{missing[0]} is not there any more; check its disk, then make the shot again")
    return finished(shot, shot.journal.backend())


def assemble(
    request: Request,
    *,
    on_event: OnEvent = lambda event: None,
    stopped: Callable[[], bool] = lambda: False,
    engines: Engines | None = None,
) -> ShotResult:
    """Decodes and writes the shot whose parts are all sampled; frames that are there already are kept.

    Raises as `render` does, and OutputError while a part is missing.
    """
    shot = _checked(request)
    shot.resuming = True
    shot.journal.is_there()  # refuses another request's
    missing = [window for window in shot.windows if _is_needed(shot, window) and not shot.is_sampled(window)]
    if missing:
        numbers = ", ".join(str(window.index + 1) for window in missing)
        raise OutputError(
            f"{'window' if len(missing) == 1 else 'windows'} {numbers} of {len(shot.windows)} at "
            f"{shot.delivery.pattern} {'is' if len(missing) == 1 else 'are'} not sampled; run layerflow part sample"
        )
    return render(request, resume=True, on_event=on_event, stopped=stopped, engines=engines)


def verify(request: Request, *, on_event: OnEvent = lambda event: None) -> dict[Path, str]:
    """The SHA-256 of every file of the shot, each of which was read back and is whole and of this very request.

    Raises OutputError for the first one that is not, and says how many there are.
    """
    shot = _checked(request)
    files = shot.files
    sums: dict[Path, str] = {}
    bad = []
    for done, path in enumerate(files, 1):
        if shot.journal.has_written(path):
            sums[path] = _sha256(path)
        else:
            bad.append(path)
        on_event(Event("frame", str(path), done=done, total=len(files)))
    bad += [path for path in shot.delivery.preview_paths if not path.is_file()]
    if bad:
        raise OutputError(
            f"{bad[0]} is missing, damaged or of another request, as {len(bad)} of {len(files)} files are; "
            "run layerflow part assemble again"
        )
    return sums | {path: _sha256(path) for path in shot.delivery.preview_paths}


def _take_in_hand(shot: Shot, asked: Sequence[Window], on_event: OnEvent) -> None:
    """Makes `shot` one of several hands, which goes on with what is there and counts the steps of those windows."""
    shot.resuming = True
    shot.journal = replace(shot.journal, owner=secrets.token_hex(4))
    steps = shot.sampler.num_steps * shot.num_passes
    shot.on_event = partial(_told_of_part, on_event, asked[0].index * steps, len(asked) * steps)


def _checked(
    request: Request, on_event: OnEvent = lambda event: None, stopped: Callable[[], bool] = lambda: False
) -> Shot:
    """The shot, which has to be one: an edit of a plate is two."""
    *before, last = stages(request)
    if before:
        raise RequestError(
            "an edit of a plate is two shots, which cannot be made in parts together; "
            "decompose the plate first, then edit its layers"
        )
    return Shot.prepare(last, on_event, stopped)


def _plan_of(shot: Shot) -> PartsPlan:
    in_order = _is_in_order(shot)
    parts = [
        Part(
            window=window.index + 1,
            frames=(window.new[0], window.new[-1]),
            after=window.index if in_order and window.overlap else None,
        )
        for window in _windows(shot)
    ]
    manifest = shot.folder.manifest
    return PartsPlan(
        parts=tuple(parts),
        in_order=in_order,
        model=manifest.name,
        model_sha256=shot.folder.sha256,
        output=str(shot.delivery.pattern),
    )


def _windows(shot: Shot) -> list[Window]:
    """The windows that write frames."""
    return [window for window in shot.windows if window.new]


def _is_in_order(shot: Shot) -> bool:
    return goes_on(shot.layout) and any(window.overlap for window in shot.windows)


def _asked(shot: Shot, windows: range) -> Sequence[Window]:
    total = len(_windows(shot))
    first = shot.windows.index(_windows(shot)[0])
    if not windows or windows.start < first or windows.stop > first + total:
        raise RequestError(
            f"the shot has windows {first + 1}-{first + total}, got {windows.start + 1}-{windows.stop}; "
            "layerflow part prepare lists them"
        )
    if _is_in_order(shot) and len(windows) < total:
        raise RequestError(
            f"each window of this shot goes on from the one before; sample all of them in one part, {first + 1}-"
            f"{first + total}"
        )
    return shot.windows[windows.start : windows.stop]


def _is_needed(shot: Shot, window: Window) -> bool:
    """Whether frames of `window` are missing, or of the next one, which fades in from it."""
    after = shot.windows[window.index + 1 : window.index + 2]
    return not shot.has_made(window) or any(next_one.overlap and not shot.has_made(next_one) for next_one in after)


def _told_of_part(on_event: OnEvent, before: int, total: int, event: Event) -> None:
    """Passes `event` on; steps are counted from those `before` this part, which it may have to go through again."""
    on_event(replace(event, done=max(event.done - before, 0), total=total) if event.kind == "step" else event)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
