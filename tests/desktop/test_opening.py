"""What is dropped or given on the command line, held against what the engine takes the same text for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerflow import exr
from layerflow.errors import PlateError
from layerflow.layers import LayerStack, PictureFormat
from layerflow.plate.find import find
from layerflow_desktop.controllers.opening import Opened, kind_of
from layerflow_desktop.models.picture import ClipError


def picture(path: Path, names: tuple[str, ...] = ("R", "G", "B"), **attributes: str) -> Path:
    """A tiny picture at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = oiio.ImageSpec(4, 4, len(names), oiio.HALF if path.suffix == ".exr" else oiio.UINT8)
    spec.channelnames = names
    for name, value in attributes.items():
        spec.attribute(name, value)
    output = oiio.ImageOutput.create(path.suffix[1:].lower())
    assert output.open(str(path), spec), output.geterror()
    output.write_image(np.full((4, 4, len(names)), 0.5, np.float32))
    output.close()
    return path


def sequence(folder: Path, name: str = "dog", frames: range = range(1, 4), suffix: str = ".png") -> list[Path]:
    """Numbered pictures, of which one was written."""
    folder.mkdir(parents=True, exist_ok=True)
    first = picture(folder / f"{name}.{frames[0]:04d}{suffix}")
    others = [folder / f"{name}.{frame:04d}{suffix}" for frame in frames[1:]]
    for path in others:
        shutil.copy(first, path)
    return [first, *others]


def movie(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(24))
        stream.width = stream.height = 32
        for place in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * place, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def layered(path: Path) -> Path:
    """A frame that the engine has written."""
    front = np.full((1, 4, 4, 4), 0.5, np.float32)
    form = PictureFormat(width=4, height=4, fps=Fraction(24))
    stack = LayerStack(
        layers={"foreground": front, "background": front[..., :3]}, frames=(1,), format=form, colorspace="ACEScg"
    )
    exr.write_frame(path, stack, 0, header={"layerflow:seed": "1"})
    return path


def meant(opened: Opened) -> set[Path]:
    """The files that the engine takes it for."""
    found = find(opened.text)
    return {found.movie} if found.movie else set(found.files.values())


def refused(*paths: Path | str) -> str:
    with pytest.raises(ClipError) as caught:
        kind_of([str(path) for path in paths])
    sentence = str(caught.value)
    assert "\n" not in sentence and ";" in sentence
    return sentence


def test_a_frame_of_several_is_its_sequence(tmp_path: Path) -> None:
    frames = sequence(tmp_path)
    for path in frames:
        opened = kind_of([str(path)])
        assert opened == Opened("plate", str(tmp_path / "dog.####.png")) and meant(opened) == set(frames)
    assert kind_of([str(path) for path in frames[1:]]) == opened


def test_a_file_without_siblings_stays_as_it_is(tmp_path: Path) -> None:
    for name in ("dog.0001.png", "still.png", "other.jpg", "take 2.exr"):
        path = picture(tmp_path / name)
        opened = kind_of([str(path)])
        assert opened == Opened("plate", str(path)) and meant(opened) == {path}


def test_a_folder_is_the_one_sequence_in_it(tmp_path: Path) -> None:
    frames = sequence(tmp_path)
    picture(tmp_path / "reference.jpg")
    (tmp_path / ".hidden.0001.png").touch()
    (tmp_path / "notes.txt").touch()
    opened = kind_of([str(tmp_path)])
    assert opened == Opened("plate", str(tmp_path / "dog.####.png"))
    assert meant(opened) == set(frames) == set(find(str(tmp_path)).files.values())


def test_a_folder_with_one_picture_or_movie_is_that(tmp_path: Path) -> None:
    still, film = picture(tmp_path / "a" / "still.png"), movie_in(tmp_path / "b")
    for path in (still, film):
        opened = kind_of([str(path.parent)])
        assert opened == Opened("plate", str(path)) and meant(opened) == {path}


def movie_in(folder: Path) -> Path:
    folder.mkdir()
    return movie(folder / "dog.0001.mov")


def test_a_movie_is_itself_whatever_its_number(tmp_path: Path) -> None:
    first, _ = movie(tmp_path / "dog.0001.mov"), movie(tmp_path / "dog.0002.mov")
    assert kind_of([str(first)]) == Opened("plate", str(first)) and meant(kind_of([str(first)])) == {first}


