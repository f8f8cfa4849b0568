"""Which files are pictures and movies by their names, and which container a movie is in by its first bytes.

Left to guess, FFmpeg would follow playlists to other files.
"""

from __future__ import annotations

IMAGE_SUFFIXES = (".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg")
MOVIE_SUFFIXES = (".mov", ".mp4", ".m4v", ".mkv", ".mxf")

NUM_BYTES = 16  # that have to be read for it

_ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def demuxer_of(start: bytes) -> str:
    """FFmpeg's name of the one demuxer for a file that begins with `start`; empty where it is no movie."""
    if start[4:8] in _ISO_BOXES:
        return "mov"
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if start.startswith(b"\x06\x0e\x2b\x34"):
        return "mxf"
    return ""
