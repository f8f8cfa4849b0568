"""Bad plates by their path, their frames or their range."""

from __future__ import annotations

from pathlib import Path

from bad_plate_catalogue import bad_plate
from pictures import gradient, write_image, write_movie, write_sequence

from layerflow.errors import ColorError


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


@bad_plate(r"control character U\+000A")
def newline_in_the_path(folder: Path) -> str:
    return str(folder / "dog\n.%04d.exr")


@bad_plate(r"control character U\+0000")
def nul_in_the_path(folder: Path) -> str:
    return str(folder / "dog\0.exr")


@bad_plate("must be a local file, got the address .*; download it first")
def an_address(folder: Path) -> str:
    return "https://example.com/dog.mov"


@bad_plate("must be a local file")
def a_file_address(folder: Path) -> str:
    return "file:///etc/passwd"


@bad_plate("exactly one %04d or ####")
def two_frame_fields(folder: Path) -> str:
    return str(folder / "dog.%04d.%04d.exr")


@bad_plate("exactly one %04d or #### .*in the file name, got .*/%04d'")
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


@bad_plate(r"frames 10-20 are asked for but clip\.mp4 has 1-12", first_frame=10, last_frame=20)
def range_past_the_movie(folder: Path) -> str:
    return str(write_movie(folder / "clip.mp4"))
