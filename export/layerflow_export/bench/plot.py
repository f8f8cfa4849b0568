"""Bars: seconds per step and per shot, by backend."""

from __future__ import annotations

from pathlib import Path

from layerflow_export.bench.report import PEER, Report, Row
from layerflow_export.bench.table import label, subject

COLOURS = {"peer": "#8a8a8a", "ours": "#2f6f9f"}
PANELS = {"step": "seconds per step", "shot": "seconds per shot"}


def save_plot(report: Report, path: Path) -> None:
    """Draws the least seconds of every row that has them, as PNG or SVG by the name of `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.5 + 0.4 * len(report.rows)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (part, title) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        rows = [row for row in report.rows if getattr(row, part)]
        values = [getattr(row, part).least for row in rows]
        colours = [COLOURS["peer" if row.backend == PEER else "ours"] for row in rows]
        bars = axes.barh([label(row) for row in rows], values, color=colours)
        axes.bar_label(bars, [_text(report, row, part) for row in rows], padding=3)
        axes.set_xlim(0, 1.3 * max(values, default=1.0))
        axes.invert_yaxis()
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    machine = report.machine.get("gpu") or f"{report.machine['cores']} cores of {report.machine['cpu']}"
    figure.suptitle(f"{subject(report)}; {machine}")
    figure.savefig(path)


def _text(report: Report, row: Row, part: str) -> str:
    seconds, speedup = getattr(row, part).least, report.speedup(row, part)
    return f"{seconds:.3g}" + (f" ({speedup:.2f}x)" if speedup and row.backend != PEER else "")
