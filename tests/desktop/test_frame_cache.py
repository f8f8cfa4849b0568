"""The cache of frames: never above its limit, ahead of the playhead, and quiet once it is closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerflow_desktop.models.cache import GIB, FrameCache, default_limit_bytes
from layerflow_desktop.models.picture import Clip, ClipError, Picture

FRAME_BYTES = 4 * 2 * 3 * 2


@dataclass(eq=False)
class Fake:
    """A clip whose frames are their own number; some cannot be read."""

    frames: tuple[int, ...] = tuple(range(1, 11))
    name: str = "fake"
    fps: float = 24.0
    width: int = 4
    height: int = 2
    pixel_aspect: float = 1.0
    colorspace: str = "ACEScg"
    layers: tuple[str, ...] = ("plate",)
    broken: frozenset[int] = frozenset()
    copies: dict[int, int] = field(default_factory=dict)  # frame -> how many times as large it is
    was_read: list[int] = field(default_factory=list)

    def read(self, frame: int) -> Picture:
        self.was_read.append(frame)
        if frame in self.broken:
            raise ClipError(f"frame {frame} is damaged; render it again")
        pixels = np.full((self.height, self.width, 3), frame, np.float16)
        return Picture({f"layer{number}": pixels for number in range(self.copies.get(frame, 1))})


Make = Callable[..., FrameCache]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes caches that are closed after the test."""
    caches: list[FrameCache] = []

    def made(num_frames: int, **options: object) -> FrameCache:
        caches.append(FrameCache(num_frames * FRAME_BYTES, **options))  # type: ignore[arg-type]
        return caches[-1]

    yield made
    for cache in caches:
        cache.close(wait=True)


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until something holds, which is soon."""
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError("it never came to that")


def settled(cache: FrameCache) -> None:
    """Waits until the threads have nothing to do."""
    eventually(lambda: not cache._readings and _idle(cache))


def _idle(cache: FrameCache) -> bool:
    with cache._changed:
        return not cache._readings and cache._choose() is None


def test_a_frame_comes_once_it_is_wanted_and_is_told_of(make: Make) -> None:
    told: list[tuple[Clip, int]] = []
    clip, cache = Fake(), make(20)
    cache.on_ready = lambda clip, frame: told.append((clip, frame))
    assert cache.get(clip, 3) is None
    cache.want(clip, 3)
    eventually(lambda: told == [(clip, 3)])
    picture = cache.get(clip, 3)
    assert picture is not None and picture.layers["layer0"][0, 0, 0] == 3
    assert cache.cached_frames(clip) == {3} and cache.num_bytes == FRAME_BYTES
    assert clip.was_read == [3]


def test_frames_ahead_are_read_in_the_order_they_will_be_shown_and_go_round(make: Make) -> None:
    clip, cache = Fake(), make(20, num_threads=1)
    cache.want(clip, 8, 4)
    eventually(lambda: len(clip.was_read) == 5)
    assert clip.was_read == [8, 9, 10, 1, 2]


def test_backwards_and_between_two_marks(make: Make) -> None:
    clip, cache = Fake(), make(20, num_threads=1)
    cache.want(clip, 3, -3, within=(2, 5))
    eventually(lambda: len(clip.was_read) == 4)
    assert clip.was_read == [3, 2, 5, 4]


def test_frames_that_are_not_there_are_not_read(make: Make) -> None:
    clip, cache = Fake(frames=(1, 4, 9)), make(20, num_threads=1)
    cache.want(clip, 5, 2)
    eventually(lambda: len(clip.was_read) == 2)
    assert clip.was_read == [9, 1]
    assert cache.error(clip, 5) == ""


def test_what_is_far_behind_goes_first_when_room_is_short(make: Make) -> None:
    clip, cache = Fake(frames=tuple(range(1, 101))), make(5)
    for frame in (1, 2, 3, 4, 5, 6):
        cache.want(clip, frame, 3)
        eventually(lambda frame=frame: cache.cached_frames(clip) >= set(range(frame, frame + 4)))
    settled(cache)
    assert len(cache.cached_frames(clip)) == 5
    cache.want(clip, 50, 20)
    settled(cache)
    assert cache.cached_frames(clip) == {50, 51, 52, 53, 54}


def test_nothing_is_read_that_there_is_no_room_for(make: Make) -> None:
    clip, cache = Fake(), make(3)
    cache.want(clip, 1, 9)
    settled(cache)
    num_read = len(clip.was_read)
    for _ in range(5):
        cache.want(clip, 1, 9)
    settled(cache)
    assert cache.cached_frames(clip) == {1, 2, 3}
    assert len(clip.was_read) == num_read


def test_what_was_used_last_stays_longest(make: Make) -> None:
    clip, cache = Fake(), make(3)
    for frame in (1, 2, 3):
        cache.want(clip, frame)
        eventually(lambda frame=frame: cache.get(clip, frame) is not None)
    cache.get(clip, 1)
    cache.want(clip, 7)
    eventually(lambda: cache.get(clip, 7) is not None)
    assert cache.cached_frames(clip) == {1, 3, 7}


def test_two_clips_share_the_limit_and_both_get_what_is_shown(make: Make) -> None:
    a, b = Fake(), Fake()
    cache = make(6)
    cache.want(a, 1, 9)
    cache.want(b, 1, 9)
    settled(cache)
    cache.want(a, 5, 9)
    cache.want(b, 5, 9)
    settled(cache)
    assert 5 in cache.cached_frames(a) and 5 in cache.cached_frames(b)
    assert len(cache.cached_frames(a)) == 3 == len(cache.cached_frames(b))


def test_a_released_clip_gives_way(make: Make) -> None:
    a, b = Fake(), Fake()
    cache = make(4)
    cache.want(a, 1, 9)
    settled(cache)
    cache.release(a)
    assert len(cache.cached_frames(a)) == 4
    cache.want(b, 1, 9)
    settled(cache)
    assert cache.cached_frames(b) == {1, 2, 3, 4}


def test_an_error_is_told_once_and_kept_until_the_clip_is_dropped(make: Make) -> None:
    told: list[int] = []
    clip, cache = Fake(broken=frozenset({2})), make(20, on_ready=lambda clip, frame: told.append(frame))
    for _ in range(3):
        cache.want(clip, 2)
    eventually(lambda: told == [2])
    assert cache.error(clip, 2) == "frame 2 is damaged; render it again"
    cache.want(clip, 2)
    settled(cache)
    assert clip.was_read == [2]
    cache.drop(clip)
    assert cache.error(clip, 2) == ""


def test_a_frame_larger_than_the_limit_is_an_error_until_that_is_raised(make: Make) -> None:
    clip, cache = Fake(copies={1: 5}), make(3)
    cache.want(clip, 1)
    eventually(lambda: "raise its limit" in cache.error(clip, 1))
    settled(cache)
    assert cache.num_bytes == 0 and clip.was_read == [1]
    cache.set_limit(5 * FRAME_BYTES)
    eventually(lambda: cache.get(clip, 1) is not None)


def test_two_frames_that_do_not_fit_together_are_not_read_over_and_over(make: Make) -> None:
    a, b = Fake(), Fake()
    cache = make(1)
    for _ in range(3):
        cache.want(a, 1)
        cache.want(b, 1)
    settled(cache)
    assert len(a.was_read) + len(b.was_read) == 2
    assert sorted(map(bool, (cache.error(a, 1), cache.error(b, 1)))) == [False, True]


def test_a_lower_limit_holds_at_once(make: Make) -> None:
    clip, cache = Fake(), make(10)
    cache.want(clip, 4, 9)
    eventually(lambda: len(cache.cached_frames(clip)) == 10)
    cache.set_limit(2 * FRAME_BYTES)
    assert cache.cached_frames(clip) == {4, 5} and cache.limit_bytes == 2 * FRAME_BYTES


def test_what_is_dropped_while_it_is_read_does_not_come(make: Make) -> None:
    going, gone = threading.Event(), threading.Event()

    def decode(clip: Clip, frame: int) -> Picture:
        going.set()
        gone.wait(10)
        return clip.read(frame)

    told: list[int] = []
    clip, cache = Fake(), make(5, decode=decode, on_ready=lambda clip, frame: told.append(frame))
    cache.want(clip, 1)
    assert going.wait(10)
    cache.drop(clip)
    gone.set()
    settled(cache)
    assert cache.cached_frames(clip) == set() and told == []


def test_nothing_is_told_after_close_and_the_threads_end() -> None:
    going, gone = threading.Event(), threading.Event()
    told: list[int] = []

    def decode(clip: Clip, frame: int) -> Picture:
        going.set()
        gone.wait(10)
        return clip.read(frame)

    clip = Fake()
    cache = FrameCache(GIB, decode=decode, on_ready=lambda clip, frame: told.append(frame))
    cache.want(clip, 1, 5)
    assert going.wait(10)
    cache.close()
    gone.set()
    cache.close(wait=True)
    assert told == [] and cache.get(clip, 1) is None and cache.num_bytes == 0
    assert not any(thread.is_alive() for thread in cache._threads)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 1), st.integers(1, 10), st.integers(-12, 12)),
        st.tuples(st.just("limit"), st.integers(0, 30)),
        st.tuples(st.just("drop"), st.integers(0, 1)),
        st.tuples(st.just("release"), st.integers(0, 1)),
        st.tuples(st.just("get"), st.integers(0, 1), st.integers(1, 10)),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(_STEPS, st.integers(1, 20), st.dictionaries(st.integers(1, 10), st.integers(1, 6)), st.integers(1, 3))
def test_it_never_holds_more_than_its_limit(
    steps: list[tuple[str, ...]], limit: int, copies: dict[int, int], num_threads: int
) -> None:
    held: list[tuple[int, int]] = []
    clips = (Fake(copies=copies), Fake(broken=frozenset({3})))
    cache = FrameCache(limit * FRAME_BYTES, num_threads=num_threads)

    def measure(*_: object) -> None:
        with cache._changed:
            counted = sum(picture.num_bytes for picture in cache._pictures.values())
            assert counted == cache.num_bytes
            held.append((counted, cache.limit_bytes))

    cache.on_ready = measure
    try:
        for what, *numbers in steps:
            if what == "limit":
                cache.set_limit(numbers[0] * FRAME_BYTES)
            elif what == "get":
                cache.get(clips[numbers[0]], numbers[1])
            else:
                getattr(cache, what)(clips[numbers[0]], *numbers[1:])
            measure()
        settled(cache)
        measure()
    finally:
        cache.close(wait=True)
    assert all(num_bytes <= limit_bytes for num_bytes, limit_bytes in held)


def test_the_default_limit_is_a_quarter_of_the_memory_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for total, expected in ((2, 1), (32, 8), (512, 16)):
        memory = type("Memory", (), {"total": total * GIB})
        monkeypatch.setattr("psutil.virtual_memory", lambda memory=memory: memory)
        assert default_limit_bytes() == expected * GIB
