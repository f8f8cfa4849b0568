"""What Blender's add-on plans and remembers, without Blender."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.wire import Request
from layerflow.wire.run import Gone, Render
from layerflow_blender.asking import (
    CUSTOM,
    FROM_SCENE,
    FROM_STRIP,
    Media,
    Source,
    Timeline,
    again,
    check_number,
    frames_of,
    inputs_pattern,
    left_of,
    next_output,
    request_of,
)
from layerflow_blender.fields import FIELDS, FURTHER, KINDS
from layerflow_blender.history import KEPT, History
from layerflow_blender.look import Look
from layerflow_blender.pump import NotNow, Pump
from layerflow_blender.sources import sequence
from layerflow_blender.tickets import STRIP_KEY, Ticket, Tickets, for_strip, of_strip

TIMELINE = Timeline(1, 40, 7, 25.0, "Linear Rec.709")
SOURCE = Source("plate", 11, 18, Media("/in/plate.####.png", 1001, "sRGB"))
RENDERED = Source("scene", 11, 18, None, "it is a scene strip")
OUTPUT = "/out/plate_v001.%04d.exr"


def settings(**values):
    return {**{field.name: field.default for field in FIELDS}, FURTHER: [], "model": "mini", **values}


def asked(source=SOURCE, rendered=None, timeline=TIMELINE, **values):
    given = settings(**{"foreground": " a dog ", "background": "a garden", **values})
    return request_of(given, timeline, frames_of(given, timeline, source), OUTPUT, source, rendered)


# Fields.


def test_fields_are_the_requests_own_or_say_what_they_are_for():
    known = set(Request.__dataclass_fields__)
    assert len({field.name for field in FIELDS}) == len(FIELDS)
    for field in FIELDS:
        assert field.kind in KINDS and field.help and not field.help.endswith(".")
        if field.kind == "choice":
            assert field.default in [choice for choice, _, _ in field.choices]
            assert all(text and not text.endswith(".") for _, _, text in field.choices)
    own = {field.name for field in FIELDS} - known
    assert own == {"lock_seed", "frame_range", "length", "folder", "shot", "guide_channel", "preview_layer"}


# Requests.


def test_a_strip_is_read_by_its_own_numbers():
    request = asked()
    assert (request.task, request.plate, request.colorspace) == ("decompose", "/in/plate.####.png", "sRGB")
    assert (request.first_frame, request.last_frame, request.fps) == (1001, 1008, 25.0)
    assert (request.foreground, request.background) == ("a dog", "a garden")
    assert (request.alpha, request.per_layer, request.output_colorspace) == ("straight", True, "lin_rec709")
    assert (request.steps, request.guidance, request.lora) == (None, None, ())


def test_what_is_rendered_is_numbered_as_the_timeline():
    rendered = {"plate": "/out/plate_1.%04d.exr", "guide": "/out/guide_1.%04d.exr"}
    request = asked(RENDERED, rendered, guide_kind="trimap", guide_channel="A")
    assert (request.plate, request.first_frame, request.last_frame) == (rendered["plate"], 11, 18)
    assert (request.colorspace, request.guide, request.guide_kind) == ("lin_rec709", rendered["guide"] + ":A", "trimap")


def test_a_still_has_no_numbers():
    request = asked(Source("still", 1, 20, Media("/in/a.png", None, "sRGB")))
    assert (request.plate, request.first_frame, request.last_frame) == ("/in/a.png", None, None)


def test_words_alone_begin_at_the_playhead():
    request = asked(None, task="generate", length=9)
    assert (request.plate, request.first_frame, request.last_frame) == (None, 7, 15)
    request = asked(None, task="generate")
    assert (request.first_frame, request.last_frame, request.num_frames) == (7, None, None)


@pytest.mark.parametrize("task", ["background", "foreground"])
def test_a_strip_as_one_of_the_layers(task):
    request = asked(task=task, refine="best", closeup=True)  # which are for plates alone, and do not count
    assert request.task == task and request.plate == SOURCE.media.plate


def test_several_foregrounds():
    request = asked(further=["a ball ", " "])
    assert (request.foreground, request.foregrounds) == ("", ("a dog", "a ball"))
    assert asked(task="foreground", further=["a ball"]).foreground == "a dog"


def test_settings_reach_the_request():
    request = asked(
        seed=5, steps=3, guidance=2.5, quality="draft", refine="best", closeup=True, lora=" a.safetensors ;b:0.5; "
    )
    assert (request.seed, request.steps, request.guidance, request.quality) == (5, 3, 2.5, "draft")
    assert (request.refine, request.closeup, request.lora) == ("best", True, ("a.safetensors", "b:0.5"))


def test_colours_of_blender_5_can_be_another_space():
    wide = Timeline(1, 40, 1, 24.0, "ACEScg")
    assert asked(timeline=wide).output_colorspace == "ACEScg"


@pytest.mark.parametrize(
    ("values", "source", "expected"),
    [
        ({"frame_range": FROM_STRIP}, SOURCE, (11, 18)),
        ({"frame_range": FROM_SCENE}, None, (1, 40)),
        ({"frame_range": FROM_SCENE}, SOURCE, (11, 18)),
        ({"frame_range": CUSTOM, "first_frame": 13, "last_frame": 99}, SOURCE, (13, 18)),
        ({"frame_range": CUSTOM, "first_frame": 13, "last_frame": 13}, None, (13, 13)),
    ],
)
def test_frames(values, source, expected):
    assert frames_of(settings(**values), TIMELINE, source) == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"frame_range": CUSTOM, "first_frame": 30, "last_frame": 39}, "shows frames 11 to 18"),
        ({"frame_range": CUSTOM, "first_frame": 9, "last_frame": 3}, "9"),
    ],
)
def test_frames_that_cannot_be(values, says):
    with pytest.raises(ValueError, match=says):
        frames_of(settings(**values), TIMELINE, SOURCE)


def test_frames_below_zero_count_only_where_files_are_numbered_by_them():
    early = Source("plate", -5, 2, SOURCE.media)
    assert asked(early).first_frame == 1001
    with pytest.raises(ValueError, match="below 0"):
        asked(Source("scene", -5, 2, None, "why"), {"plate": "/out/p.%04d.exr"})
    with pytest.raises(ValueError, match="below 0"):
        check_number(-1)


# Versions.


def test_versions_go_up_past_what_is_on_disk_and_what_was_asked_for(tmp_path):
    text = str(tmp_path / "dog_v001.%04d.exr")
    assert next_output(text, []) == text
    (tmp_path / "dog_v001.0001.exr").write_bytes(b"frame")
    second, third = (text.replace("v001", version) for version in ("v002", "v003"))
    assert next_output(text, []) == second and next_output(text, [second]) == third
    request = Request("generate", foreground="a", background="b", output=text)
    fresh = again(request, 9, [second])
    assert (fresh.output, fresh.seed, fresh.foreground) == (third, 9, "a")


def test_inputs_lie_beside_the_output(tmp_path):
    pattern = inputs_pattern(str(tmp_path / "dog_v003.%04d.exr"), "plate", "1a2b")
    assert pattern == str(tmp_path / "dog_inputs" / "plate_1a2b.%04d.exr")
    (tmp_path / "dog_inputs").mkdir()
    (tmp_path / "dog_inputs" / "plate_1a2b.0012.exr").write_bytes(b"frame")
    assert left_of(Render("plate", pattern, (11, 12, 13))) == Render("plate", pattern, (11, 13))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.0009.png", "a.0010.png"], ("a.####.png", 9)),
        (["v2_9.png", "v2_10.png", "v2_11.png"], ("v2_#.png", 9)),
        (["a1_b2.png", "a2_b2.png"], ("a#_b2.png", 1)),
        (["a.1.png", "a.3.png"], None),
        (["a.2.png", "a.1.png"], None),
        (["a.1.png", "b.2.png"], None),
        (["a.09.png", "a.010.png"], None),
        (["100%.1.png", "100%.2.png"], None),
        (["a.png", "b.png"], None),
    ],
)
def test_sequences(names, found):
    assert sequence(names) == found


@given(st.integers(0, 99999), st.integers(2, 30), st.integers(1, 6))
def test_any_sequence_is_found(first, count, padding):
    names = [f"shot_{first + index:0{padding}d}.exr" for index in range(count)]
    pattern, number = sequence(names)
    assert number == first and pattern == f"shot_{'#' * len(names[0][5:-4])}.exr"


# Tickets.


def ticket(**values):
    request = Request("decompose", plate="/in/p.%04d.exr", foreground="ein Hündchen", output=OUTPUT)
    look = Look({"offset_x": 3.0, "origin": [0.5, 0.5]}, {"min_x": 2}, {"use_flip_x": True})
    renders = (Render("plate", "/in/p.%04d.exr", (1, 2)),)
    return Ticket(
        request, **{"name": "plate", "scene": "Scene", "frame": 3, "look": look, "renders": renders, **values}
    )


def test_a_ticket_comes_back_as_it_was(tmp_path):
    tickets = Tickets(tmp_path / "tickets")
    assert tickets.all() == []
    kept = ticket(jobs=("0" * 32,), last=9)
    tickets.save(kept)
    changed = tickets.change(kept, state="failed", message="the disk is full")
    assert tickets.all() == [changed] and changed.message == "the disk is full"
    tickets.drop(kept.key)
    tickets.drop(kept.key)
    assert tickets.all() == [] and not list((tmp_path / "tickets").iterdir())


def test_tickets_come_in_their_order_and_what_is_none_is_left_alone(tmp_path):
    tickets, kept = Tickets(tmp_path), [ticket(), ticket(), ticket()]
    for each in kept:
        tickets.save(each)
        time.sleep(0.002)
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    assert tickets.all() == kept
    assert len(list(tmp_path.iterdir())) == 6


def test_a_ticket_of_a_newer_version_is_read():
    values = {**ticket().to_values(), "newer": 1}
    assert Ticket.from_values(values).name == "plate"
    with pytest.raises(ValueError, match="no ticket"):
        Ticket.from_values({**values, "key": "../../etc"})


def test_the_label_names_the_file():
    assert ticket(blend="/shows/shot.blend").label == "blender:shot.blend/plate"
    assert ticket(blend="C:\\shows\\shot.blend").label == "blender:shot.blend/plate"
    assert ticket().label == "blender:untitled/plate" and len(ticket(name="x" * 500).label) == 200


def test_a_strip_says_what_it_came_from():
    kept = ticket()
    said = of_strip({STRIP_KEY: for_strip(kept, "background")})
    assert said["layer"] == "background" and Ticket.from_values(said["ticket"]) == kept
    for other in ({}, {STRIP_KEY: 3}, {STRIP_KEY: "{"}, {STRIP_KEY: json.dumps([1])}, {STRIP_KEY: "{}"}):
        assert of_strip(other) is None


# Prompts of before.


def test_the_last_prompts_are_remembered(tmp_path):
    history = History(tmp_path / "new" / "prompts.json")
    assert history.all() == [] and history.suggested("foreground", "") == []
    for number in range(KEPT + 3):
        history.note(settings(foreground=f"dog {number}", background="a garden"))
    history.note(settings(foreground="dog 9", background="a garden"))
    history.note(settings())  # nothing was written
    found = history.all()
    assert len(found) == KEPT and [each["foreground"] for each in found[:2]] == ["dog 9", f"dog {KEPT + 2}"]
    assert history.suggested("background", "GARD") == ["a garden"]
    assert history.suggested("foreground", "dog 9") == ["dog 9"] and history.suggested("blended", "") == []
    (tmp_path / "new" / "prompts.json").write_text("[3, {")
    assert history.all() == []


# Calls to the main thread.


def in_thread(call):
    found = []

    def work():
        try:
            found.append(call())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, found


def drained(pump, thread, seconds=5.0):
    ends_at = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < ends_at:
        pump.drain()
        time.sleep(0.005)
    thread.join(1)


def test_a_call_is_made_in_the_main_thread_and_answered_in_its_own():
    pump = Pump()
    thread, found = in_thread(lambda: pump.call(threading.current_thread))
    drained(pump, thread)
    assert found == [threading.main_thread()]
    assert pump.call(lambda: 3) == 3  # there already


def test_what_it_raises_is_raised_where_it_was_asked_for():
    pump = Pump()
    thread, found = in_thread(lambda: pump.call(lambda: 1 / 0))
    drained(pump, thread)
    assert isinstance(found[0], ZeroDivisionError)


def test_a_call_that_cannot_be_now_waits_and_lets_others_go_first():
    pump, tries = Pump(), []

    def not_yet():
        tries.append(1)
        if len(tries) < 3:
            raise NotNow
        return "late"

    slow, late = in_thread(lambda: pump.call(not_yet))
    quick, soon = in_thread(lambda: pump.call(lambda: "soon"))
    drained(pump, quick)
    drained(pump, slow)
    assert (soon, late, len(tries)) == (["soon"], ["late"], 3)


@pytest.mark.parametrize("how", ["left", "closed"])
def test_nobody_waits_for_a_blender_that_is_gone_and_nothing_is_made_after_that(how):
    pump, has_left, made = Pump(), threading.Event(), []
    thread, found = in_thread(lambda: pump.call(lambda: made.append(1), has_left.is_set))
    has_left.set() if how == "left" else pump.close()
    thread.join(5)
    assert isinstance(found[0], Gone)
    pump.drain()
    assert made == []


def test_a_long_queue_leaves_blender_time_of_its_own():
    pump = Pump()
    threads = [in_thread(lambda: pump.call(lambda: time.sleep(0.015)))[0] for _ in range(5)]
    time.sleep(0.1)
    assert pump.drain()  # there is more to do
    for thread in threads:
        drained(pump, thread)
    assert not pump.drain()
