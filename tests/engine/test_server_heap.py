"""What a process gives back to the system of what it no longer uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIVES = """
import threading
import psutil
from layerflow.server import heap

def used():
    return psutil.Process().memory_info().rss >> 20

def fill(left):
    pages = [bytearray(b"x" * 65536) for _ in range(1600)]  # 100 MB
    left += pages[::100]  # a used one among so many free

heap.use_one_arena()
left, before = [], used()
for _ in range(4):
    thread = threading.Thread(target=fill, args=(left,))
    thread.start()
    thread.join()
heap.trim()
print(used() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have heaps of their own kind")
def test_pages_that_nothing_is_in_are_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", LIVES], check=True, capture_output=True, text=True)
    assert int(run.stdout) < 20
