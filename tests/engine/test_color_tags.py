"""What a plate's own file says of its colours is heeded, or told in one note."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from pictures import write_image, write_movie
from PIL import Image, ImageCms

from layerflow import color
from layerflow.color_tags import of_camera, of_code_points, of_profile, of_transfer
from layerflow.plate import open_plate
from layerflow.tone import SCENE, tone_of
from layerflow.wire import color_names

SRGB = "sRGB Encoded Rec.709 (sRGB)"


def logc3(code: np.ndarray) -> np.ndarray:
    """Scene-linear light of ARRI's LogC3 at EI 800, as ARRI publishes it."""
    cut, a, b, c, d, e, f = 0.010591, 5.555556, 0.052272, 0.247190, 0.385537, 5.367655, 0.092809
    return np.where(code > e * cut + f, (10 ** ((code - d) / c) - b) / a, (code - f) / e)


def logc4(code: np.ndarray) -> np.ndarray:
    a, b, c = (2**18 - 16) / 117.45, (1023 - 95) / 1023, 95 / 1023
    s = 7 * np.log(2) * 2 ** (7 - 14 * c / b) / (a * b)
    t = (2 ** (14 * (-c / b) + 6) - 64) / a
    return np.where(code < 0, code * s + t, (2 ** (14 * (code - c) / b + 6) - 64) / a)


def slog3(code: np.ndarray) -> np.ndarray:
    toe = (code * 1023 - 95) * 0.01125 / (171.2102946929 - 95)
    return np.where(code >= 171.2102946929 / 1023, 10 ** ((code * 1023 - 420) / 261.5) * (0.18 + 0.01) - 0.01, toe)


