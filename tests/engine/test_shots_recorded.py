"""A shot made where its files have other paths: its headers, so its bytes, are those of the paths it was asked with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rendering import contents, request, write_plate

from layerflow import shots

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("alike", [True, False])
def test_headers_call_files_what_they_are_recorded_as(tiny_model: Path, tmp_path: Path, *, alike: bool) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    plate = write_plate(there, count=8)
    asked = request(tiny_model, there / "out", plate=plate)
    shots.render(asked)
    shutil.copytree(there, here, ignore=shutil.ignore_patterns("out"))

    copy = request(tiny_model, here / "out", plate=plate.replace(str(there), str(here)))
    shots.render(copy, recorded=(lambda path: path.replace(str(here), str(there))) if alike else str)

    assert (contents(here / "out") == contents(there / "out")) is alike
