"""What a request asks for, held against what is there; plates and models have tests of their own."""

from __future__ import annotations

import pytest

from layerflow.errors import RequestError
from layerflow.intake import generated_frames
from layerflow.wire import Request


def generate(**values: int) -> Request:
    return Request("generate", foreground="a dog", background="a garden", **values)


@pytest.mark.parametrize(
    ("values", "first", "last"),
    [
        ({}, 1, 8),
        ({"first_frame": 1001}, 1001, 1008),
        ({"num_frames": 3}, 1, 3),
        ({"first_frame": 0, "num_frames": 3}, 0, 2),
        ({"last_frame": 3}, 1, 3),
        ({"last_frame": 1010, "num_frames": 10}, 1001, 1010),
        ({"first_frame": 5, "last_frame": 5}, 5, 5),
        ({"first_frame": 1, "last_frame": 100_000}, 1, 100_000),
    ],
)
def test_frames_without_a_plate(values: dict[str, int], first: int, last: int) -> None:
    assert generated_frames(generate(**values), 8) == tuple(range(first, last + 1))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"last_frame": 0}, "last_frame 0 comes before the first frame 1; set first_frame"),
        ({"last_frame": 3, "num_frames": 8}, "8 frames up to 3 start below 0; set first_frame"),
        ({"last_frame": 100_001}, "100001 frames are more than 100000; say with --frames"),
    ],
)
def test_frames_that_cannot_be_made(values: dict[str, int], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        generated_frames(generate(**values), 8)
