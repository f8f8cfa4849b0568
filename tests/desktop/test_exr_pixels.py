"""EXR by its own library: the same as by OpenImageIO to the bit, and nothing of what is damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest

from layerflow_desktop.models import image_clip, layered_clip
from layerflow_desktop.models.clips import open_clip
from layerflow_desktop.models.exr_pixels import is_plain, layer_of, read_planes
from layerflow_desktop.models.image_file import read_parts
from layerflow_desktop.models.picture import ClipError

LAYERED = ("R", "G", "B", "A", *(f"foreground.{letter}" for letter in "RGBA"), *(f"background.{x}" for x in "RGB"))


def written(path: Path, names: tuple[str, ...], dtype: type = np.float16, **header: object) -> Path:
    rng = np.random.default_rng(7)
    channels = {name: rng.random((20, 30)).astype(dtype) for name in names}
    OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, channels).write(str(path))
    return path


@pytest.fixture(params=["ZIPS", "ZIP", "PIZ", "DWAA", "NO"])
def layered(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A layered frame of each compression that the engine writes."""
    compression = getattr(OpenEXR, f"{request.param}_COMPRESSION")
    return written(tmp_path / "a.0001.exr", LAYERED, compression=compression)


@pytest.mark.parametrize("mode", ["straight", "premultiplied"])
def test_a_frame_is_the_same_by_either_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    written(tmp_path / "a.0001.exr", LAYERED, **{"layerflow:alphaMode": mode})
    own = open_clip(str(tmp_path)).read(1).layers
    monkeypatch.setattr(layered_clip, "read_planes", lambda path, parts: None)
    others = open_clip(str(tmp_path)).read(1).layers
    assert list(own) == list(others) == ["foreground", "background", "blended"]
    for name in own:
        np.testing.assert_array_equal(own[name], others[name])


@pytest.mark.parametrize("names", [("R", "G", "B"), ("R", "G", "B", "A"), ("Y",), ("beauty.R", "beauty.G", "beauty.B")])
def test_a_plate_is_the_same_by_either_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    written(tmp_path / "a.0001.exr", names)
    own = open_clip(str(tmp_path)).read(1).layers["plate"]
    monkeypatch.setattr(image_clip, "read_planes", lambda path, parts: None)
    np.testing.assert_array_equal(own, open_clip(str(tmp_path)).read(1).layers["plate"])


@pytest.mark.parametrize(
    "names",
    [
        ("x.R", "x.G", "x.B"),
        ("R", "G", "B", "A", "Z"),
        ("x.R", "x.G", "x.B", "x.A", "x.Z"),
        ("a.b.R", "a.b.G", "a.b.B"),
        ("R", "A", "G", "x.R"),
    ],
)
def test_every_channel_is_found_by_its_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = written(tmp_path / "a.exr", names)
    parts = read_parts(path, "a.exr")
    pixels = oiio.ImageInput.open(str(path)).read_image(0, 0, 0, len(names), oiio.HALF)
    planes = read_planes(path, parts)
    assert planes is not None
    places = parts[0].channels
    for wanted in (names, names[:3]):
        found = layer_of(planes, parts[0], wanted)
        if found is not None:  # groups are found as such, and channels without one
            np.testing.assert_array_equal(found, pixels[..., [places[name] for name in wanted]])
    assert layer_of(planes, parts[0], names[:3]) is not None or "A" in names[:3]


def test_what_is_not_plain_is_left_to_openimageio(tmp_path: Path) -> None:
    floats = written(tmp_path / "float.exr", ("R", "G", "B"), np.float32)
    half = written(tmp_path / "half.exr", ("R", "G", "B"))
    tiled = written(tmp_path / "tiled.exr", ("R", "G", "B"), type=OpenEXR.tiledimage, tiles=OpenEXR.TileDescription())
    assert [is_plain(read_parts(path, path.name)) for path in (floats, half, tiled)] == [False, True, False]
    assert read_planes(floats, read_parts(floats, "")) is None


def test_a_file_that_changed_since_its_header_was_read_is_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "a.exr", ("R", "G", "B"))
    parts = read_parts(path, "a.exr")
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"R": np.zeros((3, 4), np.float16)}).write(str(path))
    assert read_planes(path, parts) is None
    path.unlink()
    assert read_planes(path, parts) is None


def test_a_frame_that_is_cut_short_anywhere_is_said_to_be(layered: Path) -> None:
    whole, clip = layered.read_bytes(), open_clip(str(layered.parent))
    parts = read_parts(layered, "a")
    assert read_planes(layered, parts) is not None
    for size in (*range(400, len(whole), len(whole) // 12), len(whole) - 1):
        layered.write_bytes(whole[:size])
        assert read_planes(layered, parts) is None
        with pytest.raises(ClipError):
            clip.read(1)


def test_bytes_that_changed_never_come_through_as_another_picture(layered: Path) -> None:
    """What both libraries read, they read alike; what either refuses, the clip says in a sentence or reads whole."""
    whole, chance = layered.read_bytes(), random.Random(5)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(8, len(damaged))] = chance.randrange(256)
        layered.write_bytes(damaged)
        try:
            parts = read_parts(layered, "a")
        except ClipError:
            continue
        planes = read_planes(layered, parts)
        if planes is None:
            continue
        spec = parts[0].spec
        pixels = oiio.ImageInput.open(str(layered)).read_image(0, 0, 0, spec.nchannels, oiio.HALF)
        for number, name in enumerate(spec.channelnames):
            if (plane := layer_of(planes, parts[0], [name])) is not None and plane.shape[:2] == pixels.shape[:2]:
                np.testing.assert_array_equal(plane[..., 0], pixels[..., number])
