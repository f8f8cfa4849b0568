"""The server's page, in Chromium, against the real server over a real socket and a worker that this process plays."""

from __future__ import annotations

import io
import re

import opened_page
import pytest
from browsing import detail, row, sign_in, tab
from guarded import TOKEN
from opened_page import address, eventually, order, verb
from PIL import Image
from playwright.sync_api import expect
from queueing import generate, submit, worker
from serving import SURVEY, make_service, serving

from layerflow.server import streams
from layerflow.server.leases import claim
from layerflow.server.settings import Limits
from layerflow.wire import Progress
from layerflow.wire.jobs import VERBS

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


browser, service, url = opened_page.browser, opened_page.service, opened_page.url
page, lease = opened_page.page, opened_page.lease


# Signing in


def test_only_the_token_opens_the_queue(browser, url, service) -> None:
    submit(service.store, "dog")
    with tab(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for wrong in ("wrong", "schlüssel"):
            sign_in(page, url, wrong)
            expect(page.get_by_role("alert")).to_have_text(
                "That is not this server's token; layerflow jobs page prints it."
            )
        assert not page.locator("#desk").is_visible() and "dog" not in page.content()
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_role("row", name="dog")).to_be_visible()
        assert page.get_by_label("Token").input_value() == ""
        page.reload()
        expect(page.get_by_role("row", name="dog")).to_be_visible()
        assert not [each for each in asked if TOKEN in each] and TOKEN not in page.url
        assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
        with page.expect_event("requestfailed", lambda request: request.url.endswith("/v1/events")):
            page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_focused()
        assert page.evaluate("sessionStorage.length") == 0 and "dog" not in page.locator("#grid").inner_html()


# What happens, as it happens


def test_a_job_on_its_way(page, service) -> None:
    expect(page.get_by_text("The queue is empty")).to_be_visible()
    service.store.submit(generate(), label="nuke:shot.nk/LayerFlow1")
    worker(service.store)
    own = page.get_by_role("row", name="nuke:shot.nk/LayerFlow1")
    expect(own).to_contain_text("queued")
    own.click()
    lease = claim(service.store, "w")
    expect(own).to_contain_text("running")
    lease.progress(Progress("sampling", 3, 12))
    expect(own).to_contain_text("sampling 3/12")
    expect(detail(page).get_by_role("progressbar", name="Stage")).to_have_attribute("value", "3")
    lease.frame("dog.0001.exr", Progress("sampling", 6, 12, 2, 8))
    expect(own).to_contain_text("2/8")
    lease.warning("the prompt was cut")
    expect(detail(page).get_by_role("list", name="Warnings")).to_have_text("the prompt was cut")
    assert page.title() == "1 running, 0 waiting – LayerFlow"
    frames = [f"/out/dog.{number:04d}.exr" for number in range(3)]
    mattes = {"alpha": ["/out/dog.alpha.0000.exr"]}
    lease.done({"frames": frames, "per_layer": mattes, "preview_movie": "/out/dog.mp4", "seconds": 75.4})
    expect(own).to_contain_text("done")
    result = detail(page).get_by_role("region", name="Result")
    for text in ("3 frames", frames[0], frames[2], "1 alpha", *mattes["alpha"], "/out/dog.mp4", "1 m 15 s"):
        expect(result).to_contain_text(text)
    expect(result).not_to_contain_text(frames[1])
    assert page.title() == "LayerFlow"


def test_a_failed_job_says_why_and_shows_its_log(page, service, lease) -> None:
    service.folder.log_of(lease.job.id).write_text("stage: sampling\nfailed: the disk is full\n")
    lease.failed("the disk is full; free some space, then retry the job")
    row(page, lease.job.id).click()
    expect(detail(page)).to_contain_text("the disk is full; free some space, then retry the job")
    detail(page).get_by_text("Log", exact=True).click()
    expect(detail(page).get_by_role("region", name="Log")).to_have_text(re.compile("failed: the disk is full"))


def test_how_long_a_stage_will_still_take(page, service, lease) -> None:
    row(page, lease.job.id).click()
    now = service.store.clock()
    for done in range(4):
        service.store.clock = lambda done=done: now + 10 * done
        lease.progress(Progress("sampling", done, 12))
        expect(detail(page)).to_contain_text(f"sampling {done}/12")  # of steps that follow fast only the last is told
    expect(detail(page)).to_contain_text("about 1 m 30 s left")


def test_what_others_wrote_is_text(page, service) -> None:
    asked = generate(foreground=HOSTILE, background=HOSTILE)
    job, _ = service.store.submit(asked, label=HOSTILE)
    worker(service.store)
    lease = claim(service.store, "w")
    lease.progress(Progress(HOSTILE, 1, 2))
    lease.warning(HOSTILE)
    service.folder.log_of(job.id).write_text(HOSTILE)
    expect(row(page, job.id)).to_contain_text(f"{HOSTILE} 1/2")
    lease.failed(HOSTILE)
    row(page, job.id).click()
    detail(page).get_by_text("Log", exact=True).click()
    expect(detail(page).get_by_role("region", name="Log")).to_have_text(HOSTILE)
    expect(row(page, job.id).locator(".name b")).to_have_text(HOSTILE)
    expect(detail(page).get_by_role("heading", level=2)).to_have_text(HOSTILE)
    assert detail(page).inner_text().count(HOSTILE) == 6  # label, message, warning, two prompts and the log
    assert page.locator("#desk img, #desk script").count() == 0 and page.title() == "LayerFlow"


