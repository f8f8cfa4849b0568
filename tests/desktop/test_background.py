"""Work in threads, and what of it is told where."""

from __future__ import annotations

import threading

import pytest

from layerflow_desktop.controllers.background import Background


class Inbox:
    """Calls that wait for the interface's thread."""

    def __init__(self):
        self._calls, self._came = [], threading.Semaphore(0)

    def __call__(self, call):
        self._calls.append(call)
        self._came.release()

    def make_one(self):
        assert self._came.acquire(timeout=10)
        self._calls.pop(0)()


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def background(inbox):
    made = Background(inbox)
    yield made
    made.close()


def fail(error):
    raise error


def test_a_value_is_told_where_it_was_asked_for(background, inbox):
    told = []
    background.run(lambda: threading.current_thread(), lambda thread: told.append((thread, threading.current_thread())))
    inbox.make_one()
    ((worked, heard),) = told
    assert worked is not heard is threading.current_thread()


def test_what_an_artist_can_mend_is_one_sentence(background, inbox):
    told = []
    background.run(lambda: fail(ValueError("the plate is not there; choose another")), told.append, told.append)
    inbox.make_one()
    assert told == ["the plate is not there; choose another"]


def test_our_own_mistakes_come_up(background, inbox):
    background.run(lambda: fail(KeyError("oops")), failed=lambda message: None)
    with pytest.raises(KeyError):
        inbox.make_one()


def test_nothing_is_told_after_the_end(background, inbox):
    told = []
    background.run(lambda: 1, told.append)
    background.close()
    background.run(lambda: 2, told.append)
    inbox.make_one()
    assert told == []
