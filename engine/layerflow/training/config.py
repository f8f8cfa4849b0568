"""What `layerflow train` is told: one TOML file for the three stages, checked key by key when it is read.

Keys of the file are the fields below; a table `[motion-lora]` is the field `motion_lora`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from layerflow.errors import RequestError
from layerflow.layout import Task

StageName = Literal["base", "motion-lora", "content-lora"]
STAGES: tuple[StageName, ...] = get_args(StageName)
Variant = Literal["gen_rgba", "gen_rgb", "seg_rgba", "seg_rgb", "fg2bg_rgba", "fg2bg_rgb", "bg2fg_rgba", "bg2fg_rgb"]
SHIPPED = ("mini", "layerflow-2b")
_CHECKED = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Target = Literal["attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2"]
ATTENTION: tuple[Target, ...] = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
FEED_FORWARD: tuple[Target, ...] = ("ff.net.0.proj", "ff.net.2")


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class Length:
    """How long a stage trains, and how fast it learns. Either of `steps` and `minutes`; both: whichever ends first."""

    steps: Count | None = None
    minutes: Positive | None = None
    lr: Positive = 1e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay: Share = 0.0  # share at the end in which the learning rate falls to 0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    batch: Count = 1  # clips that a process trains on at once


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class BaseStage(Length):
    """Stage 1: the chosen blocks themselves, on layered video."""

    data: Path
    frozen: Share = 0.0  # share of clips that are held still
    joint: bool = False  # the text encoder too, on clips drawn anew, in every kind of batch: how mini is trained
    muon_lr: Positive | None = None  # of the blocks' matrices, by Muon; without it AdamW trains them all


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class Lora:
    """What a stage's adapter is. It is scaled by alpha / rank."""

    rank: Count = 8
    alpha: Positive = 1.0
    targets: tuple[Target, ...] = ATTENTION


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class MotionStage(Length):
    """Stage 2: the Motion LoRA, on copy-paste video held still."""

    data: Path
    lora: Lora = field(default_factory=Lora)


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class ContentStage(Length):
    """Stage 3: the Content LoRA, on layered stills under the Motion LoRA and a little video without it."""

    data: Path  # layered stills
    video: Path  # copy-paste video
    video_share: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of the batches
    lora: Lora = field(default_factory=lambda: Lora(rank=256))
    motion: Path | None = None  # the Motion LoRA; without it that of the stage before
    merge: bool = True  # also write the model with the Content LoRA merged


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class Sheets:
    """The contact sheets that show how far training is."""

    every: Annotated[int, Field(ge=0)] = 1000  # steps; 0: none
    clips: Count = 2  # of those held out
    steps: Count | None = None  # of sampling; the model's own


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class Cache:
    """Latents and text embeddings, made once."""

    folder: Path | None = None  # where; without it `cache` below the output
    clips: Count = 4096  # of each kind
    shard: Count = 128  # clips of a file


@dataclass(frozen=True, kw_only=True, config=_CHECKED)
class Config:
    """All three stages of one model."""

    start: str  # a model's name or folder, or the folder of plain CogVideoX-2B
    variant: Variant | None = None  # the layout that plain CogVideoX-2B is trained for
    output: Path = Path("out/training")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False
    every_block: Count = 1  # of so many blocks the last one is trained, and has the LoRAs
    accumulation: Count = 1  # batches of a step
    max_grad_norm: Positive = 1.0
    text_dropout: Share = 0.1  # of each prompt by itself
    pure_noise: Share = (
        0.0  # share of samples at the last timestep, where sampling starts; the paper has none of its own
    )
    tasks: tuple[Task, ...] = ()  # those of the model that are trained; () for all
    save_every: Count = 500  # steps
    keep: Count = 3  # checkpoints
    check_every: Annotated[int, Field(ge=0)] = 500  # steps between losses on clips that are held out; 0: none
    check_clips: Count = 32
    cache: Cache = field(default_factory=Cache)
    sheets: Sheets = field(default_factory=Sheets)
    base: BaseStage | None = None
    motion_lora: MotionStage | None = None
    content_lora: ContentStage | None = None

    def stage(self, name: StageName) -> BaseStage | MotionStage | ContentStage:
        """The stage of that name. Raises RequestError where the file has none, or it has no end."""
        found: BaseStage | MotionStage | ContentStage | None = getattr(self, name.replace("-", "_"))
        if found is None:
            raise RequestError(f"the config has no [{name}]; add that table, with its data and its steps")
        if found.steps is None and found.minutes is None:
            raise RequestError(f"the config does not say how long {name} is; give [{name}] its steps or minutes")
        return found

    def written_to(self, output: Path | None) -> Config:
        """This config with its results in `output`, if one is given."""
        return self if output is None else replace(self, output=output)