@pytest.mark.parametrize("name", ["dog.####.png", "dog.%04d.png", "dog.#.png"])
def test_a_pattern_stays_as_it_was_written(name: str, tmp_path: Path) -> None:
    frames = sequence(tmp_path)
    opened = kind_of([str(tmp_path / name)])
    assert opened == Opened("plate", str(tmp_path / name)) and meant(opened) == set(frames)


def test_a_path_is_whole_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence(tmp_path / "plates")
    monkeypatch.chdir(tmp_path)
    assert kind_of(["plates"]).text == str(tmp_path / "plates" / "dog.####.png")
    assert kind_of(["plates/dog.%04d.png"]).text == str(tmp_path / "plates" / "dog.%04d.png")


def test_holes_are_for_the_engine_to_speak_of(tmp_path: Path) -> None:
    frames = sequence(tmp_path, frames=range(1, 9, 3))
    assert meant(kind_of([str(tmp_path)])) == set(frames)


def test_an_empty_frame_in_the_middle_is_spoken_of_when_it_is_read(tmp_path: Path) -> None:
    frames = sequence(tmp_path)
    frames[1].write_bytes(b"")
    assert kind_of([str(frames[1])]).text == str(tmp_path / "dog.####.png")


def test_frames_of_the_engine_are_layers(tmp_path: Path) -> None:
    first = layered(tmp_path / "dog.0001.exr")
    assert kind_of([str(first)]) == Opened("layers", str(first))
    shutil.copy(first, tmp_path / "dog.0002.exr")
    assert kind_of([str(tmp_path)]) == Opened("layers", str(tmp_path / "dog.####.exr"))


def test_layers_are_known_by_their_names_too(tmp_path: Path) -> None:
    names = ("R", "G", "B", "A", *(f"foreground.{letter}" for letter in "RGBA"))
    assert kind_of([str(picture(tmp_path / "a.exr", names))]).kind == "layers"
    assert kind_of([str(picture(tmp_path / "b.exr", names[:4]))]).kind == "plate"
    assert kind_of([str(picture(tmp_path / "c.exr", names[:4], **{"layerflow:layers": "foreground"}))]).kind == "layers"
    others = ("R", "G", "B", "A", "depth.Z", "diffuse.R", "diffuse.G", "diffuse.B")
    assert kind_of([str(picture(tmp_path / "d.exr", others))]).kind == "plate"


@pytest.mark.parametrize("name", ["shot.lfstudio", "Shot.LFSTUDIO", "shot.lfstudio~", "a #1 %04d.lfstudio"])
def test_a_project_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    assert kind_of([str(tmp_path / name)]) == Opened("project", str(tmp_path / name))


def test_projects_that_cannot_be(tmp_path: Path) -> None:
    assert f"there is no file {tmp_path}/no.lfstudio" in refused(tmp_path / "no.lfstudio")
    for name in ("a.lfstudio", "b.lfstudio"):
        (tmp_path / name).touch()
    assert "a.lfstudio and b.lfstudio cannot be opened at once" in refused(
        tmp_path / "a.lfstudio", tmp_path / "b.lfstudio"
    )
    frames = sequence(tmp_path / "folder.lfstudio")
    assert meant(kind_of([str(tmp_path / "folder.lfstudio")])) == set(frames)


@pytest.mark.parametrize(
    "name", ["a b", "dog 🐕", 'it\'s "quoted"', "träume 夢", "percent %", "$HOME `x`; rm", "x" * 200, "two..dots"]
)
def test_whatever_a_name_holds(name: str, tmp_path: Path) -> None:
    frames = sequence(tmp_path / name, name)
    for path in (frames[1], tmp_path / name):
        opened = kind_of([str(path)])
        assert opened == Opened("plate", str(tmp_path / name / f"{name}.####.png")) and meant(opened) == set(frames)


def test_a_name_with_a_field_of_its_own_is_its_folder(tmp_path: Path) -> None:
    for folder, name in ((tmp_path / "a", "shot #2"), (tmp_path / "b %04d", "dog"), (tmp_path / "c", "50%d")):
        frames = sequence(folder, name)
        opened = kind_of([str(frames[0])])
        assert opened == Opened("plate", str(folder)) and meant(opened) == set(frames)
    sequence(tmp_path / "a", "other")
    assert "no pattern can name the sequence of shot #2.0001.png" in refused(tmp_path / "a" / "shot #2.0001.png")


