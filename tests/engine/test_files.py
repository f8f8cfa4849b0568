"""Frame patterns, and writing that never leaves a half-written file under a final name."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.errors import OutputError, PlateError
from layerflow.files import FramePattern, as_os_error, atomic_path, output_pattern, prepare_output


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(frame=st.integers(0, 10**9), padding=st.integers(1, 9), prefix=st.sampled_from(["dog.", "a b_", "'é🐶\" ", ""]))
def test_frame_of_is_the_inverse_of_path(frame: int, padding: int, prefix: str) -> None:
    for field in (f"%0{padding}d", "#" * padding):
        pattern = FramePattern.parse(f"out/{prefix}{field}.exr")
        assert pattern.frame_of(pattern.path(frame).name) == frame


def test_pattern_says_itself_as_printf() -> None:
    assert str(FramePattern.parse("out/dog.####.exr")) == "out/dog.%04d.exr"
    assert str(FramePattern.parse("shot#1/dog.%d.exr")) == "shot#1/dog.%01d.exr"


def test_any_padding_counts_unless_digits_touch_the_field() -> None:
    assert FramePattern.parse("a.%04d.exr").frame_of("a.7.exr") == 7
    assert FramePattern.parse("a1####.exr").frame_of("a17.exr") is None
    assert FramePattern.parse("a1####.exr").frame_of("a10007.exr") == 7


@pytest.mark.parametrize("name", ["a..exr", "a.x1.exr", "b.1001.exr", "a.1001.png", "a.-1.exr", "a.².exr", "a.exr"])
def test_other_names_are_not_of_the_pattern(name: str) -> None:
    assert FramePattern.parse("a.%04d.exr").frame_of(name) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("out/dog.exr", "exactly one %04d or #### is needed .*try name.%04d.exr"),
        ("out/dog.%04d.%04d.exr", "exactly one %04d"),
        ("out/dog.####.%04d.exr", "exactly one %04d"),
        ("out/%04d/dog.%04d.exr", "in the file name, got 'out/%04d/'"),
        ("out/dog\n.%04d.exr", r"U\+000A"),
        ("out/dog\0.%04d.exr", r"U\+0000"),
        ("https://example.com/dog.%04d.exr", "address"),
        ("out/dog.%099d.exr", "99 digits"),
        ("out/dog1%04d.exr", "digit next to"),
        ("out/dog.%04d.png", "must end in"),
        ("out/dog.%04d", "must end in"),
    ],
)
def test_bad_output_patterns_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(OutputError, match=sentence):
        output_pattern(text)


def test_parse_raises_the_error_it_is_told_to() -> None:
    with pytest.raises(PlateError):
        FramePattern.parse("dog.exr", error=PlateError)


def test_for_layer_puts_the_layer_before_the_number() -> None:
    assert str(FramePattern.parse("dog.%04d.exr").for_layer("foreground")) == "dog.foreground.%04d.exr"
    assert str(FramePattern.parse("dog_%04d.exr").for_layer("foreground")) == "dog_foreground_%04d.exr"
    assert str(FramePattern.parse("%04d.exr").for_layer("foreground")) == "foreground.%04d.exr"


@pytest.mark.parametrize("name", ["plain.exr", "with space.exr", "quo'te\".exr", "🐶.exr"])
def test_atomic_path_replaces_the_old_file_whole(tmp_path: Path, name: str) -> None:
    final = tmp_path / name
    final.write_text("old")
    with atomic_path(final) as part:
        part.write_text("new")
        assert final.read_text() == "old"
    assert final.read_text() == "new"
    assert listing(tmp_path) == [name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_path_leaves_nothing_when_the_block_fails(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), atomic_path(tmp_path / "a.exr") as part:
        part.write_text("half")
        raise error
    assert listing(tmp_path) == []


def test_a_killed_jobs_leftover_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".a.exr.part").write_text("half of an old frame")
    with atomic_path(tmp_path / "a.exr") as part:
        assert part.read_bytes() == b""
        part.write_text("new")
    assert listing(tmp_path) == ["a.exr"]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    (tmp_path / ".a.exr.part").symlink_to(victim)
    with atomic_path(tmp_path / "a.exr") as part:
        part.write_text("new")
    assert victim.read_text() == "keep me"


def test_two_writers_of_one_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="something else is writing"), atomic_path(tmp_path / "a.exr") as part:
        (tmp_path / "other").write_text("half")
        (tmp_path / "other").replace(part)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "disk is full.*free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "could not be written"),
    ],
)
def test_system_errors_become_sentences(tmp_path: Path, code: int, sentence: str) -> None:
    with pytest.raises(OutputError, match=sentence), atomic_path(tmp_path / "a.exr"):
        raise OSError(code, os.strerror(code))
    assert listing(tmp_path) == []


def test_a_library_error_tells_its_system_error() -> None:
    found = as_os_error(RuntimeError('Failed to write pixel data to "a.exr". No space left on device.'))
    assert found is not None and found.errno == errno.ENOSPC
    assert as_os_error(RuntimeError("no such channel")) is None


def test_impossible_targets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.exr").mkdir()
    (tmp_path / "link.exr").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    cases = {
        "folder.exr": "is a folder",
        "link.exr": "is a link",
        "none/a.exr": "is not there",
        "file/a.exr": "is a file, not a folder",
        "n" * 300 + ".exr": "too long",
    }
    for name, sentence in cases.items():
        with pytest.raises(OutputError, match=sentence), atomic_path(tmp_path / name):
            pytest.fail("opened")
    assert listing(tmp_path) == ["file", "folder.exr", "link.exr"]


def test_a_file_size_limit_of_the_system_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from layerflow.files import atomic_path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with atomic_path(Path(sys.argv[1])) as part: part.write_bytes(bytes(100_000))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.exr")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        capture_output=True,
        text=True,
    )
    assert "OutputError" in run.stderr and "larger than this system lets a file grow" in run.stderr
    assert listing(tmp_path) == []


def test_prepare_output_makes_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    pattern = output_pattern(str(tmp_path / "new" / "deep" / "a.%04d.exr"))
    prepare_output([pattern.path(frame) for frame in range(1, 5)], num_bytes=1000)
    assert listing(tmp_path / "new" / "deep") == []


def test_prepare_output_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a.0001.exr").write_text("")
    (tmp_path / "a.0002.exr").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        prepare_output([tmp_path / "file" / "a.exr"], num_bytes=0)
    with pytest.raises(OutputError, match="link to a place that is not there"):
        prepare_output([tmp_path / "link" / "a.exr"], num_bytes=0)
    with pytest.raises(OutputError, match=r"GB free and this needs about 1000000000\.0 GB"):
        prepare_output([tmp_path / "b.exr"], num_bytes=10**18)
    with pytest.raises(OutputError, match="too long"):
        prepare_output([tmp_path / ("n" * 253)], num_bytes=0)
    frames = [tmp_path / f"a.{frame:04}.exr" for frame in (1, 2, 3)]
    with pytest.raises(OutputError, match=r"a\.0001\.exr and 1 more are already there; pass --overwrite"):
        prepare_output(frames, num_bytes=0)
    prepare_output(frames, num_bytes=0, may_exist=True)
    assert listing(tmp_path) == ["a.0001.exr", "a.0002.exr", "file", "link"]


def test_prepare_output_names_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("layerflow.files.os.open", refuse)
    with pytest.raises(OutputError, match="no permission to write"):
        prepare_output([tmp_path / "a.exr"], num_bytes=0)
