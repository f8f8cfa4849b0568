"""What a project is: the shot that is asked for, its takes, its layers, and how one looks at them.

Immutable values; `with_` gives a changed one, checked. Paths are whole here and relative in the project's file.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Task = Literal["generate", "decompose", "background", "foreground"]
Background = Literal["checkerboard", "black", "white", "custom"]
Channel = Literal["rgb", "r", "g", "b", "a", "luminance"]
Compare = Literal["off", "wipe", "difference"]
Loop = Literal["loop", "once", "bounce"]


class Value(BaseModel):
    """An immutable part of a project. Fields that a newer LayerFlow adds are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def with_(self, **values: Any) -> Self:
        """The same with other values, checked: a ValueError where one cannot be."""
        return type(self).model_validate({**{name: getattr(self, name) for name in type(self).model_fields}, **values})


class ShotSettings(Value):
    """What is asked for, as the panel has it. Names are those of `layerflow.wire.Request`, where it has them."""

    task: Task = "generate"
    plate: str = ""  # what the task works on: the plate, the foreground or the background; empty when generating
    guide: str = ""  # a matte, "path" or "path:channel"
    guide_kind: Literal["roto", "trimap", "garbage"] = "roto"
    foreground: str = ""
    further: tuple[str, ...] = ()  # more foregrounds, from front to back
    background: str = ""
    blended: str = ""
    model: str = "mini"
    quality: Literal["exact", "high", "draft"] = "exact"
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    lock_seed: bool = True
    steps: int | None = Field(default=None, ge=1, le=1000)  # None: the model's own
    guidance: float | None = Field(default=None, ge=0, le=100)
    motion: float = Field(default=0.0, ge=0, le=1)
    first_frame: int | None = Field(default=None, ge=0)  # inclusive, in the plate's numbering; None: all there are
    last_frame: int | None = Field(default=None, ge=0)
    num_frames: int | None = Field(default=None, ge=1)  # of generate
    fps: float | None = Field(default=None, ge=0.1, le=1000)
    output: str = ""  # pattern with %04d; empty: beside the project
    refine: Literal["off", "fast", "best"] = "fast"
    closeup: bool = False
    colorspace: str = ""  # of the plate; empty: what the file says
    output_colorspace: str = "ACEScg"
    fit: Literal["bucket", "pad", "crop"] = "bucket"
    memory: Literal["auto", "full", "balanced", "low"] = "auto"
    precision: str = "auto"
    device: str = "auto"
    backend: str = "auto"
    lora: tuple[str, ...] = ()


class LayerState(Value):
    """What is done with one layer of the picture. Nothing of it changes files."""

    name: str
    visible: bool = True
    solo: bool = False
    locked: bool = False  # kept, to the bit, when the rest is made anew
    opacity: float = Field(default=1.0, ge=0, le=1)
    offset_x: float = 0.0  # pixels, to the right
    offset_y: float = 0.0  # pixels, downward
    scale: float = Field(default=1.0, ge=0.01, le=100)  # about the middle of the display window


class Take(Value):
    """Layers that were made, or are being made."""

    name: str  # v003
    pattern: str  # the frames, with %04d
    job: str = ""  # its id in the queue; empty when the frames were opened
    key: str = ""  # under which it was asked for, so that asking again makes no second job
    request: dict[str, Any] = Field(default_factory=dict)  # that made it, as the wire writes it; empty if not known


class ViewSettings(Value):
    """How the picture is looked at. Not undone, and kept with the project."""

    a: str = "comp"  # what is shown: "comp", "plate", "blended", a layer's name, or "TAKE/NAME" of another take
    b: str = "plate"  # what it is compared with
    compare: Compare = "off"
    wipe: float = Field(default=0.5, ge=0, le=1)  # where the line is, along the picture
    wipe_angle: float = 0.0  # degrees; 0 is an upright line, a to the left of it
    background: Background = "checkerboard"
    background_color: tuple[float, float, float] = (0.18, 0.18, 0.18)  # scene-linear, for "custom"
    channel: Channel = "rgb"
    alpha: Literal["straight", "premultiplied"] = "premultiplied"  # straight: colour as if nothing were transparent
    exposure: float = Field(default=0.0, ge=-20, le=20)  # stops
    gamma: float = Field(default=1.0, ge=0.05, le=10)
    display: str = ""  # of the OCIO config; empty: its default
    view: str = ""


class TimelineState(Value):
    """Where one is in the shot. Not undone, and kept with the project."""

    frame: int = 1
    mark_in: int | None = None  # inclusive; None: the first there is
    mark_out: int | None = None
    loop: Loop = "loop"


class Document(Value):
    """A project."""

    version: Literal[1] = 1
    shot: ShotSettings = ShotSettings()
    takes: tuple[Take, ...] = ()  # in the order they were made
    take: str = ""  # the name of the one that is looked at; empty: none yet
    layers: tuple[LayerState, ...] = ()  # from front to back
    view: ViewSettings = ViewSettings()
    timeline: TimelineState = TimelineState()

    def current_take(self) -> Take | None:
        """The take that is looked at."""
        return self.take_named(self.take)

    def take_named(self, name: str) -> Take | None:
        """The take of this name; None where there is none."""
        return next((take for take in self.takes if take.name == name), None)

    def layer(self, name: str) -> LayerState | None:
        """The layer of this name; None where there is none."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def with_layer(self, changed: LayerState) -> Document:
        """The document with that layer in the place of the one of its name."""
        return self.with_(layers=tuple(changed if layer.name == changed.name else layer for layer in self.layers))
