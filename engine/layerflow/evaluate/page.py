"""A page of an evaluation: its scores, and pictures of the first clips and the worst ones, all in one file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from layerflow.errors import OutputError
from layerflow.evaluate.examples import Example
from layerflow.evaluate.names import WHOSE, meaning, measure_of, whose
from layerflow.evaluate.score import Evaluation
from layerflow.files import as_os_error, atomic_path
from layerflow.preview import Picture

FIRST, WORST = 8, 4  # clips that are shown of a row

ROWS = {
    "decompose": "A plate taken apart",
    "decompose_rough": "A plate taken apart by a rough roto",
    "decompose_two": "A plate of two foregrounds taken apart",
    "generate": "Layers made from words: sprites and landscapes that the bundled model has seen",
    "generate_two": "The same with two foregrounds",
    "background": "A background made for a foreground",
    "foreground": "A foreground made for a background",
    "real": "Real plates taken apart",
}

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; border-bottom: 1px solid #8883; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
.wide { overflow-x: auto; }
.clip { margin: 1.2rem 0; }
.clip h4 { margin: 0 0 .3rem; font-weight: 600; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; }
figcaption { font-size: .8rem; opacity: .75; }
img { height: 112px; image-rendering: pixelated; display: block; }
"""


def write_page(folder: Path, evaluation: Evaluation, *, model: str, told: str) -> Path:
    """Writes `index.html` and `scores.json` into `folder` and returns the former; `told` says what was run.

    Raises OutputError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "scores.json") as part:
            part.write_text(json.dumps(evaluation.scores, indent=1) + "\n", encoding="utf-8")
        with atomic_path(folder / "index.html") as part:
            part.write_text(page_html(evaluation, model=model, told=told), encoding="utf-8")
    except OSError as error:
        raise as_os_error(error) or OutputError(f"{folder} cannot be written; choose another --page") from error
    return folder / "index.html"


def page_html(evaluation: Evaluation, *, model: str, told: str) -> str:
    """The page as text."""
    names = list(dict.fromkeys([*(name.partition(".")[0] for name in evaluation.scores), *evaluation.examples]))
    parts = [_row_html(name, evaluation) for name in names]
    notes = "".join(f"<p>{escape(note)}</p>" for note in evaluation.notes)
    title = f"Evaluation of {escape(model)}"
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><p><code>{escape(told)}</code></p>{notes}{''.join(parts)}</body></html>\n"
    )


def shown_examples(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """The first clips, and the worst ones by the IoU of their mattes where there are true ones."""
    judged = [each for each in examples if each.iou is not None]
    worst = sorted(judged, key=lambda each: each.iou or 0.0)[:WORST]
    return {"the first clips": list(examples[:FIRST]), "the worst by matte IoU": worst}


def _row_html(name: str, evaluation: Evaluation) -> str:
    start = f"{name}."
    scores = {key.removeprefix(start): each for key, each in evaluation.scores.items() if key.startswith(start)}
    table = _real_table(scores) if name == "real" else _table(name, scores)
    groups = shown_examples(evaluation.examples.get(name, []))
    pictures = "".join(
        f"<h3>{escape(group)}</h3>{''.join(map(_clip_html, found))}" for group, found in groups.items() if found
    )
    return f'<section id="{escape(name)}"><h2>{escape(ROWS.get(name, name))}</h2>{table}{pictures}</section>'


def _table(row: str, scores: Mapping[str, float]) -> str:
    """A line for each measure, a column for whose layers it is of."""
    lines: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        column, rest = whose(name)
        lines.setdefault(rest, {})[column] = value
    columns = [column for column in ("", *WHOSE) if any(column in line for line in lines.values())]
    head = ["", *(WHOSE.get(column, "made") for column in columns)]
    body = [
        [meaning(f"{row}.{rest}"), *(measure_of(rest).told(line[each]) if each in line else "" for each in columns)]
        for rest, line in lines.items()
    ]
    return _html_table(head, body)


def _real_table(scores: Mapping[str, float]) -> str:
    return _html_table(
        ["", "IoU"], [[f"{name} ({meaning(f'real.{name}')})", f"{value:.3f}"] for name, value in scores.items()]
    )


def _html_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in body)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'


def _clip_html(example: Example) -> str:
    words = " · ".join(f"{name}: {text}" for name, text in example.prompts.items())
    iou = "" if example.iou is None else f", IoU {example.iou:.3f}"
    figures = "".join(
        f'<figure><img alt="{escape(name)}" src="{data_uri(picture)}"><figcaption>{escape(name)}</figcaption></figure>'
        for name, picture in example.pictures.items()
    )
    title = escape(f"{example.title}{iou}: {words}")
    return f'<div class="clip"><h4>{title}</h4><div class="pictures">{figures}</div></div>'


def data_uri(picture: Picture) -> str:
    """`picture` [h, w, 3] as a PNG within a page."""
    done, png = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    assert done, "OpenCV has PNG"
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode("ascii")
