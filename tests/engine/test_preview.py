"""Preview movie and contact sheet: the right picture in the right place, and nothing half-written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from rendering import contents

from layerflow import color, layers, preview
from layerflow.errors import OutputError
from layerflow.layers import LayerStack, PictureFormat

FOREGROUND, BACKGROUND = np.array([0.9, 0.2, 0.1], np.float32), np.array([0.1, 0.3, 0.8], np.float32)


def flat(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    linear = color.from_display(rgb[None], "ACEScg")[0]
    return np.broadcast_to(linear, (1, height, width, 3)).astype(np.float32)


def make_stack(frame: int, height: int = 64, width: int = 96, **form: object) -> LayerStack:
    """Left half foreground (display-referred FOREGROUND), right half BACKGROUND."""
    alpha = np.zeros((1, height, width), np.float32)
    alpha[:, :, : max(1, width // 2)] = 1
    named = {"foreground": layers.with_alpha(flat(FOREGROUND, height, width), alpha)}
    named["background"] = flat(BACKGROUND, height, width)
    named["blended"] = layers.over(named["foreground"], named["background"])
    return LayerStack(layers=named, frames=(frame,), format=PictureFormat(width=width, height=height, **form))  # type: ignore[arg-type]


def stacks(count: int = 3, **options: object) -> Iterator[LayerStack]:
    return (make_stack(1001 + index, **options) for index in range(count))  # type: ignore[arg-type]


def read_png(path: Path) -> np.ndarray:
    return np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT))


def test_contact_sheet_has_a_row_per_picture_and_a_column_per_frame(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    preview.write_contact_sheet(path, stacks(), column_width=96)
    sheet = read_png(path)
    row, column = 64 + 4, 96 + 4
    assert sheet.shape == (5 * row, 3 * column, 3)
    for start in range(0, 3 * column, column):
        left, right = sheet[40::row, start + 20], sheet[40::row, start + 80]
        grey = right[1, 0]
        assert left == pytest.approx(np.stack([FOREGROUND, FOREGROUND, [1, 1, 1], BACKGROUND, FOREGROUND]), abs=0.01)
        assert right == pytest.approx(np.stack([BACKGROUND, [grey] * 3, [0, 0, 0], BACKGROUND, BACKGROUND]), abs=0.01)
        assert min(abs(grey - 0.35), abs(grey - 0.55)) < 0.01
    assert [item.name for item in tmp_path.iterdir()] == ["sheet.png"]


def test_only_the_display_window_is_shown(tmp_path: Path) -> None:
    """Of a subject in the left half the picture's own eight columns show half, its overscan all the rest."""
    wide = make_stack(1001)
    form = PictureFormat(x=44, width=8, height=4, overscan=(0, 0, 96, 64))
    preview.write_contact_sheet(tmp_path / "a.png", [replace(wide, format=form)], column_width=8)
    sheet = read_png(tmp_path / "a.png")
    assert sheet.shape[1] == 8 + 4 and sheet[1, 1] == pytest.approx(FOREGROUND, abs=0.05)
    assert sheet[1, 6] == pytest.approx(BACKGROUND, abs=0.05)


def test_rows_are_labelled_and_columns_numbered(tmp_path: Path) -> None:
    preview.write_contact_sheet(tmp_path / "a.png", stacks(2), column_width=192)
    sheet = read_png(tmp_path / "a.png")

    def lettered(row: int, column: int) -> bool:
        top, left = row * (128 + 4), column * (192 + 4)
        return bool((sheet[top : top + 16, left : left + 60].min(-1) > 0.4).any())

    assert [lettered(row, column) for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))] == [True, True, True, False]


def test_contact_sheet_shows_only_the_frames_asked_for(tmp_path: Path) -> None:
    preview.write_contact_sheet(tmp_path / "a.png", stacks(9), frames=preview.pick_frames(range(1001, 1010), 3))
    assert read_png(tmp_path / "a.png").shape[1] == 3 * 244
    assert preview.pick_frames(range(1001, 1010), 3) == (1001, 1005, 1009)
    assert preview.pick_frames((7,), 5) == (7,)


