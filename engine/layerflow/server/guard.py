"""Stands before every route: who may ask, from where, in what form, and how much at a time.

A browser on this machine is the way in for strangers: any site may have it post to 127.0.0.1 or give its own name our
address. So a request has to name us as we are called, come from no page but our own, carry the token and be JSON.
"""

from __future__ import annotations

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from layerflow.server.askers import MACHINE, Asker
from layerflow.server.errors import StoreError
from layerflow.server.forms import RefusalError, check_chunk, check_form, check_head, refusal
from layerflow.server.problems import problem_of
from layerflow.server.service import Service

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
ASKER = "layerflow.asker"  # of a scope that has come this far: who asks

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN = ("/", "/favicon.ico", "/v1/health")  # without the token; so is what lies below /page/
SEAL = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """`app`, for nobody but those who may ask `service`."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        if not service.token:
            raise ValueError("a server needs a token")
        self._app, self._service = app, service
        self._limits = service.settings.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, refused or passed on."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _sealed(send)
        try:
            await self._check(scope)
            receive = _replayed(await self._body(scope, receive), receive)
        except RefusalError as no:
            await no.answer(scope, receive, send)
        except StoreError as error:
            await problem_of(error)(scope, receive, send)
        except ConnectionError:
            pass  # nobody is left to answer
        else:
            await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        """Raises RefusalError. Where someone comes from is looked at before what they bring."""
        headers = Headers(scope=scope)
        check_head(scope, headers)
        self._check_place(headers)
        if scope["method"] not in METHODS:
            methods = ", ".join(METHODS)
            raise refusal(405, "MethodNotAllowed", f"this server knows {methods} only; use one of them", allow=methods)
        if not _is_open(scope):
            scope[ASKER] = await self._asker(headers)
        self._check_size(scope, headers)
        if scope["method"] == "POST":
            check_form(headers)
        if scope["method"] == "PATCH":
            check_chunk(headers)

    def _check_place(self, headers: Headers) -> None:
        """By what name we are called, and by whose page."""
        host = headers.get("host", "").lower()
        if host not in self._hosts():
            raise refusal(403, "Forbidden", "this server is not called that; use 127.0.0.1 or a name it was given")
        scheme = "https" if self._service.settings.certificate else "http"
        own = headers.get("origin", f"{scheme}://{host}") == f"{scheme}://{host}"
        if not own or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise refusal(403, "Forbidden", "pages of other sites may not use this server; open its own page")

    def _hosts(self) -> set[str]:
        given = (f"[{name.strip('[]')}]" if ":" in name.strip("[]") else name for name in self._service.settings.names)
        names = {*LOOPBACK, *map(str.lower, given)}
        port = self._service.port
        usual = 443 if self._service.settings.certificate else 80
        return {f"{name}:{port}" for name in names} | (names if port == usual else set())

    async def _asker(self, headers: Headers) -> Asker:
        """Whose token that is. Raises RefusalError, and StoreError where that cannot be known."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if self._service.is_own(token):
                return MACHINE
            if asker := await run_in_threadpool(self._service.asker, token):
                return asker
        raise refusal(
            401,
            "Unauthorised",
            "the token is missing or not this server's; send the one from its server.json as Authorization: Bearer",
            **{"www-authenticate": "Bearer"},
        )

    def _check_size(self, scope: Scope, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 18:
            raise refusal(400, "BadRequest", "the Content-Length is no length; send the number of bytes")
        if int(length) > self._most(scope):
            raise self._too_large(scope)

    def _most(self, scope: Scope) -> int:
        """Bytes of a body: chunks of files are larger than what is asked."""
        return self._limits.chunk_bytes if scope["method"] == "PATCH" else self._limits.body_bytes

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body. Raises RefusalError, and ConnectionError when the client goes away in the middle."""
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._limits.patience_with(scope["method"])):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._most(scope):
                        raise self._too_large(scope)
        except TimeoutError:
            raise refusal(
                408, "TooSlow", "the request did not come to an end in time; send it again", connection="close"
            ) from None
        return bytes(body)

    def _too_large(self, scope: Scope) -> RefusalError:
        return refusal(413, "TooLarge", f"a request has at most {self._most(scope)} bytes; send less")


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in OPEN or path.startswith("/page/"))


def _sealed(send: Send) -> Send:
    """Adds to every answer what keeps browsers from framing, guessing, keeping or sharing it."""

    async def seal(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(SEAL)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return seal


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Tells `body` once, and then what `receive` says."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
