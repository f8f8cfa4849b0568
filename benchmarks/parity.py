"""How far the engine is from recorded runs of the official code: `python benchmarks/parity.py [DIR]`.

Runs the parity tests on the set in DIR (default tests/golden) and prints the worst difference of each kind of check.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1] / "tests" / "engine"


class Worst:
    """Collects every difference that the tests compute."""

    def __init__(self) -> None:
        self.by_check: dict[str, float] = defaultdict(float)
        self.check = ""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.check = item.name.split("[")[0].removeprefix("test_")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        module = sys.modules["test_golden"]
        compute = module.worst

        def remember(got: object, expected: object) -> float:
            difference: float = compute(got, expected)
            self.by_check[self.check] = max(self.by_check[self.check], difference)
            return difference

        module.worst = remember  # type: ignore[attr-defined]


def main() -> int:
    if len(sys.argv) > 1:
        os.environ["LAYERFLOW_GOLDEN"] = str(Path(sys.argv[1]).resolve())
    worst = Worst()
    code = pytest.main(["-q", "--no-header", str(TESTS / "test_golden.py")], plugins=[worst])
    for check, difference in sorted(worst.by_check.items()):
        print(f"{check:22} {difference:.2e}")
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
