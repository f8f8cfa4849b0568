"""The page with many jobs, few keys, little room and eyes of every kind, in Chromium against the real server."""

from __future__ import annotations

import functools
import time

import opened_page
import pytest
from browsing import NARROW, detail, row, sign_in, tab
from opened_page import eventually, order, verb
from playwright.sync_api import expect
from queueing import generate, submit

pytestmark = pytest.mark.browser

browser, service, url = opened_page.browser, opened_page.service, opened_page.url
page, lease = opened_page.page, opened_page.lease


def submit_a_thousand(service):
    database = service.store.database
    database.write = functools.partial(database.write, durable=False)  # on a busy disk it would take a minute
    submit(service.store, *(f"shot{number:04d}" for number in range(1000)))


def test_a_thousand_jobs_cost_a_screenful(page, service) -> None:
    submit_a_thousand(service)
    grid = page.get_by_role("grid", name="Jobs")
    expect(grid).to_have_attribute("aria-rowcount", "1001")
    assert page.locator(".rows .row").count() < 40
    grid.focus()
    page.keyboard.press("End")
    expect(page.get_by_role("row", name="shot0999")).to_be_in_viewport()
    expect(page.get_by_role("row", name="shot0999")).to_have_attribute("aria-rowindex", "1001")
    page.get_by_role("searchbox").fill("SHOT0123 generate")
    expect(grid).to_have_attribute("aria-rowcount", "2")
    expect(page.get_by_role("row", name="shot0123")).to_be_in_viewport()
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No job is like that.")).to_be_visible()


def test_a_queue_is_loaded_whole(browser, url, service) -> None:
    submit_a_thousand(service)
    with tab(browser) as page:
        sign_in(page, url)
        expect(page.get_by_role("radio", name="Waiting 1000")).to_be_visible()


def test_groups_show_their_own(page, service, lease) -> None:
    lease.failed("the disk is full; free some space")
    submit(service.store, "cat")
    expect(page.get_by_role("radio", name="Failed 1")).to_be_visible()
    page.get_by_role("radio", name="All 2").focus()
    page.keyboard.press("ArrowLeft")  # round to the last
    expect(page.get_by_role("radio", name="Failed 1")).to_be_checked()
    expect(page.get_by_role("row", name="LayerFlow1")).to_be_visible()
    expect(page.get_by_role("row", name="cat")).to_be_hidden()


def test_everything_by_keyboard(page, service) -> None:
    ids = submit(service.store, "one", "two", "three")
    expect(page.get_by_role("row", name="three")).to_be_visible()
    expect(page.get_by_role("grid")).to_be_focused()  # after signing in
    for key, place in (("ArrowDown", 0), ("ArrowDown", 1), ("End", 2), ("ArrowUp", 1), ("Home", 0), ("PageDown", 2)):
        page.keyboard.press(key)
        expect(row(page, ids[place])).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("grid")).to_have_attribute("aria-activedescendant", f"job-{ids[place]}")
    page.keyboard.press("Alt+ArrowUp")
    assert eventually(page, lambda: order(page)[1], "three.%04d.exr")
    page.keyboard.press("Tab")
    expect(detail(page).get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Tab")
    expect(verb(page, "Pause")).to_be_focused()
    page.keyboard.press("Space")
    expect(verb(page, "Resume")).to_be_focused()
    page.keyboard.press("Escape")
    expect(detail(page)).to_be_hidden()
    expect(page.get_by_role("grid")).to_be_focused()


def test_keys_are_not_lost_while_the_server_answers(page, service) -> None:
    ids = submit(service.store, "one", "two", "three")
    page.route("**/move", answer_late)
    row(page, ids[2]).click()
    page.keyboard.press("Alt+ArrowUp")
    assert eventually(page, lambda: order(page)[1], "three.%04d.exr")  # told before the answer to who asked
    page.keyboard.press("Alt+ArrowUp")
    verb(page, "Pause").click()
    expect(verb(page, "Resume")).to_be_visible()
    assert order(page)[0] == "three.%04d.exr"


def answer_late(route):
    answer = route.fetch()
    time.sleep(1)
    route.fulfill(response=answer)


def test_little_room(browser, url, service) -> None:
    label = "nuke:a_shot_with_a_name_that_is_far_too_long_for_a_phone.nk/LayerFlow1"
    job, _ = service.store.submit(generate(), label=label)
    with tab(browser, viewport=NARROW) as page:
        sign_in(page, url)
        row(page, job.id).click()
        expect(detail(page).get_by_role("heading", name=label)).to_be_focused()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        expect(page.get_by_role("grid")).to_be_hidden()
        detail(page).get_by_role("button", name="Back").click()
        expect(row(page, job.id)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


# The ratio of WCAG 2.2 (1.4.3) between the colour of each text in sight and what is behind it; those below 4.5.
FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgba(colour).map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!own || !node.checkVisibility() || node.disabled) continue;
    const [low, high] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(node.textContent.trim());
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_stands_out(browser, url, service, lease, scheme) -> None:
    lease.warning("the prompt was cut")
    lease.failed("the disk is full; free some space, then retry the job")
    paused, cancelled, _ = submit(service.store, "one", "two", "three")
    service.store.ask("pause", paused)
    service.store.ask("cancel", cancelled)
    with tab(browser, color_scheme=scheme) as page:
        page.goto(url)
        assert page.evaluate(FAINT) == []
        sign_in(page, url)
        row(page, lease.job.id).click()
        expect(detail(page)).to_contain_text("the prompt was cut")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(25, 26, 29)" if scheme == "dark" else "rgb(236, 236, 234)"
        )
        assert page.evaluate(FAINT) == []


def test_nothing_moves_for_those_who_want_that(browser, url, service, lease) -> None:
    script = "(bar) => getComputedStyle(bar).animationName"
    for wish, animation in (("reduce", "none"), ("no-preference", "pass")):
        with tab(browser, reduced_motion=wish) as page:
            sign_in(page, url)
            assert row(page, lease.job.id).locator("progress").evaluate(script) == animation
