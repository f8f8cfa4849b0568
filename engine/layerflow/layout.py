"""Where each layer sits on the one long sequence, which part of it is given, and which prompts describe it.

LayerFlow puts the clips of all layers one after another along time, so that one 3D attention sees them together
(LayerFlow, SIGGRAPH 2025, section 3). What differs between tasks and between released checkpoints is data here, never
an `if task` further down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain, pairwise, starmap
from typing import Any, Literal, get_args

Task = Literal["generate", "decompose", "background", "foreground"]
TASKS: tuple[Task, ...] = get_args(Task)
LAYERS = ("foreground", "alpha", "background", "blended")
# All layers that a model may have, in the order in which they lie on the sequence: a second foreground behind the first
# one, and a rough matte of the first one that somebody drew.
ALL_LAYERS = ("foreground", "alpha", "foreground2", "alpha2", "guide", "background", "blended")
DELIVERED = ("foreground", "background", "blended")  # what an artist gets, top first; alpha is the foreground's own
PROMPT_ORDER = ("foreground", "background", "blended")  # position = layer index of the released layer embedding
ALL_PROMPTS = (*PROMPT_ORDER, "foreground2")

Span = tuple[int, int]  # half-open, in latent frames of the whole sequence


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way of laying layers on the sequence. Spans are half-open and sorted.

    Pixel frames run `lead_frames`, then `num_frames` of each layer in order; latent frames likewise. A lead frame is a
    copy of the first foreground frame that some checkpoints put before everything else, dropped after decoding.
    """

    layers: tuple[str, ...]
    num_frames: int = 16  # pixel frames of a layer
    latent_frames: int = 4  # latent frames of a layer
    lead_frames: int = 0
    given: tuple[Span, ...] = ()  # the condition: clean latents that are never noised
    prompts: tuple[str, ...] = PROMPT_ORDER

    def __post_init__(self) -> None:
        if unknown := set(self.layers) - set(ALL_LAYERS) or set(self.prompts) - set(ALL_PROMPTS):
            raise ValueError(f"unknown layer {sorted(unknown)}; known are {ALL_LAYERS}")
        if not self.layers or self.num_frames < 1 or self.latent_frames < 1 or self.lead_frames not in (0, 1):
            raise ValueError(f"a layout needs layers, frames and 0 or 1 lead frames, got {self}")
        edges = [edge for span in self.given for edge in span]
        if any(start >= stop for start, stop in self.given) or edges != sorted(edges):
            raise ValueError(f"given spans must be non-empty, sorted and apart, got {self.given}")
        if edges and not 0 <= edges[0] < edges[-1] <= self.num_latents:
            raise ValueError(f"given spans {self.given} leave the sequence of {self.num_latents} latent frames")

    @property
    def num_latents(self) -> int:
        """Latent frames of the whole sequence."""
        return self.lead_frames + len(self.layers) * self.latent_frames

    @property
    def num_sequence_frames(self) -> int:
        """Pixel frames of the whole sequence."""
        return self.lead_frames + len(self.layers) * self.num_frames

    @property
    def predicted(self) -> tuple[Span, ...]:
        """The spans that the model makes: everything that is not given."""
        edges = [0, *(edge for span in self.given for edge in span), self.num_latents]
        return tuple((a, b) for a, b in list(pairwise(edges))[::2] if a < b)

    @property
    def num_predicted(self) -> int:
        """Latent frames that the model makes."""
        return sum(stop - start for start, stop in self.predicted)

    @property
    def foregrounds(self) -> tuple[str, ...]:
        """Foregrounds that lie one behind the other, the first on top."""
        return tuple(name for name in self.layers if name.startswith("foreground"))

    @property
    def num_foregrounds(self) -> int:
        """How many these are."""
        return len(self.foregrounds)

    def span(self, layer: str) -> slice:
        """Latent frames of `layer`, without a lead frame."""
        return self._slice(layer, self.latent_frames)

    def frame_span(self, layer: str) -> slice:
        """Pixel frames of `layer` in the decoded sequence, without a lead frame."""
        return self._slice(layer, self.num_frames)

    def prompt_index(self, prompt: str) -> int:
        """Layer index that prefixes a prompt ("0, a dog") and feeds the layer embedding."""
        return ALL_PROMPTS.index(prompt)

    def is_given(self, layer: str) -> bool:
        """Whether any latent frame of `layer` is part of the condition; none is of a layer that is not there."""
        if layer not in self.layers:
            return False
        span = self.span(layer)
        return any(start < span.stop and span.start < stop for start, stop in self.given)

    def giving(self, *layers: str) -> Layout:
        """This layout with exactly these of its layers given, all of each."""
        frames = {frame for layer in layers for frame in range(*self.span(layer).indices(self.num_latents))}
        return replace(self, given=_spans(frames, self.num_latents))

    def with_whole_condition(self) -> Layout:
        """This layout with all of every layer given of which some latent frames are."""
        spans = [self.span(layer) for layer in self.layers if self.is_given(layer)]
        given = {*chain(*starmap(range, self.given)), *chain(*(range(span.start, span.stop) for span in spans))}
        return replace(self, given=_spans(given, self.num_latents))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Layout:
        """The layout that `to_dict` described. Raises ValueError for an impossible one."""
        fields = dict(values)
        fields["given"] = tuple((int(a), int(b)) for a, b in fields.get("given", ()))
        for name in ("layers", "prompts"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return cls(**fields)

    def _slice(self, layer: str, frames: int) -> slice:
        start = self.lead_frames + self.layers.index(layer) * frames
        return slice(start, start + frames)


def _spans(frames: Collection[int], num_latents: int) -> tuple[Span, ...]:
    """Latent frames as sorted half-open spans."""
    edges = [frame for frame in range(num_latents + 1) if (frame in frames) != (frame - 1 in frames)]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One released checkpoint: its task, its layout, and what its stored tables hold."""

    task: Task
    layout: Layout
    layer_embedding: bool  # a learned embedding of the layer index on each prompt's tokens
    position_frames: int  # latent frames that the stored position table covers


RGBA = LAYERS
RGB = ("foreground", "background", "blended")
TWO_PROMPTS = ("foreground", "background")  # decomposition never sees a prompt for the blended picture

# Measured oddities kept as they are: the rgb decomposition is given only the last two of four blended latents, and the
# conditioned rgba models see the first foreground frame twice (65 frames), as one extra latent that belongs to the
# foreground condition.
VARIANTS: dict[str, Variant] = {
    "gen_rgba": Variant(task="generate", layout=Layout(layers=RGBA), layer_embedding=True, position_frames=16),
    "gen_rgb": Variant(task="generate", layout=Layout(layers=RGB), layer_embedding=False, position_frames=13),
    "seg_rgba": Variant(
        task="decompose",
        layout=Layout(layers=RGBA, given=((12, 16),), prompts=TWO_PROMPTS),
        layer_embedding=False,
        position_frames=16,
    ),
    "seg_rgb": Variant(
        task="decompose",
        layout=Layout(layers=RGB, given=((10, 12),), prompts=TWO_PROMPTS),
        layer_embedding=False,
        position_frames=13,
    ),
    "fg2bg_rgba": Variant(
        task="background",
        layout=Layout(layers=RGBA, lead_frames=1, given=((0, 9),)),
        layer_embedding=True,
        position_frames=17,
    ),
    "fg2bg_rgb": Variant(
        task="background", layout=Layout(layers=RGB, given=((0, 4),)), layer_embedding=False, position_frames=13
    ),
    "bg2fg_rgba": Variant(
        task="foreground",
        layout=Layout(layers=RGBA, lead_frames=1, given=((9, 13),)),
        layer_embedding=True,
        position_frames=17,
    ),
    "bg2fg_rgb": Variant(
        task="foreground", layout=Layout(layers=RGB, given=((4, 8),)), layer_embedding=False, position_frames=13
    ),
}


def task_layouts(num_frames: int, latent_frames: int) -> dict[Task, Layout]:
    """The four tasks of one model that does them all: same layers and order, another condition each."""

    def layout(*given: Span, prompts: tuple[str, ...] = PROMPT_ORDER) -> Layout:
        return Layout(layers=LAYERS, num_frames=num_frames, latent_frames=latent_frames, given=given, prompts=prompts)

    n = latent_frames
    return {
        "generate": layout(),
        "decompose": layout((3 * n, 4 * n), prompts=TWO_PROMPTS),
        "background": layout((0, 2 * n)),
        "foreground": layout((2 * n, 3 * n)),
    }


def further_layouts(num_frames: int, latent_frames: int) -> tuple[tuple[Task, Layout], ...]:
    """What else such a model may do: take apart by a rough matte, and make or take apart two foregrounds at once."""
    size: dict[str, Any] = {"num_frames": num_frames, "latent_frames": latent_frames}
    guided = Layout(layers=("foreground", "alpha", "guide", "background", "blended"), prompts=TWO_PROMPTS, **size)
    two = Layout(
        layers=tuple(name for name in ALL_LAYERS if name != "guide"), prompts=(*TWO_PROMPTS, "foreground2"), **size
    )
    return (
        ("decompose", guided.giving("guide", "blended")),
        ("decompose", two.giving("blended")),
        ("generate", replace(two, prompts=ALL_PROMPTS)),
    )
