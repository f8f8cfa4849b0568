"""Chromium without a window, and the server's page in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from guarded import TOKEN
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

WIDE = {"width": 1280, "height": 760}
NARROW = {"width": 400, "height": 800}

expect.set_options(timeout=30_000)


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """The browser that is installed; skips where none is."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium; apt-get install chromium brings it")
    arguments = [*options, *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # root has no sandbox of its own
    with sync_playwright() as driver, driver.chromium.launch(executable_path=program, args=arguments) as browser:
        yield browser


@contextmanager
def tab(browser: Browser, *, viewport: dict[str, int] = WIDE, **options: Any) -> Iterator[Page]:
    """A tab of a fresh profile. Fails when the page made a mistake or tried what its policy forbids."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # an answer of no
            complaints.append(message.text)

    with browser.new_context(viewport=viewport, **options) as context:
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        assert complaints == []


def sign_in(page: Page, url: str, token: str = TOKEN) -> None:
    """Opens the page at `url` and gives it the token."""
    page.goto(url)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def row(page: Page, job: str) -> Any:
    """The job's row."""
    return page.locator(f"#job-{job}")


def detail(page: Page) -> Any:
    """What is shown of the chosen job."""
    return page.locator("#detail")
