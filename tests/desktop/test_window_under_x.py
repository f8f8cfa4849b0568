"""The tour of the app under Xvfb, drawn by OpenGL: a picture of every stop, as the other canvas draws it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

pytestmark = [
    pytest.mark.display,
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="no xvfb-run: apt-get install xvfb"),
]
SCRIPT = Path(__file__).with_name("studio_tour.py")
PICTURES = {"result", "alpha", "wipe", "exposure", "checkerboard", "layers", "locked", "compare"}
WINDOWS = {"first-start", "preview", "export", "keys", "doctor"}
FAR = 2.0  # of 255, on average: labels and the line of a wipe lie over the picture


def test_every_stop_of_the_tour_is_seen_as_it_should_be(tmp_path: Path) -> None:
    command = ["xvfb-run", "-a", "-s", "-screen 0 1440x900x24", sys.executable, "-W", "error", str(SCRIPT)]
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb", "LAYERFLOW_STUDIO_SOFTWARE": "0"}
    done = subprocess.run([*command, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    assert told["is_gl"]
    assert told["off"].keys() == PICTURES
    assert {name: off for name, off in told["off"].items() if off > FAR} == {}
    assert {path.stem for path in tmp_path.glob("*.png")} == PICTURES | WINDOWS
    seen = {path.stem: oiio.ImageBuf(str(path)).get_pixels(oiio.UINT8) for path in tmp_path.glob("*.png")}
    assert {pixels.shape[:2] for pixels in seen.values()} == {(900, 1440)}
    assert all(np.ptp(pixels[..., :3]) > 200 for pixels in seen.values())  # none is blank
    for name in PICTURES - {"result"}:
        assert (seen[name] != seen["result"]).any(), name
