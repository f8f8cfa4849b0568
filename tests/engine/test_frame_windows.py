"""A shot as windows of the model's length."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from layerflow.frame_windows import Window, windows

SIZES = st.integers(1, 12).flatmap(
    lambda grain: st.tuples(st.integers(2, 5).map(lambda n: n * grain), st.sampled_from([0, grain]))
)


@given(first=st.integers(0, 9999), count=st.integers(1, 200), lengths=SIZES)
def test_windows_cover_every_frame_once_and_fill_the_model(first: int, count: int, lengths: tuple[int, int]) -> None:
    size, overlap = lengths
    frames = tuple(range(first, first + count))
    cut = windows(frames, size, overlap)
    assert tuple(frame for window in cut for frame in window.new) == frames
    assert [window.index for window in cut] == list(range(len(cut)))
    for window in cut:
        assert len(window.frames) == size and set(window.frames) <= set(frames)
        assert window.frames[: len(window.new)] == window.new
        assert {later - earlier for earlier, later in pairwise(window.frames)} <= {0, 1}
        assert count < size or len(set(window.frames)) > size - max(1, overlap)


@given(count=st.integers(1, 200), lengths=SIZES)
def test_windows_share_frames_with_their_neighbours_alone(count: int, lengths: tuple[int, int]) -> None:
    size, overlap = lengths
    cut = windows(tuple(range(count)), size, overlap)
    assert cut[0].overlap == 0
    for before, after in pairwise(cut):
        assert after.overlap >= overlap and after.overlap % max(1, overlap) == 0
        assert (
            after.frames[: after.overlap] == before.frames[size - after.overlap :] == before.frames[len(before.new) :]
        )
    for one, last in zip(cut, cut[2:], strict=False):
        assert not set(one.frames) & set(last.frames)


def test_known_windows() -> None:
    assert windows((5, 6, 7), 2) == [
        Window(index=0, frames=(5, 6), new=(5,)),
        Window(index=1, frames=(6, 7), new=(6, 7), overlap=1),
    ]
    assert windows((5,), 3) == [Window(index=0, frames=(5, 5, 5), new=(5,))]
    assert windows((5, 6), 2) == [Window(index=0, frames=(5, 6), new=(5, 6))]
    assert windows(tuple(range(9)), 8, 4) == [
        Window(index=0, frames=tuple(range(8)), new=(0, 1, 2, 3)),
        Window(index=1, frames=(4, 5, 6, 7, 8, 8, 8, 8), new=(4, 5, 6, 7, 8), overlap=4),
    ]
