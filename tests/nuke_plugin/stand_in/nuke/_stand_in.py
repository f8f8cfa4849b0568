"""What tests do to the stand-in: start it anew, be its event loop and its artist, and look at pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nuke import _script
from nuke._callbacks import fire
from nuke._state import forget, state
from nuke._threads import run_queued


def reset(gui: bool = True, version: tuple[int, int] = (16, 0)) -> None:
    """Nothing; this is a Nuke that was just started, with an empty script. Nodes of before are gone."""
    if state.the_root is not None:
        _script.new_root()
    forget()
    state.gui, state.version = gui, version
    _script.new_root()
    state.env.update(environment())


def environment() -> dict[str, Any]:
    """What nuke.env says at first."""
    major, minor = state.version
    return {
        "gui": state.gui,
        "interactive": state.gui,
        "nukex": False,
        "studio": False,
        "indie": False,
        "nc": False,
        "NukeVersionMajor": major,
        "NukeVersionMinor": minor,
        "NukeVersionRelease": 1,
        "NukeVersionString": f"{major}.{minor}v1",
        "ExecutablePath": "/usr/local/Nuke/Nuke",
        "LINUX": True,
        "WIN32": False,
        "MACOS": False,
        "numCPUs": 2,
        "threads": 2,
    }


def pump() -> int:
    """How many calls that other threads queued were run, as Nuke does between two events."""
    return run_queued()


def pump_until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """What `condition` gives once that is true, while queued calls run. TimeoutError where it stays false."""
    end = time.monotonic() + timeout_s
    while True:
        pump()
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"not after {timeout_s} s: {condition}")
        time.sleep(0.002)


def answer(*answers: Any) -> None:
    """Nothing; the next dialogs are answered with these."""
    state.answers.extend(answers)


def messages() -> list[str]:
    """What dialogs said, the oldest first."""
    return state.messages


def printed() -> list[str]:
    """What tprint, debug, warning and error printed."""
    return state.printed


def callback_errors() -> list[BaseException]:
    """What callbacks, buttons and queued calls raised; Nuke prints a traceback and goes on."""
    return state.callback_errors


def rendered() -> list[tuple[str, int, str]]:
    """Full name, frame and view of everything that was executed."""
    return state.rendered


def reloads(node: Any) -> int:
    """How often the reload button of a Read was pressed."""
    return state.reloads[node.fullName()]


def tasks() -> list[Any]:
    """Every ProgressTask; set `cancelled` of one to press its button."""
    return state.tasks


def cancel_render_at(frame: int | None) -> None:
    """Nothing; somebody cancels the render when it comes to that frame."""
    state.cancel_at_frame = frame


def update_ui() -> None:
    """Nothing; nodes are told that the interface was updated, as Nuke does when nothing happens."""
    for node in state.root._all_nodes():
        fire("updateUI", node)


def pixels(node: Any, frame: int | None = None, view: str = "main") -> dict[str, Any]:
    """The picture of a node: [H, W] float32 by channel, the top row first. RuntimeError where it has an error."""
    from nuke import _evaluate

    return dict(_evaluate.picture_of(node, state.root.frame() if frame is None else frame, view).channels)
