"""Bad file inputs: how each is made, and what its refusal must say. Shared by the tests of plate and command line."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from pictures import gradient, write_deep, write_image, write_movie, write_parts, write_sequence

from layerflow.errors import ColorError, LayerFlowError, PlateError


@dataclass(frozen=True, kw_only=True)
class BadPlate:
    """A plate that must be refused with `error`, in a sentence that `sentence` (a regex) matches."""

    build: Callable[[Path], str]  # folder to make it in -> the plate's path
    sentence: str
    options: Mapping[str, object] = field(default_factory=dict)  # for open_plate and the request alike
    error: type[LayerFlowError] = PlateError


BAD_PLATES: dict[str, BadPlate] = {}


def bad_plate(
    sentence: str, *, error: type[LayerFlowError] = PlateError, **options: object
) -> Callable[[Callable[[Path], str]], Callable[[Path], str]]:
    """Enters a builder into the catalogue under its own name."""

    def enter(build: Callable[[Path], str]) -> Callable[[Path], str]:
        BAD_PLATES[build.__name__] = BadPlate(build=build, sentence=sentence, options=options, error=error)
        return build

    return enter


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def halve(data: bytes) -> bytes:
    return data[: len(data) // 2]


@bad_plate("no file or folder .*check the spelling")
def no_such_file(folder: Path) -> str:
    return str(folder / "none.exr")


@bad_plate("no file matches .*none.%04d.exr")
def no_such_sequence(folder: Path) -> str:
    return str(folder / "none.%04d.exr")


@bad_plate("folder .*nowhere is not there")
def no_such_folder(folder: Path) -> str:
    return str(folder / "nowhere" / "dog.####.exr")


@bad_plate("path is empty")
def empty_path(folder: Path) -> str:
    return ""


@bad_plate("newline, NUL")
def newline_in_the_path(folder: Path) -> str:
    return str(folder / "dog\n.%04d.exr")


@bad_plate("newline, NUL")
def nul_in_the_path(folder: Path) -> str:
    return str(folder / "dog\0.exr")


@bad_plate("address, not a local path; copy the file")
def an_address(folder: Path) -> str:
    return "https://example.com/dog.mov"


@bad_plate("address, not a local path")
def a_file_address(folder: Path) -> str:
    return "file:///etc/passwd"


@bad_plate("2 frame fields")
def two_frame_fields(folder: Path) -> str:
    return str(folder / "dog.%04d.%04d.exr")


@bad_plate("folder of .* holds a frame field")
def frame_field_in_the_folder(folder: Path) -> str:
    return str(folder / "%04d" / "dog.%04d.exr")


@bad_plate("cannot be looked up|no file or folder")
def a_name_of_300_characters(folder: Path) -> str:
    return str(folder / ("n" * 300 + ".exr"))


@bad_plate("holds nothing; give a folder with EXR")
def empty_folder(folder: Path) -> str:
    return str(folder)


@bad_plate("holds no plate")
def folder_of_other_files(folder: Path) -> str:
    (folder / "notes.txt").write_text("hello")
    return str(folder)


@bad_plate(r"more than one sequence: cat\.####\.exr \(1-2\), dog\.####\.exr \(1001-1004\); give the pattern")
def two_sequences_in_one_folder(folder: Path) -> str:
    write_sequence(folder)
    write_sequence(folder, name="cat", first=1, count=2)
    return str(folder)


@bad_plate("2 pictures or movies without frame numbers")
def two_stills_in_one_folder(folder: Path) -> str:
    write_image(folder / "a.exr", gradient())
    write_image(folder / "b.exr", gradient())
    return str(folder)


@bad_plate(r"frames 1002, 1004-1005 are missing from .*dog\.%04d\.exr; render them or choose")
def a_sequence_with_holes(folder: Path) -> str:
    pattern = write_sequence(folder, count=7)
    for number in (1002, 1004, 1005):
        (folder / f"dog.{number}.exr").unlink()
    return pattern


@bad_plate(r"frames 2-999999999998 are missing")
def a_hole_of_a_trillion_frames(folder: Path) -> str:
    write_image(folder / "dog.1.exr", gradient())
    write_image(folder / "dog.999999999999.exr", gradient())
    return str(folder / "dog.#.exr")


@bad_plate(r"dog\.0001\.exr and dog\.1\.exr are both frame 1; move one")
def a_duplicate_frame_number(folder: Path) -> str:
    pattern = write_sequence(folder, first=1)
    write_image(folder / "dog.1.exr", gradient())
    return pattern


@bad_plate(
    r"frame 1003 \(dog\.1003\.exr\) is 20x16 but frame 1001 \(dog\.1001\.exr\) is 24x16; make all frames one size"
)
def mixed_sizes(folder: Path) -> str:
    pattern = write_sequence(folder)
    write_image(folder / "dog.1003.exr", gradient(width=20))
    return pattern


@bad_plate(r"frame 1004 .* has other channels than frame 1001")
def mixed_channels(folder: Path) -> str:
    pattern = write_sequence(folder)
    write_image(folder / "dog.1004.exr", gradient(channels=4))
    return pattern


@bad_plate(r"frame 1002 .* is float but frame 1001 .* is half")
def mixed_sample_types(folder: Path) -> str:
    pattern = write_sequence(folder)
    write_image(folder / "dog.1002.exr", gradient(), "float")
    return pattern


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


@bad_plate("first frame 1003 is after the last frame 1002; swap", first_frame=1003, last_frame=1002)
def first_after_last(folder: Path) -> str:
    return write_sequence(folder)


@bad_plate("frames 990-1002 are asked for but .* has 1001-1004", first_frame=990, last_frame=1002)
def range_before_the_plate(folder: Path) -> str:
    return write_sequence(folder)


@bad_plate("frames 1003-1016 are asked for but .* has 1001-1004", first_frame=1003, last_frame=1016)
def range_past_the_plate(folder: Path) -> str:
    return write_sequence(folder)


@bad_plate("no colour space 'ACESgc'.*near it: .*ACEScg", error=ColorError, colorspace="ACESgc")
def unknown_colour_space(folder: Path) -> str:
    return write_sequence(folder)


@bad_plate("clip.mov has no video track")
def movie_without_picture(folder: Path) -> str:
    with av.open(str(folder / "clip.mov"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(folder / "clip.mov")


@bad_plate("variable frame rate; export it with a constant one")
def movie_of_variable_frame_rate(folder: Path) -> str:
    times = (0, 1, 2, 3, 5, 6, 9, 10, 11, 12, 13, 14)
    return str(write_movie(folder / "clip.mp4", times=times))


@bad_plate(r"clip\.mov is damaged or cut short")
def mov_cut_at_half(folder: Path) -> str:
    damage(write_movie(folder / "clip.mov", codec="prores_ks", pix_fmt="yuv422p10le"), halve)
    return str(folder / "clip.mov")


@bad_plate(r"clip\.mp4 is cut short: \d+ of 12 frames are there")
def mp4_cut_at_half(folder: Path) -> str:
    damage(write_movie(folder / "clip.mp4", options={"bf": "0", "g": "1"}), lambda data: data[: len(data) * 3 // 4])
    return str(folder / "clip.mp4")


@bad_plate(r"(frame \d+ of )?clip\.mov (is damaged|cannot be decoded)")
def mov_with_scribbled_frames(folder: Path) -> str:
    def scribble(data: bytes) -> bytes:
        middle = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) // 2
        return data[:middle] + b"\xff" * 400 + data[middle + 400 :]

    damage(write_movie(folder / "clip.mov", codec="prores_ks", pix_fmt="yuv422p10le"), scribble)
    return str(folder / "clip.mov")


@bad_plate(r"clip\.mov is empty \(0 bytes\)")
def movie_of_0_bytes(folder: Path) -> str:
    (folder / "clip.mov").write_bytes(b"")
    return str(folder / "clip.mov")


@bad_plate(r"clip\.mp4 is not a movie in spite of its name")
def playlist_renamed_mp4(folder: Path) -> str:
    (folder / "clip.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    return str(folder / "clip.mp4")


@bad_plate(r"frames 10-20 are asked for but clip\.mp4 has 1-12", first_frame=10, last_frame=20)
def range_past_the_movie(folder: Path) -> str:
    return str(write_movie(folder / "clip.mp4"))


def _pillow_image(mode: str):  # type: ignore[no-untyped-def]
    from PIL import Image

    return Image.fromarray((gradient() * 255).astype(np.uint8)).convert(mode)
