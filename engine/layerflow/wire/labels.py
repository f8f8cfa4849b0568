"""Labels of jobs: which host asked, and its own name for what it asked, like "nuke:shot.nk/LayerFlow1"."""

from __future__ import annotations

from typing import Tuple

from layerflow.wire.jobs import MAX_LABEL

HOSTS = {"nuke": "Nuke", "blender": "Blender", "studio": "Studio"}  # what a label begins with, and the host by its name


def label_of(host: str, file: str, name: str) -> str:
    """The label of a job that `host` asks for: `name` is its own word for the shot, `file` the path of its project."""
    project = file.replace("\\", "/").rpartition("/")[2] or "untitled"
    text = "{}:{}/{}".format(host, project, name)
    return "".join(letter for letter in text if letter.isprintable())[:MAX_LABEL]


def host_and_name(label: str) -> Tuple[str, str]:
    """Who asked, and the name it has for it, both for people; a job without a label was typed."""
    host, colon, name = label.partition(":")
    if not label:
        return "Command line", ""
    if not colon or host.lower() not in HOSTS:
        return "Another program", label
    file, slash, part = name.rpartition("/")
    return HOSTS[host.lower()], "{} of {}".format(part, file) if slash and file else part
