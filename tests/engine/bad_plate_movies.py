"""Bad plates by what is in a movie file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from bad_plate_catalogue import bad_plate, damage, halve
from pictures import write_movie


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


@bad_plate(r"clip\.mxf is cut short: \d of 12 frames are there")
def mxf_cut_at_half(folder: Path) -> str:
    path = folder / "clip.mxf"
    write_movie(path, codec="dnxhd", pix_fmt="yuv422p", size=(256, 128), options={"profile": "dnxhr_hq"})
    damage(path, halve)
    return str(path)


@bad_plate(r"clip\.mkv is cut short: \d+ of 48 frames are there")
def mkv_cut_at_half(folder: Path) -> str:
    damage(write_movie(folder / "clip.mkv", codec="prores_ks", pix_fmt="yuv422p10le", count=48, size=(320, 240)), halve)
    return str(folder / "clip.mkv")


@bad_plate(r"(frame \d+ of )?clip\.mov (is damaged|cannot be decoded)")
def mov_with_scribbled_frames(folder: Path) -> str:
    def scribble(data: bytes) -> bytes:
        middle = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) // 2
        return data[:middle] + b"\xff" * 400 + data[middle + 400 :]

    damage(write_movie(folder / "clip.mov", codec="prores_ks", pix_fmt="yuv422p10le"), scribble)
    return str(folder / "clip.mov")


@bad_plate(r"frame 6 of clip\.mp4 is damaged")
def mp4_whose_decoder_conceals_damage(folder: Path) -> str:
    path = write_movie(folder / "clip.mp4", size=(320, 240), options={"g": "1", "bf": "0", "crf": "1"}, noise=True)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    middle = packets[5][0] + packets[5][1] // 2
    damage(path, lambda data: data[:middle] + b"\xff" * 30 + data[middle + 30 :])
    return str(path)


@bad_plate(r"clip\.mov is empty \(0 bytes\)")
def movie_of_0_bytes(folder: Path) -> str:
    (folder / "clip.mov").write_bytes(b"")
    return str(folder / "clip.mov")


@bad_plate(r"clip\.mp4 is not a movie in spite of its name")
def playlist_renamed_mp4(folder: Path) -> str:
    (folder / "clip.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    return str(folder / "clip.mp4")
