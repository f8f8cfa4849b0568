"""The pictures of docs/evaluate.md: `python benchmarks/sheets.py [MODEL] [FOLDER]`, of `mini`, into docs/images.

One contact sheet for each row of an evaluation, four of the first 16 held-out clips under each other: where mattes are
judged the best, the worst and two evenly between them, else the first four. Nothing is picked by eye. A few minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from layerflow.evaluate.examples import Example
from layerflow.evaluate.rows import GIVEN, ROWS
from layerflow.evaluate.score import evaluate_tasks
from layerflow.preview import Picture, write_picture
from layerflow.training.render import RenderConfig

NUM_CLIPS, NUM_SHOWN = 16, 4
SCALE, GAP = 2, 4  # of a clip's pixels; pixels of the sheet between pictures
STRIP = 18  # pixels, of a line of words
PAPER, INK = 24, 220
MOST_BYTES = 300_000
WIDTH = RenderConfig().width  # what is made is shown twice, first and last frame; the first one is enough here
IMAGES = Path(__file__).parents[1] / "docs" / "images"

COLUMNS = {  # the pictures of a row
    "decompose": ["plate", "true matte", "matte", "foreground", "background", "true background"],
    "decompose_rough": ["plate", "rough matte given", "true matte", "matte", "foreground", "background"],
    "decompose_two": [
        *("plate", "true first matte", "first matte", "first foreground"),
        *("true second matte", "second matte", "second foreground", "background", "true background"),
    ],
    "generate": ["foreground", "matte", "background", "blended"],
    "generate_two": ["first foreground", "first matte", "second foreground", "second matte", "background", "blended"],
    "background": ["foreground", "background", "true background", "blended"],
    "foreground": ["background", "foreground", "matte", "true foreground", "blended"],
}


def main(model: str = "mini", folder: str = str(IMAGES)) -> None:
    """Writes every sheet, and prints where it is and how large."""
    found = evaluate_tasks(model, num_clips=NUM_CLIPS)
    for note in found.notes:
        print(note)
    for row, examples in found.examples.items():
        path = Path(folder) / f"evaluate-{row.replace('_', '-')}.png"
        write_picture(path, sheet(row, shown(examples)))
        size = path.stat().st_size
        print(f"{path}: {size / 1000:.0f} kB")
        if size > MOST_BYTES:
            sys.exit(f"{path} is larger than {MOST_BYTES // 1000} kB; show fewer columns or clips of {row}")


def shown(examples: Sequence[Example]) -> list[Example]:
    """The first clips, or from the best matte to the worst in even steps."""
    if any(each.iou is None for each in examples):
        return list(examples[:NUM_SHOWN])
    ranked = sorted(examples, key=lambda each: -(each.iou or 0.0))
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, NUM_SHOWN).round().astype(int)]


def sheet(row: str, examples: Sequence[Example]) -> Picture:
    """The pictures of each example beside each other, with its words and its figure above them."""
    names, given = COLUMNS[row], GIVEN.get(ROWS[row].task)
    clips = [[enlarged(example.pictures[name]) for name in names] for example in examples]
    width = clips[0][0].shape[1]
    parts = [beside([words(f"{name}, given" if name == given else name, width) for name in names])]
    for example, pictures in zip(examples, clips, strict=True):
        line = beside(pictures)
        parts += [words(caption(example), line.shape[1]), line]
    return np.concatenate([np.pad(part, ((0, GAP), (GAP, 0), (0, 0)), constant_values=PAPER) for part in parts])


def caption(example: Example) -> str:
    """What the clip is, and its figure where it has one."""
    prompts = [example.prompts[name] for name in ("foreground", "foreground2", "background") if name in example.prompts]
    figure = "" if example.iou is None else f", matte IoU {example.iou:.2f}"
    return f"{example.title}{figure}: {' / '.join(prompts)}"


def enlarged(picture: Picture) -> Picture:
    """The first frame, pixel by pixel."""
    return picture[:, :WIDTH].repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def beside(pictures: Sequence[Picture]) -> Picture:
    """`pictures` in a line."""
    parts = [np.pad(each, ((0, 0), (0, GAP), (0, 0)), constant_values=PAPER) for each in pictures]
    return np.concatenate(parts, axis=1)


def words(text: str, width: int) -> Picture:
    """A strip of `width` pixels that says `text`, in a font that OpenCV brings."""
    strip = np.full((STRIP, width, 3), PAPER, np.uint8)
    cv2.putText(strip, text, (2, STRIP - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (INK, INK, INK), 1, cv2.LINE_AA)
    return strip


if __name__ == "__main__":
    main(*sys.argv[1:])
