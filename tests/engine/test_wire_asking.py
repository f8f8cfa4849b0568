"""What every host does alike on its way to a request: seeds, labels, prompts, versions and words."""

from __future__ import annotations

import pytest

from layerflow.wire import Request
from layerflow.wire.asking import MAX_SEED, again, new_seed, told_apart
from layerflow.wire.jobs import check_label
from layerflow.wire.labels import host_and_name, label_of
from layerflow.wire.request import CHOICES
from layerflow.wire.versions import Versions
from layerflow.wire.words import WORDS


def test_a_new_seed_is_nobodys():
    seeds = {new_seed() for _ in range(50)}
    assert len(seeds) > 40 and all(0 <= seed <= MAX_SEED for seed in seeds)


def test_again_is_the_same_but_for_seed_and_place():
    request = Request("decompose", plate="/p.mov", foreground="a dog", output="/out/dog_v001.%04d.exr")
    fresh = again(request, 9, "/out/dog_v002.%04d.exr")
    assert {**fresh.to_dict(), "seed": 0, "output": request.output} == request.to_dict()
    assert (fresh.seed, fresh.output) == (9, "/out/dog_v002.%04d.exr")


@pytest.mark.parametrize("task", ["decompose", "generate"])
def test_several_foregrounds_are_told_apart(task):
    assert told_apart(task, ["a dog", "a cat"], "a dog") == {"foreground": "", "foregrounds": ("a dog", "a cat")}


@pytest.mark.parametrize(("task", "prompts"), [("foreground", ["a dog", "a cat"]), ("decompose", ["a dog"])])
def test_one_foreground_is_one_prompt(task, prompts):
    assert told_apart(task, prompts, "a dog") == {"foreground": "a dog", "foregrounds": ()}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("nuke:shot.nk/LayerFlow1", ("Nuke", "LayerFlow1 of shot.nk")),
        ("blender:park.blend/dog", ("Blender", "dog of park.blend")),
        ("studio:park.lfstudio/v003", ("Studio", "v003 of park.lfstudio")),
        ("Nuke:node", ("Nuke", "node")),
        ("", ("Command line", "")),
        ("render farm 7", ("Another program", "render farm 7")),
        ("farm:job", ("Another program", "farm:job")),
    ],
)
def test_a_label_says_who_asked(label, expected):
    assert host_and_name(label) == expected


@pytest.mark.parametrize("file", ["/shots/park.nk", "C:\\shots\\park.nk", "park.nk"])
def test_a_label_names_the_project_and_its_shot(file):
    assert label_of("nuke", file, "LayerFlow1") == "nuke:park.nk/LayerFlow1"
    assert host_and_name(label_of("blender", "", "dog")) == ("Blender", "dog of untitled")


def test_a_label_is_always_one_that_can_be():
    label = label_of("studio", "x" * 300, "v001\n")
    check_label(label)
    assert len(label) == 200
    check_label(label_of("studio", "a\tb", "v\n001"))


def test_a_version_that_a_job_goes_to_is_not_free():
    versions = Versions.of("/out/v001/dog_v001.%04d.exr", str)
    taken = {versions.pattern(2), versions.pattern(3), versions.pattern(5)}
    assert [versions.free(version, taken) for version in (1, 2, 4, 5)] == [1, 4, 4, 6]
    assert versions.pattern(4) == "/out/v004/dog_v004.%04d.exr"


@pytest.mark.parametrize("field", WORDS)
def test_every_choice_has_a_name_and_a_meaning(field):
    assert tuple(value for value, _, _ in WORDS[field]) == CHOICES[field]
    assert all(name and meaning and not meaning.endswith(".") for _, name, meaning in WORDS[field])
