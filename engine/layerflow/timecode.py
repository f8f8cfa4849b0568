"""Frame rates, and SMPTE timecode as text: `HH:MM:SS:FF`, with `;` before the frames for drop-frame."""

from __future__ import annotations

import re
from fractions import Fraction

_TIMECODE = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)([:;.,])(\d\d)")


def is_timecode(text: str) -> bool:
    """Whether `text` reads as a timecode."""
    return _TIMECODE.fullmatch(text) is not None


def fields(timecode: str) -> tuple[int, int, int, int, bool]:
    """Hours, minutes, seconds, frames, and whether it is drop-frame; raises ValueError for other text."""
    found = _TIMECODE.fullmatch(timecode)
    if found is None:
        raise ValueError(f"timecode must look like 01:00:00:00, got {timecode!r}")
    hours, minutes, seconds, mark, frames = found.groups()
    return int(hours), int(minutes), int(seconds), int(frames), mark != ":"


def advance(timecode: str, num_frames: int, fps: Fraction) -> str:
    """The timecode `num_frames` later at `fps`, wrapping at midnight (SMPTE ST 12-1, drop-frame included)."""
    hours, minutes, seconds, frames, drop = fields(timecode)
    rate = max(1, round(fps))
    dropped = round(rate / 15) if drop and rate % 30 == 0 else 0  # frame numbers skipped each minute but every tenth
    total_minutes = 60 * hours + minutes
    count = (total_minutes * 60 + seconds) * rate + frames - dropped * (total_minutes - total_minutes // 10)
    per_ten = 600 * rate - 9 * dropped
    count = (count + num_frames) % (144 * per_ten)
    tens, rest = divmod(count, per_ten)
    if rest >= 60 * rate:
        rest += dropped * (1 + (rest - 60 * rate) // (60 * rate - dropped))
    rest += tens * 600 * rate
    whole, frame = divmod(rest, rate)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{';' if drop else ':'}{frame:02}"


def as_fps(rate: float) -> Fraction:
    """Frames per second as the fraction it stands for: 23.976 is 24000/1001."""
    whole = max(1, round(rate))
    drop = Fraction(whole * 1000, 1001)
    if abs(rate - whole) < 1e-3:
        return Fraction(whole)
    return drop if abs(rate - drop) < 5e-3 else Fraction(rate).limit_denominator(1001)
