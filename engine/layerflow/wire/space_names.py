"""What a file of this machine is called in the user's space on a server elsewhere, and where such a name lies here.

`/shots/dog/a.exr` of the machine `posix-ws7` is `posix-ws7/shots/dog/a.exr`, and `C:\\dog\\a.exr` of the machine
`windows-ws7` is `windows-ws7/C/dog/a.exr`. Requests and what the server tells write it behind `space:`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from urllib.parse import quote

from layerflow.wire.request import Request
from layerflow.wire.whole_paths import is_folder, with_moved_paths

SPACE = "space:"  # before a name in a request
UNC = "UNC"  # in place of a drive: a share of the network

_DRIVE = re.compile(r"([A-Za-z]):\\")
_SHARE = re.compile(r"\\\\(?![?.]\\)")  # and no device
_PARTS = re.compile(r"[^/]+(?:/[^/]+)*")
_END = r"[^\s\"',;]*"  # of a path in a sentence


def space_name(path: str, machine: str) -> str:
    """The name of the file or folder at a whole path of `machine`. ValueError for a path that has none."""
    if path.startswith("/"):
        kind, rest = "posix-", path[1:]
        plain = "\\" not in rest
    else:
        drive, share = _DRIVE.match(path), _SHARE.match(path)
        kind, rest = "windows-", path[3:] if drive else path[2:]
        plain = bool(drive or share) and "/" not in rest
        rest = "{}/{}".format(drive.group(1) if drive else UNC, rest.replace("\\", "/"))
    plain = plain and bool(_PARTS.fullmatch(rest)) and not {".", ".."} & set(rest.split("/"))
    if not (plain and machine.startswith(kind)):
        raise ValueError("{} is no whole path of a file on this machine; give one from the root on".format(path))
    if unicodedata.normalize("NFC", rest) != rest:  # elsewhere the same letters may be another file
        raise ValueError(
            "{} has letters in two pieces, as macOS writes accents, and a server elsewhere takes none such; rename the "
            "file or its folder without them".format(path)
        )
    return "{}/{}".format(machine, rest)


def local_path(name: str) -> str:
    """Where a name lies on the machine that it begins with; ValueError where it begins with none."""
    machine, slash, rest = name.partition("/")
    if slash and machine.startswith("posix-"):
        return "/" + rest
    drive, slash, rest = rest.partition("/")
    if not (slash and machine.startswith("windows-")):
        raise ValueError("{} is no name of a file in a space".format(name))
    return ("\\\\" if drive == UNC else drive + ":\\") + rest.replace("/", "\\")


def files_path(name: str) -> str:
    """What is asked of the server for the file of that name."""
    return "/v1/files/" + quote(name)


class SpaceNames:
    """The names of one machine's files, in all that is asked and told."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self._before = "{}{}/".format(SPACE, machine)
        self._path = re.compile(re.escape(self._before) + _END)

    def name(self, path: str) -> str:
        """The name of a file at a whole path. ValueError."""
        return space_name(path, self.machine)

    def path(self, name: str) -> str:
        """Where the file of that name is here. ValueError for one of another machine."""
        if not name.startswith(self.machine + "/"):
            raise ValueError(
                "{} is a file of another machine than this one, {}; fetch it there".format(name, self.machine)
            )
        return local_path(name)

    def sent(self, request: Request) -> Request:
        """The request with names in place of its whole paths. ValueError where one has none, as a model's folder."""
        if is_folder(request.model):
            raise ValueError(
                "the model {} is a folder of this machine; call it by a name that the server has".format(request.model)
            )
        return with_moved_paths(request, lambda path: SPACE + self.name(path))

    def told(self, value: Any) -> Any:
        """What the server told, with the paths of this machine in place of its names; others stay as they are."""
        if isinstance(value, str):
            return self._in_text(value)
        if isinstance(value, dict):
            return {name: self.told(each) for name, each in value.items()}
        return [self.told(each) for each in value] if isinstance(value, list) else value

    def _in_text(self, text: str) -> str:
        if self.machine.startswith("posix-"):
            return text.replace(self._before, "/")
        if text.startswith(self._before) and text.count(self._before) == 1:  # a path alone, which may hold blanks
            return local_path(text[len(SPACE) :])
        return self._path.sub(lambda found: local_path(found.group()[len(SPACE) :]), text)
