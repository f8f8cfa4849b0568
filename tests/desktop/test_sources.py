"""What there is to look at in a project."""

from __future__ import annotations

from layerflow_desktop.models.document import Document, ShotSettings, Take
from layerflow_desktop.models.sources import source_of, sources_of

TAKES = (Take(name="v001", pattern="/s/dog_v001.%04d.exr"), Take(name="v002", pattern="/s/dog_v002.%04d.exr"))
PROJECT = Document(shot=ShotSettings(plate="/s/dog.####.png", colorspace="sRGB"), takes=TAKES, take="v002")


def test_the_current_take_comes_first_and_other_takes_last():
    names = ("background", "blended", "foreground2", "foreground")
    ids = [source.id for source in sources_of(PROJECT, names)]
    assert ids == ["comp", "plate", "blended", "foreground", "foreground2", "background", "v001/comp"]


def test_layers_are_named_for_people():
    assert [source.label for source in sources_of(PROJECT, ("foreground2",))] == [
        "Comp",
        "Plate",
        "Foreground 2",
        "v001",
    ]


def test_a_source_says_what_to_open():
    assert source_of(PROJECT, "plate").colorspace == "sRGB"
    assert source_of(PROJECT, "v001/comp").text == TAKES[0].pattern
    assert source_of(PROJECT, "foreground").text == TAKES[1].pattern


def test_what_is_gone_is_the_comp_or_the_plate():
    assert source_of(PROJECT, "v009/comp").id == "comp"
    assert source_of(PROJECT.with_(take=""), "foreground").id == "plate"
    assert source_of(PROJECT.with_(shot=ShotSettings()), "plate").id == "comp"
    assert source_of(Document(), "comp") is None