def test_what_makes_the_jobs(browser, tmp_path) -> None:
    service = make_service(tmp_path, survey=None, limits=Limits(patience_s=0.5))
    with serving(service), tab(browser) as page:
        page.clock.install()
        sign_in(page, address(service))
        expect(page.get_by_text("the server is still finding out what this machine has")).to_be_visible()
        service.found.set_result(SURVEY)
        page.clock.fast_forward(10_000)
        expect(page.get_by_text("cpu: 2 cores")).to_be_visible()


# What people may ask for


def test_the_verbs(page, service) -> None:
    _, job = submit(service.store, "dog", "cat")
    row(page, job).click()
    for name, state in (("Pause", "paused"), ("Resume", "queued"), ("Cancel", "cancelled"), ("Retry", "queued")):
        verb(page, name).click()
        expect(row(page, job).locator(".state")).to_have_text(state)
        assert service.store.get(job).state == state
        expect(detail(page).get_by_role("group").get_by_role("button").first).to_be_focused()


def test_a_job_is_moved(page, service) -> None:
    submit(service.store, "one", "two", "three", "four")
    page.get_by_role("row", name="four").click()
    verb(page, "Move up").click()
    expect(verb(page, "Move up")).to_be_enabled()
    assert eventually(page, lambda: order(page), ["one.%04d.exr", "two.%04d.exr", "four.%04d.exr", "three.%04d.exr"])
    verb(page, "Move to front").click()
    assert eventually(page, lambda: order(page), ["four.%04d.exr", "one.%04d.exr", "two.%04d.exr", "three.%04d.exr"])
    expect(verb(page, "Move up")).to_be_hidden()
    assert [job["request"]["output"] for job in service.store.page().jobs] == order(page)


def test_what_the_server_refuses_is_its_sentence(page, service) -> None:
    (job,) = submit(service.store, "dog")
    row(page, job).click()
    said = '{"error": {"kind": "JobStateError", "message": "a done job cannot pause; look again"}}'
    page.route("**/pause", lambda route: route.fulfill(status=409, body=said, content_type="application/json"))
    verb(page, "Pause").click()
    expect(detail(page).get_by_role("alert")).to_have_text("a done job cannot pause; look again")


def test_the_page_knows_the_verbs_of_the_wire(page) -> None:
    known = page.evaluate("import('/page/detail.js').then((module) => module.VERBS)")
    assert {name: tuple(known[name]) for name in VERBS} == {name: states for name, (states, _) in VERBS.items()}


# Layers of a running job


def picture(colour, size=(64, 48)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "jpeg", quality=95)
    return file.getvalue()


def canvas(page, layer):
    return page.get_by_role("button", name=f"{layer} so far").locator("canvas")


def middle(page, layer):
    """The colour in the middle of what is shown of a layer."""
    script = "(c) => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data.slice(0, 3)]"
    return canvas(page, layer).evaluate(script)


def is_near(colour, wanted):
    return all(abs(one - other) < 8 for one, other in zip(colour, wanted, strict=True))


def test_the_layers_of_a_running_job(page, service, lease) -> None:
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if "/preview/" in answer.url else None)
    row(page, lease.job.id).click()
    assert eventually(page, lambda: 404 in answers)
    expect(detail(page).get_by_text("Layers so far")).to_be_hidden()
    for layer, colour in (("blended", (200, 40, 40)), ("alpha", (90, 90, 90))):
        path = service.folder.preview_of(lease.job.id, layer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour))
    expect(canvas(page, "blended")).to_be_visible()
    expect(canvas(page, "alpha")).to_be_visible()
    expect(canvas(page, "foreground")).to_be_hidden()
    assert is_near(middle(page, "blended"), (200, 40, 40)) and is_near(middle(page, "alpha"), (90, 90, 90))
    assert eventually(page, lambda: 304 in answers) and service.folder.looked_at(lease.job.id).exists()
    service.folder.preview_of(lease.job.id, "blended").write_bytes(picture((40, 40, 200), size=(80, 48)))
    assert eventually(page, lambda: is_near(middle(page, "blended"), (40, 40, 200)))
    small = canvas(page, "blended").bounding_box()["width"]
    canvas(page, "blended").click()
    large = canvas(page, "blended").bounding_box()
    assert large["width"] > 1.8 * small and large["height"] == pytest.approx(large["width"] * 48 / 80, abs=1)


