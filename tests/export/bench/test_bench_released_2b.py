"""The script for a machine with a GPU goes its whole way on a CPU too, with a small model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from layerflow_export.bench.report import read_report

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "released_2b.py"


@pytest.mark.long
def test_in_one_go(tmp_path):
    command = [
        sys.executable,
        SCRIPT,
        tmp_path,
        "--size",
        "tiny",
        "--backend",
        "eager",
        "--rounds",
        "1",
        "--clips",
        "1",
    ]
    ended = subprocess.run([*command, "--skip", "render"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    report = read_report(tmp_path / "bench.json")
    assert [row.label for row in report.rows] == ["diffusers", "eager", "eager, high", "eager, draft"]
    assert report.shot["steps"] == 50 and report.shot["frames"] == 16 and len(report.shot["layers"]) == 4
    assert all(report.speedup(row, "shot") for row in report.rows)
    assert report.rows[0].closeness.v_max < 2e-6 and report.rows[1].closeness.v_max == 0
    assert (tmp_path / "bench.png").is_file()
    found = json.loads((tmp_path / "quality.json").read_text())
    assert found["mini, generate, high"]["picture"] > 33 and found["mini, generate, high"]["matte MAE"] < 0.005
    assert found["mini, generate, draft"]["blocks"] < found["mini, generate, high"]["blocks"] < 1
