"""What the model is shown of a shot: its plate and its guides as pictures of the model's size, and its prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from layerflow.assemble import Frame, model_pictures, pictures_and_clipped, stacked
from layerflow.denoisers import raise_if
from layerflow.frame_windows import Window
from layerflow.guides import Clamps, Guides, given_guide, hint_for
from layerflow.hints import Hint
from layerflow.layout import PROMPT_ORDER, Layout
from layerflow.models.fitting import fit_to
from layerflow.models.folder import ModelFolder
from layerflow.models.load import Engine
from layerflow.pipeline import Clip, Conditions, dropped_words, encode_clip
from layerflow.plate import Plate
from layerflow.preprocess import Fit, FitKind
from layerflow.window import Window as Area
from layerflow.wire import Request


@dataclass(frozen=True, kw_only=True)
class Showing:
    """What a shot is made of, as the model sees it; and how much of that it cannot see."""

    request: Request
    folder: ModelFolder
    layout: Layout
    plate: Plate | None
    guides: Guides | None
    fit: Fit  # how the plate meets the model's picture
    warn: Callable[..., None]  # takes sentences that the artist should read
    stopped: Callable[[], bool]
    clipped: dict[int, float] = field(default_factory=dict)  # share of a frame that the model saw clipped

    def given(self, window: Window, area: Area | None = None) -> dict[str, Tensor]:
        """The given layers of `window`, `[F, 3, h, w]` in [-1, 1]; its plate frames are read. Raises PlateError.

        With an `area`, of that part of the plate alone.
        """
        if self.plate is None:
            return {}
        shown = {number: self._shown(self.plate, number, area) for number in dict.fromkeys(window.frames)}
        given = stacked([shown[number] for number in window.frames])  # a short shot repeats its last frame
        return given | self._guide(window, area)

    def closer_fit(self, area: Area) -> Fit:
        """How a part of the plate meets the model's picture; all of it is shown, cropped or not."""
        kind: FitKind = "pad" if self.fit.kind == "pad" else "bucket"
        return fit_to(self.folder, width=area[2], height=area[3], aspect=self.fit.aspect, kind=kind)

    def hint(self, window: Window, area: Area | None = None) -> Hint | None:
        """What a guide says of the alpha of `window`, or of an `area` of it; None without one. Raises PlateError."""
        if self.guides is None or self.guides.guide is None:
            return None
        return hint_for(self.layout, *self._clamped(window, area))

    def _clamped(self, window: Window, area: Area | None) -> tuple[list[Clamps], Fit]:
        """What the guides say of the frames of `window`, and how that meets the model's picture."""
        assert self.guides is not None
        clamps = [self.guides.at(number) for number in window.frames]
        if area is None:
            return clamps, self.fit
        return [each.part(area) for each in clamps], self.closer_fit(area)

    def _guide(self, window: Window, area: Area | None) -> dict[str, Tensor]:
        """The guide as a layer of its own, where the model has learned to go by one."""
        return given_guide(self.layout, *self._clamped(window, area)) if "guide" in self.layout.layers else {}

    def encode(
        self, engine: Engine, given: Mapping[str, Tensor], depth: int = 0, *, hint: Hint | None = None
    ) -> Conditions:
        """What foreground number `depth` of a window is sampled under."""
        clip = self.clip(given, depth, hint)
        for name, tail in dropped_words(engine, clip).items():
            count = "1 token" if tail.num_tokens == 1 else f"{tail.num_tokens} tokens"
            self.warn(f"the {name} prompt is {count} too long; shorten it, the model does not see: {tail.in_short()}")
        return encode_clip(engine, clip)

    def clip(self, given: Mapping[str, Tensor], depth: int = 0, hint: Hint | None = None) -> Clip:
        """The `given` layers, `[F, 3, h, w]` in [-1, 1], with what goes with them for foreground number `depth`."""
        rows, columns = next((tuple(clip.shape[-2:]) for clip in given.values()), (self.fit.rows, self.fit.columns))
        return Clip(
            layout=self.layout,
            prompts=self._prompts(depth),
            given=given,
            hint=hint,
            seed=self.request.seed,
            height=rows,
            width=columns,
            drawn=self.folder.fidelity(faithful=self.request.faithful).posterior,
        )

    def warn_of_clipping(self) -> None:
        """Says in one sentence how much of the plate the model could not see as it is."""
        if self.clipped:
            worst = max(self.clipped, key=lambda number: self.clipped[number])
            count = "1 frame is" if len(self.clipped) == 1 else f"{len(self.clipped)} frames are"
            self.warn(
                f"{count} partly beyond display black or white, frame {worst} most ({self.clipped[worst]:.1%} of it); "
                "the model saw those pixels clipped, the plate's own layer keeps them"
            )

    def _prompts(self, depth: int) -> dict[str, str]:
        """By layer; the foregrounds that are still there belong to the background of those that are taken off."""
        request = self.request
        prompts = {name: getattr(request, name) for name in PROMPT_ORDER}
        if not request.foregrounds:
            return prompts
        names, left = self.layout.foregrounds, request.foregrounds[depth:]
        prompts |= dict(zip(names, left, strict=False))
        return prompts | {"background": ", ".join(filter(None, (*left[len(names) :], request.background)))}

    def _shown(self, plate: Plate, number: int, area: Area | None) -> dict[str, Tensor]:
        """The pictures of one plate frame that the model is shown."""
        frame = self._read(plate, number)
        if area is not None:
            return model_pictures(frame.part(area), self.layout, self.closer_fit(area))
        pictures, clipped = pictures_and_clipped(frame, self.layout, self.fit)
        if clipped:
            self.clipped[number] = clipped
        return pictures

    def _read(self, plate: Plate, number: int) -> Frame:
        raise_if(self.stopped)
        frame = Frame(pixels=plate.read(number), colorspace=plate.colorspace)
        self.warn(*plate.notes)
        return frame
