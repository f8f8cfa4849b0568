"""Plates of every kind of light through whole shots: the layers are the plate again, in scene-linear light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import gradient, write_image, write_movie
from rendering import header, render

from layerflow import color, exr, layers
from layerflow.evaluate.synthetic import LayeredShot
from layerflow.plate import open_plate

pytestmark = pytest.mark.usefixtures("one_thread")


def write_hdr(folder: Path) -> Path:
    for number in range(2):
        light = LayeredShot(kind="glass", width=48, height=32).frame(number).plate
        write_image(folder / f"a.{number:04}.exr", light, oiio__ColorSpace="ACEScg")
    return folder


def write_dpx(folder: Path) -> Path:
    for number in range(2):
        code = gradient(32, 48, shift=number / 50)
        write_image(folder / f"a.{number:04}.dpx", code, "uint16", **{"oiio:BitsPerSample": 10})
    return folder


def write_pq(folder: Path) -> Path:
    return write_movie(folder / "a.mp4", count=2, code_points=(9, 16), pix_fmt="yuv444p")


def write_logc(folder: Path) -> Path:
    tags = {"com.arri.camera.ColorGammaSxS": "LOG-C"}
    return write_movie(folder / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", tags=tags, count=2)


def write_srgb(folder: Path) -> Path:
    for number in range(2):
        write_image(folder / f"a.{number:04}.png", gradient(32, 48, shift=number / 50), "uint8")
    return folder


PLATES = {
    "HDR EXR": (write_hdr, None, "ACEScg"),
    "LogC4 DPX": (write_dpx, "ARRI LogC4", "ARRI LogC4"),
    "S-Log3 DPX": (write_dpx, "slog3_sgamut3cine", "S-Log3 S-Gamut3.Cine"),
    "PQ movie": (write_pq, None, "Rec.2100-PQ - Display"),
    "LogC movie": (write_logc, None, "ARRI LogC3 (EI800)"),
    "Rec. 709 PNG": (write_srgb, "camera_rec709", "Camera Rec.709"),
    "sRGB PNG": (write_srgb, None, "sRGB Encoded Rec.709 (sRGB)"),
}


@pytest.mark.parametrize("kind", PLATES)
def test_the_layers_of_a_plate_are_its_light(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    write, asked, space = PLATES[kind]
    (tmp_path / "plate").mkdir()
    source = str(write(tmp_path / "plate"))
    result = render(tiny_model, tmp_path / "out", plate=source, colorspace=asked)
    plate = open_plate(source, colorspace=asked)
    assert plate.colorspace == space and header(result.frames[0])["colorInteropID"] == "lin_ap1_scene"
    for number, path in zip(plate.frames, result.frames, strict=True):
        light = color.convert(plate.read(number), space, "ACEScg")
        stack = exr.read_stack([path])
        half = np.abs(light).astype(np.float16)
        np.testing.assert_allclose(stack.layers["blended"][0], light, rtol=2**-11, atol=2**-24)
        assert (np.abs(layers.recompose(stack)[0] - light) <= np.spacing(half) * 1.001 + 1e-4 * np.abs(light)).all()


def test_the_same_light_in_another_encoding_is_the_same_shot(tiny_model: Path, tmp_path: Path) -> None:
    """What the model sees is of the light, so a plate in log and the same in ACEScg come out alike."""
    code = gradient(32, 48) * np.float32(0.9)
    light = color.convert(code, "ARRI LogC4", "ACEScg")
    made = []
    for name, pixels, space in (("log", code, "ARRI LogC4"), ("linear", light, "ACEScg")):
        plate = write_image(tmp_path / f"{name}.0001.exr", pixels, "float")
        frames = render(tiny_model, tmp_path / name, plate=str(plate), colorspace=space).frames
        made.append(exr.read_stack(frames).layers["foreground"])
    assert light.max() > 16
    np.testing.assert_allclose(made[0][..., 3], made[1][..., 3], atol=2e-2)


def test_light_beyond_the_shoulder_is_told_once(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "plate").mkdir()
    result = render(tiny_model, tmp_path / "out", plate=str(write_hdr(tmp_path / "plate")))
    assert len([words for words in result.warnings if "beyond display black or white" in words]) == 1
    below = write_image(tmp_path / "dim.0001.exr", gradient(32, 48) * 15, oiio__ColorSpace="lin_rec709")
    dim = render(tiny_model, tmp_path / "dim", plate=str(below))
    assert not any("beyond display" in words for words in dim.warnings)
