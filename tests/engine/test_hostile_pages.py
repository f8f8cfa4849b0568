"""Pages of other sites in a real browser, which knows tricks that no list of headers holds: they get and do nothing.

They even know the token: what keeps them out is where they come from.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import guarded
import pytest
from browsing import chromium
from guarded import TOKEN
from playwright.sync_api import Browser, Page
from serving import make_service, shot
from starlette.types import Message, Receive, Scope, Send

from layerflow.server.app import create_app
from layerflow.server.service import Service

pytestmark = pytest.mark.browser

# Everything a script may try without asking its user, against the server at `url`; what came of it, by name.
ATTACKS = """
async ([url, token, submission]) => {
    const headers = {"Content-Type": "application/json", "Authorization": "Bearer " + token};
    const post = {method: "POST", body: submission};
    const tries = {
        simple: () => fetch(url + "/v1/jobs", {...post, mode: "no-cors", headers: {"Content-Type": "text/plain"}}),
        blob: () => fetch(url + "/v1/jobs", {...post, mode: "no-cors", body: new Blob([submission])}),
        json: () => fetch(url + "/v1/jobs", {...post, headers}),
        read: () => fetch(url + "/v1/jobs", {headers}),
        health: () => fetch(url + "/v1/health"),
        page: () => fetch(url + "/"),
        script: () => new Promise((good, bad) => {
            const element = document.createElement("script");
            Object.assign(element, {src: url + "/page/page.js", onload: good, onerror: bad});
            document.documentElement.append(element);
        }),
        stream: () => new Promise((good, bad) => {
            Object.assign(new EventSource(url + "/v1/events"), {onopen: good, onerror: bad});
        }),
        socket: () => new Promise((good, bad) => {
            Object.assign(new WebSocket(url.replace("http", "ws") + "/v1/events"), {onopen: good, onerror: bad});
        }),
    };
    const found = {beacon: navigator.sendBeacon(url + "/v1/jobs", submission)};
    for (const name of Object.keys(tries)) {
        found[name] = await tries[name]().then(() => "heard", () => "failed");
    }
    return found;
}
"""
FORM = """
([url, submission]) => {
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: url + "/v1/jobs", enctype: "text/plain"});
    const field = document.createElement("input");
    Object.assign(field, {name: submission.slice(0, -1) + ', "x": "', value: '"}'});  // with a = between: JSON
    form.append(field);
    document.documentElement.append(form);
    form.submit();
}
"""


class Heard:
    """The application, and what it answered to whom."""

    def __init__(self, service: Service) -> None:
        self._app = create_app(service)
        self.answers: list[tuple[str, str, int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hear(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers.append((scope["method"], scope["path"], message["status"]))
            await send(message)

        await self._app(scope, receive, hear)


class _Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title>")

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def evil_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Evil) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """In which every name ending in .test leads to this machine."""
    with chromium("--host-resolver-rules=MAP *.test 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make_service(tmp_path)


@pytest.fixture
def heard(service: Service) -> Iterator[Heard]:
    heard = Heard(service)
    with guarded.serving(heard, service):
        yield heard
        service.leaving.set()
    assert not any(service.store.counts().values())


def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


def submission(service: Service) -> str:
    return json.dumps({"request": shot(service).to_dict()})


def attack(place: Any, service: Service) -> None:
    """Has a page or a frame try everything."""
    found = place.evaluate(ATTACKS, [url(service), TOKEN, submission(service)])
    assert found.pop("beacon") is True  # which only says that it was sent
    assert set(found.values()) == {"failed"} and len(found) == 9


@pytest.mark.parametrize("host", ["evil.test", "localhost.evil.test", "127.0.0.1"])
def test_faults_1_and_4_a_page_of_another_site(
    page: Page, service: Service, heard: Heard, evil_port: int, host: str
) -> None:
    """127.0.0.1 at another port is the same site to a browser, and another origin."""
    page.goto(f"http://{host}:{evil_port}/")
    attack(page, service)
    assert len(heard.answers) >= 8 and {status for _, _, status in heard.answers} == {403}


def test_fault_1_a_form(page: Page, service: Service, heard: Heard, evil_port: int) -> None:
    page.goto(f"http://evil.test:{evil_port}/")
    with page.expect_navigation():
        page.evaluate(FORM, [url(service), submission(service)])
    assert heard.answers[0] == ("POST", "/v1/jobs", 403)


def test_fault_3_a_frame_without_an_origin(page: Page, service: Service, heard: Heard, evil_port: int) -> None:
    page.goto(f"http://evil.test:{evil_port}/")
    page.set_content("<iframe sandbox='allow-scripts' srcdoc='<title>inner</title>'></iframe>")
    page.wait_for_function("frames.length === 1")
    inner = page.frames[-1]
    assert inner.evaluate("origin") == "null"
    attack(inner, service)
    assert len(heard.answers) >= 8 and {status for _, _, status in heard.answers} == {403}


def test_our_page_is_framed_by_nobody(page: Page, service: Service, heard: Heard, evil_port: int) -> None:
    page.goto(f"http://evil.test:{evil_port}/")
    page.set_content(f"<iframe src='{url(service)}/'></iframe>")
    page.wait_for_timeout(200)
    assert page.frames[-1].url.startswith("chrome-error:") or not page.frames[-1].query_selector("input")


@pytest.mark.parametrize("host", ["rebound.test", "localhost.evil.test"])
def test_fault_2_a_name_that_was_made_to_lead_here(page: Page, service: Service, heard: Heard, host: str) -> None:
    """To the browser such a page and our server are of one origin."""
    answer = page.goto(f"http://{host}:{service.port}/")
    assert answer is not None and answer.status == 403
    tried = """async (token) => {
        const headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"};
        const answers = [await fetch("/v1/jobs", {headers}), await fetch("/v1/health"),
            await fetch("/v1/jobs", {method: "POST", headers, body: "{}"})];
        return answers.map((answer) => answer.status);
    }"""
    assert page.evaluate(tried, TOKEN) == [403, 403, 403]
