"""Attacks on a listening server, over real sockets: the right refusal, and nothing that reaches the app."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacking import Echo, is_sentence
from guarded import TOKEN, Caller, make_service, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerflow.server.guard import SEAL, Guard
from layerflow.server.settings import Limits

LIMITS = Limits(body_bytes=2000)
BODY = b'{"label": "x"}'


@pytest.fixture(scope="module")
def app() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def caller(app: Echo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    service = make_service(
        tmp_path_factory.mktemp("guard"), names=("Render.studio", "fd00::1", "[fd00::2]"), limits=LIMITS
    )
    with serving(Guard(app, service), service):
        yield Caller(service)


@pytest.fixture(autouse=True)
def forget(app: Echo) -> None:
    app.asked.clear()


def test_a_well_behaved_client_is_heard(caller: Caller, app: Echo) -> None:
    answer = caller.ask("POST", "/v1/jobs", BODY)
    assert (answer.status, json.loads(answer.body)) == (200, {"heard": len(BODY)})
    assert caller.ask("GET", "/v1/jobs?limit=1").status == 200 and app.asked == ["POST /v1/jobs", "GET /v1/jobs"]


def test_every_answer_is_sealed_and_shared_with_no_other_site(caller: Caller) -> None:
    for answer in (caller.ask("GET", "/v1/jobs"), caller.ask("GET", "/v1/jobs", authorization=None)):
        assert SEAL.items() <= answer.headers.items() and answer.headers["cache-control"] == "no-store"
        assert not any(name.startswith("access-control") for name in answer.headers)
    assert "'unsafe" not in SEAL["content-security-policy"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json2", "a, b"])
def test_fault_1_a_form_or_text_is_no_request(caller: Caller, app: Echo, kind: str | None) -> None:
    answer = caller.ask("POST", "/v1/jobs", BODY, content_type=kind)
    assert (answer.status, answer.kind) == (415, "NotJson") and is_sentence(answer.message) and not app.asked


def test_fault_1_a_post_from_another_site_is_refused_before_its_form_is_looked_at(caller: Caller, app: Echo) -> None:
    answer = caller.ask("POST", "/v1/jobs", BODY, content_type="text/plain", origin="http://evil.com")
    assert (answer.status, answer.kind) == (403, "Forbidden") and is_sentence(answer.message) and not app.asked


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_fault_1_what_a_browser_says_of_the_site_counts(caller: Caller, app: Echo, site: str) -> None:
    assert caller.ask("POST", "/v1/jobs", BODY, sec_fetch_site=site).status == 403
    assert caller.ask("GET", "/", sec_fetch_site=site).status == 403 and not app.asked


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8"])
@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_our_own_page_may_post(caller: Caller, kind: str, site: str) -> None:
    origin = f"http://127.0.0.1:{caller.service.port}"
    answer = caller.ask("POST", "/v1/jobs", BODY, content_type=kind, origin=origin, sec_fetch_site=site)
    assert answer.status == 200


def test_no_other_site_is_told_what_it_may_do(caller: Caller, app: Echo) -> None:
    answer = caller.ask("OPTIONS", "/v1/jobs", origin="http://evil.com", access_control_request_method="POST")
    assert answer.status == 403 and not app.asked


@pytest.mark.parametrize(
    "host",
    [
        "evil.com:{port}",
        "127.0.0.1.evil.com:{port}",
        "localhost.evil.com:{port}",
        "localhost.:{port}",
        "localhost",
        "localhost:1",
        "localhost:{port}0",
        "127.0.0.1:{port}@evil.com",
        "evil.com@127.0.0.1:{port}",
        "0.0.0.0:{port}",
        "127.1:{port}",
        "2130706433:{port}",
        "[::]:{port}",
        "::1:{port}",
        "127.0.0.1:{port}, evil.com",
        "127.0.0.1:0{port}",
        "",
    ],
)
def test_fault_2_another_name_for_our_address_is_refused(caller: Caller, app: Echo, host: str) -> None:
    for target in ("/", "/v1/health", "/v1/jobs"):
        answer = caller.ask("GET", target, host=host.format(port=caller.service.port))
        assert answer.status in (400, 403) and is_sentence(answer.message) and not app.asked


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "LocalHost", "[::1]", "render.studio", "[fd00::1]", "[FD00::2]"]
)
def test_fault_2_our_own_names_are_answered(caller: Caller, name: str) -> None:
    assert caller.ask("GET", "/v1/health", host=f"{name}:{caller.service.port}").status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",  # another origin than the one that Host names
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.com",
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port} http://evil.com",
        "HTTP://127.0.0.1:{port}",
        "http://127.0.0.1.evil.com:{port}",
        "file://",
    ],
)
def test_faults_3_and_4_any_other_origin_is_refused(caller: Caller, app: Echo, origin: str) -> None:
    for method, target, body in (("POST", "/v1/jobs", BODY), ("GET", "/v1/events", None), ("GET", "/", None)):
        answer = caller.ask(method, target, body, origin=origin.format(port=caller.service.port))
        assert (answer.status, answer.kind) == (403, "Forbidden") and is_sentence(answer.message) and not app.asked


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
    ],
)
def test_fault_5_without_the_token_nothing_is_told(caller: Caller, app: Echo, authorization: str | None) -> None:
    for target in ("/v1/jobs", "/v1/openapi.json", "/metrics", "/v1/none", "/v1/health/", "//v1/health", "/page"):
        answer = caller.ask("GET", target, authorization=authorization)
        assert (answer.status, answer.kind) == (401, "Unauthorised") and is_sentence(answer.message) and not app.asked
        assert answer.headers["www-authenticate"] == "Bearer"


def test_fault_5_a_token_in_the_address_is_none(caller: Caller, app: Echo) -> None:
    for name in ("token", "access_token", "authorization"):
        assert caller.ask("GET", f"/v1/jobs?{name}={TOKEN}", authorization=None).status == 401
    assert caller.ask("GET", "/v1/jobs", authorization=None, cookie=f"token={TOKEN}").status == 401 and not app.asked


@pytest.mark.parametrize("target", ["/", "/favicon.ico", "/page/page.js", "/v1/health"])
def test_fault_5_what_tells_nothing_needs_no_token_to_be_read(caller: Caller, app: Echo, target: str) -> None:
    assert caller.ask("GET", target, authorization=None).status == 200
    assert caller.ask("POST", target, BODY, authorization=None).status == 401 and len(app.asked) == 1


def test_fault_14_a_body_that_says_it_is_too_large_is_not_read(caller: Caller, app: Echo) -> None:
    for length in (LIMITS.body_bytes + 1, 10**15):
        answer = caller.raw(caller.head("POST", "/v1/jobs", BODY, content_length=str(length)))
        assert answer is not None and (answer.status, answer.kind) == (413, "TooLarge") and not app.asked
        assert is_sentence(answer.message)
    assert caller.ask("POST", "/v1/jobs", b"x" * LIMITS.body_bytes).status == 200


def test_fault_14_a_body_in_chunks_is_not_read(caller: Caller, app: Echo) -> None:
    """A million chunks of one byte are within every limit on bytes."""
    head = caller.head("POST", "/v1/jobs", b"", content_length=None, transfer_encoding="chunked")
    answer = caller.raw(head, b"1\r\nx\r\n" * 200_000)
    assert answer is not None and answer.status == 400 and is_sentence(answer.message) and not app.asked


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "y" * 20_000},
        {f"x{number}": "y" for number in range(100)},
    ],
)
def test_fault_14_absurd_heads_are_refused(caller: Caller, app: Echo, headers: dict[str, str]) -> None:
    answer = caller.ask("GET", "/v1/jobs", **headers)
    assert answer.status == 400 and is_sentence(answer.message) and not app.asked
    assert caller.ask("GET", "/v1/jobs?" + "q" * 20_000).status == 400 and not app.asked


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Length", "Content-Type", "Origin"])
def test_fault_14_a_header_that_counts_is_said_once(caller: Caller, app: Echo, name: str) -> None:
    values = {**caller.own, "Content-Type": "application/json", "Content-Length": "2"}
    values["Origin"] = f"http://127.0.0.1:{caller.service.port}"
    lines = [f"{each}: {value}" for each, value in [*values.items(), (name, "0" if "Length" in name else values[name])]]
    answer = caller.raw("\r\n".join(["POST /v1/jobs HTTP/1.1", *lines, "", "{}"]).encode())
    assert answer is not None and answer.status == 400 and is_sentence(answer.message) and not app.asked


@pytest.mark.parametrize("length", ["-1", "0x10", "1e3", "+5", "²", "9" * 30, ""])
def test_fault_14_nonsense_is_no_length(caller: Caller, app: Echo, length: str) -> None:
    answer = caller.raw(caller.head("POST", "/v1/jobs", BODY, content_length=length) + BODY)
    assert answer is not None and answer.status in (400, 413) and is_sentence(answer.message) and not app.asked


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PUT", "BREW", "get", "patch"])
def test_unknown_methods_are_refused(caller: Caller, app: Echo, method: str) -> None:
    answer = caller.ask(method, "/v1/jobs")
    assert (answer.status, answer.kind) == (405, "MethodNotAllowed") and not app.asked
    assert answer.headers["allow"] == "GET, HEAD, POST, PATCH, DELETE"


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS where there is none
        b"SSH-2.0-x\r\n\r\n",
        b"GET /v1/jobs\r\n\r\n",
        b"GET /v1/jobs HTTP/1.1\r\n\r\n",  # no Host
        b"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\nX: y\x00\r\n\r\n",
        b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_fault_26_what_is_no_http_is_told_so_and_no_more(caller: Caller, app: Echo, request_: bytes) -> None:
    answer = caller.raw(request_)
    assert answer is not None and (answer.status, answer.kind) in [(400, "BadRequest"), (403, "Forbidden")]
    assert is_sentence(answer.message) and not app.asked


STARTS = st.sampled_from(
    [b"", b"GET / HTTP/1.1\r\n", b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n", b"GET /v1/jobs HTTP/1.1\r\n"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STARTS, st.binary(max_size=300))
def test_fault_26_bytes_at_random_reach_nobody(caller: Caller, app: Echo, start: bytes, rest: bytes) -> None:
    answer = caller.raw(start + rest + b"\r\n\r\n")
    assert answer is None or (answer.status in (400, 403, 408) and is_sentence(answer.message))
    assert not app.asked


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["host", "origin"]), place=st.integers(0, 40), character=st.characters(codec="ascii"))
def test_faults_2_and_4_one_character_makes_another_name(
    caller: Caller, app: Echo, name: str, place: int, character: str
) -> None:
    """Put into our own name or over a part of it; but for the case of a host's letters, nothing else is ours."""
    host = f"localhost:{caller.service.port}"
    own = host if name == "host" else f"http://{host}"
    for other in (own[:place] + character + own[place:], own[:place] + character + own[place + 1 :]):
        same = other.strip() == own or (name == "host" and other.strip().lower() == own)
        if not same and character.isprintable():
            answer = caller.ask("GET", "/v1/jobs", **{"host": host, name: other})
            assert answer.status in (400, 403) and not app.asked


def test_a_server_without_a_token_is_a_mistake(app: Echo, tmp_path: Path) -> None:
    service = make_service(tmp_path)
    service.token = ""
    with pytest.raises(ValueError, match="token"):
        Guard(app, service)
