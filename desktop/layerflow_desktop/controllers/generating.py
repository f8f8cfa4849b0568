"""Generate and Regenerate: a take for every press, kept before the engine is asked, and followed to its end.

What is asked follows from the project alone: a take with a key and without a job is asked for, one with a job is
followed. So it makes no difference whether the button was just pressed or the project opened again after a crash, and
the key sees to it that asking again makes no second job.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psygnal import Signal

from layerflow.wire import Job, Request
from layerflow.wire.labels import label_of
from layerflow.wire.status import Status
from layerflow.wire.versions import Versions
from layerflow.wire.whole_paths import with_whole_paths
from layerflow_desktop.controllers import asking, outputs
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.carrying import Carrying
from layerflow_desktop.controllers.engine import Engine
from layerflow_desktop.controllers.permissions import No, NotYet, Permissions, submitted
from layerflow_desktop.controllers.queue import Queue
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, Take
from layerflow_desktop.models.queue_row import OWN_LABEL, Row

AGAIN_S = 2.0  # before a question that the engine did not hear is asked again

_ASKED = "asked"  # how a job stands that the engine has taken and the queue not told of yet
_DRAFT = "/draft_v001.%04d.exr"  # an output for a request that is only to be checked


class Generating:
    """The takes of the project that is open. What is here belongs to the interface's thread."""

    changed = Signal()  # a take came, went, or stands otherwise
    take_done = Signal(Take, Job)
    take_failed = Signal(Take, str)  # one sentence
    refused_outside = Signal(str)  # the folder in question, which jobs may not use: `allow` or `forbid`; empty: none

    def __init__(
        self,
        session: Session,
        engine: Engine,
        queue: Queue,
        background: Background,
        keep: Callable[[Document], None] = lambda document: None,
    ) -> None:
        """`keep` writes the project to where it survives a crash; in a thread, before the engine is asked."""
        self.project: Path | None = None  # the file of the project
        self.folder: Path | None = None  # where takes go while there is none; None: into the documents
        self._session, self._engine, self._queue, self._background = session, engine, queue, background
        self._keep = keep
        self._is_asking = False
        self._asked_at: dict[str, float] = {}
        self._watched: dict[str, str] = {}  # key -> how its job stood last
        self._carrying = Carrying(engine, background)
        self._carrying.changed.connect(self.changed.emit)
        self._permissions = Permissions(engine)
        self._permissions.asks.connect(self.refused_outside.emit)
        session.changed.connect(self._document_changed)
        engine.changed.connect(self.recover)
        queue.changed.connect(self._follow)

    def close(self) -> None:
        """Leaves all jobs to the queue."""
        self._carrying.close()
        self._session.changed.disconnect(self._document_changed)
        self._engine.changed.disconnect(self.recover)
        self._queue.changed.disconnect(self._follow)

    # What artists press.

    def generate(self) -> None:
        """Asks for what the panel says, as a new take, and returns at once."""
        self._press(asking.generate_plan)

    def regenerate(self) -> None:
        """Asks for the take that is looked at once more, as a new take.

        Where layers of it are locked they stay, and the other one is made anew; else all are, with another seed.
        """
        self._press(asking.regenerate_plan)

    def why_not_generate(self) -> str:
        """Why Generate cannot be pressed, in one sentence; empty where it can."""
        return _why_not(asking.generate_plan, self._session.document)

    def why_not_regenerate(self) -> str:
        """Why Regenerate cannot be pressed, in one sentence; empty where it can."""
        return _why_not(asking.regenerate_plan, self._session.document)

    def status_of(self, take: Take) -> Status | None:
        """How a take stands; None where nothing is known of its job."""
        on_the_way = self._carrying.status_of(take.key)
        if on_the_way is not None:
            return on_the_way
        row = self._queue.find(take.job) if take.job else None
        if row is not None:
            return row.status
        folder = self._permissions.waits_for(take.key)
        if folder:
            return Status(f"waits until the engine may use {folder}")
        return Status("asking the engine") if take.key and not take.job else None

    def allow(self, folder: str) -> None:
        """Lets the engine use the folder that is in question, then asks for the takes that wait for it."""
        self._session.say(f"The engine starts anew, to use {folder} as well; jobs go on where they were.")
        self._permissions.allow(folder, self.recover, lambda sentence: self.forbid(folder, sentence))

    def forbid(self, folder: str, why: str = "") -> None:
        """Drops the takes that wait for a folder, and says why."""
        dropped = self._permissions.release(folder)
        for take in self._session.document.takes:
            if take.key in dropped:
                self._drop(take, why or dropped[take.key].text)

    # What happens by itself.

    def recover(self) -> None:
        """Asks for every take of the project that the engine has not heard of, once the engine answers."""
        takes = self._session.document.takes
        self._carrying.keep_only({take.key for take in takes})
        unheard = [take for take in takes if take.key and not take.job and not self._permissions.waits_for(take.key)]
        if unheard and not self._is_asking and self._engine.state == "ready":
            self._ask(unheard[0])  # one at a time, so that jobs are in the order of the presses
        self._follow()

    def _press(self, plan: Callable[[Document], tuple[asking.Making, int]]) -> None:
        document = self._session.document
        try:
            make, seed = plan(document)
            make(_DRAFT)
            text = outputs.output_text(document, self.project, self.folder)
        except ValueError as error:
            self._session.say(_sentence(error))
            return

        def number() -> int:
            return Versions.of(text, str).next()

        self._background.run(number, lambda found: self._begin(make, seed, text, found), self._session.say)

    def _begin(self, make: asking.Making, seed: int, text: str, number: int) -> None:
        document = self._session.document
        name, output = outputs.take_output(text, number, document.takes, [row.output for row in self._queue.rows])
        try:
            request = with_whole_paths(make(output))
        except ValueError as error:
            self._session.say(_sentence(error))
            return
        take = Take(name=name, pattern=request.output, key=uuid.uuid4().hex, request=request.to_dict())
        self._session.say(f"Asking the engine for {name}.")
        shot = document.shot.with_(seed=seed)
        self._session.amend(document.with_(takes=(*document.takes, take), shot=shot))
        if self._engine.state != "ready":
            self._session.say(f"{name} is asked for as soon as the engine is ready.")

    def _document_changed(self, document: Document, before: Document) -> None:
        if document.takes != before.takes:
            self._permissions.keep_only({take.key for take in document.takes})
            self.recover()
            self.changed.emit()

    def _ask(self, take: Take) -> None:
        self._is_asking = True
        document, label = self._session.document, label_of(OWN_LABEL, self._project_name(), take.name)
        wait_s = AGAIN_S - (time.monotonic() - self._asked_at.get(take.key, float("-inf")))
        self._asked_at[take.key] = time.monotonic()

        carry: dict[str, Any] = {
            "on_transfer": self._carrying.hears(take.key),
            "stopped": self._carrying.stopped(take.key),
        }

        def ask() -> Job:
            return self._engine.client().submit(Request.from_dict(take.request), label, key=take.key, **carry)

        def submit() -> Job | No:
            if wait_s > 0:
                time.sleep(wait_s)
            self._keep(document)
            return submitted(ask)

        self._background.run(submit, lambda told: self._told(take, told), lambda message: self._unheard(take, message))

    def _told(self, take: Take, told: Job | No) -> None:
        self._is_asking = False
        self._carrying.over(take.key)
        document = self._session.document
        if all(each.key != take.key for each in document.takes):  # of another project
            return
        if isinstance(told, NotYet):
            self._session.say(f"{take.name} waits: the engine may not use {told.folder} yet.")
            self._permissions.hold(take.key, told)
            self.recover()
            return
        if isinstance(told, No):
            self._drop(take, told.text)
            return
        self._watched[take.key] = _ASKED
        self._queue.note(told)
        takes = (each.with_(job=told.id) if each.key == take.key else each for each in document.takes)
        self._session.amend(document.with_(takes=tuple(takes)))

    def _drop(self, take: Take, why: str) -> None:
        document = self._session.document
        self._session.amend(document.with_(takes=tuple(each for each in document.takes if each.key != take.key)))
        self._fail(take, f"{take.name} was not taken: {why}")

    def _unheard(self, take: Take, message: str) -> None:
        """The engine may not have heard of it: it is asked again, by the same key, once it answers."""
        self._is_asking = False
        self._carrying.over(take.key)
        self._session.say(f"{take.name} waits for the engine: {message}")
        self._engine.check()

    def _follow(self) -> None:
        if not self._queue.has_looked:
            return
        for take in self._session.document.takes:
            if take.key and take.job:
                self._stands(take, self._queue.find(take.job))
        self.changed.emit()

    def _stands(self, take: Take, row: Row | None) -> None:
        state = "gone" if row is None else row.state
        before = self._watched.get(take.key)
        if row is None and before == _ASKED:  # the queue has not told of it yet
            return
        self._watched[take.key] = state
        if before is None or before == state:  # of a project that was opened: what is over is no news
            if before is None and row is not None and state == "done":  # unless its frames are still elsewhere
                self._fetch(take, row, is_news=False)
            return
        if row is None:
            self._fail(take, f"{take.name} is not in the queue any more; press Generate again.")
        elif state == "done":
            self._fetch(take, row, is_news=True)
        elif state == "failed":
            self._fail(take, f"{take.name} {row.status.text}")
        elif state == "cancelled":
            self._session.say(f"{take.name} was cancelled; Retry in the queue goes on with it.")

    def _fetch(self, take: Take, row: Row, is_news: bool) -> None:
        """Has the frames of a take that is done on this machine, then tells of it where that is news."""

        def here(has_come: bool) -> None:
            if is_news or has_come:
                self._session.say(f"{take.name} is {row.status.text}.")
                self.take_done.emit(take, row.job)

        def lost(sentence: str) -> None:
            self._fail(take, f"{take.name} is done, and did not come here: {sentence}")

        self._carrying.fetch(take.key, row.id, here, lost)

    def _fail(self, take: Take, sentence: str) -> None:
        self._session.say(sentence)
        self.take_failed.emit(take, sentence)

    def _project_name(self) -> str:
        return self.project.name if self.project is not None else ""


def _why_not(plan: Callable[[Document], tuple[asking.Making, int]], document: Document) -> str:
    try:
        plan(document)[0](_DRAFT)
    except ValueError as error:
        return _sentence(error)
    return ""


def _sentence(error: ValueError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
