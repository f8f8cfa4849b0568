"""The socket, and the thread that answers on it."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from functools import partial
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY, create_server, socket
from typing import Any

import uvicorn

from layerflow.errors import RequestError
from layerflow.server.patience import patient
from layerflow.server.settings import Settings

PORT = 8477  # so that a bookmark of the page stays good; where it is taken, any that is free
OWN_FILES = 256  # besides connections: the queue, logs, pipes of workers
GRACE_S = 3  # for answers under way when the server ends


def open_socket(settings: Settings) -> socket:
    """A socket that takes connections from now on. Raises RequestError where the address cannot be had."""
    ports = (PORT, 0) if settings.port is None else (settings.port,)
    for port in ports:
        try:
            family = AF_INET6 if ":" in settings.host else AF_INET
            listener = create_server((settings.host, port), family=family)
        except OSError as error:
            reason = error
        else:
            listener.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # asyncio does not, of one that is given
            return listener
    raise RequestError(
        f"nothing can listen at {settings.host} port {ports[-1]} ({reason.strerror or reason}); choose another --port"
    ) from reason


def allow_files(number: int) -> None:
    """Lets this process have as many files open, connections among them, where the system does not forbid it."""
    if sys.platform == "win32":
        return  # which has no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Listening:
    """Answers with `app` on `listener`, in a thread of its own, until `close`. RequestError for bad PEM files."""

    def __init__(self, app: Any, settings: Settings, listener: socket) -> None:
        config = uvicorn.Config(
            app,
            http=patient(settings.limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # paths and queries are the artist's own affair
            proxy_headers=False,  # nobody stands between, so nobody's word counts for an address
            server_header=False,
            backlog=settings.limits.connections,  # are taken at a time, each with a file of ours
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
        )
        allow_files(settings.limits.connections + OWN_FILES)
        _load(config, settings)
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._patience_s = settings.limits.patience_s
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Takes no more connections, and returns when the answers under way are given or cut off."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        if self._server.config.ssl is not None:  # to shake hands, uvicorn would leave everyone a minute
            loop = asyncio.get_running_loop()
            patient_one = partial(loop.create_server, ssl_handshake_timeout=self._patience_s)
            loop.create_server = patient_one  # type: ignore[method-assign]
        await self._server.serve(sockets=[self._listener])


def _load(config: uvicorn.Config, settings: Settings) -> None:
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise RequestError(
            f"the certificate {settings.certificate} and its key cannot be used; give two PEM files of one pair"
        ) from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
