"""Generate and Regenerate with a real engine: takes, their versions, and what a crash of either side leaves."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pumping import Desk, desk, home_of, kill_server

from layerflow.wire import Request
from layerflow_desktop.controllers.generating import Generating
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models import allowing
from layerflow_desktop.models.document import Document, LayerState, ShotSettings, Take


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("studio_generating")
    with home_of(folder, tiny_model), desk(folder) as found:
        found.pump.until(lambda: found.queue.has_looked)
        yield found


class Sitting:
    """A project that is open, and what was told of its takes."""

    def __init__(self, studio: Desk, document: Document) -> None:
        self.studio, self.kept = studio, []
        self.session = Session(document)
        self.said, self.done, self.failed = [], [], []
        self.session.said.connect(self.said.append)
        self.generating = Generating(self.session, studio.engine, studio.queue, studio.background, self._keep)
        self.generating.take_done.connect(lambda take, job: self.done.append((take.name, job)))
        self.generating.take_failed.connect(lambda take, sentence: self.failed.append(sentence))

    def _keep(self, document: Document) -> None:
        self.kept.append(document.model_dump_json())

    @property
    def takes(self) -> tuple[Take, ...]:
        return self.session.document.takes

    def until(self, is_so, timeout_s: float = 90.0) -> None:
        self.studio.pump.until(is_so, timeout_s)

    def look_at(self, name: str, *layers: LayerState, **shot) -> None:
        document = self.session.document
        self.session.edit("Look", document.with_(take=name, layers=layers, shot=document.shot.with_(**shot)))


@contextlib.contextmanager
def sitting(studio: Desk, document: Document) -> Iterator[Sitting]:
    found = Sitting(studio, document)
    try:
        yield found
    finally:
        found.generating.close()


def document_of(studio: Desk, model: Path, name: str, **changes) -> Document:
    values = {"foreground": "a red dog", "background": "the garden", "model": str(model), "steps": 3}
    return Document(shot=ShotSettings(**{**values, "output": studio.output(name), **changes}))


def frames(take: Take) -> list[str]:
    path = Path(take.pattern)
    return sorted(file.name for file in path.parent.glob(path.name.replace("%04d", "[0-9]*")))


def test_takes_come_one_after_another_and_a_layer_stays_to_the_bit(studio, tiny_model) -> None:
    with sitting(studio, document_of(studio, tiny_model, "dog", seed=3)) as desk_:
        desk_.generating.generate()
        desk_.generating.generate()  # twice in a row: two takes, two versions
        desk_.until(lambda: len(desk_.done) == 2)
        assert [take.name for take in desk_.takes] == ["v001", "v002"]
        first, second = desk_.takes
        assert frames(first)[0] == "dog_v001.0001.exr" and len(frames(second)) == 8
        assert first.key != second.key and first.job != second.job
        assert Request.from_dict(first.request).seed == 3
        assert desk_.said[-1].startswith("v002 is done: 8 frames")
        assert studio.queue.find(first.job).title == "Studio: v001 of untitled"

        layers = (LayerState(name="foreground", locked=True), LayerState(name="background"))
        desk_.look_at("v001", *layers, background="a park", lock_seed=False)
        desk_.generating.regenerate()
        desk_.until(lambda: len(desk_.done) == 3)
        third = desk_.takes[2]
        assert (third.name, third.request["task"], third.request["keep"]) == ("v003", "edit", ("foreground",))
        assert desk_.session.document.shot.seed == third.request["seed"] != 3
        assert planes(first, "foreground") == planes(third, "foreground")
        assert planes(first, "background") != planes(third, "background")

        desk_.look_at("v001", seed=3, lock_seed=True)
        desk_.generating.regenerate()
        desk_.until(lambda: len(desk_.done) == 4)
        fourth = desk_.takes[3]
        assert fourth.request == {**first.request, "seed": fourth.request["seed"], "output": fourth.pattern}
        assert planes(first, "foreground") != planes(fourth, "foreground")


def planes(take: Take, layer: str) -> dict[str, bytes]:
    from rendering import channels

    path = Path(take.pattern).parent / frames(take)[0]
    return {name: plane.tobytes() for name, plane in channels(path).items() if name.startswith(layer)}


def test_versions_on_disk_are_never_written_to(studio, tiny_model) -> None:
    there = studio.folder / "old_v004.0001.exr"
    there.write_bytes(b"somebody's")
    with sitting(studio, document_of(studio, tiny_model, "old")) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.done)
        assert desk_.takes[0].name == "v005"
    assert there.read_bytes() == b"somebody's"


def test_what_cannot_be_is_said_and_makes_no_take(studio, tiny_model) -> None:
    with sitting(studio, document_of(studio, tiny_model, "none", foreground="")) as desk_:
        desk_.generating.generate()
        desk_.generating.regenerate()
        assert desk_.said == [
            "There is no foreground to make; describe it in a few words",
            "There is no take to make again; press Generate",
        ]
        assert [desk_.generating.why_not_generate(), desk_.generating.why_not_regenerate()] == desk_.said
        assert not desk_.takes


def test_what_the_engine_will_not_take_leaves_no_take(studio, tiny_model) -> None:
    outside = document_of(studio, tiny_model, "x", output="/nowhere/at/all/x.%04d.exr")
    with sitting(studio, outside) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.failed)
        assert desk_.failed[0].startswith("v001 was not taken: output /nowhere/at/all/") and not desk_.takes
        assert desk_.said[-1] == desk_.failed[0]


def test_a_job_that_fails_is_one_sentence(studio, tiny_model) -> None:
    gone = document_of(studio, tiny_model, "y", task="decompose", plate=str(studio.folder / "gone.%04d.exr"))
    with sitting(studio, gone) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.failed)
        assert desk_.failed[0].startswith("v001 ") and "gone.%04d.exr" in desk_.failed[0]


def test_a_cancelled_take_goes_on_once_it_is_retried(studio, tiny_model) -> None:
    with sitting(studio, document_of(studio, tiny_model, "back", steps=150)) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and (row := studio.queue.find(desk_.takes[0].job)) and row.state == "running")
        studio.queue.cancel(desk_.takes[0].job)
        desk_.until(lambda: any("was cancelled" in text for text in desk_.said))
        studio.queue.retry(desk_.takes[0].job)
        desk_.until(lambda: desk_.done)
        assert len(frames(desk_.takes[0])) == 8


@pytest.mark.slow
@pytest.mark.long
def test_a_server_that_is_killed_in_the_middle_is_no_loss(studio, tiny_model) -> None:
    with sitting(studio, document_of(studio, tiny_model, "crash", steps=400)) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and progress(studio, desk_.takes[0]) > 3)
        kill_server()
        desk_.generating.generate()  # and nobody is there to be asked
        desk_.until(lambda: len(desk_.done) == 2, timeout_s=200)
        assert sorted(name for name, _ in desk_.done) == ["v001", "v002"] and not desk_.failed
        assert len({take.job for take in desk_.takes}) == 2
        assert [len(frames(take)) for take in desk_.takes] == [8, 8]


def progress(studio: Desk, take: Take) -> int:
    row = studio.queue.find(take.job)
    return row.job.progress.done if row is not None else 0


def test_a_folder_is_allowed_and_the_job_that_runs_goes_on(studio, tiny_model, tmp_path, monkeypatch) -> None:
    shows = tmp_path / "show"
    shows.mkdir()
    monkeypatch.setattr(allowing, "_DEPTH", len(shows.parts) - 1)
    asked = []
    with sitting(studio, document_of(studio, tiny_model, "runs", steps=200)) as desk_:
        desk_.generating.refused_outside.connect(asked.append)
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and progress(studio, desk_.takes[0]) > 3)
        desk_.look_at("", output=str(shows / "dog_v007.%04d.exr"), steps=2)
        desk_.generating.generate()
        desk_.until(lambda: asked)
        assert asked == [str(shows)]
        wanted = desk_.takes[-1]
        assert desk_.generating.status_of(wanted).text == f"waits until the engine may use {shows}"
        desk_.generating.forbid(str(shows))
        assert desk_.failed[0].startswith(f"{wanted.name} was not taken: output {shows}") and asked[-1] == ""
        desk_.generating.generate()
        desk_.until(lambda: asked[-1])
        desk_.generating.allow(asked[-1])
        desk_.until(lambda: len(desk_.done) == 2, timeout_s=150)
        row = studio.queue.find(desk_.takes[0].job)
        assert [len(frames(take)) for take in desk_.takes] == [8, 8] and row.job.attempts == 2
        assert Path(desk_.takes[1].pattern).parent == shows and asked[-1] == ""


def test_a_project_that_is_opened_after_a_crash_takes_its_job_up_again(studio, tiny_model) -> None:
    """The app is killed once before the job's id was kept, and once after it."""
    with sitting(studio, document_of(studio, tiny_model, "again", steps=300)) as desk_:
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes and desk_.takes[0].job)
        (kept,) = desk_.kept  # what was on disk before the engine was asked
        job, with_job = desk_.takes[0].job, desk_.session.document.model_dump_json()
    assert json.loads(kept)["takes"][0]["job"] == "" and json.loads(kept)["takes"][0]["key"]
    for text in (kept, with_job):
        with sitting(studio, Document()) as opened:
            opened.session.open(Document.model_validate_json(text))
            opened.generating.recover()
            opened.until(lambda opened=opened: opened.takes[0].job)
            assert opened.takes[0].job == job
            if text == with_job:
                opened.until(lambda opened=opened: opened.done)
                assert opened.done[0][0] == "v001"
    assert len([row for row in studio.queue.rows if row.output.endswith("again_v001.%04d.exr")]) == 1


def test_undo_keeps_the_take_and_another_project_is_left_alone(studio, tiny_model) -> None:
    with sitting(studio, document_of(studio, tiny_model, "undone")) as desk_:
        shot = desk_.session.document.shot
        desk_.session.edit("Change seed", desk_.session.document.with_(shot=shot.with_(seed=9)))
        desk_.generating.generate()
        desk_.until(lambda: desk_.takes)
        desk_.session.undo()
        assert [take.name for take in desk_.takes] == ["v001"]
        desk_.session.open(Document())
        desk_.until(lambda: any(row.output.endswith("undone_v001.%04d.exr") for row in studio.queue.rows))
        desk_.until(lambda: all(row.state == "done" for row in studio.queue.rows if "undone_v001" in row.output))
        assert not desk_.takes and not desk_.done


def test_a_take_of_another_machine_is_said_to_be_gone(studio) -> None:
    take = Take(name="v001", pattern="/o/x_v001.%04d.exr", job="f" * 32, key="k")
    with sitting(studio, Document(takes=(take,), take="v001")) as desk_:
        desk_.generating.recover()
        desk_.generating.recover()
        assert not desk_.failed  # of an old project, that is no news
        assert desk_.generating.status_of(take) is None
