"""Writes the section of docs/benchmarks.md that comes from stored benches: `python benchmarks/docs.py [--check]`.

Every file in benchmarks/results is what `layerflow-export bench` saved; they come in the order of their names. With
--check nothing is written, and the exit code says whether the section is what the files give.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from layerflow_export.bench.report import Report, read_report
from layerflow_export.bench.table import subject, tables

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN = "<!-- what follows is written by benchmarks/docs.py from benchmarks/results -->\n"
END = "<!-- end of what benchmarks/docs.py writes -->\n"
HEADINGS = {False: "Backends on the CPU", True: "Backends on a GPU"}


def page(text: str, reports: list[Report]) -> str:
    """`text` with its generated section made anew. Raises ValueError where it has none."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE.name} has no section between its two comments")
    return before + BEGIN + section(reports) + END + after


def section(reports: list[Report]) -> str:
    """One heading for the CPU and one for GPUs, where there is any such report; the machine where it changes."""
    lines: list[str] = []
    for on_gpu, heading in HEADINGS.items():
        chosen = [report for report in reports if ("gpu" in report.machine) == on_gpu]
        lines += [f"### {heading}", ""] if chosen else []
        for where, group in groupby(chosen, key=machine):
            lines += [where, "", *(line for report in group for line in described(report))]
    return "\n".join(lines) + "\n"


def described(report: Report) -> Iterator[str]:
    """What was measured, and the tables."""
    ceilings = ", ".join(
        f"{each['flops_per_s'] / 1e12:.3g} TFLOP/s ({each['dtype']}, {each['by']})" for each in report.ceilings
    )
    load = f"load {report.machine['load']:g} when it began"
    yield f"`{report.command}`: {subject(report)}; {load}, the ceiling {ceilings or 'not measured'}."
    yield ""
    for heading, *rows in tables(report):
        yield from (row_of(heading), "|" + "---|" * len(heading), *map(row_of, rows), "")
    if report.refused:
        yield from (f"- `{name}` was left out: {sentence}" for name, sentence in report.refused.items())
        yield ""


def row_of(cells: object) -> str:
    return "| " + " | ".join(cells) + " |"  # type: ignore[call-overload]


def machine(report: Report) -> str:
    """Where and when it was measured, and with what."""
    known, versions = report.machine, report.machine["versions"]
    gpu = f"{known['gpu']} (driver {known['driver']}), " if "gpu" in known else ""
    processor = f"{known['cores']} cores of {known['cpu']} ({known['cpu_capability']}), {known['memory_gib']:.0f} GiB"
    libraries = ", ".join(f"{name} {versions[name]}" for name in versions if name not in ("layerflow", "numpy"))
    return f"{gpu}{processor}, Python {known['python']}, {libraries}. Measured on {report.date[:10]}."


def main(arguments: list[str]) -> int:
    reports = [read_report(path) for path in sorted(RESULTS.glob("*.json"))]
    text = PAGE.read_text(encoding="utf-8")
    made = page(text, reports)
    if "--check" not in arguments:
        PAGE.write_text(made, encoding="utf-8")
    return int("--check" in arguments and made != text)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
