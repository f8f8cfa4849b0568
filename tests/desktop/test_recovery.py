"""What is left of an app that was killed, and who gets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.projects import Projects
from layerflow_desktop.controllers.recovery import Autosave
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, LayerState, ShotSettings, Take
from layerflow_desktop.models.files import studio_folder
from layerflow_desktop.models.project_file import ProjectError, load, save
from layerflow_desktop.models.snapshots import Owner, left_behind, recovery_folder, take_over, write_snapshot

APP = """
import sys, time
from pathlib import Path
from layerflow_desktop.controllers.recovery import Autosave
from layerflow_desktop.controllers.session import Session
session = Session()
autosave = Autosave(session, post=lambda call: None, folder=Path(sys.argv[1]))
autosave.set_project(sys.argv[2])
for seed in range(5):
    session.edit("Change seed", session.document.with_(shot=session.document.shot.with_(seed=seed, plate="/s/dog.mov")))
print("edited", flush=True)
time.sleep(600)
"""
DEAD = Owner(2**22 + 1, 1)  # above any process's number


def document(seed=1):
    return Document(shot=ShotSettings(seed=seed), layers=[LayerState(name="foreground", opacity=0.25)])


def until(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


class Inbox:
    """Calls that wait for the interface's thread, which is the test's."""

    def __init__(self):
        self.calls = []

    def __call__(self, call):
        self.calls.append(call)

    def make(self, count=1):
        for _ in range(count):
            until(lambda: self.calls)
            self.calls.pop(0)()


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def session():
    session = Session()
    session.lines = []
    session.said.connect(session.lines.append)
    return session


@pytest.fixture
def autosave(session, inbox, tmp_path):
    made = Autosave(session, inbox, tmp_path / "recovery", wait=lambda event, seconds: None)
    yield made
    made.close()


@pytest.fixture
def projects(session, autosave, inbox):
    background = Background(inbox, num_threads=1)
    recent = []
    made = Projects(session, autosave, background, recent.append)
    made.recent = recent
    yield made
    background.close()


def own_file(autosave):
    return autosave.folder / Owner.this().file_name


def start_app(folder, project=""):
    app = subprocess.Popen([sys.executable, "-c", APP, folder, project], stdout=subprocess.PIPE, text=True)
    assert app.stdout.readline() == "edited\n"
    until(lambda: list(folder.glob("*.json")))
    until(lambda: '"seed": 4' in next(folder.glob("*.json")).read_text())
    return app


def test_an_app_that_is_killed_loses_nothing(tmp_path, session, autosave, inbox, projects):
    app = start_app(autosave.folder, str(tmp_path / "dog.lfstudio"))
    try:
        assert autosave.recoverable() == ()  # it runs
    finally:
        app.send_signal(signal.SIGKILL)
        until(lambda: autosave.recoverable())  # a zombie is dead too
        app.communicate()
    (snapshot,) = autosave.recoverable()
    projects.recover(snapshot)
    assert session.document.shot == ShotSettings(seed=4, plate="/s/dog.mov")
    assert projects.path == tmp_path / "dog.lfstudio" and not session.is_saved
    assert autosave.recoverable() == () and own_file(autosave).exists()
    projects.save()
    inbox.make()
    assert load(tmp_path / "dog.lfstudio") == session.document
    until(lambda: not own_file(autosave).exists())


def test_two_running_apps_leave_each_other_alone(tmp_path, autosave):
    apps = [start_app(autosave.folder), None]
    try:
        apps[1] = subprocess.Popen([sys.executable, "-c", APP, autosave.folder, ""], stdout=subprocess.PIPE, text=True)
        assert apps[1].stdout.readline() == "edited\n"
        until(lambda: len(list(autosave.folder.glob("*.json"))) == 2)
        assert autosave.recoverable() == ()
    finally:
        for app in filter(None, apps):
            app.kill()
            app.communicate()
    assert len(autosave.recoverable()) == 2


def test_one_of_two_that_recover_gets_it(tmp_path):
    write_snapshot(tmp_path, DEAD, "", document())
    (snapshot,) = left_behind(tmp_path)
    assert take_over(snapshot, Owner.this()) == document()
    with pytest.raises(ProjectError, match="another window may have taken it"):
        take_over(snapshot, Owner(os.getpid(), 1))


def test_a_number_that_another_process_has_since_is_dead():
    own = Owner.this()
    assert own.is_alive() and Owner(own.pid, own.born_at_ms + 900).is_alive()
    assert not Owner(own.pid, own.born_at_ms - 60_000).is_alive() and not DEAD.is_alive()


def test_what_was_saved_since_is_not_recovered(tmp_path):
    project = tmp_path / "dog.lfstudio"
    write_snapshot(tmp_path / "r", DEAD, str(project), document())
    assert len(left_behind(tmp_path / "r")) == 1  # the project's file is gone
    save(document(2), project)
    snapshot = tmp_path / "r" / DEAD.file_name
    os.utime(project, (2000, 2000))
    os.utime(snapshot, (1000, 1000))
    assert left_behind(tmp_path / "r") == ()
    os.utime(snapshot, (3000, 3000))
    assert [found.document for found in left_behind(tmp_path / "r")] == [document()]


def test_the_latest_comes_first_and_damage_is_passed_over(tmp_path):
    for place in range(3):
        write_snapshot(tmp_path, Owner(DEAD.pid + place, 1), "", document(place))
        os.utime(tmp_path / f"{DEAD.pid + place}-1.json", (place, place))
    for name, text in [("9999999-1.json", "{"), ("9999998-1.json", '{"version": 2}'), ("notes.txt", "")]:
        (tmp_path / name).write_text(text)
    assert [found.document.shot.seed for found in left_behind(tmp_path)] == [2, 1, 0]
    assert left_behind(tmp_path / "none") == ()


def test_a_change_is_written_and_a_clean_end_leaves_nothing(session, autosave):
    session.edit("Change seed", document())
    until(lambda: own_file(autosave).exists())
    autosave.close()
    assert not own_file(autosave).exists() and not autosave._thread.is_alive()
    session.edit("Change seed", document(2))  # nobody listens


def test_undone_to_what_is_saved_leaves_nothing(session, autosave):
    session.edit("Change seed", document())
    until(lambda: own_file(autosave).exists())
    session.undo()
    until(lambda: not own_file(autosave).exists())


def test_what_has_to_be_kept_is_on_disk_at_once(session, autosave, monkeypatch):
    monkeypatch.setattr(autosave, "_want", lambda wanted: None)  # the thread that writes is slow
    asked = document(6).with_(takes=(Take(name="v001", pattern="/s/v001.%04d.exr", key="k"),))
    session.amend(asked)
    autosave.keep(asked)
    assert '"seed": 6' in own_file(autosave).read_text()
    session.amend(asked.with_(shot=ShotSettings(seed=7)))
    autosave.keep(asked)  # what changed since is not lost
    assert '"seed": 7' in own_file(autosave).read_text()
    own_file(autosave).unlink()
    session.open(document(8))
    session.edit("Change seed", document(9))
    autosave.keep(asked)  # of a project that was closed
    session.amend(asked)
    session.mark_saved(asked)
    autosave.keep(asked)
    assert not own_file(autosave).exists()


def test_playing_writes_nothing(session, autosave, monkeypatch):
    wanted = []
    monkeypatch.setattr(autosave, "_want", wanted.append)
    session.look(timeline=session.document.timeline.with_(frame=7))
    assert wanted == []


def test_changes_gather_into_one_write(session, inbox, tmp_path, monkeypatch):
    go, written = threading.Event(), []
    monkeypatch.setattr(
        "layerflow_desktop.controllers.recovery.write_snapshot",
        lambda folder, owner, project, document: written.append(document),
    )
    autosave = Autosave(session, inbox, tmp_path, wait=lambda event, seconds: go.wait(10))
    for seed in range(1, 50):
        session.edit("Change seed", document(seed), merge="seed")
    go.set()
    until(lambda: written)
    autosave.close()
    assert [each.shot.seed for each in written] == [49]


def test_a_full_disk_is_said_once(session, autosave, inbox):
    autosave.folder.write_text("a file in the way")
    for seed in range(3):
        session.edit("Change seed", document(seed))
    inbox.make()
    assert len(session.lines) == 1 and "save often" in session.lines[0]


def test_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LAYERFLOW_STUDIO", str(tmp_path))
    assert recovery_folder() == tmp_path / "recovery"
    monkeypatch.delenv("LAYERFLOW_STUDIO")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    if sys.platform == "linux":
        assert studio_folder() == Path("/state/layerflow/studio")


def test_titles(session, projects, inbox, tmp_path):
    titles = []
    projects.title_changed.connect(titles.append)
    assert projects.title == "Untitled – LayerFlow Studio" and not projects.save()
    session.edit("Change seed", document())
    projects.save_as(tmp_path / "dog")
    inbox.make()
    session.edit("Change seed", document(2))
    projects.new()
    assert titles == [
        "Untitled* – LayerFlow Studio",
        "dog.lfstudio – LayerFlow Studio",
        "dog.lfstudio* – LayerFlow Studio",
        "Untitled – LayerFlow Studio",
    ]
    assert projects.recent == [tmp_path / "dog.lfstudio"] and session.lines == ["Saved dog.lfstudio."]


def test_open_save_and_then(session, projects, inbox, tmp_path):
    path, done = tmp_path / "dog.lfstudio", []
    save(document(), path)
    projects.open(path, lambda: done.append("opened"))
    inbox.make()
    assert session.document == document() and session.is_saved and projects.path == path
    session.edit("Change seed", document(2))
    assert projects.save(lambda: done.append("saved"))
    session.edit("Change seed", document(3))  # while it is being written
    inbox.make()
    assert load(path) == document(2) and not session.is_saved and done == ["opened", "saved"]


def test_saves_in_a_row_are_written_in_order(session, projects, inbox, tmp_path):
    path = tmp_path / "dog.lfstudio"
    projects.save_as(path)
    inbox.make()
    for seed in (1, 2, 3):
        session.edit("Change seed", document(seed))
        projects.save()
    inbox.make(3)
    assert load(path) == document(3) and session.is_saved
    assert session.lines == ["Saved dog.lfstudio."] * 4


def test_what_fails_is_said_and_changes_nothing(session, projects, inbox, tmp_path):
    session.edit("Change seed", document())
    projects.open(tmp_path / "none.lfstudio")
    inbox.make()
    projects.save_as(tmp_path / "none" / "dog.lfstudio")
    inbox.make()
    assert session.document == document() and not session.is_saved and projects.path is None
    assert ["cannot read" in session.lines[0], "cannot write" in session.lines[1]] == [True, True]


def test_saving_never_replaces_what_nobody_chose(session, projects, inbox, tmp_path):
    path = tmp_path / "dog.lfstudio"
    save(document(), path)
    projects.save_as(tmp_path / "dog")
    inbox.make()
    assert "is there already" in session.lines[-1] and load(path) == document()
    projects.open(path)
    inbox.make()
    save(document(7), path)
    os.utime(path, (1, 1))
    session.edit("Change seed", document(8))
    projects.save()
    inbox.make()
    assert "was changed by another program" in session.lines[-1] and load(path) == document(7)
    projects.save_as(path)  # the file dialog has asked
    inbox.make()
    assert load(path) == document(8)