def test_numbers_of_any_width(tmp_path: Path) -> None:
    for frame in (8, 9, 10, 11):
        picture(tmp_path / f"dog.{frame}.png")
    opened = kind_of([str(tmp_path / "dog.10.png")])
    assert opened.text == str(tmp_path / "dog.#.png") and len(meant(opened)) == 4


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert "check the path" in refused(tmp_path / "no.png")
    assert "x" * 300 in refused(tmp_path / f"{'x' * 300}.png")
    assert "no file matches" in refused(tmp_path / "dog.####.png")
    assert "the folder" in refused(tmp_path / "nowhere" / "dog.####.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    refused(tmp_path / "link.png")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("http://example.com/dog.png", "must be a local file, got the address 'http://example.com/dog.png'; download"),
        ("file:///home/me/dog.png", "must be a local file"),
        ("", "the file path is empty"),
        ("a\0b.png", "U+0000"),
        ("a\nb.png", "U+000A"),
        ("\udcff.png", "U+DCFF"),
    ],
)
def test_what_is_no_path(path: str, words: str) -> None:
    assert words in refused(path)


def test_nothing_at_all() -> None:
    assert "nothing was given" in refused()


def test_files_of_no_use(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt is not a kind of file that can be read" in refused(tmp_path / "notes.txt")
    for name in ("text.png", "text.exr", "text.jpg", "text.dpx", "text.tif", "text.mov", "text.mp4"):
        (tmp_path / name).write_text("To be, or not to be\n" * 20)
        assert name in refused(tmp_path / name)
        (tmp_path / name).write_bytes(b"")
        assert refused(tmp_path / name) == f"{name} is empty (0 bytes); render or copy it again"
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png")


def test_folders_of_no_use(tmp_path: Path) -> None:
    assert "holds nothing to look at" in refused(tmp_path)
    (tmp_path / "notes.txt").touch()
    assert "holds nothing to look at" in refused(tmp_path)
    sequence(tmp_path, "cat")
    sequence(tmp_path, "dog", suffix=".jpg")
    assert "holds more than one: cat.####.png, dog.####.jpg; choose" in refused(tmp_path)
    with pytest.raises(PlateError, match="more than one sequence"):
        find(str(tmp_path))
    assert kind_of([str(tmp_path / "cat.0002.png")]).text == str(tmp_path / "cat.####.png")


def test_two_files_of_one_frame(tmp_path: Path) -> None:
    sequence(tmp_path)
    picture(tmp_path / "dog.1.png")
    assert "are both frame 1; move one of them away" in refused(tmp_path / "dog.0002.png")
    assert "are both frame 1; move one of them away" in refused(tmp_path)


def test_two_things_at_once(tmp_path: Path) -> None:
    cats, dogs = sequence(tmp_path, "cat"), sequence(tmp_path, "dog")
    assert "cat.####.png and dog.####.png cannot be opened at once" in refused(cats[0], dogs[0], dogs[1])


def test_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for those who are not root."""
    path = picture(tmp_path / "dog.png")
    monkeypatch.setattr(os, "access", lambda where, mode: False)
    assert refused(path) == f"there is no permission to read {path}; ask for it, or choose another file"
    monkeypatch.setattr(os, "scandir", denied)
    assert "cannot be read (Permission denied)" in refused(tmp_path)


def denied(path: Any) -> Any:
    raise PermissionError(13, "Permission denied", str(path))


NAMES = st.from_regex(r"\A[ab]?[._ ]?[0-9]{0,3}[._]?[0-9]{1,14}\.(png|PNG|mov|txt)\Z")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(NAMES, min_size=1, max_size=5))
def test_it_means_to_the_engine_what_it_means_here(names: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder is taken or refused alike; a frame is among those that its text means, and they are of its sequence."""
    folder = tmp_path_factory.mktemp("plates")
    source = picture(folder.parent / "source.png")
    film = folder.parent / "source.mov"
    film = film if film.exists() else movie(film)
    for name in names:
        shutil.copy(film if name.endswith("mov") else source, folder / name)
    assert agreed(lambda: meant(kind_of([str(folder)]))) == agreed(lambda: files_of(str(folder)))
    for name in names:
        if not name.endswith("txt"):
            taken = agreed(lambda path=str(folder / name): meant(kind_of([path])))  # type: ignore[misc]
            assert taken is None or folder / name in taken
    shutil.rmtree(folder)


def files_of(text: str) -> set[Path]:
    found = find(text)
    return {found.movie} if found.movie else set(found.files.values())


def agreed(ask: Callable[[], set[Path]]) -> set[Path] | None:
    try:
        return ask()
    except (ClipError, PlateError):
        return None