def pq(code: np.ndarray) -> np.ndarray:
    """White of 100 nits is 1, as in the config's display spaces. SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = code ** (1 / m2)
    return 100 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


@pytest.mark.parametrize(
    ("name", "linear", "curve"),
    [
        ("ARRI LogC3 (EI800)", "lin_alexawide", logc3),
        ("ARRI LogC4", "lin_awg4", logc4),
        ("S-Log3 S-Gamut3.Cine", "lin_sgamut3cine", slog3),
        ("Rec.2100-PQ - Display", "lin_rec2020", pq),
    ],
)
def test_log_by_name_is_the_published_curve_and_comes_back(name: str, linear: str, curve: object) -> None:
    code = np.linspace(0.05, 1, 40)
    picture = np.repeat(code[None, :, None], 3, -1).astype(np.float32)
    light = color.convert(picture, name, linear)
    np.testing.assert_allclose(light[0, :, 1], curve(code), rtol=2e-3, atol=1e-4)  # type: ignore[operator]
    np.testing.assert_allclose(color.convert(light, linear, name), picture, atol=2e-4)
    assert tone_of(name) is SCENE


def test_a_named_space_is_for_a_plate_of_any_kind(tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "a.dpx", np.full((4, 6, 3), 0.391, np.float32), "uint16", **{"oiio:BitsPerSample": 10}
    )
    plate = open_plate(str(path), colorspace="logc3ei800_alexawide")
    grey = color.convert(plate.read(1), plate.colorspace, "ACEScg")
    assert plate.colorspace == "ARRI LogC3 (EI800)" and not any("log" in note for note in plate.notes)
    assert grey == pytest.approx(0.18, abs=0.002)


@pytest.mark.parametrize(
    ("primaries", "transfer", "space", "note"),
    [
        (1, 1, SRGB, ""),
        (2, 2, SRGB, ""),
        (1, 13, SRGB, ""),
        (6, 6, SRGB, ""),
        (9, 16, "Rec.2100-PQ - Display", ""),
        (2, 16, "Rec.2100-PQ - Display", ""),
        (9, 18, "Rec.2100-HLG - Display", ""),
        (12, 16, "ST2084-P3-D65 - Display", ""),
        (12, 1, "sRGB Encoded P3-D65", ""),
        (1, 8, "Linear Rec.709 (sRGB)", ""),
        (9, 14, SRGB, "is Rec. 2020 but read as sRGB"),
        (1, 16, SRGB, "is PQ but read as sRGB"),
    ],
)
def test_code_points(primaries: int, transfer: int, space: str, note: str) -> None:
    found, said = of_code_points(primaries, transfer)
    assert found == space and said.startswith(note) and bool(said) == bool(note)


def test_a_deep_movie_without_tags_might_be_log(tmp_path: Path) -> None:
    deep = write_movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", count=2)
    plain = write_movie(tmp_path / "a.mp4", count=2)
    assert [note for note in open_plate(str(deep)).notes if "taken as sRGB" in note]
    assert not open_plate(str(plain)).notes and not open_plate(str(deep), colorspace="ARRI LogC4").notes


@pytest.mark.parametrize(
    ("name", "code_points", "space"),
    [
        ("a.mp4", (9, 16), "Rec.2100-PQ - Display"),
        ("a.mov", (9, 18), "Rec.2100-HLG - Display"),
        ("b.mov", (1, 1), SRGB),
        ("b.mkv", (12, 13), "sRGB Encoded P3-D65"),
    ],
)
def test_a_movie_says_so_in_its_own_tags(tmp_path: Path, name: str, code_points: tuple[int, int], space: str) -> None:
    """In QuickTime the colr atom, in H.264 the stream, in Matroska the track."""
    codec = "prores_ks" if name.endswith(".mov") else "libx264"
    pix_fmt = "yuv422p10le" if name.endswith(".mov") else "yuv420p"
    path = write_movie(tmp_path / name, codec=codec, pix_fmt=pix_fmt, code_points=code_points, count=2)
    plate = open_plate(str(path))
    assert plate.colorspace == space and not plate.notes
    assert open_plate(str(path), colorspace="ACEScct").colorspace == "ACEScct"


@pytest.mark.parametrize(
    ("tags", "space", "note"),
    [
        ({"com.arri.camera.ColorGammaSxS": "LOG-C"}, "ARRI LogC3 (EI800)", ""),
        ({"ColorGammaSxS": "LOG-C", "ExposureIndexAsa": "400"}, "ARRI LogC3 (EI800)", "was exposed at EI 400"),
        ({"com.arri.camera.colorgammasxs": "LogC4"}, "ARRI LogC4", ""),
        ({"com.arri.camera.ColorGammaSxS": "REC709"}, None, ""),
        ({"title": "LOG-C"}, None, ""),
    ],
)
def test_a_camera_names_its_curve(tags: dict[str, str], space: str | None, note: str) -> None:
    found, said = of_camera(tags)
    assert found == space and said.startswith(note) and bool(said) == bool(note)


def test_older_configs_have_other_names_for_the_same() -> None:
    script = (
        "from layerflow.color_tags import of_camera, of_code_points; "
        "print(of_code_points(9, 16), of_code_points(9, 18), of_camera({'ColorGammaSxS': 'LOG-C'}))"
    )
    said = {}
    for config in ("studio-config-v1.0.0_aces-v1.3_ocio-v2.1", "cg-config-v1.0.0_aces-v1.3_ocio-v2.1"):
        env = {**os.environ, "OCIO": f"ocio://{config}"}
        said[config[:2]] = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True
        ).stdout
    assert "Rec.2100-PQ - Display" in said["st"] and "LogC3" in said["st"]
    assert "Rec.2100-PQ - Display" in said["cg"] and "is LOGC but read as sRGB" in said["cg"]


def test_a_movie_from_the_camera(tmp_path: Path) -> None:
    tags = {"com.arri.camera.ColorGammaSxS": "LOG-C", "com.arri.camera.ExposureIndexAsa": "1600"}
    path = write_movie(tmp_path / "A001.mov", codec="prores_ks", pix_fmt="yuv422p10le", tags=tags, count=2)
    plate = open_plate(str(path))
    assert plate.colorspace == "ARRI LogC3 (EI800)"
    assert plate.notes == ("A001.mov was exposed at EI 1600 but is read as ARRI LogC3 (EI800)",)
    assert not open_plate(str(path), colorspace="ARRI LogC4").notes


@pytest.mark.parametrize(
    ("transfer", "space", "note"),
    [
        ("Linear", "Linear Rec.709 (sRGB)", "is linear by its header"),
        ("Logarithmic", SRGB, "is log by its header"),
        ("Printing density", SRGB, "is log by its header"),
        ("ITU-R 709-4", SRGB, "is taken as sRGB; if it is log"),
    ],
)
def test_a_dpx_by_its_transfer(tmp_path: Path, transfer: str, space: str, note: str) -> None:
    options = {"oiio:BitsPerSample": 10, "dpx:Transfer": transfer}
    path = write_image(tmp_path / "a.0001.dpx", np.zeros((4, 6, 3), np.float32), "uint16", **options)
    plate = open_plate(str(tmp_path))
    assert plate.colorspace == space
    said = [words for words in plate.notes if words.startswith(f"frame 1 ({path.name})")]
    of_colour = [words for words in said if "linear" in words or "log" in words]
    assert len(of_colour) == 1 and note in of_colour[0]
    assert of_transfer("Undefined") == (None, "")


@pytest.mark.parametrize(
    ("attributes", "space"),
    [
        ({"acesImageContainerFlag": 1}, "ACES2065-1"),
        ({"chromaticities": (0.684, 0.313, 0.221, 0.848, 0.0861, -0.102, 0.3127, 0.329)}, "Linear ARRI Wide Gamut 3"),
        ({"chromaticities": (0.766, 0.275, 0.225, 0.8, 0.089, -0.087, 0.3127, 0.329)}, "Linear S-Gamut3.Cine"),
        ({"colorInteropID": "lin_ap1_scene"}, "ACEScg"),
        ({"colorInteropID": "ocio:arrilogc4_awg4_scene"}, "ARRI LogC4"),
    ],
)
def test_an_exr_by_its_header(tmp_path: Path, attributes: dict[str, object], space: str) -> None:
    path = tmp_path / "a.exr"
    OpenEXR.File(attributes, {"RGB": np.full((4, 6, 3), 0.5, np.float32)}).write(str(path))
    plate = open_plate(str(path))
    assert plate.colorspace == space and not any("colour space" in note for note in plate.notes)


@pytest.mark.parametrize("name", sorted(color_names.CAMERA_PRIMARIES))
def test_published_primaries_are_those_of_the_config(name: str) -> None:
    """The config adapts white its own way, so they agree to two places only."""
    corners = np.eye(3, dtype=np.float32)[None]
    xyz = color.convert(corners, name, "lin_ciexyzd65_scene")[0]
    measured = xyz[:, :2] / xyz.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(measured.ravel(), color_names.CAMERA_PRIMARIES[name], atol=6e-3)


@pytest.mark.parametrize(
    ("description", "space", "note"),
    [("Display P3", "sRGB Encoded P3-D65", ""), ("SomeMonitor", SRGB, "has the profile 'SomeMonitor'")],
)
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_profile(tmp_path: Path, suffix: str, description: str, space: str, note: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    own = profile.replace("sRGB built-in".encode("utf-16-be"), description.ljust(13, "\0").encode("utf-16-be"))
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, icc_profile=own)
    plate = open_plate(str(path))
    said = [words for words in plate.notes if "profile" in words]
    assert plate.colorspace == space and len(said) == bool(note) and all(note in words for words in said)
    assert of_profile("sRGB IEC61966-2.1") == (None, "")


def test_code_points_of_a_png_come_first(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(4, 4, 3, oiio.UINT16)
    spec.attribute("CICP", oiio.TypeDesc("int[4]"), [9, 16, 0, 1])
    output = oiio.ImageOutput.create("a.png")
    assert output.open(str(tmp_path / "a.png"), spec) and output.write_image(np.zeros((4, 4, 3), np.float32))
    output.close()
    assert open_plate(str(tmp_path / "a.png")).colorspace == "Rec.2100-PQ - Display"
