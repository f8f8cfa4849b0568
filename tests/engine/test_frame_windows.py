"""A shot as windows of the model's length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from layerflow.frame_windows import Window, windows


@given(first=st.integers(0, 9999), count=st.integers(1, 200), size=st.integers(1, 40))
def test_windows_cover_every_frame_once_and_fill_the_model(first: int, count: int, size: int) -> None:
    frames = tuple(range(first, first + count))
    cut = windows(frames, size)
    assert tuple(frame for window in cut for frame in window.new) == frames
    assert [window.index for window in cut] == list(range(len(cut)))
    for window in cut:
        assert len(window.frames) == size and set(window.new) <= set(window.frames) <= set(frames)
        steps = {later - earlier for earlier, later in zip(window.frames, window.frames[1:], strict=False)}
        assert steps <= {0, 1} and (count < size or steps <= {1})


def test_known_windows() -> None:
    assert windows((5, 6, 7), 2) == [
        Window(index=0, frames=(5, 6), new=(5, 6)),
        Window(index=1, frames=(6, 7), new=(7,)),
    ]
    assert windows((5,), 3) == [Window(index=0, frames=(5, 5, 5), new=(5,))]
    assert windows((5, 6), 2) == [Window(index=0, frames=(5, 6), new=(5, 6))]
