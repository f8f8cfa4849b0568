"""Where layers sit: the released variants' known numbers, and what holds for any layout."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerflow.layout import LAYERS, PROMPT_ORDER, TASKS, VARIANTS, Layout, task_layouts

# name -> task, latent frames, pixel frames, predicted, prompts, layer embedding, frames of the stored positions
KNOWN = {
    "gen_rgba": ("generate", 16, 64, ((0, 16),), 3, True, 16),
    "gen_rgb": ("generate", 12, 48, ((0, 12),), 3, False, 13),
    "seg_rgba": ("decompose", 16, 64, ((0, 12),), 2, False, 16),
    "seg_rgb": ("decompose", 12, 48, ((0, 10),), 2, False, 13),
    "fg2bg_rgba": ("background", 17, 65, ((9, 17),), 3, True, 17),
    "fg2bg_rgb": ("background", 12, 48, ((4, 12),), 3, False, 13),
    "bg2fg_rgba": ("foreground", 17, 65, ((0, 9), (13, 17)), 3, True, 17),
    "bg2fg_rgb": ("foreground", 12, 48, ((0, 4), (8, 12)), 3, False, 13),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_released_variant(name: str) -> None:
    variant, layout = VARIANTS[name], VARIANTS[name].layout
    assert KNOWN[name] == (
        variant.task,
        layout.num_latents,
        layout.num_sequence_frames,
        layout.predicted,
        len(layout.prompts),
        variant.layer_embedding,
        variant.position_frames,
    )
    assert layout.num_predicted == sum(b - a for a, b in KNOWN[name][3])
    assert layout.prompts == PROMPT_ORDER[: len(layout.prompts)]


def test_all_released_variants_are_known() -> None:
    assert KNOWN.keys() == VARIANTS.keys() and {variant.task for variant in VARIANTS.values()} == set(TASKS)


def test_spans_of_a_layout_with_a_lead_frame() -> None:
    layout = VARIANTS["fg2bg_rgba"].layout
    assert [layout.span(name) for name in LAYERS] == [slice(1, 5), slice(5, 9), slice(9, 13), slice(13, 17)]
    assert [layout.frame_span(name) for name in LAYERS] == [slice(1, 17), slice(17, 33), slice(33, 49), slice(49, 65)]
    assert [layout.is_given(name) for name in LAYERS] == [True, True, False, False]
    assert [layout.prompt_index(name) for name in layout.prompts] == [0, 1, 2]


def test_a_layer_that_is_given_in_part_counts_as_given() -> None:
    layout = VARIANTS["seg_rgb"].layout
    assert layout.span("blended") == slice(8, 12) and layout.given == ((10, 12),) and layout.is_given("blended")


def test_the_four_tasks_of_one_model() -> None:
    layouts = task_layouts(8, 2)
    assert tuple(layouts) == TASKS and {layout.layers for layout in layouts.values()} == {LAYERS}
    given = {task: [name for name in LAYERS if layout.is_given(name)] for task, layout in layouts.items()}
    assert given == {
        "generate": [],
        "decompose": ["blended"],
        "background": ["foreground", "alpha"],
        "foreground": ["background"],
    }
    assert layouts["decompose"].prompts == ("foreground", "background")
    assert {layout.num_latents for layout in layouts.values()} == {8}


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    names = draw(st.lists(st.sampled_from(LAYERS), min_size=1, unique=True))
    latent, lead = draw(st.integers(1, 6)), draw(st.integers(0, 1))
    total = lead + latent * len(names)
    edges = sorted(draw(st.sets(st.integers(0, total), max_size=6)))
    spans = tuple(zip(edges[::2], edges[1::2], strict=False))
    prompts = draw(st.lists(st.sampled_from(PROMPT_ORDER), unique=True))
    frames = draw(st.integers(1, 40))
    return Layout(
        layers=tuple(names),
        num_frames=frames,
        latent_frames=latent,
        lead_frames=lead,
        given=spans,
        prompts=tuple(prompts),
    )


@given(layouts())
def test_given_and_predicted_share_the_sequence_out(layout: Layout) -> None:
    owner = [None] * layout.num_latents
    for kind, spans in (("given", layout.given), ("predicted", layout.predicted)):
        for start, stop in spans:
            assert start < stop and owner[start:stop] == [None] * (stop - start)
            owner[start:stop] = [kind] * (stop - start)
    assert None not in owner and owner.count("predicted") == layout.num_predicted
    assert layout.predicted == tuple(sorted(layout.predicted))
    for name in layout.layers:
        assert layout.is_given(name) == ("given" in owner[layout.span(name)])


@given(layouts())
def test_layers_follow_each_other_without_gap(layout: Layout) -> None:
    for span, lead, total in (
        (layout.span, layout.lead_frames, layout.num_latents),
        (layout.frame_span, layout.lead_frames, layout.num_sequence_frames),
    ):
        edges = [lead, *(span(name).stop for name in layout.layers)]
        assert [span(name).start for name in layout.layers] == edges[:-1] and edges[-1] == total


@given(layouts())
def test_a_layout_survives_json(layout: Layout) -> None:
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layers": ()}, "needs layers"),
        ({"layers": ("foreground", "shadow")}, "unknown layer .*shadow"),
        ({"prompts": ("alpha",)}, "unknown layer .*alpha"),
        ({"num_frames": 0}, "needs layers, frames"),
        ({"latent_frames": 0}, "needs layers, frames"),
        ({"lead_frames": 2}, "0 or 1 lead frames"),
        ({"given": ((3, 3),)}, "non-empty, sorted and apart"),
        ({"given": ((4, 2),)}, "non-empty, sorted and apart"),
        ({"given": ((4, 6), (0, 2))}, "non-empty, sorted and apart"),
        ({"given": ((0, 4), (3, 6))}, "non-empty, sorted and apart"),
        ({"given": ((-1, 2),)}, "leave the sequence of 16"),
        ({"given": ((15, 17),)}, "leave the sequence of 16"),
    ],
)
def test_an_impossible_layout(changes: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Layout(**{"layers": LAYERS, **changes})
    with pytest.raises(ValueError, match=sentence):
        Layout.from_dict({"layers": LAYERS, **changes})


def test_an_unknown_field() -> None:
    with pytest.raises(TypeError):
        Layout.from_dict({"layers": LAYERS, "num_frame": 3})


def test_all_given_leaves_nothing_to_predict() -> None:
    layout = Layout(layers=("blended",), given=((0, 4),))
    assert layout.predicted == () and layout.num_predicted == 0