def stages_of(config: Config) -> list[StageName]:
    """The stages that the config has."""
    return [name for name in STAGES if getattr(config, name.replace("-", "_")) is not None]


def read_config(name: str, changes: Sequence[str] = ()) -> Config:
    """The config in the file `name`, or the shipped one of that name, with `changes` such as "base.steps=200".

    Raises RequestError in one sentence that names the file, the key and what it may be.
    """
    file, text = _found(name)
    values = _parsed(file, text)
    for change in changes:
        _change(values, change)
    values = {key.replace("-", "_") if key in STAGES else key: value for key, value in values.items()}
    try:
        return TypeAdapter(Config).validate_python(values)
    except ValidationError as error:
        raise RequestError(f"{file}: {_sentence(error)}") from error


def _found(name: str) -> tuple[str, str]:
    """The file's name and text."""
    path = Path(name)
    bare = name.removesuffix(".toml")
    if not path.is_file() and bare in SHIPPED:
        file = files("layerflow.training") / "configs" / f"{bare}.toml"
        return f"{bare}.toml", file.read_text(encoding="utf-8")
    try:
        return str(path), path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"the config {name} cannot be read ({getattr(error, 'strerror', None) or error}); "
            f"give a TOML file, or one of {', '.join(SHIPPED)}"
        ) from error


def _parsed(file: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{file} is not TOML: {str(error)[0].lower()}{str(error)[1:]}; correct that line") from error


def _change(values: dict[str, Any], change: str) -> None:
    """Puts "table.key=value" into `values`; a value that is not TOML is text."""
    key, equals, text = change.partition("=")
    *tables, last = key.strip().split(".")
    if not equals or not all([*tables, last]):
        raise RequestError(f"a change of the config is KEY=VALUE, such as base.steps=200, got {change!r}; write it so")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise RequestError(f"{key} is not a key of the config: {table} is no table; leave the change out")
    values[last] = value


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, and what would be right."""
    first = error.errors()[0]
    places = [str(place) for place in first["loc"]]
    key = ".".join(place.replace("_", "-") if place.replace("_", "-") in STAGES else place for place in places)
    if first["type"] == "unexpected_keyword_argument":
        return f"{key} is not a key; there are {', '.join(_keys(places[:-1]))}"
    if first["type"] in ("missing", "missing_argument"):
        return f"{key} is missing; add it"
    return f"{key} is {first['input']!r}; the {first['msg'][0].lower()}{first['msg'][1:]}"


def _keys(places: Sequence[str]) -> Iterator[str]:
    """The keys that the table at `places` may have."""
    kind: Any = Config
    for place in places:
        own = TABLES.get(place)
        kind = own or kind
    names = (entry.name for entry in fields(kind)) if is_dataclass(kind) else iter(())
    return (name.replace("_", "-") if name.replace("_", "-") in STAGES else name for name in names)


TABLES: Mapping[str, type] = {
    "base": BaseStage,
    "motion_lora": MotionStage,
    "content_lora": ContentStage,
    "lora": Lora,
    "sheets": Sheets,
    "cache": Cache,
}
