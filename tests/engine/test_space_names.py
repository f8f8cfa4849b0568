"""Paths of every system as names in a space, and back to the letter."""

from __future__ import annotations

import json
import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.server.spaces import check_file_name
from layerflow.wire import Request
from layerflow.wire.space_names import SPACE, SpaceNames, local_path, space_name

POSIX, WINDOWS = "posix-ws7-0a1b2c", "windows-ws7-0a1b2c"

# What both systems have in names, and a little that is strange: blanks, colons of drives aside, dots, other scripts.
part = st.text(st.sampled_from("abcXYZ019._-# %()'é犬"), min_size=1, max_size=12).filter(lambda text: text.strip(". "))
parts = st.lists(part, min_size=1, max_size=5)


@given(parts)
def test_a_path_of_posix_comes_back(parts: list[str]) -> None:
    path = posixpath.join("/", *parts)
    name = space_name(path, POSIX)
    assert name == POSIX + path and local_path(name) == path
    check_file_name(name)


@given(st.sampled_from("CDz"), parts)
def test_a_path_of_windows_comes_back(drive: str, parts: list[str]) -> None:
    path = ntpath.join(drive + ":\\", *parts)
    name = space_name(path, WINDOWS)
    assert name == "/".join([WINDOWS, drive, *parts]) and local_path(name) == path
    check_file_name(name)


@given(parts, parts)
def test_a_share_of_windows_comes_back(share: list[str], parts: list[str]) -> None:
    path = "\\\\" + ntpath.join(*share, *parts)
    name = space_name(path, WINDOWS)
    assert name == "/".join([WINDOWS, "UNC", *share, *parts]) and local_path(name) == path
    check_file_name(name)


@given(st.lists(st.one_of(parts.map(lambda all_: posixpath.join("/", *all_))), min_size=2, max_size=2, unique=True))
def test_two_paths_never_share_a_name(paths: list[str]) -> None:
    assert len({space_name(path, POSIX) for path in paths}) == 2


@pytest.mark.parametrize("path", ["dog.exr", "./dog.exr", "/a/../b.exr", "/a//b.exr", "/", "", "/a\\b.exr", "C:/a.exr"])
def test_what_has_no_name_on_posix(path: str) -> None:
    with pytest.raises(ValueError, match="from the root on"):
        space_name(path, POSIX)


@pytest.mark.parametrize(
    "path",
    [
        "C:dog.exr",
        "\\dog.exr",
        "\\\\?\\C:\\dog.exr",
        "\\\\.\\pipe\\x",
        "C:\\a\\..\\b.exr",
        "C:\\a/b.exr",
        "C:\\",
        "/a.exr",
    ],
)
def test_what_has_no_name_on_windows(path: str) -> None:
    with pytest.raises(ValueError, match="from the root on"):
        space_name(path, WINDOWS)


@pytest.mark.parametrize("path", ["/shots/Bu\u0308ro/a.exr", "/shots/cafe\u0301.exr", "/\u1112\u1161.exr"])
def test_what_macos_takes_apart_has_to_be_renamed(path: str) -> None:
    with pytest.raises(ValueError, match=f"^{path} has letters .*; rename"):
        space_name(path, POSIX)
    with pytest.raises(ValueError, match="NFC"):
        check_file_name(POSIX + path)
    whole = unicodedata.normalize("NFC", path)
    assert local_path(space_name(whole, POSIX)) == whole


@pytest.mark.parametrize("name", ["", "posix-a", "shots/a.exr", "windows-a/C", "linux-a/b/c"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        local_path(name)


def test_a_request_goes_there_and_back() -> None:
    request = Request(
        "decompose",
        plate="/shots/my dog/plate.####.exr",
        guide="/shots/roto.####.exr:mask.A",
        holdout="/shots/hold: out.exr",
        lora=("/loras/fur.safetensors:1.0", "/loras/soft:2.safetensors:0.8"),
        output="/out/dog.%04d.exr",
    )
    names = SpaceNames(POSIX)
    sent = names.sent(request)
    assert sent.plate == SPACE + POSIX + "/shots/my dog/plate.####.exr" and sent.lora[0].endswith("fur.safetensors:1.0")
    assert Request.from_dict(names.told(json.loads(sent.to_json()))) == request


def test_what_a_server_tells_windows() -> None:
    names, other = SpaceNames(WINDOWS), f"{SPACE}windows-ws8/C/dog.exr"
    told = {
        "path": f"{SPACE}{WINDOWS}/C/my shots/dog.0001.exr",
        "guide": f"{SPACE}{WINDOWS}/UNC/nas/vol/roto.####.exr:A",
        "message": f"{SPACE}{WINDOWS}/C/shots/a.exr is damaged; see '{SPACE}{WINDOWS}/D/b.exr', or {other}",
        "numbers": [1, None, 2.5, [f"{SPACE}{WINDOWS}/E/c.exr"]],
    }
    assert names.told(told) == {
        "path": "C:\\my shots\\dog.0001.exr",
        "guide": "\\\\nas\\vol\\roto.####.exr:A",
        "message": f"C:\\shots\\a.exr is damaged; see 'D:\\b.exr', or {other}",
        "numbers": [1, None, 2.5, ["E:\\c.exr"]],
    }


def test_names_of_another_machine_stay_and_lead_nowhere() -> None:
    names = SpaceNames(POSIX)
    other = f"{POSIX}d/shots/dog.exr"
    assert names.told(SPACE + other) == SPACE + other
    with pytest.raises(ValueError, match="another machine"):
        names.path(other)
    assert names.path(f"{POSIX}/shots/dog.exr") == "/shots/dog.exr"


def test_a_folder_of_weights_does_not_travel() -> None:
    with pytest.raises(ValueError, match="name that the server has"):
        SpaceNames(POSIX).sent(Request("decompose", plate="/a.exr", output="/o.%04d.exr", model="/models/mine"))
