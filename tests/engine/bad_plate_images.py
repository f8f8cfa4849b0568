"""Bad plates by what is in an image file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from bad_plate_catalogue import bad_plate, damage, halve
from pictures import gradient, write_deep, write_image, write_parts, write_sequence


@bad_plate(r"frame 1002 \(dog\.1002\.exr\) is empty \(0 bytes\); render or copy")
def a_frame_of_0_bytes(folder: Path) -> str:
    pattern = write_sequence(folder)
    (folder / "dog.1002.exr").write_bytes(b"")
    return pattern


@bad_plate(r"frame 1003 .* is not an image in spite of its name")
def text_renamed_exr(folder: Path) -> str:
    pattern = write_sequence(folder)
    (folder / "dog.1003.exr").write_text("I am not a picture\n" * 50)
    return pattern


@bad_plate(r"frame 1003 .* holds png data in spite of its name")
def png_renamed_exr(folder: Path) -> str:
    pattern = write_sequence(folder)
    write_image(folder / "other.png", gradient(), "uint8").rename(folder / "dog.1003.exr")
    return pattern


@bad_plate(r"frame 1001 .* is a folder; put the image file there")
def a_folder_named_as_a_frame(folder: Path) -> str:
    pattern = write_sequence(folder)
    (folder / "dog.1001.exr").unlink()
    (folder / "dog.1001.exr").mkdir()
    return pattern


@bad_plate(r"frame 1002 .* is a broken link")
def a_dangling_link_as_a_frame(folder: Path) -> str:
    pattern = write_sequence(folder)
    (folder / "dog.1002.exr").unlink()
    (folder / "dog.1002.exr").symlink_to(folder / "nowhere")
    return pattern


@bad_plate("is a link to a place that is not there")
def a_dangling_link_as_the_plate(folder: Path) -> str:
    (folder / "plate").symlink_to(folder / "nowhere")
    return str(folder / "plate")


@bad_plate(r"frame 1002 \(dog\.1002\.exr\) is damaged")
def exr_cut_at_half(folder: Path) -> str:
    pattern = write_sequence(folder)
    damage(folder / "dog.1002.exr", halve)
    return pattern


@bad_plate(r"frame 1004 \(dog\.1004\.exr\) is damaged")
def exr_with_scribbled_pixels(folder: Path) -> str:
    pattern = write_sequence(folder)
    damage(folder / "dog.1004.exr", lambda data: data[:-200] + b"\xff" * 200)
    return pattern


@bad_plate(r"frame 1002 .* 20000x100 pixels; at most 16384")
def exr_that_claims_to_be_huge(folder: Path) -> str:
    pattern = write_sequence(folder)
    true, lie = struct.pack("<4i", 0, 0, 23, 15), struct.pack("<4i", 0, 0, 19_999, 99)
    damage(folder / "dog.1002.exr", lambda data: data.replace(true, lie))
    return pattern


@bad_plate(r"(20000x2 pixels; at most 16384 a side)")
def wider_than_the_cap(folder: Path) -> str:
    return str(write_image(folder / "wide.png", np.zeros((2, 20000, 3), np.float32), "uint8"))


@bad_plate(r"has no colour, only Z; give a plate with red")
def depth_only_exr(folder: Path) -> str:
    return str(write_image(folder / "z.exr", gradient(channels=1), "float", names=("Z",)))


@bad_plate(r"has no colour, only A")
def alpha_only_exr(folder: Path) -> str:
    return str(write_image(folder / "a.exr", gradient(channels=1), names=("A",)))


@bad_plate(r"is a deep EXR; flatten it first")
def deep_exr(folder: Path) -> str:
    return str(write_deep(folder / "deep.exr"))


@bad_plate(r"no plain red, green and blue but the layers diffuse, specular; write the wanted one")
def exr_of_two_layers_and_no_colour(folder: Path) -> str:
    names = ("diffuse.R", "diffuse.G", "diffuse.B", "specular.R", "specular.G", "specular.B")
    return str(write_image(folder / "aov.exr", gradient().repeat(2, -1), names=names))


@bad_plate(r"has no colour, only Z")
def multi_part_exr_without_colour(folder: Path) -> str:
    plane = np.ones((4, 4), np.float32)
    return str(write_parts(folder / "parts.exr", {"one": {"Z": plane}, "two": {"N": plane}}))


@bad_plate(r"data window of .* lies outside its display window")
def data_window_off_the_picture(folder: Path) -> str:
    return str(write_image(folder / "off.exr", gradient(), full=(0, 0, 24, 16), origin=(100, 100)))


@bad_plate(r"is CMYK, made for print; save it as RGB")
def cmyk_jpeg(folder: Path) -> str:
    path = folder / "print.jpg"
    _pillow_image("CMYK").save(path)
    return str(path)


@bad_plate(r"is CMYK")
def cmyk_tiff(folder: Path) -> str:
    path = folder / "print.tif"
    _pillow_image("CMYK").save(path)
    return str(path)


@bad_plate(r"frame 1 \(cut\.jpg\) is cut short")
def jpeg_cut_at_half(folder: Path) -> str:
    damage(write_image(folder / "cut.jpg", gradient(height=200, width=200), "uint8"), halve)
    return str(folder / "cut.jpg")


@bad_plate(r"is stored turned or mirrored \(orientation 6\); save it upright")
def jpeg_from_a_turned_camera(folder: Path) -> str:
    return str(write_image(folder / "turned.jpg", gradient(), "uint8", Orientation=6))


@bad_plate(r"frame 1003 .* is damaged or cut short")
def png_with_wrong_checksum(folder: Path) -> str:
    pattern = write_sequence(folder, suffix="png")

    def flip(data: bytes) -> bytes:
        place = data.index(b"IDAT") + 20
        return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]

    damage(folder / "dog.1003.png", flip)
    return pattern


@bad_plate(r"is damaged or cut short")
def tiff_cut_at_half(folder: Path) -> str:
    noise = np.random.default_rng(0).random((64, 64, 3), np.float32)
    damage(write_image(folder / "cut.tif", noise, "uint16", compression="none"), lambda data: data[:5000])
    return str(folder / "cut.tif")


@bad_plate(r"is damaged or cut short")
def dpx_cut_at_half(folder: Path) -> str:
    noise = np.random.default_rng(0).random((64, 64, 3), np.float32)
    damage(write_image(folder / "cut.dpx", noise, "uint16", oiio__BitsPerSample=10), halve)
    return str(folder / "cut.dpx")


@bad_plate("not a kind of file LayerFlow reads; give EXR")
def unknown_kind_of_file(folder: Path) -> str:
    (folder / "plate.psd").write_bytes(b"8BPS" + bytes(100))
    return str(folder / "plate.psd")


def _pillow_image(mode: str):  # type: ignore[no-untyped-def]
    from PIL import Image

    return Image.fromarray((gradient() * 255).astype(np.uint8)).convert(mode)
