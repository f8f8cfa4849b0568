"""What an artist asks for. The same names are the command line's options, the API's fields and the hosts' knobs."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, Mapping, Optional, Tuple

from layerflow.wire import checks
from layerflow.wire.checks import parse_frames
from layerflow.wire.lora import parse_lora
from layerflow.wire.matte import parse_matte

__all__ = ["TASKS", "Request", "parse_frames"]

QUALITY_NAMES = ("exact", "high", "draft")
TASKS = ("generate", "decompose", "background", "foreground", "edit")

# The prompts a task cannot do without. Decomposing works from the plate alone; prompts only help it.
_NEEDED_PROMPTS = {
    "generate": ("foreground", "background"),
    "background": ("background",),
    "foreground": ("foreground",),
}

CHOICES = {
    "task": TASKS,
    "sampler": ("sde", "ode"),
    "quality": QUALITY_NAMES,
    "alpha": ("straight", "premultiplied"),
    "fit": ("bucket", "pad", "crop"),
    "refine": ("off", "fast", "best"),
    "guide_kind": ("roto", "trimap", "garbage"),
    "memory": ("auto", "full", "balanced", "low"),
    "precision": ("auto", "float32", "bfloat16", "float16", "float8"),
    "text_precision": ("auto", "float32", "bfloat16", "int8"),
}

_LAST_FRAME = 10**checks.MAX_FRAME_DIGITS - 1
RANGES = {
    "first_frame": (0, _LAST_FRAME),
    "last_frame": (0, _LAST_FRAME),
    "seed": (0, 2**63 - 1),
    "steps": (1, 1000),
    "guidance": (0.0, 100.0),
    "fps": (0.1, 1000.0),
    "width": (16, 16384),
    "height": (16, 16384),
    "num_frames": (1, 100000),
    "extend": (1, 100000),
    "motion": (0.0, 1.0),
}  # type: Dict[str, Any]

MAX_FOREGROUNDS = 8

_LAYER = re.compile(r"(background|foreground[0-9]{0,3})\Z")
_MAKES = ("background", "foreground", "edit")
_TAKES_APART = ("decompose", "edit")
_GENERATE_ONLY = ("width", "height", "num_frames")


@dataclass(frozen=True)
class Request:
    """One shot to make. Checked when built: a `ValueError` says in one sentence what is wrong and what would work."""

    task: str  # one of TASKS
    plate: Optional[str] = None  # sequence pattern, folder, file or movie; None when generating
    foreground: str = ""  # prompts
    background: str = ""
    blended: str = ""
    foregrounds: Tuple[str, ...] = ()  # decompose, edit, generate: several, front to back, instead of `foreground`
    guide: Optional[str] = None  # decompose only: a matte of the foreground, "path" or "path:channel"
    guide_kind: str = "roto"  # or "trimap", "garbage": what the guide says, and how far it is believed
    holdout: Optional[str] = None  # decompose only: a matte of what must not become foreground
    extend: Optional[int] = None  # edit, and generate: so many frames more of the shot that plate is
    was: str = ""  # edit only: what the layer showed that is made anew, a prompt
    keep: Tuple[str, ...] = ()  # layers of a layered plate that stay as they are; empty: all that the new one goes with
    model: str = "mini"  # a name or a folder
    first_frame: Optional[int] = None  # inclusive, in the plate's own numbering; None: from its first
    last_frame: Optional[int] = None  # inclusive; None: to its last
    seed: int = 0
    steps: Optional[int] = None  # None: the model's own number
    guidance: Optional[float] = None  # None: the model's own schedule
    sampler: Optional[str] = None  # "sde", "ode" or the model's own
    quality: str = "exact"  # or "high", "draft": how much work is left out; steps, guidance and sampler still count
    faithful: bool = False  # as the released code does it; steps, guidance and sampler given here still count
    colorspace: Optional[str] = None  # of the plate; None: what the file says
    output_colorspace: str = "ACEScg"
    alpha: str = "straight"  # or "premultiplied"
    per_layer: bool = False  # one EXR sequence per layer as well
    preview: bool = False  # a movie and a contact sheet as well
    fit: str = "bucket"  # or "pad", "crop": how a plate of another shape meets the model's
    closeup: bool = False  # decompose only, one foreground: a second look at the part of the plate where it is
    refine: str = "fast"  # decompose only; or "off", "best": how a matte gets its plate's detail
    fps: Optional[float] = None  # None: the plate's, or the model's when generating
    width: Optional[int] = None  # pixels, generating only; None: the model's own
    height: Optional[int] = None
    num_frames: Optional[int] = None  # generating only; first_frame and last_frame together set it
    output: str = ""  # one %04d or #### in the file name; empty: out/<task>.%04d.exr
    memory: str = "auto"  # or "full", "balanced", "low": the memory plan; "auto" picks one by what is free
    device: str = "auto"
    precision: str = "auto"  # or "float32", "bfloat16", "float16", "float8"
    text_precision: str = "auto"  # of the text encoder: or "float32", "bfloat16", "int8"
    backend: str = "auto"
    lora: Tuple[str, ...] = ()  # files or folders, each with ":weight" behind it or not
    motion: float = 0.0  # scale of the model's Motion LoRA: 0 moving pictures, 1 still ones

    def __post_init__(self) -> None:
        checks.check_types(self)
        for name, choices in CHOICES.items():
            checks.check_choice(name, getattr(self, name), choices)
        if not self.output:
            object.__setattr__(self, "output", "out/{}.%04d.exr".format(self.task))
        self._check_prompts()
        self._check_plate()
        self._check_keep()
        self._check_mattes()
        self._check_frames()
        for name, (low, high) in RANGES.items():
            checks.check_range(name, getattr(self, name), low, high)
        checks.check_output_pattern(self.output)
        for text in self.lora:
            parse_lora(text)
        if self.faithful and self.quality != "exact":
            raise ValueError(
                "faithful is exactly as released, which quality {} is not; leave one of them out".format(self.quality)
            )

    def _check_prompts(self) -> None:
        for name in ("foreground", "background", "blended", "was"):
            checks.check_prompt(name, getattr(self, name))
        if self.was and self.task != "edit":
            raise ValueError("was is for edit only; {} makes nothing anew".format(self.task))
        self._check_foregrounds()
        for name in _NEEDED_PROMPTS.get(self.task, ()):
            if not getattr(self, name).strip() and not (name == "foreground" and self.foregrounds):
                raise ValueError("{0} needs a {1} prompt; describe the {1} in a few words".format(self.task, name))

    def _check_foregrounds(self) -> None:
        if not self.foregrounds:
            return
        if self.task in ("background", "foreground"):
            raise ValueError("{} makes one foreground; give one foreground prompt".format(self.task))
        if self.foreground:
            raise ValueError("foreground and foregrounds are both given; put all of them into foregrounds")
        if len(self.foregrounds) > MAX_FOREGROUNDS:
            raise ValueError(
                "{} foregrounds are more than {}; make them in two goes".format(len(self.foregrounds), MAX_FOREGROUNDS)
            )
        for prompt in self.foregrounds:
            checks.check_prompt("foregrounds", prompt)
            if not prompt.strip():
                raise ValueError("one of the foregrounds is empty; say what each of them shows")

    def _check_plate(self) -> None:
        for name in ("model", "output_colorspace", "device", "backend"):
            checks.check_name(name, getattr(self, name))
        if self.colorspace is not None:
            checks.check_name("colorspace", self.colorspace)
        if self.task not in _TAKES_APART and self.refine != "fast":
            raise ValueError("refine is for decompose only; {} has no plate that shows its matte".format(self.task))
        if self.closeup and (self.task not in _TAKES_APART or self.foregrounds):
            raise ValueError("closeup is for a plate that is taken apart into one foreground; leave it out")
        if self.extend is not None:
            self._check_extend()
        elif self.task == "generate":
            if self.plate is not None:
                raise ValueError("generate makes its own picture and takes no plate; leave it out, or decompose it")
            return
        if not self.plate:
            raise ValueError("{} needs a plate; give a sequence, a folder or a movie".format(self.task))
        checks.check_local_path("plate", self.plate)
        for name in _GENERATE_ONLY:
            if getattr(self, name) is not None:
                raise ValueError("{} is for generate only; {} takes it from the plate".format(name, self.task))

    def _check_extend(self) -> None:
        if self.task not in ("edit", "generate"):
            raise ValueError("extend is for edit; {} makes the frames of its plate".format(self.task))
        if self.keep:
            raise ValueError("extend goes on with all layers and keep is for making one anew; leave one of them out")
        if self.task == "edit" and (self.first_frame, self.last_frame) != (None, None):
            raise ValueError("extend makes the frames after the last one; leave out which frames to make")

    def _check_keep(self) -> None:
        if not self.keep:
            if self.task == "edit" and self.extend is None:
                raise ValueError("edit needs a layer to keep; say with keep which, such as foreground or background")
            return
        if self.task not in _MAKES:
            raise ValueError("keep is for edit, background and foreground; {} makes all layers".format(self.task))
        for name in self.keep:
            if not _LAYER.match(name):
                raise ValueError(
                    "{!r} cannot be kept; give background, foreground, or foreground1 and so on".format(name)
                )
        if self.task == "background" and "background" in self.keep:
            raise ValueError("the background cannot be kept while it is made; leave it out of keep")
        if self.task == "edit":
            self._check_edit()

    def _check_edit(self) -> None:
        new = "foreground" if "background" in self.keep else "background"
        if not (getattr(self, new).strip() or (new == "foreground" and self.foregrounds)):
            raise ValueError("edit makes the {0} anew; describe it with a {0} prompt".format(new))

    def _check_mattes(self) -> None:
        for name in ("guide", "holdout"):
            text = getattr(self, name)
            if text is None:
                continue
            if self.task not in _TAKES_APART:
                raise ValueError("{} is for decompose only; {} has no matte to guide".format(name, self.task))
            parse_matte(text)
        if self.guide is None and self.guide_kind != "roto":
            raise ValueError("guide_kind {} says what a guide is and there is none; give one".format(self.guide_kind))
        if self.guide is not None and self.foregrounds:
            raise ValueError("a guide is of one foreground; take the plate apart by one foreground at a time")

    def _check_frames(self) -> None:
        if self.first_frame is None or self.last_frame is None:
            return
        checks.check_order(self.first_frame, self.last_frame)
        count = self.last_frame - self.first_frame + 1
        if self.task == "generate" and self.num_frames is None:
            object.__setattr__(self, "num_frames", count)
        if self.num_frames not in (None, count):
            raise ValueError(
                "frames {}-{} are {} frames but num_frames is {}; give one of the two".format(
                    self.first_frame, self.last_frame, count, self.num_frames
                )
            )

    def to_dict(self) -> Dict[str, Any]:
        """Every field by name, ready for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """The request as one line of JSON with sorted keys, so that equal requests give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Request":
        """The request that `to_dict` described; fields left out keep their defaults."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = "did you mean {!r}?".format(near[0]) if near else "known are {}".format(", ".join(known))
                raise ValueError("a request has no field {!r}; {}".format(name, hint))
        if "task" not in values:
            raise ValueError("a request needs a task; give one of {}".format(", ".join(TASKS)))
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}  # of JSON
        return cls(**{**values, **lists})

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> "Request":
        """The request that a server took, perhaps by newer rules than ours.

        Fields unknown here are left out, and of the rules only the types are held.
        """
        request = object.__new__(cls)
        for field in fields(cls):
            value = values.get(field.name, "" if field.name == "task" else field.default)
            object.__setattr__(request, field.name, tuple(value) if isinstance(value, list) else value)
        checks.check_types(request)
        return request

    @classmethod
    def from_json(cls, text: str) -> "Request":
        """The request that `to_json` wrote."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValueError("the request is not JSON ({})".format(error)) from error
        if not isinstance(values, dict):
            raise ValueError("a request is a JSON object, got {}".format(type(values).__name__))
        return cls.from_dict(values)
