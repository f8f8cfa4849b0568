"""The page of benchmarks says what the stored benches say."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from layerflow_export.bench.report import read_report

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "docs.py"
spec = importlib.util.spec_from_file_location("benchmarks_docs", SCRIPT)
docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)

TEXT = docs.PAGE.read_text(encoding="utf-8")
STORED = [read_report(path) for path in sorted(docs.RESULTS.glob("*.json"))]


def test_the_page_is_what_the_files_give():
    assert STORED
    assert docs.page(TEXT, STORED) == TEXT
    assert docs.main(["--check"]) == 0


def test_another_figure_is_another_page():
    one = STORED[0]
    faster = replace(one, rows=(replace(one.rows[0], peak_bytes=12 << 30), *one.rows[1:]))
    made = docs.page(TEXT, [faster, *STORED[1:]])
    assert made != TEXT and "| 12.00 |" in made
    assert made.partition(docs.BEGIN)[0] == TEXT.partition(docs.BEGIN)[0]


def test_a_gpu_has_a_heading_of_its_own():
    machine = {**STORED[0].machine, "gpu": "NVIDIA H200", "driver": "570.1"}
    made = docs.section([replace(STORED[0], machine=machine), STORED[0]])
    assert made.index("### Backends on the CPU") < made.index("### Backends on a GPU") < made.index("NVIDIA H200")


def test_a_page_without_its_comments():
    with pytest.raises(ValueError, match="no section between its two comments"):
        docs.page("# Benchmarks\n", STORED)
