"""What mattes say of a plate's alpha, and how they are read. Whole shots by a guide: test_shots_guided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import gradient, write_image, write_movie, write_parts

from layerflow.errors import PlateError
from layerflow.guides import Clamps, Guides, free, guides_of, held_out, of_garbage, of_roto, of_trimap
from layerflow.layers import PictureFormat
from layerflow.plate.channels import matte_channel
from layerflow.wire import Request, parse_matte, write_matte

FORM = PictureFormat(width=24, height=16)
FRAMES = (1001, 1002, 1003)
RAMP = np.linspace(0, 1, 24, dtype=np.float32)[None].repeat(16, 0)


def guides(text: str, *, form: PictureFormat = FORM, frames: tuple[int, ...] = FRAMES, **fields: str) -> Guides:
    found = guides_of(Request("decompose", plate="dog.mov", guide=text, **fields), form, frames)
    assert found is not None
    return found


def write_mattes(folder: Path, matte: np.ndarray, *, count: int = 3, name: str = "roto", **options: object) -> str:
    """Writes `roto.%04d.exr` from frame 1001, each a little darker than the one before; its pattern."""
    for index in range(count):
        pixels = np.stack([matte - index / 10] * 3, axis=-1).clip(0, 1)
        write_image(folder / f"{name}.{1001 + index}.exr", pixels, **options)  # type: ignore[arg-type]
    return str(folder / f"{name}.####.exr")


def test_a_trimap_leaves_what_is_between() -> None:
    clamps = of_trimap(np.array([[0, 0.01, 0.03, 0.5, 0.97, 0.99, 1]], np.float32))
    np.testing.assert_array_equal(clamps.low, [[0, 0, 0, 0, 0, 1, 1]])
    np.testing.assert_array_equal(clamps.high, [[0, 0, 1, 1, 1, 1, 1]])
    assert clamps.guess is None


def test_a_garbage_matte_only_takes_away() -> None:
    clamps = of_garbage(np.array([[0, 0.5, 1]], np.float32))
    np.testing.assert_array_equal(clamps.low, [[0, 0, 0]])
    np.testing.assert_array_equal(clamps.high, [[0, 1, 1]])


def test_a_roto_is_believed_from_its_margin_on() -> None:
    matte = np.zeros((9, 20), np.float32)
    matte[:, 10:] = 1
    clamps = of_roto(matte, 2)
    np.testing.assert_array_equal(clamps.high[4], [0] * 8 + [1] * 12)
    np.testing.assert_array_equal(clamps.low[4], [0] * 12 + [1] * 8)
    np.testing.assert_array_equal(clamps.guess, matte)


def test_a_soft_roto_binds_nothing_where_it_is_soft() -> None:
    clamps = of_roto(np.full((4, 4), 0.5, np.float32), 2)
    assert not clamps.low.any() and clamps.high.all()


def test_a_holdout_wins_over_the_guide_and_is_soft_at_its_edge() -> None:
    clamps = held_out(of_trimap(np.ones((1, 3), np.float32)), np.array([[0, 0.25, 1]], np.float32))
    np.testing.assert_array_equal(clamps.high, [[1, 0.75, 0]])
    np.testing.assert_array_equal(clamps.low, clamps.high)


numbers = st.floats(0, 1, width=32)


@given(low=numbers, high=numbers, alpha=numbers, doubt=numbers)
def test_what_is_clamped_stays_within_its_bounds_however_uncertain(
    low: float, high: float, alpha: float, doubt: float
) -> None:
    planes = [np.array([[value]], np.float32) for value in (*sorted((low, high)), alpha, doubt)]
    clamps = Clamps(low=planes[0], high=planes[1], guess=planes[0])
    held = clamps.applied(planes[2])
    room = clamps.held(held, planes[3])
    assert planes[0] <= held <= planes[1] and 0 <= room <= planes[3]
    moved = np.clip([held - room, held + room], 0, 1)
    assert planes[0] - 1e-6 <= moved.min() and moved.max() <= planes[1] + 1e-6


def test_nothing_known_changes_nothing() -> None:
    clamps, alpha = free(16, 24), RAMP
    np.testing.assert_array_equal(clamps.applied(alpha), alpha)
    np.testing.assert_array_equal(clamps.held(alpha, RAMP / 2), RAMP / 2)


@pytest.mark.parametrize(
    ("names", "wanted", "place"),
    [
        ("RGBA", None, 3),
        ("RGB", None, 0),
        ("Y", None, 0),
        ("RGBA", "green", 1),
        ("RGBA", "rgba.alpha", 3),
        (("R", "G", "B", "roto.R", "roto.A"), "roto.alpha", 4),
        (("R", "G", "B", "roto.R", "roto.A"), "roto", 4),
        (("R", "G", "B", "mask.Y"), "MASK", 3),
        (("R", "G", "B", "mask.Y"), "mask.Z", None),
        (("R", "roto.R", "roto.G"), "roto", None),
        (("A", "a"), "a", 1),
        ((), None, None),
    ],
)
def test_channels_have_the_names_of_files_and_hosts(names: tuple[str, ...], wanted: str, place: int | None) -> None:
    assert matte_channel(names, wanted) == place


def test_any_channel_of_any_part_is_a_matte(tmp_path: Path) -> None:
    planes = {"R": RAMP, "G": RAMP, "B": RAMP}
    path = write_parts(tmp_path / "dog.exr", {"rgb": planes, "mask": {"mask.A": 1 - RAMP}})
    for channel, matte in (("", RAMP), (":R", RAMP), (":mask.A", 1 - RAMP), (":mask", 1 - RAMP)):
        said = guides(f"{path}{channel}", guide_kind="garbage").at(1002)
        np.testing.assert_array_equal(said.high == 0, matte <= 0.02)
    with pytest.raises(PlateError, match=r"no one channel depth, only .*mask.A; name one of them"):
        guides(f"{path}:depth")


def test_a_sequence_has_the_plates_numbers_and_a_still_holds_for_all(tmp_path: Path) -> None:
    pattern = write_mattes(tmp_path, RAMP)
    moving = guides(pattern, guide_kind="garbage")
    assert [int(moving.at(frame).high[0].sum()) for frame in FRAMES] == [23, 21, 18]
    still = guides(str(tmp_path / "roto.1003.exr"), guide_kind="garbage", frames=(7, 8))
    assert [int(still.at(frame).high[0].sum()) for frame in (7, 8)] == [18, 18]
    assert [path.name for path in still.files] == ["roto.1003.exr"]


def test_a_movie_counts_from_one(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "roto.mov", count=4, size=(24, 16))
    found = guides(str(path), frames=(2, 3))
    assert found.at(2).sha256() != found.at(3).sha256() == found.reopened().at(3).sha256()
    with pytest.raises(PlateError, match="has frames 1-4, as a movie counts, and the plate 1001-1003; give a sequence"):
        guides(str(path))
    with pytest.raises(PlateError, match="has no channel A, only R, G, B; name one"):
        guides(f"{path}:A", frames=(1, 2))


def test_it_may_be_scaled(tmp_path: Path) -> None:
    matte = np.zeros((16, 24), np.float32)
    matte[:, 12:] = 1
    pattern = write_mattes(tmp_path, matte)
    said = guides(pattern, form=PictureFormat(width=48, height=32), guide_kind="trimap").at(1001)
    assert said.high.shape == (32, 48)
    np.testing.assert_array_equal(said.high[0], [0] * 23 + [1] * 25)
    np.testing.assert_array_equal(said.low[0], [0] * 25 + [1] * 23)


def test_it_has_a_data_window_of_its_own_and_nothing_outside(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "roto.exr", np.ones((4, 6, 1), np.float32), full=(0, 0, 24, 16), origin=(3, 2), names=("Y",)
    )
    inside = guides(str(path), guide_kind="trimap").at(1001).low
    assert inside.sum() == 24 and inside[2:6, 3:9].all()


@pytest.mark.parametrize("scale", [1, 2])
def test_it_covers_the_plates_overscan_too(tmp_path: Path, scale: int) -> None:
    matte = np.ones((20 * scale, 32 * scale, 1), np.float32)
    full, origin = (0, 0, 24 * scale, 16 * scale), (-4 * scale, -2 * scale)
    path = write_image(tmp_path / "roto.exr", matte, full=full, origin=origin, names=("Y",))
    form = PictureFormat(width=24, height=16, x=100, overscan=(94, -3, 36, 22))
    low = guides(str(path), form=form, guide_kind="trimap").at(1001).low
    assert low.shape == (22, 36)
    inside = np.zeros((22, 36))
    inside[1:21, 2:34] = 1
    np.testing.assert_array_equal(low[2:20, 3:33], 1)
    np.testing.assert_array_equal(low[inside == 0], 0)


def test_nan_is_out(tmp_path: Path) -> None:
    path = write_image(tmp_path / "roto.exr", np.full((16, 24, 1), np.nan, np.float32), names=("Y",))
    assert not guides(str(path)).at(1001).high.any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gone.####.exr", "the guide cannot be read: no file matches"),
        ("hole.####.exr", "frames 1002 are missing from the guide .*hole"),
        ("short.####.exr", "frames 1001-1003 are asked for but the guide .* has 1001-1002"),
        (
            "wide.####.exr",
            "the guide is 32x16 and the plate 24x16, which is another shape; render it at the plate's size",
        ),
        ("mixed.####.exr", r"the guide of frame 1002 \(mixed.1002.exr\) is 12x8 but the guide of frame 1001"),
        ("text.exr", "in spite of its name|is not an image"),
    ],
)
def test_mattes_that_cannot_guide(tmp_path: Path, text: str, sentence: str) -> None:
    write_mattes(tmp_path, RAMP, name="hole")
    (tmp_path / "hole.1002.exr").unlink()
    write_mattes(tmp_path, RAMP, name="short", count=2)
    write_mattes(tmp_path, np.zeros((16, 32), np.float32), name="wide")
    write_mattes(tmp_path, RAMP, name="mixed")
    write_image(tmp_path / "mixed.1002.exr", gradient(8, 12))
    (tmp_path / "text.exr").write_text("not a picture")
    with pytest.raises(PlateError, match=sentence):
        guides(str(tmp_path / text))


@pytest.mark.parametrize(
    ("text", "path", "channel"),
    [
        ("roto.exr", "roto.exr", None),
        ("roto.exr:A", "roto.exr", "A"),
        ("a b/é.%04d.exr:mask.alpha", "a b/é.%04d.exr", "mask.alpha"),
        ("C:\\roto\\dog.exr", "C:\\roto\\dog.exr", None),
        ("C:/roto/dog.exr:Y", "C:/roto/dog.exr", "Y"),
        ("take:2.exr:A", "take:2.exr", "A"),
    ],
)
def test_how_a_matte_is_asked_for(text: str, path: str, channel: str | None) -> None:
    assert parse_matte(text) == (path, channel)
    assert parse_matte(write_matte(path, channel)) == (path, channel)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"guide": "roto.exr:"}, "the channel is missing behind the colon of the matte 'roto.exr:'; try roto.exr:A"),
        ({"guide": ""}, "the matte path is empty"),
        ({"holdout": "https://example.org/dog.exr"}, "matte must be a local file"),
        ({"guide": "a.exr", "guide_kind": "soft"}, "guide_kind must be one of roto, trimap, garbage, got 'soft'"),
        ({"guide_kind": "trimap"}, "guide_kind trimap says what a guide is and there is none; give one"),
        ({"guide": "a.exr", "foregrounds": ("a", "b")}, "a guide is of one foreground"),
        ({"guide": 7}, "guide must be text"),
        (
            {"task": "foreground", "foreground": "a dog", "guide": "a.exr"},
            "guide is for decompose only; foreground has",
        ),
        ({"task": "background", "background": "a sea", "holdout": "a.exr"}, "holdout is for decompose only"),
    ],
)
def test_what_cannot_be_asked_for(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Request(**{"task": "decompose", "plate": "dog.mov", **values})  # type: ignore[arg-type]
