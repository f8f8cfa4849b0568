"""Bytes damaged at random: a plate is read or refused in a sentence; nothing else ever comes out."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image, write_movie

from layerflow import exr
from layerflow.errors import PlateError
from layerflow.plate import open_plate

NOISE = np.random.default_rng(0).random((20, 25, 4), np.float32)
WRITERS = {
    "a.exr": lambda path: write_image(path, NOISE, layerflow__layers="blended", comments="Jos?"),
    "a.png": lambda path: write_image(path, NOISE, "uint8"),
    "a.tif": lambda path: write_image(path, NOISE, "uint16"),
    "a.jpg": lambda path: write_image(path, NOISE[..., :3], "uint8"),
    "a.dpx": lambda path: write_image(path, NOISE[..., :3], "uint16", oiio__BitsPerSample=10),
    "a.mp4": lambda path: write_movie(path, count=6),
    "a.mov": lambda path: write_movie(path, count=6, codec="prores_ks", pix_fmt="yuv422p10le"),
    "a.mkv": lambda path: write_movie(path, count=6),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few bytes changed, mostly in its header, or cut short."""
    changed, reach = bytearray(data), chance.choice((400, len(data)))
    for _ in range(chance.choice((1, 4, 30))):
        changed[chance.randrange(min(reach, len(data)))] = chance.choice((0, 255, chance.randrange(256)))
    return bytes(changed[: chance.randrange(len(data))] if chance.random() < 0.2 else changed)


def read_all(path: Path) -> None:
    plate = open_plate(str(path))
    for frame in plate.frames[:8]:
        pixels = plate.read(frame)
        assert np.isfinite(pixels).all() and np.abs(pixels).max() <= 65504
    plate.header(plate.frames[0])


@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_read_around_or_refused(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name)
    whole, chance, num_refused = path.read_bytes(), random.Random(5), 0
    for _ in range(25):
        path.write_bytes(damaged(whole, chance))
        for read in (read_all, lambda path: exr.read_stack([path]), exr.read_header):
            try:
                read(path)
            except PlateError as error:
                num_refused += read is read_all
                assert "\n" not in str(error)
    assert 0 < num_refused <= 25


def test_old_encodings_and_garbled_names_do_not_hinder_the_header(tmp_path: Path) -> None:
    path = WRITERS["a.exr"](tmp_path / "a.exr")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"Jos?", b"Jos\xe9"))
    assert exr.read_header(path)["ImageDescription"] == "Jos\ufffd"
    path.write_bytes(whole.replace(b"layerflow:layers", b"layerflow:\xff\xff\xff\xff\xff\xff"))
    assert exr.read_header(path)["ImageDescription"] == "Jos?"
    read_all(path)


def test_a_movie_of_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le")
    path.write_bytes(path.read_bytes().replace(b"apcn", b"zzzz").replace(b"apch", b"zzzz"))
    with pytest.raises(PlateError, match=r"a\.mov (is of an unknown codec|is damaged)"):
        open_plate(str(path))