def test_a_soft_edge_keeps_its_colour_when_scaled(tmp_path: Path) -> None:
    """Half-transparent FOREGROUND over nothing, scaled down: still FOREGROUND over the checker, no darker."""
    stack = make_stack(1001, 128, 192)
    stack.layers["foreground"][..., 3] = 0.5
    preview.write_contact_sheet(tmp_path / "a.png", [stack], column_width=96)
    pixel = read_png(tmp_path / "a.png")[68 + 40, 50]
    candidates = [FOREGROUND / 2 + grey / 2 for grey in (0.35, 0.55)]
    assert min(np.abs(pixel - candidate).max() for candidate in candidates) < 0.01


def test_movie_shows_four_pictures_at_the_shots_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    preview.write_movie(path, stacks(5), Fraction(24000, 1001))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(24000, 1001) and stream.codec_context.pix_fmt == "yuv420p"
        assert stream.codec_context.name == "h264"
        pictures = [frame.to_ndarray(format="rgb24") / 255 for frame in container.decode(stream)]
    assert len(pictures) == 5 and pictures[0].shape == (128, 192, 3)
    spots = [pictures[2][y, x] for y, x in ((32, 20), (32, 80), (32, 116), (96, 20), (96, 80), (96, 116))]
    expected = [FOREGROUND, BACKGROUND, FOREGROUND, np.ones(3), np.zeros(3), BACKGROUND]
    assert np.stack(spots) == pytest.approx(np.stack(expected), abs=0.03)


ENCODE = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from layerflow import preview
for seed in range(20):
    blocks = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), np.uint8)
    blocks = np.kron(blocks, np.ones((4, 4, 1), np.uint8))
    preview._encode(Path(sys.argv[1]) / str(seed), (np.roll(blocks, shift, 1) for shift in range(8)), Fraction(24))
"""


def test_a_small_movie_has_the_same_bytes_whatever_memory_was_used_for_before(tmp_path: Path) -> None:
    first, second = tmp_path / "0", tmp_path / "77"
    for folder in (first, second):
        folder.mkdir()
        environment = {**os.environ, "MALLOC_PERTURB_": folder.name}  # glibc fills what it gives out and takes back
        subprocess.run([sys.executable, "-c", ENCODE, str(folder)], env=environment, check=True)
    assert contents(first) == contents(second)


@pytest.mark.parametrize(
    ("height", "width", "aspect"), [(1, 1, 1.0), (17, 31, 1.0), (16, 4096, 1.0), (3000, 7, 1.0), (48, 50, 2.0)]
)
def test_any_shape_fits(tmp_path: Path, height: int, width: int, aspect: float) -> None:
    preview.write_movie(
        tmp_path / "a.mp4", stacks(1, height=height, width=width, pixel_aspect=aspect), Fraction(24), max_width=400
    )
    preview.write_contact_sheet(tmp_path / "a.png", stacks(1, height=height, width=width, pixel_aspect=aspect))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert max(stream.width, stream.height) <= 400
    if aspect == 2.0:
        assert stream.width / stream.height == pytest.approx(100 / 48, rel=0.1)


def test_frames_are_drawn_one_at_a_time(tmp_path: Path) -> None:
    """A stack is let go before the next but one is asked for, so memory does not grow with the shot."""
    drawn: list[int] = []

    def watched() -> Iterator[LayerStack]:
        for stack in stacks(4):
            drawn.append(stack.frames[0])
            yield stack
        raise RuntimeError("the farm went away")

    for write in (
        lambda path: preview.write_movie(path, watched(), Fraction(24)),
        lambda path: preview.write_contact_sheet(path, watched()),
    ):
        with pytest.raises(RuntimeError, match="farm"):
            write(tmp_path / "a.mp4")
    assert drawn == [1001, 1002, 1003, 1004] * 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("layerflow.files.os.fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        preview.write_movie(tmp_path / "a.mp4", stacks(1), Fraction(24))
    with pytest.raises(OutputError, match="disk is full"):
        preview.write_contact_sheet(tmp_path / "a.png", stacks(1))
    assert list(tmp_path.iterdir()) == []


def test_a_preview_of_nothing_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        preview.write_movie(tmp_path / "a.mp4", iter(()), Fraction(24))
    with pytest.raises(ValueError, match="at least one frame"):
        preview.write_contact_sheet(tmp_path / "a.png", stacks(2), frames=(5,))
    assert list(tmp_path.iterdir()) == []
