"""How long a training is, and how fast it learns at each of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field

LEAST = 0.02  # of the peak learning rate at the very end


@dataclass(kw_only=True)
class Progress:
    """What the loop reports and what a resumed one starts from."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)  # of the last steps
    share: float = 0.0  # of the whole training that is done


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The end of a training, by steps or by minutes of all its runs together, and the way there."""

    steps: int | None = None
    minutes: float | None = None
    warmup_steps: int = 0
    decay: float = 0.0  # share at the end in which the learning rate falls to 0

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("a training ends after some steps or minutes, got neither")

    def share(self, step: int, seconds: float) -> float:
        """How much is done of it, in [0, 1]."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / (self.minutes * 60) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def lr_scale(self, step: int, seconds: float) -> float:
        """Linear warm-up by steps, then 1, and a linear fall at the end (Hu et al. 2024)."""
        left = max(LEAST, 1.0 - self.share(step, seconds))
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return warm * (min(1.0, left / self.decay) if self.decay else 1.0)
