"""Which paths a job may use: what they lead to counts, and on Windows a name alone must not reach another machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layerflow.errors import RequestError
from layerflow.server.errors import OutsideError
from layerflow.server.roots import Roots, check_whole


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/shots").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    return tmp_path / "root"


@pytest.fixture
def roots(root: Path) -> Roots:
    return Roots.of([root])


@pytest.mark.parametrize(
    "text", ["shots", "shots/dog.%04d.exr", "shots/dog.####.exr", "not there/dog.mov", "..dog", "."]
)
def test_what_lies_inside_may_be_used(roots: Roots, root: Path, text: str) -> None:
    assert roots.confine("plate", str(root / text)) == root / text


@pytest.mark.parametrize("text", ["../secret", "shots/../../secret/dog.exr", "shots/../shots"])
def test_fault_6_dots_are_refused(roots: Roots, root: Path, text: str) -> None:
    with pytest.raises(RequestError, match=r"plate has \.\. in it, .*; write the path without"):
        roots.confine("plate", f"{root}/{text}")


@pytest.mark.parametrize("text", ["/etc/passwd", "/", "/root2", "{root}2/dog.exr", "{root}/../secret.exr"])
def test_fault_6_what_lies_elsewhere_is_refused(roots: Roots, root: Path, text: str) -> None:
    with pytest.raises(RequestError, match="; "):
        roots.confine("plate", text.format(root=root))


@pytest.mark.parametrize("text", ["dog.exr", "./dog.exr", "~/dog.exr", "C:/dog.exr", ""])
def test_fault_6_a_path_has_to_be_whole(roots: Roots, text: str) -> None:
    with pytest.raises(RequestError, match=r"plate must be a whole path for the server, got .*; write it from"):
        roots.confine("plate", text)


def test_fault_7_links_are_followed_before_looking(roots: Roots, root: Path) -> None:
    (root / "out").symlink_to(root.parent / "secret")
    (root / "dog.exr").symlink_to(root.parent / "secret/dog.exr")
    (root / "dangling").symlink_to("/nowhere/at/all")
    (root / "in").symlink_to(root / "shots")
    for text in ("out", "out/dog.%04d.exr", "dog.exr", "dangling/dog.####.exr"):
        with pytest.raises(OutsideError, match=f"plate {root}/.* lies outside the folders .* are {root}; move it into"):
            roots.confine("plate", str(root / text))
    assert roots.confine("plate", str(root / "in/dog.exr")) == root / "shots/dog.exr"


def test_a_link_from_outside_may_lead_in(roots: Roots, root: Path) -> None:
    (root.parent / "short").symlink_to(root)
    assert roots.confine("plate", str(root.parent / "short/dog.exr")) == root / "dog.exr"
    assert Roots.of([root.parent / "short"]) == roots


def test_fault_7_links_in_a_circle_are_one_sentence(roots: Roots, root: Path) -> None:
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    with pytest.raises(RequestError, match="; check its links"):
        roots.confine("output", str(root / "a/dog.%04d.exr"))


def test_without_roots_nothing_may_be_used(root: Path) -> None:
    with pytest.raises(OutsideError, match="which are none"):
        Roots.of([]).confine("output", str(root / "dog.%04d.exr"))


def test_fault_14_a_path_has_a_length(roots: Roots, root: Path) -> None:
    with pytest.raises(RequestError, match="more than 4096 characters"):
        roots.confine("plate", f"{root}/{'a/' * 3000}dog.exr")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["in", "out", "loop", "up", "shots", "none", ".", "..", "dog.%04d.exr"]), max_size=6))
def test_faults_6_and_7_however_it_winds_a_path_leads_in_or_is_refused(
    roots: Roots, root: Path, parts: list[str]
) -> None:
    for name, target in (("in", "shots"), ("out", "../secret"), ("loop", "loop"), ("up", "..")):
        for folder in (root, root / "shots"):
            with contextlib.suppress(FileExistsError):
                (folder / name).symlink_to(target)
    text = os.path.join(root, *parts)  # noqa: PTH118 - pathlib would tidy it up
    try:
        real = roots.confine("plate", text)
    except RequestError as refusal:
        assert "; " in str(refusal)
    else:
        assert str(real) == os.path.realpath(text) and real.is_relative_to(root)


WINDOWS_ROOTS = (PureWindowsPath("D:/shows"), PureWindowsPath(r"\\nas\shows\dog"))


@pytest.mark.parametrize(
    "text", [r"D:\shows\dog.####.exr", "d:/shows/dog/a b.mov", r"\\nas\shows\dog\a.exr", r"\\NAS\Shows\x", r"C:\x\.y"]
)
def test_windows_paths_that_say_what_they_mean(text: str) -> None:
    check_whole("plate", PureWindowsPath(text), WINDOWS_ROOTS)


@pytest.mark.parametrize(
    "text",
    [
        r"\shows\dog.exr",  # from the root of whatever drive is current
        "/shows/dog.exr",
        "D:dog.exr",
        "dog.exr",
        r"D:\shows\..\..\secret",
        r"\\evil.com\share\dog.exr",  # signs in there with this user's name
        "//evil.com/share/dog.exr",
        r"\\nas\other\dog.exr",
        r"\\nas@8080\shows\dog.exr",
        r"\\?\C:\shows\dog.exr",
        r"\\.\pipe\x",
        r"\\?\UNC\evil.com\share\x",
        r"D:\shows\dog.exr:hidden",
        r"D:\shows\CON",
        r"D:\shows\nul.exr",
        r"D:\shows\com1 .exr",
        r"D:\shows\dog.exr.",
        "D:\\shows\\dog \\a.exr",
        "1:/dog.exr",
    ],
)
def test_fault_6_windows_paths_that_mean_something_else(text: str) -> None:
    with pytest.raises(RequestError, match="; "):
        check_whole("plate", PureWindowsPath(text), WINDOWS_ROOTS)


@given(st.text(alphabet="\\\\/:.? CDc@nasevil$\u00b9", max_size=12))
def test_fault_6_no_name_reaches_another_machine_or_a_stream(text: str) -> None:
    with contextlib.suppress(RequestError):
        check_whole("plate", PureWindowsPath(text), WINDOWS_ROOTS)
        drive, colon, rest = text.partition(":")
        assert len(drive) == 1 and colon and rest[:1] in ("/", "\\") and ":" not in rest


def test_a_colon_is_a_letter_elsewhere() -> None:
    check_whole("plate", PurePosixPath("/shows/take:2/con/dog ."))
