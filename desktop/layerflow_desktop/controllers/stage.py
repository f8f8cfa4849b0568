"""What the viewer shows: from the project, its clips and the cache to a scene for the frame one is at."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial

from psygnal import Signal

from layerflow_desktop.controllers.background import Background, Post
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.cache import FrameCache
from layerflow_desktop.models.clips import OpenedClip, open_clip
from layerflow_desktop.models.document import Document
from layerflow_desktop.models.layer_stack import BLENDED, layers_for, scene_layers
from layerflow_desktop.models.picture import Clip, Half, Picture, Placed, Scene, Shown
from layerflow_desktop.models.sources import COMP, PLATE, Source, source_of, sources_of

AHEAD = 240  # frames that are read before they are asked for, as far as the cache's limit lets them

Opener = Callable[[str, str, str], OpenedClip]


@dataclass(frozen=True)
class _Key:
    """What a clip is opened by."""

    text: str
    colorspace: str
    target: str


@dataclass(frozen=True, eq=False)
class _Side:
    """A source, and its picture of the frame at hand."""

    source: Source
    clip: OpenedClip
    picture: Picture


class Stage:
    """Opens clips, keeps frames coming, and makes scenes. Its methods belong to the interface's thread."""

    scene_changed = Signal(object)  # Scene, or None where there is nothing
    sources_changed = Signal(tuple)  # of Source
    clip_changed = Signal()  # other frames, another rate
    picture_ready = Signal(int)  # a frame that was waited for is there

    def __init__(
        self, session: Session, background: Background, cache: FrameCache, post: Post, opener: Opener = open_clip
    ) -> None:
        self._session, self._background, self._cache, self._opener = session, background, cache, opener
        self._clips: dict[_Key, OpenedClip] = {}
        self._opening: set[_Key] = set()
        self._failed: dict[_Key, str] = {}
        self._scenes: dict[Hashable, Scene] = {}  # so that a frame that comes again is the very same scene
        self._told: object = ()
        self._wrong = ""  # what was said of the frame at hand
        self._read: list[OpenedClip] = []  # clips that are read ahead
        self.direction = 1  # in which frames are read ahead
        self.scene: Scene | None = None
        cache.on_ready = lambda clip, frame: post(lambda: self._ready(clip, frame))
        session.changed.connect(self._document_changed)
        self.refresh()

    @property
    def main(self) -> OpenedClip | None:
        """The clip that the timeline is of: the current take's, else the plate's."""
        source = source_of(self._session.document, COMP)
        clip = self._clip(source)
        if clip is None and source is not None and source.take:
            clip = self._clip(source_of(self._session.document.with_(take=""), PLATE))
        return clip

    @property
    def is_opening(self) -> bool:
        """Whether a picture is on its way."""
        return self._is_waiting()

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames there are; none where nothing is open."""
        clip = self.main
        return clip.frames if clip else ()

    @property
    def fps(self) -> float:
        """The rate of the shot, in frames a second."""
        clip = self.main
        return clip.fps if clip else 24.0

    def cached_frames(self) -> set[int]:
        """Frames that are in memory with all that is shown of them."""
        sets = [self._cache.cached_frames(clip) for clip in self._shown_clips() if clip.frames]
        return set.intersection(*sets) if sets else set()

    def is_ready(self, frame: int) -> bool:
        """Whether showing that frame needs no disk, or cannot be helped by waiting."""
        return all(
            frame not in clip.frames or self._cache.get(clip, frame) is not None or self._cache.error(clip, frame)
            for clip in self._shown_clips()
        )

    def layers_at(self, frame: int) -> Mapping[str, Half]:
        """The layers of the current take at a frame, as its files have them; none where they are not there yet."""
        clip = self.main
        picture = self._cache.get(clip, frame) if clip else None
        return picture.layers if picture else {}

    def reload(self, text: str) -> None:
        """Looks at the disk again for the frames of that pattern: a job is writing them."""
        for key, clip in list(self._clips.items()):
            if key.text == text:
                self._background.run(clip.refreshed, partial(self._replace, key, clip))
        for key in [key for key in self._failed if key.text == text]:
            del self._failed[key]
        self.refresh()

    def refresh(self) -> None:
        """Opens what is needed and shows what there is of the current frame."""
        self._tell_sources()
        self._read_ahead()
        self._say_what_is_wrong()
        scene = self._make_scene()
        if scene is not self.scene and (scene is not None or not self._is_waiting()):
            self.scene = scene
            self.scene_changed.emit(scene)

    def _document_changed(self, document: Document, before: Document) -> None:
        if document.layers != before.layers:
            self._scenes.clear()
        self.refresh()
        if (document.take, document.shot.plate, document.takes) != (before.take, before.shot.plate, before.takes):
            self.clip_changed.emit()

    def _sides(self) -> tuple[Source | None, Source | None]:
        document = self._session.document
        b = source_of(document, document.view.b) if document.view.compare != "off" else None
        return source_of(document, document.view.a), b

    def _shown_clips(self) -> list[OpenedClip]:
        clips = [self._clip(source) for source in self._sides()]
        return list(dict.fromkeys(clip for clip in clips if clip is not None))

    def _clip(self, source: Source | None) -> OpenedClip | None:
        """The clip of a source; None where it is not open yet, which is begun, or cannot be opened."""
        if source is None:
            return None
        key = self._key(source)
        clip = self._clips.get(key)
        if clip is None and key not in self._opening and key not in self._failed:
            self._opening.add(key)
            self._background.run(
                lambda: self._opener(key.text, key.colorspace, key.target),
                lambda opened: self._opened(key, opened),
                lambda message: self._not_opened(key, message, source),
            )
        return clip

    def _key(self, source: Source) -> _Key:
        return _Key(source.text, source.colorspace, self._session.document.shot.output_colorspace)

    def _opened(self, key: _Key, clip: OpenedClip) -> None:
        self._opening.discard(key)
        self._clips[key] = clip
        self._take_in_layers(clip)
        self.clip_changed.emit()
        self.refresh()

    def _not_opened(self, key: _Key, message: str, source: Source) -> None:
        self._opening.discard(key)
        self._failed[key] = message
        take = self._session.document.take_named(source.take)
        if take is None or not take.key:  # frames of a job are only just being made
            self._session.say(message)
        self.refresh()

    def _replace(self, key: _Key, old: OpenedClip, new: OpenedClip) -> None:
        if new is not old and self._clips.get(key) is old:
            self._clips[key] = new
            self._take_in_layers(new)
            self.clip_changed.emit()
        self.refresh()

    def _take_in_layers(self, clip: OpenedClip) -> None:
        """Gives the layers of the take that is looked at their places in the panel."""
        document = self._session.document
        take = document.current_take()
        if take is not None and clip.text == take.pattern:
            states = layers_for(clip.layers, document.layers)
            if states != document.layers:
                self._session.amend(document.with_(layers=states))

    def _tell_sources(self) -> None:
        main = self._clip(source_of(self._session.document, COMP))
        sources = sources_of(self._session.document, main.layers if main else ())
        if sources != self._told:
            self._told = sources
            self.sources_changed.emit(sources)

    def _read_ahead(self) -> None:
        clips = self._shown_clips()
        for clip in clips:
            self._want(clip)
        for clip in self._read:
            if clip not in clips:
                self._cache.release(clip)
        self._read = clips

    def _say_what_is_wrong(self) -> None:
        """Says why the frame at hand cannot be read, once for each time that one comes to it."""
        frame = self._session.document.timeline.frame
        errors = (self._cache.error(clip, frame) for clip in self._shown_clips())
        wrong = next((error for error in errors if error), "")
        if wrong and wrong != self._wrong:
            self._session.say(wrong)
        self._wrong = wrong

    def _want(self, clip: OpenedClip) -> None:
        timeline = self._session.document.timeline
        marks = (timeline.mark_in, timeline.mark_out)
        within = None if marks == (None, None) or not clip.frames else _filled(marks, clip.frames)
        self._cache.want(clip, timeline.frame, AHEAD * self.direction, within)

    def _is_waiting(self) -> bool:
        """Whether something of this frame is still to come, so that what is shown may stay."""
        return bool(self._opening) or not self.is_ready(self._session.document.timeline.frame)

    def _ready(self, clip: Clip, frame: int) -> None:
        self._forget_scenes()
        if frame == self._session.document.timeline.frame:
            self.refresh()
        self.picture_ready.emit(frame)

    def _forget_scenes(self) -> None:
        """Holds no scene longer than the cache holds its pictures: they would take memory that nobody counts."""
        kept = self.cached_frames()
        self._scenes = {key: scene for key, scene in self._scenes.items() if scene.frame in kept}

    def _make_scene(self) -> Scene | None:
        """The scene of the frame at hand; None where nothing of it is there."""
        frame = self._session.document.timeline.frame
        wanted, against = self._sides()
        a = self._side(wanted, frame) or self._instead(wanted, frame)
        b = self._side(against, frame)
        if a is None or (b is None and self._may_come(against, frame)):
            return None
        key = (frame, a.source, id(a.picture), b and (b.source, id(b.picture)), self._session.document.layers)
        if key not in self._scenes:
            scene = self._scene(frame, a, b)
            if scene is None:
                return None
            self._scenes[key] = scene
        return self._scenes[key]

    def _scene(self, frame: int, a: _Side, b: _Side | None) -> Scene | None:
        document = self._session.document
        shown = _shown(a, document)
        if shown is None:
            return None
        return Scene(
            width=a.clip.width,
            height=a.clip.height,
            a=shown,
            b=_shown(b, document) if b else None,
            pixel_aspect=a.clip.pixel_aspect,
            colorspace=a.clip.colorspace,
            frame=frame,
        )

    def _side(self, source: Source | None, frame: int) -> _Side | None:
        """A source with its picture; None where that is not there."""
        clip = self._clip(source)
        picture = self._cache.get(clip, frame) if clip else None
        return _Side(source, clip, picture) if source and clip and picture else None

    def _instead(self, wanted: Source | None, frame: int) -> _Side | None:
        """The plate, while the layers of this frame are not made."""
        if wanted is None or not wanted.take or self._may_come(wanted, frame):
            return None
        plate = source_of(self._session.document, PLATE)
        clip = self._clip(plate)
        if clip is not None:
            self._want(clip)
        return self._side(plate, frame) if plate and plate.id == PLATE else None

    def _may_come(self, source: Source | None, frame: int) -> bool:
        """Whether waiting brings the picture."""
        if source is None:
            return False
        clip = self._clip(source)
        if clip is None:
            return self._key(source) in self._opening
        return frame in clip.frames and not self._cache.error(clip, frame) and self._cache.get(clip, frame) is None


def _filled(marks: tuple[int | None, int | None], frames: tuple[int, ...]) -> tuple[int, int]:
    """In and out, with the ends of the shot where they are not marked."""
    first, last = marks
    return frames[0] if first is None else first, frames[-1] if last is None else last


def _shown(side: _Side, document: Document) -> Shown | None:
    """What of its picture a side is; None where it has no such layer."""
    source, picture = side.source, side.picture
    if source.part == COMP:
        states = document.layers if source.take == document.take else layers_for(side.clip.layers, ())
        return Shown(scene_layers(picture, states).layers, source.label)
    pixels = picture.layers.get(source.part)
    if pixels is None and source.part == PLATE:
        pixels = picture.layers.get(BLENDED)  # of a plate that is layered itself
    return None if pixels is None else Shown((Placed(pixels),), source.label)
