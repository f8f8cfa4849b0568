"""A folder that the engine may not use yet: which one is asked about, and who waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from psygnal import Signal
from pumping import Pump

from layerflow.wire import Job, Request
from layerflow.wire.errors import Busy, ConnectionLost, Outside, Refused, Unauthorised
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.generating import Generating
from layerflow_desktop.controllers.permissions import No, NotYet, Permissions, submitted
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models import allowing
from layerflow_desktop.models.allowing import folder_to_allow
from layerflow_desktop.models.document import Document, Take
from layerflow_desktop.views.allow_bar import AllowBar


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the root of everything, so to speak, with a disk in it at mnt/disk/vol."""
    (tmp_path / "mnt/disk/vol/show").mkdir(parents=True)
    (tmp_path / "plates").mkdir()
    depth = len(tmp_path.parts) - 1
    monkeypatch.setattr(allowing, "_DEPTH", depth + allowing._DEPTH)
    monkeypatch.setattr(Path, "is_mount", lambda path: path in (tmp_path / "mnt", tmp_path / "mnt/disk/vol"))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("mnt/disk/vol/show/dog.%04d.exr", "mnt/disk/vol"),  # the disk
        ("mnt/disk/other/show/dog.%04d.exr", "mnt/disk"),  # mnt alone would be too much, though it is a disk as well
        ("mnt/disk", "mnt/disk"),
        ("plates/dog.%04d.exr", "plates"),
        ("plates/new/dog.%04d.exr", "plates"),
        ("link/dog.%04d.exr", "mnt/disk/vol"),
    ],
)
def test_the_top_of_what_a_path_belongs_to(disks: Path, path: str, folder: str) -> None:
    (disks / "link").symlink_to(disks / "mnt/disk/vol/show")
    assert folder_to_allow(str(disks / path)) == str(disks / folder)


def test_everything_is_never_asked_for() -> None:
    assert folder_to_allow("/dog.%04d.exr") == "" == folder_to_allow("/no such folder/at all/dog.%04d.exr")


REFUSED = Outside("no; move it", "OutsideError", 403, "/no such folder/dog.exr", ["/home/me"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Refused("no such model", "RequestError", 400), No("no such model")),
        (Busy("the queue is full", "Full", 429), No("the queue is full")),
        (ValueError("nonsense"), No("nonsense")),
        (REFUSED, No("no; move it")),
        (Busy("on its way down", "Draining", 503), None),
        (Unauthorised("of another server", "Unauthorised", 401), None),
        (ConnectionLost("gone"), None),
    ],
)
def test_only_a_no_is_the_end_of_a_take(error, expected) -> None:
    def submit() -> Job:
        raise error

    if expected is None:
        with pytest.raises(type(error)):
            submitted(submit)
    else:
        assert submitted(submit) == expected


class StubEngine:
    """What is asked of the engine."""

    def __init__(self) -> None:
        self.asked = []

    def allow(self, roots, then, failed) -> None:
        self.asked.append((roots, then, failed))


def waiting(*folders: str) -> tuple[Permissions, StubEngine, list[str]]:
    engine, told = StubEngine(), []
    permissions = Permissions(engine)
    permissions.asks.connect(told.append)
    for number, folder in enumerate(folders):
        permissions.hold(f"key{number}", NotYet("no; move it", folder, ("/home", "/tmp")))
    return permissions, engine, told


def test_folders_are_asked_about_one_at_a_time_and_all_roots_are_kept() -> None:
    permissions, engine, told = waiting("/mnt/a", "/mnt/a", "/mnt/b")
    assert told == ["/mnt/a"] and permissions.waits_for("key2") == "/mnt/b"
    went = []
    permissions.allow("/mnt/a", lambda: went.append("a"), went.append)
    permissions.allow("/mnt/b", lambda: went.append("b"), went.append)  # which is not in question yet
    ((roots, then, _),) = engine.asked
    assert roots == ["/home", "/tmp", "/mnt/a"] and told == ["/mnt/a", ""]
    then()
    assert went == ["a"] and told[-1] == "/mnt/b" and permissions.waits_for("key0") == ""
    permissions.allow("/mnt/b", lambda: went.append("b"), went.append)
    assert engine.asked[1][0] == ["/home", "/tmp", "/mnt/a", "/mnt/b"]


def test_an_engine_that_does_not_start_anew_is_said() -> None:
    permissions, engine, told = waiting("/mnt/a")
    went = []
    permissions.allow("/mnt/a", lambda: went.append("a"), went.append)
    engine.asked[0][2]("it did not start")
    assert went == ["it did not start"] and permissions.release("/mnt/a").keys() == {"key0"}
    assert told == ["/mnt/a", ""]


def test_nothing_is_asked_about_a_project_that_is_closed() -> None:
    permissions, _, told = waiting("/mnt/a", "/mnt/b")
    permissions.keep_only({"key1"})
    permissions.keep_only(set())
    assert told == ["/mnt/a", "/mnt/b", ""]


class StubStudio:
    """An engine that says no, and its queue."""

    changed, state, rows, has_looked = Signal(), "ready", (), False

    def client(self) -> StubStudio:
        return self

    def submit(self, request, label, key, on_transfer, stopped) -> Job:
        raise Outside("no; move it", "OutsideError", 403, request.output, ["/home/me"])


def test_another_project_is_asked_nothing(tmp_path) -> None:
    pump, session, asked = Pump(), Session(Document()), []
    background = Background(pump)
    generating = Generating(session, StubStudio(), StubStudio(), background)
    generating.refused_outside.connect(asked.append)
    request = Request("generate", foreground="a dog", background="a park", output=str(tmp_path / "a.%04d.exr"))
    take = Take(name="v001", pattern=request.output, key="k", request=request.to_dict())
    session.amend(Document(takes=(take,)))
    pump.until(lambda: asked)
    session.open(Document())
    assert len(asked) == 2 and asked[1] == ""
    session.open(Document(takes=(take,)))
    pump.until(lambda: len(asked) == 3)
    generating.forbid(asked[2])
    assert not session.document.takes and asked[2] == asked[0]
    generating.close()
    background.close()


class StubMaker:
    refused_outside = Signal(str)

    def __init__(self) -> None:
        self.allowed, self.forbidden = [], []
        self.allow, self.forbid = self.allowed.append, self.forbidden.append


def test_the_bar_asks_and_goes(qtbot) -> None:
    maker = StubMaker()
    bar = AllowBar(maker)
    qtbot.addWidget(bar)
    assert not bar.isVisibleTo(bar.parentWidget())
    maker.refused_outside.emit("/mnt/show")
    assert bar.isVisible() and bar._text.text() == "The engine may not use /mnt/show yet."
    bar.allow.click()
    bar.not_now.click()
    assert maker.allowed == maker.forbidden == ["/mnt/show"]
    maker.refused_outside.emit("")
    assert not bar.isVisible()
    for widget in (bar.allow, bar.not_now):
        assert widget.toolTip() and widget.accessibleName() and widget.objectName()
