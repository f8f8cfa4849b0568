"""Projects on disk: what is written is what is read, wherever the folder moves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerflow.wire import Request
from layerflow_desktop.models.document import Document, LayerState, ShotSettings, Take, TimelineState, ViewSettings
from layerflow_desktop.models.project_file import ProjectError, from_text, load, previous_of, save, to_text

WORDS = st.text("abcß日 .-:'#", min_size=1, max_size=8).filter(lambda text: text.strip(" .:") == text)
INSIDE = st.lists(WORDS, min_size=1, max_size=3).map("/".join)  # of the shot's folder
NAMES = st.sampled_from(["v001", "v002", "a take"])


def mattes(paths):
    return st.one_of(st.just(""), paths, st.tuples(paths, st.sampled_from(["A", "mask.A"])).map(":".join))


@st.composite
def documents(draw, root):
    """Documents whose paths all lie in `root`."""
    paths = INSIDE.map(lambda inside: f"{root}/{inside}")
    loras = st.lists(st.one_of(paths, paths.map(lambda path: f"{path}:0.8")), max_size=2)
    shot = ShotSettings(
        plate=draw(st.one_of(st.just(""), paths)),
        guide=draw(mattes(paths)),
        output=draw(st.one_of(st.just(""), paths)),
        lora=tuple(draw(loras)),
        model=draw(st.one_of(st.just("mini"), paths)),
        seed=draw(st.integers(0, 2**63 - 1)),
        foreground=draw(st.text("aß日\n", max_size=20)),
        guidance=draw(st.one_of(st.none(), st.floats(0, 100))),
    )
    takes = [
        Take(
            name=name,
            pattern=draw(paths) + ".%04d.exr",
            request={"task": "decompose", "plate": draw(paths), "guide": draw(mattes(paths)), "lora": draw(loras)},
        )
        for name in draw(st.lists(NAMES, unique=True))
    ]
    layers = [LayerState(name=name, scale=draw(st.floats(0.01, 100))) for name in ("foreground", "background")]
    view = ViewSettings(a="foreground", exposure=draw(st.floats(-20, 20)))
    return Document(shot=shot, takes=takes, layers=layers, view=view, timeline=TimelineState(frame=1003, mark_in=1001))


def moved_document(document, old, new):
    return Document.model_validate_json(document.model_dump_json().replace(json.dumps(old)[1:-1], new))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_reads_what_it_wrote_wherever_the_folder_is(data):
    document = data.draw(documents("/show/shot"))
    for place in ("", "/work", "/work/v1"):
        text = to_text(document, Path("/show/shot" + place))
        assert from_text(text, Path("/show/shot" + place + "/dog.lfstudio")) == document
        assert "/show/shot" not in text and "\\\\" not in text
        elsewhere = from_text(text, Path("/archive/2026/it" + place + "/dog.lfstudio"))
        assert elsewhere == moved_document(document, "/show/shot", "/archive/2026/it")


def test_a_folder_that_moves_on_disk(tmp_path):
    (tmp_path / "a" / "plates").mkdir(parents=True)
    (tmp_path / "a" / "plates" / "dog.0001.exr").touch()
    plate = tmp_path / "a" / "plates" / "dog.%04d.exr"
    save(Document(shot=ShotSettings(plate=str(plate))), tmp_path / "a" / "dog.lfstudio")
    shutil.move(tmp_path / "a", tmp_path / "b")
    found = load(tmp_path / "b" / "dog.lfstudio")
    assert found.shot.plate == str(tmp_path / "b" / "plates" / "dog.%04d.exr")


@pytest.mark.parametrize(
    "path", ["/far/away/plate.%04d.exr", "C:\\plates\\dog.%04d.exr", "\\\\server\\show\\dog.%04d.exr", "D:/x/y.exr"]
)
def test_far_paths_and_those_of_other_systems_stay(path):
    document = Document(shot=ShotSettings(plate=path, model=path))
    text = to_text(document, Path("/show/shot"))
    assert json.loads(text)["shot"]["plate"] == path
    assert from_text(text, Path("/show/shot/dog.lfstudio")) == document


def test_a_folder_named_like_a_drive_is_none():
    document = Document(shot=ShotSettings(plate="/show/shot/c:x/dog.%04d.exr"))
    assert from_text(to_text(document, Path("/show/shot")), Path("/show/shot/dog.lfstudio")) == document


def test_home_is_no_shot(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    document = Document(shot=ShotSettings(plate="/home/ann/footage/dog.mov"))
    assert json.loads(to_text(document, Path("/home/ann/projects")))["shot"]["plate"] == "/home/ann/footage/dog.mov"


def test_a_matte_keeps_its_channel_and_a_model_its_slash():
    shot = ShotSettings(guide="/s/roto.####.exr:mask.A", model="/s/mine", lora=("/s/dog.safetensors:0.5",))
    written = json.loads(to_text(Document(shot=shot), Path("/s")))["shot"]
    assert (written["guide"], written["model"], written["lora"]) == (
        "roto.####.exr:mask.A",
        "./mine",
        ["dog.safetensors:0.5"],
    )


def test_a_request_of_the_wire_comes_through():
    request = Request("decompose", plate="/s/plate.%04d.exr", output="/s/out.%04d.exr", lora=("/s/l.safetensors",))
    document = Document(takes=[Take(name="v001", pattern="/s/out.%04d.exr", request=request.to_dict())])
    found = from_text(to_text(document, Path("/s")), Path("/s/dog.lfstudio"))
    assert Request.from_dict(found.takes[0].request) == request


def test_text_is_the_same_for_the_same_project(tmp_path):
    save(Document(), tmp_path / "a.lfstudio")
    save(load(tmp_path / "a.lfstudio"), tmp_path / "b.lfstudio")
    assert (tmp_path / "a.lfstudio").read_bytes() == (tmp_path / "b.lfstudio").read_bytes()


def test_the_project_before_is_kept(tmp_path):
    path = tmp_path / "dog.lfstudio"
    first, second = (Document(shot=ShotSettings(seed=seed)) for seed in (1, 2))
    save(first, path)
    assert not previous_of(path).exists()
    save(second, path)
    assert load(path) == second and load(previous_of(path)) == first
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dog.lfstudio", "dog.lfstudio~"]


def test_a_save_that_fails_leaves_the_project(tmp_path, monkeypatch):
    path = tmp_path / "dog.lfstudio"
    save(Document(shot=ShotSettings(seed=1)), path)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ProjectError, match=r"No space left on device\); save the project elsewhere"):
        save(Document(), path)
    assert load(path).shot.seed == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dog.lfstudio", "dog.lfstudio~"]


def test_a_link_stays_a_link(tmp_path):
    save(Document(), tmp_path / "real.lfstudio")
    (tmp_path / "link.lfstudio").symlink_to("real.lfstudio")
    save(Document(shot=ShotSettings(seed=9)), tmp_path / "link.lfstudio")
    assert (tmp_path / "link.lfstudio").is_symlink() and load(tmp_path / "real.lfstudio").shot.seed == 9


def test_what_a_newer_one_adds_is_left_out():
    values = {**Document().model_dump(mode="json"), "news": 1}
    values["shot"]["more"] = {"a": 1}
    assert from_text(json.dumps(values), Path("/s/dog.lfstudio")) == Document()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "dog.lfstudio is damaged: it is no JSON; open a copy of it"),
        ("[1]", "dog.lfstudio is damaged: it is no project; open a copy of it"),
        ("{}", "dog.lfstudio is damaged: it has no version; open a copy of it"),
        ('{"version": true}', "dog.lfstudio is damaged: it has no version; open a copy of it"),
        (
            '{"version": 1, "shot": {"seed": -1}}',
            "dog.lfstudio is damaged: shot.seed cannot be '-1'; open a copy of it",
        ),
        ('{"version": 1, "takes": [3]}', "dog.lfstudio is damaged: takes.0 cannot be '3'; open a copy of it"),
        ('{"version": 1, "shot": {"guidance": NaN}}', "damaged: shot.guidance cannot be 'nan'"),
        ("[" * 100_000, "dog.lfstudio is damaged: it is no JSON"),
        (
            '{"version": 2}',
            "dog.lfstudio is of a newer LayerFlow Studio (version 2, this one reads 1); update LayerFlow to open it",
        ),
    ],
)
def test_damage_is_one_sentence(text, sentence):
    with pytest.raises(ProjectError) as error:
        from_text(text, Path("/nowhere/dog.lfstudio"))
    assert sentence in str(error.value)


def test_damage_points_to_what_was_before(tmp_path):
    path = tmp_path / "dog.lfstudio"
    save(Document(), path)
    save(Document(shot=ShotSettings(seed=1)), path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProjectError, match=r"it is not text; open dog.lfstudio~, what was saved before"):
        load(path)


def test_no_file_is_one_sentence(tmp_path):
    with pytest.raises(ProjectError, match=r"No such file or directory.*choose another project"):
        load(tmp_path / "none.lfstudio")
    with pytest.raises(ProjectError, match="save the project elsewhere"):
        save(Document(), tmp_path / "none" / "dog.lfstudio")
