"""The dataset of `layerflow data video`: layered clips of poor quality from plain video, as the base stage wants them.

LayerFlow (SIGGRAPH 2025), section 4, first stage: tags, segmentation tracks, a filter for duplicates and what is no
object, an inpainted background, a caption per layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from layerflow.data.apart import layers_of
from layerflow.data.filters import Limits
from layerflow.data.footage import find_footage, open_footage
from layerflow.data.intake import Job, Report, Taking, Work, source_of
from layerflow.data.light import Pixels
from layerflow.data.likeness import clusters, likeness
from layerflow.data.manifest import Manifest
from layerflow.data.segmenting import Tools, Track
from layerflow.data.shots import Piece, pieces
from layerflow.data.store import Draft, Store, item_id
from layerflow.data.words import Words, blended_caption, read_notes
from layerflow.errors import PlateError
from layerflow.wire import Event

DUPLICATE = 0.995  # correlation of two pieces' small pictures from which on the later one is left out


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """How much of each video is taken, and what counts as a thing."""

    num_frames: int = 16
    max_pieces: int = 8  # of one video
    max_foregrounds: int = 1
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if min(self.num_frames, self.max_pieces, self.max_foregrounds) < 1:
            raise ValueError(f"a video gives at least one piece of one frame with one foreground, got {self}")


def make_video(
    sources: Sequence[Path],
    out: Path,
    tools: Tools,
    *,
    taking: Taking,
    plan: VideoPlan | None = None,
    hold_out: float = 0.1,
    captions: Path | None = None,
    report: Report = lambda event: None,
) -> Manifest:
    """Write the dataset folder `out` of the videos in `sources`, files or folders. Raises LayerFlowError.

    A piece in which nothing is found, or that looks like another, is left out and the manifest says why. What is in
    `out` already is kept where its source has not changed, so a stopped run can be repeated.
    """
    plan = plan or VideoPlan()
    work = Work(store=Store(out), taking=taking, report=report)
    seen: dict[str, str] = {}
    for source in sources:
        root = source if source.is_dir() else source.parent
        notes = read_notes(root, captions)
        for path in _videos(source, work):
            report(Event("stage", f"looking at {path.name}"))
            try:
                _one_video(path, root, notes.of(path, root), work, tools, plan, seen)
            except PlateError as error:
                if not taking.skip_broken:
                    raise
                report(Event("warning", f"left out: {error}"))
    return work.store.finish(linear=True, hold_out=hold_out)


def _videos(source: Path, work: Work) -> list[Path]:
    """The clips of `source`: a file, one folder of frames, or a folder of such."""
    if source.is_file() or _is_clip(source):
        return [source]
    return find_footage(source, stills=work.taking.stills)


def _is_clip(folder: Path) -> bool:
    try:
        return open_footage(folder).num_frames > 1
    except PlateError:
        return False  # several clips, or none: find_footage looks closer and says so


def _one_video(
    path: Path, root: Path, words: Words, work: Work, tools: Tools, plan: VideoPlan, seen: dict[str, str]
) -> None:
    footage = open_footage(path)
    if footage.num_frames < 2:
        return
    for piece in pieces(footage, work.taking, plan.num_frames, plan.max_pieces):
        item = f"{item_id(path, root, prefix='v-')}-{piece.first:06d}"
        look = likeness([piece.frames])
        twin = _twin(look, seen)
        make = partial(_draft, item, piece, path, root, words, work.taking, tools, plan)
        job = Job(paths=(path,), words=words, make=partial(_alike, twin) if twin else make)
        work.one(item, job, {"plan": plan, "tools": tools.name, "piece": piece.first, "twin": twin})
        if not twin:
            seen[item] = look


def _twin(look: str, seen: Mapping[str, str]) -> str:
    """The item that looks like this one, or nothing."""
    if not seen:
        return ""
    marks = clusters([*seen.values(), look], alike=DUPLICATE)
    return next((name for name, mark in zip(seen, marks, strict=False) if mark == marks[-1]), "")


def _alike(twin: str) -> str:
    return f"looks like {twin}"


def _draft(
    item: str, piece: Piece, path: Path, root: Path, words: Words, taking: Taking, tools: Tools, plan: VideoPlan
) -> Draft | str:
    licence = words.licence or taking.licence
    if not licence:
        raise PlateError(f"{path} states no licence; add one to its captions table, or pass --licence")
    found = layers_of(piece.frames, tools, plan.max_foregrounds, plan.limits)
    if isinstance(found, str):
        return found
    foregrounds, background, tracks = found
    captions = [_caption(tools, front, track, words) for front, track in zip(foregrounds, tracks, strict=True)]
    behind = tools.captioner.caption(background, "background", words.background)
    names = ["foreground", *(f"foreground{number}" for number in range(2, len(foregrounds) + 1))]
    layers = dict(zip(names, zip(foregrounds, captions, strict=True), strict=True))
    return Draft(
        id=item,
        role="layers",
        layers={**layers, "background": (background, behind)},
        fps=piece.fps,
        source=source_of(words, path, root, taking),
        licence=licence,
        group=words.group or f"video {item_id(path, root)}",
        blended_caption=tools.captioner.caption(
            piece.frames, "blended", words.blended or blended_caption(captions, behind)
        ),
        notes={"first frame": str(piece.first), "taken apart with": tools.name},
    )


def _caption(tools: Tools, foreground: Pixels, track: Track, words: Words) -> str:
    """What one thing is; shown to the captioner over mid grey, so that it says nothing of the rest."""
    alpha = foreground[..., 3:].astype(float) / 255
    shown = (foreground[..., :3] * alpha + 127.5 * (1 - alpha)).astype(foreground.dtype)
    return tools.captioner.caption(shown, "foreground", track.label or words.caption)
