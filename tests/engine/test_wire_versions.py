"""Versions of an output: what is on disk decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.wire.versions import (
    Frames,
    Versions,
    at_version,
    check_here,
    version_of,
    with_version,
)


def written(folder, *names, data=b"frame"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def as_it_is(text):
    return text


def versions(pattern):
    return Versions.of(str(pattern), as_it_is)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("out/dog.%04d.exr", "out/dog_v001.%04d.exr"),
        ("out/dog.####.exr", "out/dog_v001.####.exr"),
        ("out/dog_%04d.exr", "out/dog_v001_%04d.exr"),
        ("out/dog%04d.exr", "out/dog_v001.%04d.exr"),
        ("out/%04d.exr", "out/_v001.%04d.exr"),
        ("out/dog_v007.%04d.exr", "out/dog_v007.%04d.exr"),
        ("out/v3/dog.%04d.exr", "out/v3/dog.%04d.exr"),
        ("out/preview9.%04d.exr", "out/preview9_v001.%04d.exr"),
    ],
)
def test_an_output_gets_a_version_where_it_has_none(text, given):
    assert with_version(text) == given and version_of(given) is not None


def test_a_version_goes_up_in_folder_and_name_alike():
    assert at_version("/out/dog_v001/dog_v001.%04d.exr", 12) == "/out/dog_v012/dog_v012.%04d.exr"
    assert at_version("/shows/v002/dog_v001.%04d.exr", 3) == "/shows/v002/dog_v003.%04d.exr"
    assert at_version("dog_v9.%04d.exr", 10) == "dog_v10.%04d.exr"


@given(st.integers(1, 999), st.integers(1, 999), st.integers(3, 6))
def test_any_version_can_be_gone_to_and_back_from(one, other, padding):
    pattern = f"/out/dog_v{one:0{padding}d}.%04d.exr"
    assert version_of(at_version(pattern, other)) == other
    assert at_version(at_version(pattern, other), one) == pattern


def test_the_next_version_is_after_the_highest_that_was_begun(tmp_path):
    pattern = tmp_path / "dog_v001.%04d.exr"
    assert versions(pattern).next() == 1 and versions(pattern).on_disk() == []
    written(tmp_path, "dog_v001.1001.exr", "dog_v004.1001.exr", "dog_v003.txt", "cat_v009.1001.exr", "dog_v010x.1.exr")
    assert versions(pattern).on_disk() == [1, 4] and versions(pattern).next() == 5
    (tmp_path / ".dog_v006.layerflow").mkdir()  # a job that has no frame yet
    assert versions(pattern).on_disk() == [1, 4] and versions(pattern).next() == 7


def test_which_frames_are_versions_of_an_output():
    of_dog = versions("/out/dog_v001.%04d.exr")
    assert of_dog.has("/out/dog_v012.%04d.exr") and not of_dog.has("/out/dog_vx.%04d.exr")
    assert not of_dog.has("/out/dog_v001.####.exr") and not of_dog.has("/elsewhere/dog_v001.%04d.exr")


def test_an_empty_frame_is_none(tmp_path):
    written(tmp_path, "dog_v001.1001.exr", data=b"")
    assert versions(tmp_path / "dog_v001.%04d.exr").on_disk() == []


def test_versions_of_folders(tmp_path):
    written(tmp_path, "v002/dog_v002.1001.exr", "v003/other.1001.exr")
    of_folders = versions(tmp_path / "v001" / "dog_v001.%04d.exr")
    assert of_folders.on_disk() == [2] and of_folders.next() == 3
    assert of_folders.inputs_folder() == str(tmp_path / "dog_inputs")


def test_the_scripts_own_version_is_not_the_outputs(tmp_path):
    """The output lies in a folder of the script, whose name has the same number."""
    folder = tmp_path / "comp_v001"
    written(folder, "dog_v001.1001.exr", "dog_v002.1001.exr")
    found = Versions.of("[folder]/dog_v001.%04d.exr", lambda text: text.replace("[folder]", str(folder)))
    assert found.on_disk() == [1, 2] and found.pattern(3) == str(folder / "dog_v003.%04d.exr")
    assert found.inputs_folder() == str(folder / "dog_inputs")


def test_frames_are_told_from_what_lies_beside_them(tmp_path):
    written(
        tmp_path, "a.1001.exr", "a.1002.exr", "a.10020.exr", "a.1003.exr.part", "a.12.exr", "ba.1004.exr", "a.x.exr"
    )
    frames = Frames.of(str(tmp_path / "a.%04d.exr"))
    assert frames.on_disk() == [1001, 1002, 10020]
    assert frames.path(7) == str(tmp_path / "a.0007.exr")
    assert Frames.of(str(tmp_path / "nothing" / "a.%04d.exr")).on_disk() == []


@pytest.mark.parametrize("text", ["out/dog.exr", "out/dog.%04d.%04d.exr", ""])
def test_an_output_without_one_frame_number_is_refused(text):
    with pytest.raises(ValueError, match="frame number"):
        with_version(text)


@pytest.mark.parametrize(
    ("path", "windows", "says"),
    [
        ("C:/out/dog.%04d.exr", False, "one of Windows"),
        ("\\\\server\\out\\dog.%04d.exr", False, "one of Windows"),
        ("/mnt/out/dog.%04d.exr", True, "not one of Windows"),
        ("out/dog.%04d.exr", False, "save the file"),
        ("out/dog.%04d.exr", True, "save the file"),
    ],
)
def test_a_path_of_another_system_is_refused(path, windows, says):
    with pytest.raises(ValueError, match=says):
        check_here(path, windows)


@pytest.mark.parametrize(
    ("path", "windows"), [("/out/a.exr", False), ("D:/out/a.exr", True), ("//server/a/b.exr", True)]
)
def test_a_path_of_this_system_is_taken(path, windows):
    check_here(path, windows)
