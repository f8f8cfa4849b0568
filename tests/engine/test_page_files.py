"""The files of the server's page, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from guarded import Caller
from serving import make_service, serving

import layerflow.server

FOLDER = Path(layerflow.server.__path__[0]) / "page"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    service = make_service(tmp_path_factory.mktemp("page"))
    with serving(service):
        yield Caller(service)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_file_is_for_everybody_and_comes_once(caller, path) -> None:
    target = "/" if path.name == "index.html" else f"/page/{path.name}"
    answer = caller.ask("GET", target, authorization=None)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, path.read_bytes(), KINDS[path.suffix])
    assert answer.headers["cache-control"] == "no-cache"
    assert "script-src 'self'; style-src 'self'; img-src 'self';" in answer.headers["content-security-policy"]
    etag = answer.headers["etag"]
    for known in (etag, f'W/"other", W/{etag}'):
        again = caller.ask("GET", target, authorization=None, if_none_match=known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert caller.ask("GET", target, if_none_match='"other"').status == 200


@pytest.mark.parametrize(
    "name", ["app.py", "..%2fapp.py", "%2e%2e/app.py", "../app.py", "", "page.js%00.svg", "PAGE.JS", "/etc/passwd"]
)
def test_nothing_else_can_be_had(caller, name) -> None:
    answer = caller.ask("GET", f"/page/{name}", authorization=None)
    assert answer.status == 404 and b"import" not in answer.body


def test_a_page_of_another_site_does_not_get_there(caller) -> None:
    assert caller.ask("GET", "/", authorization=None, sec_fetch_site="cross-site").status == 403
    assert caller.ask("GET", "/", authorization=None, host="rebound.example").status == 403


def test_every_file_is_used_and_everything_used_is_there() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    used = {name for text in texts.values() for name in re.findall(r"[\"'](?:/page|\.)/([\w.]+)[\"']", text)}
    assert used | {"index.html"} == texts.keys()


MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|https?:")


def test_text_stays_text() -> None:
    """What the policy forbids in a browser is not even tried, and nothing turns text into markup."""
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|https?:", page)
    for path in FOLDER.glob("*.js"):
        assert not MARKUP.search(path.read_text(encoding="utf-8")), path
