"""From the panel to a request: what each task takes, what is missing in the artist's words, and where takes go."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerflow.wire import Request
from layerflow_desktop.controllers.asking import (
    again,
    edit_request,
    generate_plan,
    prompts_of,
    regenerate_plan,
    request_of,
)
from layerflow_desktop.controllers.outputs import output_text, take_output
from layerflow_desktop.models.document import Document, LayerState, ShotSettings, Take

OUT = "/out/dog_v001.%04d.exr"
TAKE = Take(name="v001", pattern=OUT, job="0" * 32, key="k", request={"output_colorspace": "lin_rec709"})


def document(layers: str = "", **shot) -> Document:
    """A project; `layers` are names from front to back, the locked ones with a ! behind them."""
    states = tuple(LayerState(name=name.rstrip("!"), locked=name.endswith("!")) for name in layers.split())
    return Document(shot=ShotSettings(**shot), layers=states, takes=(TAKE,), take="v001")


def test_generate_takes_prompts_and_how_many_frames() -> None:
    shot = {"foreground": " a dog ", "background": "a park", "plate": "/in/left_over.%04d.exr", "guide": "/in/m.exr"}
    request = request_of(document(**shot, first_frame=1001, num_frames=16, last_frame=1099, seed=7, steps=4), OUT)
    assert request == Request(
        "generate",
        foreground="a dog",
        background="a park",
        first_frame=1001,
        num_frames=16,
        seed=7,
        steps=4,
        output=OUT,
    )


def test_several_foregrounds_go_together() -> None:
    shot = {"foreground": "a dog", "further": ("a cat", " "), "background": "a park"}
    assert request_of(document(**shot), OUT).foregrounds == ("a dog", "a cat")
    one = request_of(document(task="background", plate="/in/dog.%04d.exr", **shot), OUT)
    assert (one.foreground, one.foregrounds, one.plate) == ("a dog", (), "/in/dog.%04d.exr")


def test_decompose_takes_the_plate_its_range_and_its_guide() -> None:
    shot = {"task": "decompose", "plate": "/in/a.####.exr", "guide": "/in/m.####.exr:mask.A", "guide_kind": "trimap"}
    request = request_of(
        document(**shot, first_frame=1001, last_frame=1016, num_frames=9, refine="best", closeup=True), OUT
    )
    assert (request.plate, request.guide, request.guide_kind) == ("/in/a.####.exr", "/in/m.####.exr:mask.A", "trimap")
    assert (request.first_frame, request.last_frame, request.num_frames) == (1001, 1016, None)
    assert (request.refine, request.closeup, request.colorspace) == ("best", True, None)


@pytest.mark.parametrize(
    ("shot", "sentence"),
    [
        ({}, "there is no foreground to make; describe it in a few words"),
        ({"foreground": "a dog"}, "there is no background to make; describe it in a few words"),
        ({"task": "decompose"}, "there is no plate to take apart; drop frames or a movie on Plate"),
        ({"task": "background", "background": "x"}, "there is no foreground to make a background for"),
        ({"task": "foreground", "foreground": "x"}, "there is no background to make a foreground for"),
        ({"task": "foreground", "plate": "/in/a.exr"}, "there is no foreground to make"),
        ({"further": ("a cat",), "background": "x"}, "the first foreground is empty and there are more"),
        ({"task": "decompose", "plate": "/a.exr", "foreground": "a", "further": ("b",), "guide": "/m.exr"}, "guide"),
        ({"task": "decompose", "plate": "/a.exr", "foreground": "a", "further": ("b",), "closeup": True}, "closer"),
        ({"task": "decompose", "plate": "https://example.org/a.exr"}, "plate must be a local file"),
        ({"foreground": "a", "background": "b", "model": " "}, "there is no model; choose one"),
        ({"task": "decompose", "plate": "/a.exr", "first_frame": 9, "last_frame": 2}, "comes after the last frame"),
    ],
)
def test_what_is_missing_is_said(shot, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        request_of(document(**shot), OUT)


WORDS = {"foreground": "a dog", "further": ("a cat",), "background": "a beach"}


@pytest.mark.parametrize(
    ("layers", "keep", "foreground"),
    [
        ("foreground! background", ("foreground",), "a dog"),
        ("foreground background!", ("background",), "a dog"),
        ("foreground1! foreground2! background", ("foreground1", "foreground2"), "a dog, a cat"),
        ("foreground1 foreground2! background!", ("foreground2", "background"), "a dog"),
        ("foreground1! foreground2 background! residual", ("foreground1", "background"), "a cat"),
    ],
)
def test_locked_layers_stay_and_the_other_is_made_anew(layers, keep, foreground) -> None:
    request = edit_request(document(layers, **WORDS, task="decompose", refine="best", closeup=True, seed=3), TAKE, OUT)
    assert (request.task, request.plate, request.keep) == ("edit", OUT, keep)
    assert (request.foreground, request.foregrounds, request.background) == (foreground, (), "a beach")
    assert (request.seed, request.output_colorspace, request.refine, request.closeup) == (
        3,
        "lin_rec709",
        "fast",
        False,
    )


@pytest.mark.parametrize(
    ("layers", "words", "sentence"),
    [
        ("foreground background", WORDS, "no layer is locked"),
        ("foreground! background!", WORDS, "every layer is locked; unlock the one to make anew"),
        (
            "foreground1 foreground2 background!",
            WORDS,
            "foreground1 and foreground2 are unlocked and one layer",
        ),
        ("foreground1! foreground2 background", WORDS, "foreground2 and background are unlocked"),
        ("foreground! background", {}, "the background is made anew; describe it in a few words under Background"),
        ("foreground1! foreground2 background!", {}, "foreground2 is made anew; .* under Foreground 2"),
    ],
)
def test_locks_that_leave_no_one_layer_are_said(layers, words, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        edit_request(document(layers, **words), TAKE, OUT)


def test_a_seed_that_is_not_locked_is_new_with_every_press() -> None:
    words = {"foreground": "a dog", "background": "a park", "seed": 5}
    make, seed = generate_plan(document(**words))
    assert seed == make(OUT).seed == 5
    seeds = {generate_plan(document(**words, lock_seed=False))[1] for _ in range(5)}
    assert len(seeds) == 5


def test_regenerate_without_locks_is_the_take_again_with_another_seed() -> None:
    request = Request("generate", foreground="a cat", background="b", seed=5, output=OUT)
    made = document("foreground background", foreground="other words", seed=5)
    take = TAKE.with_(request=request.to_dict())
    make, seed = regenerate_plan(made.with_(takes=(take,)))
    assert seed != 5 and make("/out/x.%04d.exr") == again(request, seed, "/out/x.%04d.exr")
    make, seed = regenerate_plan(made.with_(takes=(take,), shot=made.shot.with_(seed=9)))
    assert seed == 9 and make(OUT).foreground == "a cat"
    with pytest.raises(ValueError, match="there is no take to make again"):
        regenerate_plan(made.with_(take=""))
    with pytest.raises(ValueError, match="v001 does not say how it was made"):
        regenerate_plan(made.with_(takes=(TAKE.with_(request={}),)))


def test_frames_go_beside_the_project_or_into_the_documents(monkeypatch) -> None:
    monkeypatch.setattr("platformdirs.user_documents_dir", lambda: "/home/me/Documents")
    project = Path("/jobs/park/shot7.layerflow")
    assert output_text(document(), project) == "/jobs/park/shot7/shot7_v001.%04d.exr"
    assert output_text(document(), None) == "/home/me/Documents/LayerFlow/untitled/untitled_v001.%04d.exr"
    assert output_text(document(), None, Path("/big")) == "/big/untitled/untitled_v001.%04d.exr"
    for plate, name in (
        ("/in/dog_v012.####.exr", "dog"),
        ("/in/dog.1001.exr", "dog"),
        ("/in/####.exr", "plate"),
        ("/in/dog.mov", "dog"),
    ):
        text = output_text(document(task="decompose", plate=plate), None)
        assert text == f"/home/me/Documents/LayerFlow/{name}/{name}_v001.%04d.exr"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/o/dog.%04d.exr", "/o/dog_v001.%04d.exr"),
        ("/o/dog_v007.####.exr", "/o/dog_v007.####.exr"),
        ("/o/dog", "/o/dog_v001.%04d.exr"),
        ("/o/dog.exr", "/o/dog_v001.%04d.exr"),
    ],
)
def test_an_output_of_ones_own_gets_a_version(text, expected) -> None:
    assert output_text(document(output=text), None) == expected


def test_an_output_has_to_say_where_it_begins() -> None:
    with pytest.raises(ValueError, match="has no folder to begin with"):
        output_text(document(output="dog.%04d.exr"), None)


def test_no_take_gets_anothers_name_or_frames() -> None:
    takes = [TAKE, TAKE.with_(name="v003", pattern="/elsewhere/cat_v003.%04d.exr")]
    assert take_output(OUT, 1, takes) == ("v002", "/out/dog_v002.%04d.exr")
    assert take_output(OUT, 3, takes) == ("v004", "/out/dog_v004.%04d.exr")
    assert take_output(OUT, 1, takes, ["/out/dog_v002.%04d.exr"])[0] == "v004"


def test_prompts_by_layer() -> None:
    shot = ShotSettings(foreground="a dog", further=("", "a bird"), background=" ")
    assert prompts_of(shot) == {"foreground": "a dog", "foreground3": "a bird"}
