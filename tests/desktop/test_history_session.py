"""Steps, what undoes them, and what is no step."""

from __future__ import annotations

import pytest

from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, LayerState, ShotSettings, Take
from layerflow_desktop.models.history import MAX_STEPS, History


def document(seed=0):
    return Document(shot=ShotSettings(seed=seed), layers=[LayerState(name="foreground")])


@pytest.fixture
def session():
    return Session(document())


def seed(session):
    return session.document.shot.seed


def change(session, value, merge=""):
    session.edit(f"Seed {value}", session.document.with_(shot=session.document.shot.with_(seed=value)), merge)


def test_undo_and_redo_by_name(session):
    change(session, 1)
    change(session, 2)
    assert (session.history.undo_name, session.history.redo_name) == ("Seed 2", "")
    session.undo()
    assert (seed(session), session.history.undo_name, session.history.redo_name) == (1, "Seed 1", "Seed 2")
    session.undo()
    session.undo()
    assert (seed(session), session.history.undo_name) == (0, "")
    session.redo()
    session.redo()
    session.redo()
    assert seed(session) == 2


def test_a_new_step_forgets_what_was_undone(session):
    change(session, 1)
    session.undo()
    change(session, 5)
    session.redo()
    assert seed(session) == 5


def test_a_drag_is_one_step_until_it_is_over(session):
    for value in (1, 2, 3):
        change(session, value, merge="seed")
    session.history.close_step()
    change(session, 4, merge="seed")
    session.undo()
    assert seed(session) == 3
    session.undo()
    assert seed(session) == 0


def test_another_step_between_ends_a_drag(session):
    change(session, 1, merge="a")
    change(session, 2, merge="b")
    change(session, 3, merge="a")
    session.undo()
    assert seed(session) == 2


def test_no_change_is_no_step(session):
    heard = []
    session.changed.connect(lambda now, before: heard.append(now))
    session.edit("Nothing", session.document)
    assert not session.history.undo_name and heard == []


def test_steps_are_forgotten_beyond_a_number():
    history = History()
    for value in range(MAX_STEPS + 7):
        history.note("Step", document(value))
    got = [history.undo(document(9999)) for _ in range(MAX_STEPS + 1)]
    assert got[-1] is None and got[-2] == document(7)


def test_looking_about_is_no_step_and_stays(session):
    change(session, 1)
    session.look(view=session.document.view.with_(exposure=2.0), timeline=session.document.timeline.with_(frame=9))
    session.undo()
    now = session.document
    assert (now.shot.seed, now.view.exposure, now.timeline.frame) == (0, 2.0, 9)
    assert session.is_saved


def test_a_take_that_came_is_not_undone(session):
    change(session, 1)
    session.amend(session.document.with_(takes=(Take(name="v001", pattern="/s/v001.%04d.exr"),)))
    session.undo()
    assert session.document.take_named("v001") and seed(session) == 0


def test_saved_is_what_the_file_says(session):
    marks = []
    session.history_changed.connect(lambda: marks.append(session.is_saved))
    change(session, 1)
    before = session.document
    change(session, 2)
    session.mark_saved(before)
    session.undo()
    assert session.is_saved and marks == [False, False, False, True]


def test_another_project_has_no_past(session):
    change(session, 1)
    session.open(document(7))
    assert session.is_saved and not session.history.undo_name
    session.undo()
    assert seed(session) == 7


def test_listeners_hear_now_and_before(session):
    heard = []
    session.changed.connect(lambda now, before: heard.append((now.shot.seed, before.shot.seed)))
    change(session, 1)
    session.undo()
    session.say("A line")
    assert heard == [(1, 0), (0, 1)]


def test_a_value_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="opacity"):
        LayerState(name="foreground").with_(opacity=1.5)
    assert document().with_layer(LayerState(name="foreground", solo=True)).layers[0].solo


def test_layers_that_come_with_frames_are_no_work(session):
    session.amend(document().with_(layers=[LayerState(name=name) for name in ("foreground", "background")]))
    assert session.is_saved
    session.edit("Hide", session.document.with_layer(LayerState(name="background", visible=False)))
    assert not session.is_saved
    session.undo()
    assert session.is_saved
    session.edit("Order", session.document.with_(layers=session.document.layers[::-1]))
    assert not session.is_saved


def test_the_take_that_a_job_brought_is_nobodys_to_undo(session):
    change(session, 1)
    session.amend(session.document.with_(takes=(Take(name="v001", pattern="/a.%04d.exr"),), take="v001"))
    session.undo()
    assert (seed(session), session.document.take, len(session.document.takes)) == (0, "v001", 1)
