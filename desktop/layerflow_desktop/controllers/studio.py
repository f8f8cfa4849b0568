"""Everything the app is made of but its window: made, opened and closed in one place."""

from __future__ import annotations

import os
from pathlib import Path

from psygnal import Signal

from layerflow.wire import Job
from layerflow_desktop.controllers.background import Background, Post
from layerflow_desktop.controllers.blender import SendToBlender
from layerflow_desktop.controllers.engine import Engine
from layerflow_desktop.controllers.exporting import Exporter
from layerflow_desktop.controllers.generating import Generating
from layerflow_desktop.controllers.inputs import Inputs
from layerflow_desktop.controllers.moving import Moving
from layerflow_desktop.controllers.outputs import documents_folder
from layerflow_desktop.controllers.playback import Playback
from layerflow_desktop.controllers.previews import Previews
from layerflow_desktop.controllers.projects import Projects
from layerflow_desktop.controllers.queue import Queue
from layerflow_desktop.controllers.recent import Recent
from layerflow_desktop.controllers.recovery import Autosave
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.controllers.stage import Stage
from layerflow_desktop.models.cache import FrameCache, default_limit_bytes
from layerflow_desktop.models.document import Document, Take
from layerflow_desktop.models.preferences import Preferences, load_preferences, save_preferences

_MOST_READERS = 8


