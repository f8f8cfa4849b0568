"""The server's page open in Chromium, of the real server over a real socket: fixtures and where to look."""

from __future__ import annotations

import pytest
from browsing import chromium, detail, sign_in, tab
from playwright.sync_api import expect
from queueing import generate, worker
from serving import make_service, serving

from layerflow.server.leases import claim


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def service(tmp_path):
    return make_service(tmp_path)


def address(service):
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture
def url(service):
    with serving(service):
        yield address(service)


@pytest.fixture
def page(browser, url):
    with tab(browser) as page:
        sign_in(page, url)
        expect(page.get_by_text("connected")).to_be_visible()
        yield page


@pytest.fixture
def lease(service):
    """A running job."""
    service.store.submit(generate(), label="nuke:shot.nk/LayerFlow1")
    worker(service.store)
    return claim(service.store, "w")


def verb(page, name):
    return detail(page).get_by_role("button", name=name, exact=True)


def order(page):
    """Names in the order in which they are seen."""
    rows = sorted(page.locator(".rows .row").all(), key=lambda each: each.bounding_box()["y"])
    return [each.locator(".name b").text_content() for each in rows]


def eventually(page, look, wanted=True):
    """Whether `look()` comes to be what is wanted."""
    for _ in range(200):
        if look() == wanted:
            return True
        page.wait_for_timeout(50)  # in which the page is heard
    return False
