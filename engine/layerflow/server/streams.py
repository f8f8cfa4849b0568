"""Streams of events: one look at the queue for all who listen, and no memory for those who do not keep up."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from layerflow.server.askers import Asker
from layerflow.server.errors import StoreError
from layerflow.server.problems import problem
from layerflow.server.service import Service
from layerflow.wire import Job, JobEvent
from layerflow.wire.jobs import FINAL_STATES

POLL_S = 0.05  # after which what workers wrote is looked for; what clients asked for is looked for at once
HEARTBEAT_S = 10.0
PAGE = 100  # events read at a time by a stream that has some to catch up on
PIECE = 1 << 16  # bytes sent at a time: what one who does not read may keep
KEPT = 256  # events told lately, for the streams that keep up
KEPT_BYTES = 4 << 20  # of them; the end of a long shot names all its frames

logger = logging.getLogger("layerflow.server")


@dataclass(frozen=True, kw_only=True)
class Message:
    """An event as every stream sends it."""

    id: int
    job: str
    owner: str  # of the job
    is_final: bool | None  # whether nothing more happens to the job by itself; None: says nothing of that
    text: bytes

    @classmethod
    def of(cls, event: JobEvent, owner: str) -> Message:
        """The message that tells of `event`."""
        data = json.dumps(event.to_dict(), ensure_ascii=False)
        return cls(
            id=event.id,
            job=event.job,
            owner=owner,
            is_final=event.data.get("state") in FINAL_STATES if event.kind == "state" else None,
            text=f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode(),
        )

    def told(self, asker: Asker) -> bytes:
        """Its text for this one."""
        if asker.space is None:
            return self.text
        event = JobEvent.from_dict(json.loads(self.text.partition(b"data: ")[2]))
        return Message.of(replace(event, data=asker.told(event.data)), self.owner).text


class Streams:
    """Every open stream of one server. Nothing looks at the queue while there is none.

    All but `_look` runs in the event loop. While somebody looks, `_recent` holds every event after `_since`, up to
    `_until`: those who keep up read it there, the others read the queue.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.num_open = 0
        self._of_users: Counter[str | None] = Counter()  # of those that are open
        self._looking: asyncio.Task[None] | None = None
        self._news = asyncio.Event()  # set, and replaced, with each that comes
        self._recent: deque[Message] = deque()
        self._since, self._until = sys.maxsize, 0

    def is_full(self, asker: Asker) -> bool:
        """Whether as many are open as may be, of all or of this user."""
        limits = self._service.settings.limits
        has_share = asker.sees is None or self._of_users[asker.sees] < limits.streams_of_user
        return self.num_open >= limits.streams or not has_share

    @contextmanager
    def one_more(self, asker: Asker) -> Iterator[None]:
        """Has somebody look for the one stream more that there is until the block ends."""
        self.num_open += 1
        self._of_users[asker.sees] += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            self.num_open -= 1
            self._of_users[asker.sees] -= 1

    async def messages(self, asker: Asker, job: Job | None, after: int) -> AsyncIterator[bytes]:
        """What `asker` is told after the event with this number, of `job` until it is over or of all jobs; pieces of a
        stream.

        Ends when the server leaves. An empty comment goes out where nothing was told for long.
        """
        is_over = job is not None and job.is_final
        now = asyncio.get_running_loop().time
        told_at = now()
        while self._looking is not None:
            news = self._news
            found, after = await self._after(after, None if job is None else job.id, asker.sees)
            if (
                not found and job is not None and is_over
            ):  # what is recent may lag behind the queue, which knows the end
                found, after = await self._queued(after, job.id, asker.sees)
            for message in found:
                is_over = is_over if message.is_final is None else message.is_final
                text = message.told(asker)
                for start in range(0, len(text), PIECE):
                    yield text[start : start + PIECE]
                    await asyncio.sleep(0)  # for the loop to hear that the client is gone
            if found:
                told_at = now()
                continue
            if job is not None and is_over:
                return
            try:
                async with asyncio.timeout_at(told_at + HEARTBEAT_S):
                    await news.wait()  # of any job, so that it may well say nothing here
            except TimeoutError:
                yield b":\n\n"
                told_at = now()

    async def _after(self, after: int, job: str | None, owner: str | None) -> tuple[list[Message], int]:
        """Some messages after that event, and the number to go on from: `_until` when these are all."""
        until = self._until
        if after >= self._since:
            found = [each for each in self._recent if each.id > after and job in (None, each.job)]
            return [each for each in found if owner in (None, each.owner)], max(after, until)
        found, last = await self._queued(after, job, owner)
        return found, last if len(found) == PAGE else max(last, until)

    async def _queued(self, after: int, job: str | None, owner: str | None) -> tuple[list[Message], int]:
        """The first messages after that event as the queue has them, PAGE at most, and the number of the last."""
        events = await run_in_threadpool(
            self._service.store.owned_events_after, after, job=job, owner=owner, limit=PAGE
        )
        found = [Message.of(*event) for event in events]
        return found, found[-1].id if found else after

    async def _look_on(self) -> None:
        """Tells all streams what is new, for as long as there are any and the server stays."""
        try:
            self._since = self._until = await run_in_threadpool(self._service.store.last_event)
            self._tell()
            while self.num_open and not self._service.leaving.is_set():
                found, until = await run_in_threadpool(self._look, self._until)
                if until > self._until:
                    self._until = until
                    self._keep(found)
                    self._tell()
        except StoreError as error:
            logger.error("%s", error)
        finally:
            self._looking = None
            self._recent.clear()
            self._since, self._until = sys.maxsize, 0
            self._tell()

    def _look(self, after: int) -> tuple[list[Message], int]:
        """What is new after that event, and up to which one; waits a moment for it."""
        if self._service.changed.wait(POLL_S):
            self._service.changed.clear()
        last = self._service.store.last_event()
        if last <= after:
            return [], after
        found = [Message.of(*event) for event in self._service.store.owned_events_after(after, limit=KEPT)]
        if len(found) == KEPT:
            return found, found[-1].id
        return found, max([last, *(message.id for message in found)])

    def _keep(self, messages: list[Message]) -> None:
        self._recent.extend(messages)
        size = sum(len(message.text) for message in self._recent)
        while len(self._recent) > KEPT or size > KEPT_BYTES:
            oldest = self._recent.popleft()
            self._since, size = oldest.id, size - len(oldest.text)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class EventStream(StreamingResponse):
    """The answer that goes on: what happens after the event with the number `after`, to `job` or to all.

    A client that does not take it is cut off by the connection itself, which knows what was taken.
    """

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, asker: Asker, *, job: Job | None, after: int) -> None:
        super().__init__(streams.messages(asker, job, after))
        self._streams, self._asker = streams, asker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tells until there is nothing more to tell, or nobody to tell it to."""
        if self._streams.is_full(self._asker):
            said = "as many streams of events are open as may be; close one first"
            await problem(429, "TooManyStreams", said)(scope, receive, send)
            return
        with self._streams.one_more(self._asker):
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Sends piece by piece. A queue that cannot be read breaks it off; its client may ask again."""
        try:
            await super().stream_response(send)
        except StoreError as error:
            logger.error("a stream of events broke off: %s", error)
