"""Real Blender, 4.5 LTS and 5.0, reads the layers that the engine writes: compositor, Sequencer and colour space.

Each Blender is the bpy package in a venv of its own, made by `python3.11 run.py test`: a gigabyte, with its own numpy.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from layerflow import color, exr, layers
from layerflow.layers import LayerStack, PictureFormat

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("read_layers.py")
VERSIONS = [path.stem.rpartition("-")[2] for path in sorted(ROOT.glob("constraints-blender-*.txt"))]

pytestmark = pytest.mark.blender


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one Blender made of the files."""

    version: str
    sockets: Mapping[str, str]  # of an Image node: name -> type
    colorspace: str  # that the layered file was taken for
    folder: Path

    def picture(self, name: str) -> np.ndarray:
        """[H, W, 4] float32 as Blender rendered it."""
        return oiio.ImageBuf(str(self.folder / f"{name}.exr")).get_pixels(oiio.FLOAT)


def make_stack() -> LayerStack:
    """One frame: alpha 0, 0.5 and 1 from left to right, other colours in the upper third, colour kept under alpha 0."""
    foreground = np.full((1, 12, 18, 4), (0.8, 0.2, 0.05, 0.5), np.float32)
    foreground[:, :4, :, :3] = (0.1, 1.5, 0.3)
    foreground[:, :, :6, 3], foreground[:, :, 12:, 3] = 0, 1
    background = np.full((1, 12, 18, 3), (0.05, 0.3, 0.6), np.float32)
    background[:, :, ::2] /= 2
    blended = layers.over(foreground, background) / 2  # no mistaking it for an over that Blender did
    named = {"foreground": foreground, "background": background, "blended": blended}
    return LayerStack(layers=named, frames=(1001,), format=PictureFormat(width=18, height=12))


def half(name: str) -> np.ndarray:
    """[H, W, 4] of a layer as the file holds it, alpha 1 where it has none."""
    pixels = make_stack().layers[name][0].astype(np.float16).astype(np.float32)
    return pixels if pixels.shape[-1] == 4 else layers.with_alpha(pixels, np.ones(pixels.shape[:2], np.float32))


@pytest.fixture(scope="module", params=VERSIONS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The files, read by one version of Blender."""
    venv = ROOT / f".venv-blender-{request.param}"
    if not (venv / "layerflow-installed").exists():
        pytest.skip(f"needs Blender's Python package, which only Python 3.11 can set up: python3.11 {ROOT}/run.py test")
    folder, stack = tmp_path_factory.mktemp("blender"), make_stack()
    paths = [folder / f"{name}.exr" for name in ("layered", "alone-foreground", "alone-background")]
    exr.write_frame(paths[0], stack, 0, header={})
    for path in paths[1:]:
        exr.write_layer_frame(path, stack, 0, path.stem.partition("-")[2], header={})
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    command = [python, "-I", SCRIPT, *paths, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    told = next(line for line in done.stdout.splitlines() if line.startswith("{"))  # among lines of Blender's own
    return Seen(folder=folder, **json.loads(told))


def test_it_is_the_blender_that_was_asked_for(seen: Seen, request: pytest.FixtureRequest) -> None:
    assert seen.version.startswith(request.node.callspec.params["seen"])


def test_layers_are_sockets_of_the_image_node(seen: Seen) -> None:
    assert seen.sockets == {"Combined": "RGBA", "Alpha": "VALUE", "background": "RGBA", "foreground": "RGBA"}


@pytest.mark.parametrize(
    ("socket", "layer"), [("Combined", "blended"), ("background", "background"), ("foreground", "foreground")]
)
def test_every_socket_gives_its_layer_exactly(seen: Seen, socket: str, layer: str) -> None:
    np.testing.assert_array_equal(seen.picture(socket), half(layer))


@pytest.mark.parametrize("picture", ["over", "sequencer"])
def test_over_with_straight_alpha_is_the_linear_over(seen: Seen, picture: str) -> None:
    pixels = seen.picture(picture)
    np.testing.assert_allclose(pixels[8, 9], (0.4249, 0.25, 0.325, 1), atol=5e-5)
    np.testing.assert_allclose(pixels[..., :3], layers.over(half("foreground"), half("background")[..., :3]), atol=1e-6)
    assert (pixels[..., 3] == 1).all()


def test_the_layered_file_is_the_blended_picture_in_the_sequencer(seen: Seen) -> None:
    np.testing.assert_allclose(seen.picture("sequencer-layered"), half("blended"), atol=1e-6)


def test_the_colour_space_is_told_or_can_be_set(seen: Seen) -> None:
    assert seen.colorspace == ("Linear Rec.709" if seen.version.startswith("4.5") else "ACEScg")
    expected = color.convert(seen.picture("over"), "ACEScg", "lin_rec709")
    np.testing.assert_allclose(seen.picture("from-acescg"), expected, atol=5e-4)  # their matrices are rounded
