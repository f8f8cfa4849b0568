"""One server from its start to its end: it owns its folder, says where it is, and lets go of everything in order."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from logging.handlers import RotatingFileHandler
from typing import Any

import psutil

import layerflow
from layerflow.errors import OutputError, RequestError
from layerflow.files import output_errors
from layerflow.server.activity import Activity
from layerflow.server.app import create_app
from layerflow.server.bounds import Bounds
from layerflow.server.folder import ServerFolder
from layerflow.server.install import remember_own_install
from layerflow.server.leases import requeue_dead
from layerflow.server.listening import Listening, open_socket
from layerflow.server.redaction import RedactingFormatter
from layerflow.server.service import Service
from layerflow.server.settings import Settings
from layerflow.server.store import Store
from layerflow.server.supervisor import Supervisor
from layerflow.server.survey import SurveyError, survey
from layerflow.wire.errors import NotRunning
from layerflow.wire.lock import try_lock
from layerflow.wire.running import API, RunningServer, publish, published, withdraw
from layerflow.wire.starting import find

LOOK_EVERY_S = 0.5  # whether there is still anything to do
END_POLL_S = 0.05  # whether another server is gone
SURVEY_AGAIN_S = 60.0  # after the engine could not be loaded
MAX_LOG_BYTES = 1_000_000  # and twice as much again of what came before

logger = logging.getLogger("layerflow.server")


def serve(
    folder: ServerFolder,
    settings: Settings,
    *,
    on_ready: Callable[[RunningServer], None] = lambda server: None,
    stop: threading.Event | None = None,
) -> None:
    """Serves until `stop` is set, a signal asks for the end, or it was idle for as long as the settings say.

    Then jobs in hand go back into the queue with what is done of them. Raises LayerFlowError, before `on_ready` only,
    in one sentence that says what to do.
    """
    stop = stop or threading.Event()
    with ExitStack() as stack:
        _take(folder, stack)
        token = secrets.token_urlsafe(32)
        stack.enter_context(_logged(folder, token))
        stack.enter_context(_stopped_by_signals(stop))
        store = Store(folder.queue, max_waiting=settings.limits.waiting_jobs)
        stack.callback(store.database.close_all)
        service = Service(folder=folder, store=store, settings=settings, token=token)
        requeue_dead(service.store)
        if settings.spaces is not None:
            with output_errors(settings.spaces):
                settings.spaces.mkdir(mode=0o700, parents=True, exist_ok=True)
        listener = stack.enter_context(open_socket(settings))
        service.port = listener.getsockname()[1]
        door = Activity(create_app(service))
        listening = Listening(door, settings, listener)
        stack.callback(listening.close)
        stack.enter_context(_workers(service))
        server = _running(service)
        stack.enter_context(_published(server, settings))
        stack.callback(service.leaving.set)
        logger.info("ready at %s, process %d", server.url, server.pid)
        on_ready(server)
        while listening.is_alive and not stop.wait(LOOK_EVERY_S):
            if settings.idle_exit_s is not None and door.quiet_s >= settings.idle_exit_s and not _has_work(service):
                logger.info("nothing to do for %g s", settings.idle_exit_s)
                break
        logger.info("ending")


def end_running(timeout_s: float = 60.0) -> None:
    """Ends the server that runs, if one does, and returns when it is gone; its jobs wait in the queue.

    Raises RequestError when it does not end in time.
    """
    until = time.monotonic() + timeout_s
    with suppress(NotRunning, psutil.NoSuchProcess):
        process = psutil.Process(find().pid)
        process.terminate()
        while process.status() != psutil.STATUS_ZOMBIE:  # which it stays until the host that started it looks
            if time.monotonic() > until:
                raise RequestError(f"the server that runs does not end; end process {process.pid} by other means")
            time.sleep(END_POLL_S)


def _running(service: Service) -> RunningServer:
    """What clients on this machine are told."""
    settings = service.settings
    host = settings.names[0] if settings.names else settings.host
    scheme = "https" if settings.certificate else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{service.port}"
    certificate = str(settings.certificate.absolute()) if settings.certificate else ""
    return RunningServer(url, service.token, os.getpid(), API, layerflow.__version__, certificate)


def _has_work(service: Service) -> bool:
    counts = service.store.counts()
    return bool(counts["queued"] or counts["running"])


def _take(folder: ServerFolder, stack: ExitStack) -> None:
    """Has the folder for this process alone until the stack unwinds. Raises OutputError, and RequestError when another
    server has it.
    """
    lock = folder.path / "server.lock"
    with output_errors(lock):
        folder.make()
        alone = stack.enter_context(try_lock(lock))
    if not alone:
        other = published()
        where = f" at {other.url}" if other else ""
        raise RequestError(
            f"a LayerFlow server runs already{where}; layerflow jobs list shows what it does, and --replace ends it"
        )


@contextmanager
def _logged(folder: ServerFolder, token: str) -> Iterator[None]:
    """Within it, what this process has to say goes to the server's log, but for the token."""
    handler = RotatingFileHandler(folder.log, maxBytes=MAX_LOG_BYTES, backupCount=2, encoding="utf-8")
    handler.setFormatter(RedactingFormatter(token))
    root: Any = logging.getLogger()
    root.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Within it, being asked to end sets `stop`; being asked again is the system's own. Elsewhere than in the main
    thread nothing can be asked that way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Windows and POSIX have some of them each
    asked = [getattr(signal, name) for name in names if hasattr(signal, name)]

    def ask(signum: int, frame: Any) -> None:
        stop.set()
        for each in asked:
            signal.signal(each, signal.SIG_DFL)

    before = [(each, signal.signal(each, ask)) for each in asked]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


@contextmanager
def _published(server: RunningServer, settings: Settings) -> Iterator[None]:
    """Within it, hosts find the server. Raises OutputError."""
    remember_own_install()
    try:
        publish(server)
    except OSError as error:
        raise OutputError(
            f"hosts cannot be told where the server is ({error.strerror}); check the permissions of {error.filename}"
        ) from error
    try:
        yield
    finally:
        withdraw(server)


@contextmanager
def _workers(service: Service) -> Iterator[None]:
    """Within it, every device has its worker, as soon as it is known which there are."""
    over = threading.Event()
    thread = threading.Thread(target=_staff, args=(service, over), name="survey", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if service.supervisor is not None:
            service.supervisor.drain()


def _staff(service: Service, over: threading.Event) -> None:
    while not over.is_set():
        try:
            found = survey(wanted=lambda: not over.is_set())
        except SurveyError as error:
            if over.is_set():
                return  # it was not waited for
            logger.error("%s", error)
            service.found = Future()
            service.found.set_exception(error)
            over.wait(SURVEY_AGAIN_S)
            continue
        service.found = Future()
        service.found.set_result(found)
        service.supervisor = Supervisor(
            service.folder,
            service.store,
            found.workplaces,
            bounds=Bounds.of(service.settings, service.spaces),
            cluster=service.settings.cluster,
        )
        if not over.is_set():
            service.supervisor.start()
        return
