"""Every bad plate of the catalogue is refused with its own sentence, by opening it or by reading its frames."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path

import pytest
from bad_plates import BAD_PLATES, BadPlate
from pictures import write_movie, write_sequence

from layerflow.errors import PlateError
from layerflow.plate import open_plate


@pytest.mark.parametrize("bad", BAD_PLATES.values(), ids=BAD_PLATES)
def test_bad_plate_is_refused(tmp_path: Path, bad: BadPlate) -> None:
    with pytest.raises(bad.error, match=bad.sentence) as caught:
        plate = open_plate(bad.build(tmp_path), **bad.options)  # type: ignore[arg-type]
        for frame in plate.frames:
            plate.read(frame)
    assert type(caught.value) is bad.error
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_the_catalogue_is_large_enough() -> None:
    assert len(BAD_PLATES) >= 30


@pytest.mark.parametrize("kind", ["image", "movie"])
def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    source = write_sequence(tmp_path) if kind == "image" else str(write_movie(tmp_path / "clip.mov"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(PlateError, match=r"cannot be read \(Permission denied\); check its permissions"):
        open_plate(source)


def test_a_pipe_named_as_a_frame_does_not_block(tmp_path: Path) -> None:
    pattern = write_sequence(tmp_path)
    (tmp_path / "dog.1002.exr").unlink()
    os.mkfifo(tmp_path / "dog.1002.exr")
    with pytest.raises(PlateError, match="not a regular file"):
        open_plate(pattern)


def test_a_pipe_named_as_a_movie_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dog.mov")
    for source in (tmp_path, tmp_path / "dog.mov"):
        with pytest.raises(PlateError, match=r"dog\.mov is not a regular file; put the movie there"):
            open_plate(str(source))


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), float("inf"), 1e9])
def test_impossible_frame_rates_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(PlateError, match="fps must be between"):
        open_plate(write_sequence(tmp_path), fps=fps)