def test_nobody_asks_for_layers_that_are_not_looked_at(page, service, lease) -> None:
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(answer.url) if "/preview/" in answer.url else None)
    row(page, lease.job.id).click()
    assert eventually(page, lambda: len(asked) >= 4)
    page.keyboard.press("Escape")
    expect(detail(page)).to_be_hidden()
    page.wait_for_timeout(100)
    before = len(asked)
    page.wait_for_timeout(2500)
    assert len(asked) == before


# A server that goes


def test_a_server_that_goes_and_comes_back(browser, tmp_path) -> None:
    service = make_service(tmp_path)
    (job,) = submit(service.store, "dog")
    with tab(browser) as page:
        with serving(service):
            sign_in(page, address(service))
            row(page, job).click()
            expect(verb(page, "Pause")).to_be_enabled()
        expect(page.get_by_role("alert").first).to_contain_text("The server does not answer; trying again.")
        expect(verb(page, "Pause")).to_be_disabled()
        expect(row(page, job)).to_contain_text("queued")
        service.store.ask("pause", job)
        heard: list[str | None] = []
        page.on("request", lambda each: heard.append(each.headers.get("last-event-id")))
        with serving(make_service(tmp_path, port=service.port)):
            expect(row(page, job)).to_contain_text("paused")
            expect(page.locator("#lost")).to_be_hidden()
            expect(verb(page, "Resume")).to_be_enabled()
            service.store.ask("resume", job)
            expect(row(page, job)).to_contain_text("queued")
            assert [each for each in heard if each] == ["2"]  # what the list told of already does not come again


def test_a_server_with_another_token_asks_for_it(browser, tmp_path) -> None:
    service = make_service(tmp_path)
    with tab(browser) as page:
        with serving(service):
            sign_in(page, address(service))
            expect(page.get_by_text("connected")).to_be_visible()
        other = make_service(tmp_path, port=service.port)
        other.token = "another"
        with serving(other):
            expect(page.get_by_role("alert")).to_have_text(
                "The server takes another token now; layerflow jobs page prints it."
            )
            expect(page.get_by_label("Token")).to_be_focused()


def test_a_server_that_has_no_stream_to_give_says_so(browser, tmp_path) -> None:
    service = make_service(tmp_path, limits=Limits(streams=0))
    (job,) = submit(service.store, "dog")
    with serving(service), tab(browser) as page:
        sign_in(page, address(service))
        expect(page.get_by_role("alert").first).to_contain_text("streams of events are open")
        row(page, job).click()
        expect(verb(page, "Pause")).to_be_disabled()  # what it would show may be old


COUNT_READS = """
  window.heard = 0;
  const read = ReadableStreamDefaultReader.prototype.read;
  ReadableStreamDefaultReader.prototype.read = async function () {
    const piece = await read.call(this);
    window.heard += 1;
    return piece;
  };
"""


def test_a_tab_that_nobody_looks_at_lets_go(browser, url, service, monkeypatch) -> None:
    """A browser keeps six connections to a server: with six tabs open, a seventh would get nowhere."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)
    (job,) = submit(service.store, "dog")
    look = "(hidden) => {{ Object.defineProperty(document, 'hidden', {{ value: hidden, configurable: true }}); {} }}"
    look = look.format("document.dispatchEvent(new Event('visibilitychange'))")
    with tab(browser) as page:
        page.clock.install()
        page.add_init_script(COUNT_READS)
        sign_in(page, url)
        expect(row(page, job).locator(".state")).to_have_text("queued")
        page.evaluate(look, True)
        expect(page).to_have_title("0 running, 1 waiting – LayerFlow")
        expect(page.get_by_text("cpu: 2 cores")).to_be_visible()  # so that nothing but events is being asked
        ended: list[str] = []
        page.on("requestfailed", lambda request: ended.append(request.url))
        for _ in range(14):
            page.clock.fast_forward(21_000)
            before = page.evaluate("heard")
            assert eventually(page, lambda before=before: page.evaluate("heard") > before + 1)
        assert ended == []
        page.clock.fast_forward(21_000)
        expect(page).to_have_title("LayerFlow")
        assert eventually(page, lambda: ended == [f"{url}/v1/events"])
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(1500)
        assert asked == [] and not page.locator("#lost").is_visible()
        service.store.ask("pause", job)
        page.evaluate(look, False)
        expect(row(page, job).locator(".state")).to_have_text("paused")


# Pieces


def test_events_out_of_pieces(page) -> None:
    text = (
        ': hello\n\nid: 1\nevent: state\ndata: {"id": 1}\n\n'
        'id: 2\r\ndata: {"id":\r\ndata: 2}\r\n\r\ndata:{"id":3}\n\ndata: {'
    )
    script = """([text, size]) => import("/page/server.js").then(({ Parser }) => {
      const parser = new Parser();
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g"));
      return pieces.flatMap((piece) => parser.feed(piece));
    })"""
    for size in (1, 2, 3, 7, 1000):
        assert page.evaluate(script, [text, size]) == [{"id": 1}, {"id": 2}, {"id": 3}]
