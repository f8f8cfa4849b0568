"""Timecode arithmetic against values from SMPTE ST 12-1."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.timecode import advance, fields, is_timecode


@pytest.mark.parametrize(
    ("start", "count", "fps", "expected"),
    [
        ("01:00:00:00", 24, Fraction(24), "01:00:01:00"),
        ("23:59:59:23", 1, Fraction(24), "00:00:00:00"),
        ("00:00:00:00", 24, Fraction(24000, 1001), "00:00:01:00"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),  # two numbers are dropped each minute
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),  # but not in the tenth
        ("00:00:00;00", 17982, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("00:00:59:29", 1, Fraction(30), "00:01:00:00"),
    ],
)
def test_advance_known_answers(start: str, count: int, fps: Fraction, expected: str) -> None:
    assert advance(start, count, fps) == expected


@given(st.integers(0, 200_000), st.integers(0, 200_000), st.sampled_from([":", ";"]), st.sampled_from([24, 25, 30, 60]))
def test_advance_adds_up(first: int, second: int, mark: str, rate: int) -> None:
    start, fps = f"22:10:00{mark}05", Fraction(rate)
    assert advance(advance(start, first, fps), second, fps) == advance(start, first + second, fps)


def test_only_timecode_reads_as_timecode() -> None:
    assert is_timecode("23:59:59:29") and not is_timecode("24:00:00:00") and not is_timecode("1:0:0:0")
    assert fields("01:02:03;04") == (1, 2, 3, 4, True)
    with pytest.raises(ValueError, match="must look like"):
        fields("now")
