"""Plates of every odd size and content through the real command, with the bundled model: the plate comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from pictures import write_image
from rendering import channels

from layerflow.cli.app import run

pytestmark = pytest.mark.usefixtures("one_thread")

Command = Callable[..., dict[str, object]]


@pytest.fixture
def layerflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a verb on the plate in the test's folder; what it says as JSON."""

    def command(verb: str, *more: str) -> dict[str, object]:
        asked = [verb, str(tmp_path / "plate"), "-o", str(tmp_path / "out" / "a.%04d.exr"), "--json", *more]
        assert run(asked) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return command


def write(folder: Path, *frames: np.ndarray, origin: tuple[int, int] = (0, 0), **options: object) -> None:
    """Writes `frames` [H, W, 3 | 4] of half floats as the plate."""
    (folder / "plate").mkdir()
    options = {"oiio__ColorSpace": "ACEScg", "layerflow__alphaMode": "straight", **options}
    for number, pixels in enumerate(frames, start=1):
        write_image(folder / "plate" / f"a.{number}.exr", pixels.astype(np.float32), origin=origin, **options)


def noise(height: int, width: int, num_channels: int = 3, *, seed: int = 0) -> np.ndarray:
    """Smooth light with a bright spot here and there, up to 64, as half floats."""
    rng = np.random.default_rng(seed)
    pixels = np.linspace(0.1, 0.9, width)[None, :, None] * rng.random((height, 1, num_channels))
    pixels[rng.random((height, width)) > 0.99] *= 64
    return pixels.clip(0, None).astype(np.float16)


def planes(made: dict[str, np.ndarray], layer: str, letters: str = "RGB") -> np.ndarray:
    return np.stack([made[f"{layer}{letter}"] for letter in letters], axis=-1).astype(np.float64)


def check_is_plate(path: Path, plate: np.ndarray) -> np.ndarray:
    """The layers of a frame put together are `plate` [H, W, 3], to a last place of a half float; returns its alpha."""
    made = channels(path)
    assert all(np.isfinite(plane).all() for plane in made.values())
    assert np.array_equal(planes(made, ""), plate.astype(np.float64))
    alpha = planes(made, "foreground.", "A")
    assert alpha.min() >= 0 and alpha.max() <= 1
    together = alpha * planes(made, "foreground.") + (1 - alpha) * planes(made, "background.")
    place = np.spacing(np.abs(plate).astype(np.float16)).astype(np.float64)
    assert (np.abs(together - plate) <= place).all()
    background = planes(made, "background.")
    clear = alpha[..., 0] == 0
    assert np.array_equal(background[clear], plate[clear].astype(np.float64))
    return alpha


@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 2), (17, 31), (31, 17), (8192, 16), (16, 8192), (333, 3), (97, 65)],
    ids=lambda side: str(side),
)
def test_size(layerflow: Command, tmp_path: Path, width: int, height: int) -> None:
    plate = noise(height, width)
    write(tmp_path, plate)
    layerflow("decompose", "--preview", "--per-layer")
    assert check_is_plate(tmp_path / "out" / "a.0001.exr", plate).shape == (height, width, 1)


@pytest.mark.parametrize("fit", ["bucket", "pad", "crop"])
def test_size_17x31_in_every_fit(layerflow: Command, tmp_path: Path, fit: str) -> None:
    plate = noise(31, 17)
    write(tmp_path, plate)
    layerflow("decompose", "--fit", fit)
    check_is_plate(tmp_path / "out" / "a.0001.exr", plate)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_number_of_frames(layerflow: Command, tmp_path: Path, count: int) -> None:
    """One, two, and one more than the model makes at once."""
    plates = [noise(20, 30, seed=number) for number in range(count)]
    write(tmp_path, *plates)
    assert len(layerflow("decompose")["frames"]) == count
    for number, plate in enumerate(plates, start=1):
        check_is_plate(tmp_path / "out" / f"a.{number:04}.exr", plate)


def test_anamorphic(layerflow: Command, tmp_path: Path) -> None:
    plate = noise(60, 40)
    write(tmp_path, plate, PixelAspectRatio=2.0)
    layerflow("decompose")
    check_is_plate(tmp_path / "out" / "a.0001.exr", plate)
    assert OpenEXR.File(str(tmp_path / "out" / "a.0001.exr")).header()["pixelAspectRatio"] == 2.0


def test_overscan(layerflow: Command, tmp_path: Path) -> None:
    plate = noise(50, 70)
    write(tmp_path, plate, full=(0, 0, 48, 32), origin=(-11, -9))
    layerflow("decompose")
    check_is_plate(tmp_path / "out" / "a.0001.exr", plate)
    header = OpenEXR.File(str(tmp_path / "out" / "a.0001.exr")).header()
    assert [corner.tolist() for corner in header["displayWindow"]] == [[0, 0], [47, 31]]
    assert [corner.tolist() for corner in header["dataWindow"]] == [[-11, -9], [58, 40]]


@pytest.mark.parametrize("alpha", [0.0, 1.0], ids=["all_transparent", "all_opaque"])
def test_matte(layerflow: Command, tmp_path: Path, alpha: float) -> None:
    """A plate of its own alpha lies over black; a foreground keeps colour and alpha to the bit."""
    plate = noise(20, 30, 4)
    plate[..., 3] = alpha
    write(tmp_path, plate)
    layerflow("decompose")
    over_black = plate[..., :3] * np.float16(alpha)
    check_is_plate(tmp_path / "out" / "a.0001.exr", over_black)
    layerflow("background", "--background", "a garden", "--overwrite")
    made = channels(tmp_path / "out" / "a.0001.exr")
    assert np.array_equal(planes(made, "foreground.", "RGBA"), plate.astype(np.float64))
    assert all(np.isfinite(plane).all() for plane in made.values())


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["all_transparent", "all_opaque"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (17, 31)], ids=lambda side: str(side))
def test_guide(layerflow: Command, tmp_path: Path, width: int, height: int, value: float) -> None:
    """A guide that is one value all over: one layer is the plate, to the bit."""
    plate = noise(height, width)
    write(tmp_path, plate)
    write_image(tmp_path / "guide.png", np.full((height, width, 1), value, np.float32), "uint8")
    layerflow("decompose", "--guide", str(tmp_path / "guide.png"), "--guide-kind", "trimap")
    assert (check_is_plate(tmp_path / "out" / "a.0001.exr", plate) == value).all()
    made = channels(tmp_path / "out" / "a.0001.exr")
    assert np.array_equal(planes(made, "foreground." if value else "background."), plate.astype(np.float64))


@pytest.mark.parametrize("value", [0.0, 1.0, 5000.0], ids=["black", "white", "bright"])
def test_one_colour(layerflow: Command, tmp_path: Path, value: float) -> None:
    plate = np.full((20, 30, 3), value, np.float16)
    write(tmp_path, plate)
    layerflow("decompose")
    check_is_plate(tmp_path / "out" / "a.0001.exr", plate)


def test_not_one_number(layerflow: Command, tmp_path: Path) -> None:
    """A plate that is NaN all over is black, and that is said."""
    write(tmp_path, np.full((20, 30, 3), np.nan, np.float16))
    said = layerflow("decompose")
    check_is_plate(tmp_path / "out" / "a.0001.exr", np.zeros((20, 30, 3)))
    assert "600 NaN pixels in frame 1 were set to 0" in said["warnings"]
