"""Paths with views in them, and those of a script that is moved."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from layerflow_nuke.paths import for_view, has_view, portable


def test_views():
    assert has_view("dog_%V.%04d.exr") and has_view("dog_%v.%04d.exr") and not has_view("dog.%04d.exr")
    assert for_view("%V/dog_%v.%04d.exr", "left") == "left/dog_l.%04d.exr"


def test_what_lies_by_the_script_moves_with_it():
    assert portable("/show/shot/out/dog.%04d.exr", "/show/shot/dog.nk") == (
        "[file dirname [value root.name]]/out/dog.%04d.exr"
    )
    assert portable("/elsewhere/dog.%04d.exr", "/show/shot/dog.nk") == "/elsewhere/dog.%04d.exr"
    assert portable("/show/shotgun/dog.%04d.exr", "/show/shot/dog.nk") == "/show/shotgun/dog.%04d.exr"
    assert portable("D:/out/dog.%04d.exr", "C:/show/dog.nk") == "D:/out/dog.%04d.exr"
    assert (
        portable("C:\\show\\out\\dog.%04d.exr", "C:/show/dog.nk") == "[file dirname [value root.name]]/out/dog.%04d.exr"
    )
    assert portable("/show/dog.%04d.exr", "") == "/show/dog.%04d.exr"


@given(st.text(st.characters(exclude_characters="/\0\\"), min_size=1).filter(lambda name: name not in (".", "..")))
def test_a_portable_path_is_the_same_file(name):
    script = "/show/shot/dog.nk"
    text = portable(f"/show/shot/{name}", script)
    assert os.path.normpath(text.replace("[file dirname [value root.name]]", "/show/shot")) == f"/show/shot/{name}"
