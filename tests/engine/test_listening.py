"""The door over TLS, to clients that never finish what they begin."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from guarded import TOKEN, is_closed, make_service, read_answer
from starlette.responses import PlainTextResponse

from layerflow.server.guard import Guard
from layerflow.server.listening import Listening, open_socket
from layerflow.server.service import Service
from layerflow.server.settings import Limits

PATIENCE_S = 0.5
SIZE = 30_000_000  # bytes of each answer; more than any system holds for a client


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def service(tmp_path: Path, authority: trustme.CA) -> Iterator[Service]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("localhost")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    service = make_service(
        tmp_path, port=0, certificate=certificate, key=key, limits=Limits(patience_s=PATIENCE_S, connections=4)
    )
    with open_socket(service.settings) as listener:
        service.port = listener.getsockname()[1]
        listening = Listening(Guard(PlainTextResponse("x" * SIZE), service), service.settings, listener)
        yield service
        listening.close()


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def shake_hands(service: Service, authority: trustme.CA) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context.wrap_socket(connect(service), server_hostname="localhost")


def head(service: Service, origin: str) -> bytes:
    lines = ["GET /v1/x HTTP/1.1", f"Host: localhost:{service.port}", f"Authorization: Bearer {TOKEN}"]
    return "\r\n".join([*lines, f"Origin: {origin}://localhost:{service.port}", "", ""]).encode()


def test_fault_15_a_handshake_that_never_ends(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert is_closed(connection)


def test_fault_15_a_silent_connection_after_the_handshake(service: Service, authority: trustme.CA) -> None:
    with shake_hands(service, authority) as connection:
        assert is_closed(connection)


def test_fault_15_an_answer_that_nobody_takes(service: Service, authority: trustme.CA) -> None:
    with shake_hands(service, authority) as connection:
        connection.sendall(head(service, "https"))
        assert connection.recv(12) == b"HTTP/1.1 200"
        time.sleep(6 * PATIENCE_S)
        taken = 0
        with contextlib.suppress(OSError):  # it breaks off
            while piece := connection.recv(1 << 20):
                taken += len(piece)
    assert taken < SIZE


def test_an_origin_without_encryption_is_another(service: Service, authority: trustme.CA) -> None:
    with shake_hands(service, authority) as connection:
        connection.sendall(head(service, "http"))
        answer = read_answer(connection)
    assert answer is not None and answer.status == 403


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_small_limit_of_open_files_is_raised() -> None:
    code = """
import resource
from layerflow.server.listening import allow_files
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
allow_files(300)
allow_files(200)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(300, hard))
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 150))
allow_files(300)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["True", "(150, 150)"]
