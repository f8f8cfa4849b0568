"""Shots by a guide and a hold-out: what is delivered keeps to them to the last pixel, whatever the model made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image
from rendering import channels, contents, header, render, stopping_at, write_plate
from test_recomposition import allowed, half
from test_shots_apart import over, rgb
from tiny import write_tiny_model, write_tiny_released

from layerflow import shots
from layerflow.cli.app import run
from layerflow.errors import Interrupted, OutputError, PlateError, RequestError

pytestmark = pytest.mark.usefixtures("one_thread")

HEIGHT, WIDTH = 37, 61


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def plate(tmp_path: Path) -> str:
    return write_plate(tmp_path / "plate", count=10, size=(HEIGHT, WIDTH), dim=40.0)


def trimap(frame: int) -> np.ndarray:
    """In on the left, out on the right, and it moves a pixel each frame."""
    matte = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    matte[:, : 10 + frame - 1001], matte[:, 40 + frame - 1001 :] = 1, 0
    return matte


def write_trimaps(folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    for frame in range(1001, 1011):
        write_image(folder / f"tri.{frame}.exr", trimap(frame)[..., None], names=("Y",))
    return str(folder / "tri.####.exr")


def test_hard_inside_and_outside_and_still_exact(model: Path, tmp_path: Path, plate: str) -> None:
    guide = write_trimaps(tmp_path / "tri")
    result = render(model, tmp_path / "out", plate=plate, guide=guide, guide_kind="trimap")
    for frame, path in enumerate(result.frames, start=1001):
        planes, seen = channels(path), half(rgb(channels(tmp_path / "plate" / f"dog.{frame}.exr"), ""))
        alpha, background = planes["foreground.A"], rgb(planes, "background.")
        assert (alpha[trimap(frame) == 1] == 1).all() and (alpha[trimap(frame) == 0] == 0).all()
        between = alpha[trimap(frame) == 0.5]
        assert between.min() < between.max()
        np.testing.assert_array_equal(background[trimap(frame) == 0], seen[trimap(frame) == 0])
        assert (np.abs(over(path, ("foreground",)).astype(np.float64) - seen) < allowed(seen)).all()
        assert len(header(path)["layerflow:guideSha256"]) == 64
    request = json.loads(header(result.frames[0])["layerflow:request"])
    assert request["guide"] == guide and request["guide_kind"] == "trimap"


@pytest.mark.parametrize("changes", [{}, {"foreground": "", "foregrounds": ("a dog", "the night")}])
def test_a_holdout_keeps_the_plate_in_the_background(
    model: Path, tmp_path: Path, plate: str, changes: dict[str, object]
) -> None:
    matte = np.zeros((HEIGHT, WIDTH), np.float32)
    matte[5:20, 7:30] = 1
    write_image(tmp_path / "keep.png", matte[..., None], "uint8")
    result = render(model, tmp_path / "out", plate=plate, holdout=str(tmp_path / "keep.png"), **changes)
    for path in result.frames:
        planes = channels(path)
        for name in [name for name in planes if name.endswith(".A")]:
            assert not planes[name][matte == 1].any() and planes[name].any()
        np.testing.assert_array_equal(rgb(planes, "background.")[matte == 1], rgb(planes, "")[matte == 1])


def test_a_stopped_guided_shot_goes_on_to_the_same_bytes_and_not_by_another_guide(
    model: Path, tmp_path: Path, plate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"plate": plate, "guide": write_trimaps(tmp_path / "tri"), "guide_kind": "trimap"}
    render(model, tmp_path / "whole", **fields)
    with pytest.raises(Interrupted), monkeypatch.context() as patch:
        render(model, tmp_path / "out", stopped=stopping_at(1005, patch), **fields)
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    render(model, tmp_path / "out", resume=True, **fields)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    write_image(tmp_path / "tri" / "tri.1009.exr", np.ones((HEIGHT, WIDTH, 1), np.float32), names=("Y",))
    with pytest.raises(OutputError, match=r"tri.1009.exr has changed since"):
        render(model, tmp_path / "other", resume=True, **fields)


def test_rerun_notices_a_changed_guide(model: Path, tmp_path: Path, plate: str) -> None:
    guide = write_trimaps(tmp_path / "tri")
    made = render(model, tmp_path / "out", plate=plate, guide=guide, last_frame=1003)
    again = str(tmp_path / "again" / "dog.%04d.exr")
    shots.rerun(str(made.frames[1]), output=again)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")
    write_image(tmp_path / "tri" / "tri.1002.exr", np.ones((HEIGHT, WIDTH, 1), np.float32), names=("Y",))
    with pytest.raises(PlateError, match=r"the guide of frame 1002 has changed since .* put the old matte back"):
        shots.rerun(str(made.frames[1]), output=again, overwrite=True)


def test_a_guide_is_checked_before_anything_is_written(model: Path, tmp_path: Path, plate: str) -> None:
    with pytest.raises(PlateError, match="the holdout cannot be read: there is no file"):
        render(model, tmp_path / "out", plate=plate, holdout=str(tmp_path / "gone.exr"))
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_matte_cannot_be_guided(tmp_path: Path, plate: str) -> None:
    rgb_only = write_tiny_released(tmp_path / "rgb", kind="rgb")
    with pytest.raises(RequestError, match="makes no matte, so nothing can guide it; choose one with alpha"):
        render(rgb_only, tmp_path / "out", plate=plate, guide=write_trimaps(tmp_path / "tri"))


def test_a_guide_is_never_written_over(model: Path, tmp_path: Path, plate: str) -> None:
    guide = write_trimaps(tmp_path / "out").replace("tri", "dog")
    for frame in range(1001, 1011):
        (tmp_path / "out" / f"tri.{frame}.exr").rename(tmp_path / "out" / f"dog.{frame}.exr")
    before = contents(tmp_path / "out")
    with pytest.raises(OutputError):
        render(model, tmp_path / "out", plate=plate, guide=guide, overwrite=True)
    assert contents(tmp_path / "out") == before


def test_the_command_takes_mattes(model: Path, tmp_path: Path, plate: str) -> None:
    guide = write_trimaps(tmp_path / "tri")
    out = str(tmp_path / "out" / "dog.####.exr")
    options = ["--guide", f"{guide}:Y", "--guide-kind", "trimap", "--holdout", f"{guide}:Y", "--frames", "1001"]
    assert run(["decompose", plate, "--model", str(model), "-o", out, *options]) == 0
    (path,) = (tmp_path / "out").glob("*.exr")
    assert not channels(path)["foreground.A"][trimap(1001) == 1].any()  # a hold-out wins
