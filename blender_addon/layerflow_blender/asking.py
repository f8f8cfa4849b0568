"""From the settings and a strip to the request that the engine gets. Text and numbers, nothing of Blender."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from layerflow.wire import Request, asking
from layerflow.wire.checks import check_order
from layerflow.wire.matte import write_matte
from layerflow.wire.run import Render
from layerflow.wire.versions import Frames, Versions

from .look import Look

FROM_STRIP, FROM_SCENE, CUSTOM = "strip", "scene", "custom"
WITH_STRIP = {"decompose": "plate", "background": "foreground", "foreground": "background"}  # what the strip is

# What Blender calls a colour space -> what the engine does. Of a strip in any other, the Sequencer renders the frames.
COLOR_SPACES = {
    "sRGB": "sRGB",
    "Linear Rec.709": "lin_rec709",
    "ACEScg": "ACEScg",
    "ACES2065-1": "ACES2065-1",
}
LINEAR_SPACES = ("Linear Rec.709", "ACEScg", "ACES2065-1")

_AS_THEY_ARE = ("task", "quality", "seed", "motion", "fit", "memory", "precision", "device", "backend")
_OF_DECOMPOSE = ("refine", "closeup")


@dataclass(frozen=True)
class Media:
    """Files of a strip that the engine can read by itself."""

    plate: str
    frame: int | None  # the number, in the plate's own numbering, of what the strip shows first; None: one still
    colorspace: str


@dataclass(frozen=True)
class Source:
    """A strip to work on: the frames of the timeline that it shows, inclusive, and how the engine gets at them."""

    name: str
    first: int
    last: int
    media: Media | None  # None: its frames have to be rendered
    why: str = ""  # why they have to be
    look: Look = field(default_factory=Look)


@dataclass(frozen=True)
class Timeline:
    """What a request takes from the scene."""

    first: int
    last: int
    playhead: int
    fps: float
    colorspace: str  # in which Blender works, by its own name; scene-linear

    @property
    def engine_colorspace(self) -> str:
        """The same, by the engine's name."""
        return COLOR_SPACES[self.colorspace]


def frames_of(settings: Mapping[str, Any], timeline: Timeline, source: Source | None) -> tuple[int, int | None]:
    """First and last frame of the timeline to make, inclusive; None as last: as many as the model makes by itself.

    A ValueError says why there are none.
    """
    chosen = settings["frame_range"]
    if chosen == CUSTOM:
        first, last = int(settings["first_frame"]), int(settings["last_frame"])
    elif chosen == FROM_SCENE:
        first, last = timeline.first, timeline.last
    elif source is not None:
        first, last = source.first, source.last
    else:
        length = int(settings["length"])
        first, last = timeline.playhead, timeline.playhead + length - 1
        if not length:
            return first, None
    check_order(first, last)
    if source is not None:
        first, last = max(first, source.first), min(last, source.last)
        if first > last:
            raise ValueError(
                f"the strip {source.name} shows frames {source.first} to {source.last}, and none of them is to be "
                "made; choose other frames"
            )
    return first, last


def request_of(
    settings: Mapping[str, Any],
    timeline: Timeline,
    frames: tuple[int, int | None],
    output: str,
    source: Source | None = None,
    rendered: Mapping[str, str] | None = None,
) -> Request:
    """The request for `frames` of the timeline.

    `rendered` has the patterns of what is rendered for it: "plate" where the source's own files will not do, and
    "guide". A ValueError says in one sentence what is missing or wrong.
    """
    rendered = rendered or {}
    task = str(settings["task"])
    given = {name: settings[name] for name in (*_AS_THEY_ARE, *(_OF_DECOMPOSE if task == "decompose" else ()))}
    guide = rendered.get("guide")
    return Request(
        **given,
        **_prompts(settings),
        **_plate(timeline, frames, source, rendered.get("plate")),
        guide=None if guide is None else write_matte(guide, str(settings["guide_channel"])),
        guide_kind=settings["guide_kind"] if guide is not None else "roto",
        model=str(settings["model"]).strip(),
        steps=int(settings["steps"]) or None,
        guidance=float(settings["guidance"]) or None,
        fps=timeline.fps,
        output_colorspace=timeline.engine_colorspace,
        output=output,
        per_layer=True,  # the Sequencer takes every layered EXR for premultiplied
        lora=tuple(text.strip() for text in str(settings["lora"]).split(";") if text.strip()),
    )


def _prompts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The prompts; with further foregrounds, all of them are told apart."""
    first = str(settings["foreground"]).strip()
    further = [str(text).strip() for text in settings["further"] if str(text).strip()]
    return {
        **asking.told_apart(str(settings["task"]), [first, *further], first),
        "background": str(settings["background"]).strip(),
        "blended": str(settings["blended"]).strip(),
    }


def _plate(
    timeline: Timeline, frames: tuple[int, int | None], source: Source | None, rendered: str | None
) -> dict[str, Any]:
    """Plate, its colour space and the frames of it, in its own numbering."""
    media = source.media if source is not None and rendered is None else None
    if media is None:
        check_number(frames[0])
        plate = {} if source is None else {"plate": rendered, "colorspace": timeline.engine_colorspace}
        return {**plate, "first_frame": frames[0], "last_frame": frames[1]}
    given: dict[str, Any] = {"plate": media.plate, "colorspace": media.colorspace}
    if media.frame is not None and source is not None:
        first, last = (None if frame is None else frame - source.first + media.frame for frame in frames)
        given.update(first_frame=first, last_frame=last)
    return given


def check_number(frame: int) -> None:
    """ValueError for a frame that no file can be numbered by."""
    if frame < 0:
        raise ValueError(f"frame {frame} is below 0, which no file can be numbered by; move the strip to the right")


def next_output(text: str, taken: Collection[str]) -> str:
    """The output at the version after all that were begun on disk, or that jobs (their outputs are `taken`) go to."""
    versions = Versions.of(text, lambda pattern: pattern)
    return versions.pattern(versions.free(versions.next(), taken))


def again(request: Request, seed: int, taken: Collection[str]) -> Request:
    """The same request with another seed, at the next version of its output."""
    return asking.again(request, seed, next_output(request.output, taken))


def inputs_pattern(output: str, name: str, mark: str) -> str:
    """Where an input is rendered to: beside the output, another place for everything that it could be."""
    folder = Versions.of(output, lambda pattern: pattern).inputs_folder()
    return f"{folder}/{name}_{mark}.%04d.exr"


def left_of(render: Render) -> Render:
    """What is left to render of it: the frames that are not on disk yet."""
    return replace(render, frames=Frames.of(render.pattern).missing(render.frames))
