"""A bench's rows in words: the same cells for the terminal and for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.box import SIMPLE
from rich.table import Column, Table

from layerflow_export.bench.report import Report, Row

GIB = 2**30
DEFAULT = "*"  # marks what `--backend auto` takes
Cells = dict[str, Callable[[Row], str]]  # heading -> the cell of a row


def tables(report: Report) -> list[list[Sequence[str]]]:
    """Times, what they are made of, and differences, each a heading and its rows. A column is there where it tells."""
    every = (_times(report), _makeup(), _differences())
    return [table for cells in every if len((table := _filled(report, cells))[0]) > 1]


def rich_tables(report: Report) -> list[Table]:
    """The same for a terminal."""
    drawn: list[Table] = []
    for heading, *rows in tables(report):
        columns = (Column(name, no_wrap=name == "backend") for name in heading)
        table = Table(*columns, box=SIMPLE, title=None if drawn else subject(report), title_justify="left")
        for row in rows:
            table.add_row(*row)
        drawn.append(table)
    return drawn


def label(row: Row) -> str:
    """The name of a row, the default marked."""
    return f"{row.label}{DEFAULT}" if row.is_default and row.quality == "exact" else row.label


def subject(report: Report) -> str:
    """Model, task and size in a few words."""
    model, shot = report.model, report.shot
    size = f"{len(shot['layers'])} layers of {shot['frames']} frames, {shot['width']} x {shot['height']}"
    precisions = ", ".join(dict.fromkeys(row.precision for row in report.rows))
    return f"{model['name']}, {shot['task']}, {shot['steps']} steps, {size}, {precisions}"


def _times(report: Report) -> Cells:
    several = len({row.precision for row in report.rows}) > 1
    return {
        "precision": lambda row: row.precision if several else "",
        "s per step": lambda row: _seconds(row.step and row.step.least),
        "median step": lambda row: _seconds(row.step and row.step.median),
        "s per shot": lambda row: _seconds(row.shot and row.shot.least),
        "median shot": lambda row: _seconds(row.shot and row.shot.median),
        "times faster": lambda row: _number(report.speedup(row, "shot"), ".2f"),
    }


def _makeup() -> Cells:
    return {
        "text": lambda row: _seconds(row.text_s),
        "sampling": lambda row: _seconds(row.sampling_s),
        "decoding": lambda row: _seconds(row.decode_s),
        "whole render": lambda row: _seconds(row.render_s),
        "of the ceiling": lambda row: _number(row.flops_share, ".0%"),
        "peak GiB": lambda row: _number(row.peak_bytes and row.peak_bytes / GIB, ".2f"),
    }


def _differences() -> Cells:
    return {
        "v": lambda row: _closeness(row, "v_max", ".1e"),
        "v, in parts": lambda row: _closeness(row, "v_parts", ".1e"),
        "latents": lambda row: _closeness(row, "latents_max", ".1e"),
        "layers": lambda row: _closeness(row, "layers_max", ".1e"),
        "picture": lambda row: _closeness(row, "picture_psnr", ".1f"),
        "matte MAE": lambda row: _closeness(row, "matte_mae", ".1e"),
    }


def _filled(report: Report, cells: Cells) -> list[Sequence[str]]:
    kept = {name: cell for name, cell in cells.items() if any(cell(row) for row in report.rows)}
    return [("backend", *kept), *((label(row), *(cell(row) for cell in kept.values())) for row in report.rows)]


def _seconds(value: float | None) -> str:
    """Three digits, seconds."""
    return "" if value is None else f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _closeness(row: Row, name: str, form: str) -> str:
    """A figure of the row's closeness; where nothing differs it is 0, and a PSNR "equal"."""
    if row.closeness is None:
        return ""
    value = getattr(row.closeness, name)
    if name == "picture_psnr" and row.closeness.layers_max is not None:
        return "equal" if value is None else f"{value:{form}} dB"
    return "" if value is None else format(value, form) if value else "0"
