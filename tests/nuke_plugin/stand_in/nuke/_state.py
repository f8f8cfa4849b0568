"""Everything the stand-in remembers, in one place, so that a test can begin with nothing."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nuke._formats import Format
    from nuke._group import Group, Root
    from nuke._knob import Knob
    from nuke._node import Node

RGBA = ("rgba.red", "rgba.green", "rgba.blue", "rgba.alpha")
FIRST_LAYERS = {
    "rgba": RGBA,
    "rgb": RGBA[:3],
    "alpha": RGBA[3:],
    "depth": ("depth.Z",),
    "motion": ("forward.u", "forward.v", "backward.u", "backward.v"),
    "forward": ("forward.u", "forward.v"),
    "backward": ("backward.u", "backward.v"),
    "mask": ("mask.a",),
}


@dataclass
class Here:
    """Where Python runs just now: the group it is in, and the node and the knob that a callback is about."""

    group: Group
    node: Node | None = None
    knob: Knob | None = None


@dataclass
class State:
    """One Nuke, from its start to its end."""

    gui: bool = True
    version: tuple[int, int] = (16, 0)
    main_thread: threading.Thread = field(default_factory=threading.main_thread)
    here: list[Here] = field(default_factory=list)
    selection: list[Node] = field(default_factory=list)
    formats: list[Format] = field(default_factory=list)
    layers: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(FIRST_LAYERS))
    callbacks: dict[str, dict[str, list[Any]]] = field(default_factory=lambda: collections.defaultdict(dict))
    knob_defaults: dict[str, str] = field(default_factory=dict)
    callback_errors: list[BaseException] = field(default_factory=list)
    in_knob_changed: set[int] = field(default_factory=set)
    queue: collections.deque[Callable[[], None]] = field(default_factory=collections.deque)
    messages: list[str] = field(default_factory=list)  # what dialogs said
    answers: collections.deque[Any] = field(default_factory=collections.deque)  # what dialogs are answered with
    printed: list[str] = field(default_factory=list)  # by tprint, debug, warning and error
    tasks: list[Any] = field(default_factory=list)  # ProgressTasks, in the order in which they were made
    menus: dict[str, Any] = field(default_factory=dict)
    plugin_paths: list[str] = field(default_factory=list)
    undo_disabled: int = 0
    undo_names: list[str] = field(default_factory=list)
    is_executing: bool = False
    is_loading: bool = False
    cancel_at_frame: int | None = None
    rendered: list[tuple[str, int, str]] = field(default_factory=list)  # full name, frame, view
    frame: list[int] = field(default_factory=list)  # of what is evaluated just now; empty: that of the root
    view: list[str] = field(default_factory=list)
    is_modified: bool = False
    clipboard: str = ""
    pictures: dict[Any, Any] = field(default_factory=dict)  # what was evaluated in this pull
    reloads: collections.Counter[str] = field(default_factory=collections.Counter)
    files: dict[Any, Any] = field(default_factory=dict)  # that were read
    env: dict[str, Any] = field(default_factory=dict)
    home: Path = field(default_factory=Path)
    the_root: Root | None = None

    @property
    def root(self) -> Root:
        """The root of the script."""
        if self.the_root is None:
            raise RuntimeError("the stand-in has no script; call nuke._stand_in.reset() first")
        return self.the_root

    def now(self) -> Here:
        """Where Python runs just now."""
        return self.here[-1] if self.here else Here(self.root)

    @contextlib.contextmanager
    def at(self, group: Group, node: Node | None = None, knob: Knob | None = None) -> Iterator[None]:
        """Runs what follows somewhere else; afterwards everything is as it was, even after a begin() without end()."""
        depth = len(self.here)
        self.here.append(Here(group, node, knob))
        try:
            yield
        finally:
            del self.here[depth:]


state = State()


def forget() -> None:
    """Makes the state that of a Nuke that was just started, without a script."""
    fresh = State()
    state.__dict__.clear()
    state.__dict__.update(fresh.__dict__)
