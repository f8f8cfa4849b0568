"""The viewer by OpenGL, in a process of its own under Xvfb: a window that is really drawn."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.display,
    pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="no xvfb-run: apt-get install xvfb"),
]
SCRIPT = Path(__file__).with_name("viewer_under_x.py")


def shown(*arguments: str, **variables: str) -> dict[str, Any]:
    """What the window showed."""
    command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", sys.executable, "-W", "error", str(SCRIPT), *arguments]
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb", "LAYERFLOW_STUDIO_SOFTWARE": "0", **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "destroy" not in done.stderr  # Qt complains there of textures that were left without a context
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What the window showed, on a screen as it was once usual."""
    return shown()


def test_every_look_is_the_recipe(seen):
    assert seen["is_gl"]
    far = {name: off for name, off in seen["looks"].items() if max(off) > 1}
    assert len(seen["looks"]) == 28
    assert far == {}


def test_a_reduced_picture_is_the_mean(seen):
    assert seen["reduced"] <= 2


def test_textures_keep_to_their_limit_and_go_with_their_layers(seen):
    within_limit, of_one_scene = seen["textures"]
    assert within_limit <= 4
    assert of_one_scene <= 3


def test_the_picture_comes_again_in_another_window(seen):
    off, num_left_behind = seen["moved"]
    assert off <= 1
    assert num_left_behind == 0


def test_nothing_is_left_of_a_viewer(seen):
    assert seen["left_over"] == [0, 0]


def test_a_pixel_is_one_of_the_screen_where_that_is_fine():
    seen = shown("scaled", QT_SCALE_FACTOR="1.5")
    assert seen["ratio"] == 1.5
    assert len(seen["looks"]) == 4
    assert max(max(off) for off in seen["looks"].values()) <= 1