class Studio:
    """The controllers. `post` is the way into the interface's thread, to which all of this belongs."""

    preferences_changed = Signal(Preferences)

    def __init__(self, post: Post) -> None:
        self.post = post
        self.preferences = load_preferences()
        self.session = Session()
        self.background = Background(post)
        self.own_cache_bytes = default_limit_bytes()
        self.cache = FrameCache(self.own_cache_bytes, num_threads=_num_readers())
        self.engine = Engine(self.background, post)
        self.queue = Queue(self.engine, self.background, self.session.say)
        self.previews = Previews(self.engine, self.queue)
        self.autosave = Autosave(self.session, post)
        self.generating = Generating(self.session, self.engine, self.queue, self.background, self.autosave.keep)
        self.inputs = Inputs(self.background, self.session.say)
        self.recent = Recent(background=self.background)
        self.projects = Projects(self.session, self.autosave, self.background, self.recent.note_project)
        self.exporter = Exporter(self.background, post)
        self.to_blender = SendToBlender(self.background, post)
        self.stage = Stage(self.session, self.background, self.cache, post)
        self.moving = Moving(self.session, self.stage)
        self.playback = Playback(self.session, is_cached=self.stage.is_ready)
        self._connect()

    def open(self) -> None:
        """Looks for the engine, which is started where none runs."""
        self.engine.open()
        self.queue.open()
        self.previews.open()

    def close(self) -> None:
        """Ends every thread; jobs go on in the engine."""
        self.exporter.close()
        self.to_blender.close()
        self.generating.close()
        self.autosave.close()
        self.previews.close()
        self.engine.close()  # before the queue, which may be waiting for it
        self.queue.close()
        self.background.close()
        self.cache.close()

    def set_preferences(self, preferences: Preferences) -> None:
        """Has them count from now on, and keeps them."""
        self.preferences = preferences
        self._take_in_preferences()
        self.background.run(lambda: save_preferences(preferences), failed=self.session.say)
        self.preferences_changed.emit(preferences)

    @property
    def memory_limit_bytes(self) -> int:
        """What frames, and images made of them, may take together."""
        return self.preferences.cache_bytes or self.own_cache_bytes

    def look_at(self, name: str) -> None:
        """Makes the take of that name the one that is looked at."""
        document = self.session.document
        if document.take_named(name) is not None:
            self.session.amend(document.with_(take=name))

    def take_in_hand(self) -> Take | None:
        """The take of this project that is being made, or waits for it; the last one asked for. None without one."""
        for take in reversed(self.session.document.takes):
            row = self.queue.find(take.job) if take.job else None
            if (row is not None and row.is_active) or (take.key and not take.job):
                return take
        return None

    def frames_in_hand(self) -> frozenset[int]:
        """The frames that a running job of this project writes; none where it does not say yet."""
        take = self.take_in_hand()
        row = self.queue.find(take.job) if take else None
        if row is None or row.state != "running":
            return frozenset()
        first = row.job.request.first_frame
        if first is None:
            first = self.stage.frames[0] if self.stage.frames else 1
        return frozenset(range(first, first + row.job.progress.frames_total))

    def open_layers(self, pattern: str) -> None:
        """Adds frames that LayerFlow wrote as a take, and looks at it."""
        self._begins_anew = True
        self.look_at(self.add_take(pattern).name)
        self.session.say(f"Opened {Path(pattern).name}.")

    def add_take(self, pattern: str) -> Take:
        """The take of those frames, which the project has from now on."""
        document = self.session.document
        there = next((take for take in document.takes if take.pattern == pattern), None)
        if there is None:
            there = Take(name=_free_name(pattern, document), pattern=pattern)
            self.session.amend(document.with_(takes=(*document.takes, there)))
        return there

    def own_layers_folder(self) -> Path:
        """Where layers of projects without a file go."""
        return Path(self.preferences.folder) if self.preferences.folder else documents_folder()

    def open_plate(self, text: str) -> None:
        """Makes that the plate, and taking it apart the task where none that needs a plate is chosen."""
        shot = self.session.document.shot
        task = "decompose" if shot.task == "generate" else shot.task
        changed = shot.with_(plate=text, task=task, first_frame=None, last_frame=None)
        view = self.session.document.view.with_(a="plate")
        self._begins_anew = True
        self.session.edit(f"Open {Path(text).name}", self.session.document.with_(shot=changed, take="", view=view))
        self.session.say(f"Opened {Path(text).name}; say what is in it, and press Generate.")

    def _connect(self) -> None:
        self.stage.clip_changed.connect(self._clip_changed)
        self.generating.take_done.connect(self._take_done)
        self.to_blender.failed.connect(self.session.say)
        self.to_blender.done.connect(lambda folder: self.session.say(f"Blender opens with the layers in {folder}."))
        self.projects.path_changed.connect(self._path_changed)
        self.queue.changed.connect(self._queue_changed)
        self.playback.frame_changed.connect(self._frame_changed)
        self._begins_anew = False  # whether the next clip is looked at from its first frame
        self._begun = ""  # the job in hand that runs
        self._written: dict[str, int] = {}  # job -> frames that were there when the disk was looked at last
        self._take_in_preferences()

    def _take_in_preferences(self) -> None:
        self.cache.set_limit(self.memory_limit_bytes)
        self.playback.set_policy("realtime" if self.preferences.drops_frames else "every")
        self.generating.folder = self.own_layers_folder()

    def _clip_changed(self) -> None:
        self.playback.set_clip(self.stage.frames, self.stage.fps)
        if self._begins_anew and self.stage.frames:
            self._begins_anew = False
            self.playback.clear_marks()
            self.playback.to_start()
        main = self.stage.main
        if main is not None and main.text == self.session.document.shot.plate:
            self.recent.note_plate(main.text)

    def _frame_changed(self, frame: int, way: int) -> None:
        if way:
            self.stage.direction = way

    def _path_changed(self) -> None:
        self.generating.project = self.projects.path

    def _queue_changed(self) -> None:
        """Shows frames of the take that is looked at as they come, and how the one in hand looks once it is begun."""
        self._watch_what_begins()
        take = self.session.document.current_take()
        row = self.queue.find(take.job) if take and take.job else None
        if take is None or row is None:
            return
        written = row.job.progress.frames_done
        if written != self._written.get(take.job, 0):
            self._written[take.job] = written
            self.stage.reload(take.pattern)

    def _watch_what_begins(self) -> None:
        """Once for each job, so that one may look elsewhere meanwhile."""
        take = self.take_in_hand()
        row = self.queue.find(take.job) if take and take.job else None
        job = row.id if row is not None and row.state == "running" else ""
        if job != self._begun:
            self._begun = job
            if take and job:
                self.previews.watch(job)
                self.session.say(f"{take.name} is being made; Escape shows the picture behind its preview.")

    def _take_done(self, take: Take, job: Job) -> None:
        document = self.session.document
        is_new = document.take_named(take.name) is not None
        if is_new:
            self.session.amend(document.with_(take=take.name, view=document.view.with_(a="comp")))
            self.stage.reload(take.pattern)


def _num_readers() -> int:
    """Threads that read frames: one core is left to the interface."""
    return max(1, min(_MOST_READERS, (os.cpu_count() or 1) - 1))


def _free_name(pattern: str, document: Document) -> str:
    """A name for a take that nobody has: the version of its frames, or what they are called."""
    taken = {take.name for take in document.takes}
    stem = Path(pattern).name.split(".")[0]
    names = (stem, *(f"{stem} {number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
