"""Builds the extension, puts it into the user's Blenders, takes it out: the host `blender` of `layerflow install`.

It runs in the engine's Python; nothing that Blender loads needs this file. What the system refuses is an OSError, and
what is left alone a ValueError with a sentence for people.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from platformdirs import user_data_path

from layerflow.installing import (
    MARKER,
    NAME,
    Installed,
    OurFolder,
    Outcome,
    files_in,
    is_same,
    nobodys,
    package_files,
    rewriting,
    wire_files,
)

MANIFEST = "blender_manifest.toml"
OLDEST = (4, 5)  # of the Blenders that the extension is for, as the manifest says too
REPOSITORY = "user_default"  # of extensions: the one that every Blender has, and that is the user's own
FROM_DISK = "Edit > Preferences > Get Extensions > Install from Disk"
NEXT_STEP = (
    "the first time, tick LayerFlow in Blender's Edit > Preferences > Add-ons; after an update, restart Blender",
    "then Video Editing workspace > sidebar (N) > LayerFlow",
)


class BlenderHost:
    """Blender, to `layerflow install`."""

    def install(self, folder: Path | None, version: str) -> Outcome:
        """The extension as a zip and in every Blender there is; nothing is written where all is as it should be."""
        files, zip_path = extension_files(), zips_path() / f"layerflow-blender-{version}.zip"
        zipped = _write_zip(zip_path, zip_bytes(files))
        places = find_places(folder)
        if not places:
            raise ValueError(
                f"there is no user folder of Blender {_dotted(OLDEST)} or newer in {blenders_path()}; start Blender "
                f"once and run this again, or name its folder by --folder, or have Blender install {zip_path} by "
                f"{FROM_DISK}"
            )
        files = {**files, MARKER: Installed(version, tuple(files)).as_json()}
        befores = [place.ours.installed() for place in places]  # before anything is written anywhere
        changes = [place.put(files, before) for place, before in zip(places, befores, strict=True)]
        said = [place.greeting(version, changed) for place, changed in zip(places, changes, strict=True)]
        said += [f"{zip_path} is for other machines: {FROM_DISK}", *_where_read(folder), *NEXT_STEP]
        return Outcome(_folder_of(places), version, zipped or any(changes), tuple(said))

    def uninstall(self, folder: Path | None) -> Outcome:
        """None of it any more, nor its zip; what others have put there stays, and so do Blender's preferences."""
        places = find_places(folder)
        theirs = [place for place in places if place.ours.is_of_others()]
        befores = [(place, place.ours.installed()) for place in places if place not in theirs]
        ours = [(place, before) for place, before in befores if before is not None]
        said = [place.ours.said_of_others() for place in theirs]
        for place, before in ours:
            said += [f"LayerFlow is gone from {place.folder}; restart Blender"]
            said += place.ours.said_of_kept(place.ours.remove(before))
        zips = sorted(zips_path().glob("layerflow-blender-*.zip"))
        for path in zips:
            path.unlink()
            said.append(f"{path} is gone")
        version = ours[0][1].version if ours else None
        said = said or [f"there is no LayerFlow in {_folder_of(places)}"]
        return Outcome(_folder_of(places), version, bool(ours or zips), tuple(said))


def extension_files() -> dict[str, bytes]:
    """What the extension is of, path in it -> content: the package with its manifest, the wire, and the licence."""
    return dict(sorted({**package_files(Path(__file__)), "LICENSE": _licence(), **wire_files()}.items()))


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """A zip of `files`, whose bytes depend on nothing else: no times, and no compressor that differs by machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # of 1980-01-01
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def zips_path() -> Path:
    """The folder that the zip goes into. LAYERFLOW_HOSTS overrides it."""
    override = os.environ.get("LAYERFLOW_HOSTS")
    return Path(override).absolute() if override else user_data_path("layerflow") / "hosts"


def blenders_path(platform: str = sys.platform) -> Path:
    """The folder in which every Blender has a folder of its own for this user, such as 4.5."""
    if platform == "win32":
        roaming = os.environ.get("APPDATA")
        return (Path(roaming) if roaming else Path.home() / "AppData/Roaming") / "Blender Foundation" / "Blender"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Blender"
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config).absolute() if config else Path.home() / ".config") / "blender"


@dataclass(frozen=True)
class Place:
    """A folder of a Blender, and our folder in it."""

    folder: Path
    blender: str  # as people call it
    ours: OurFolder

    @classmethod
    def of(cls, folder: Path, extensions: Path) -> Place:
        """The one whose repositories of extensions are in `extensions`, which need not be there yet."""
        version, path = _version_of(folder), extensions / REPOSITORY / NAME
        known = nobodys if _is_link(path) else put_there_by_blender  # behind a link may be somebody's checkout
        return cls(folder, f"Blender {_dotted(version)}" if version else "Blender", OurFolder.at(path, (), known))

    def put(self, files: Mapping[str, bytes], before: Installed | None) -> bool:
        """Has our folder hold `files`; whether it did not before."""
        changed = not self.ours.holds(files)
        if changed:
            self.ours.path.parent.mkdir(parents=True, exist_ok=True)
            self.ours.swap_in(files, before)
        return changed

    def greeting(self, version: str, changed: bool) -> str:
        """For people: what is where now."""
        how = "is installed" if changed else "is up to date"
        return f"LayerFlow {version} for {self.blender} in {self.ours.path} {how}"


def find_places(folder: Path | None) -> list[Place]:
    """Where the extension goes: into `folder`, or to where the environment says, or into every Blender of this user.

    Raises ValueError for a folder that is no Blender's, or an old one's.
    """
    if folder is not None:
        return [Place.of(_checked(folder), folder / "extensions")]
    return [Place.of(*found) for found in own_folders()]


def own_folders() -> list[tuple[Path, Path]]:
    """The folders of this user's Blenders, each with the one of its extensions; oldest first."""
    extensions, resources = (os.environ.get(f"BLENDER_USER_{name}") for name in ("EXTENSIONS", "RESOURCES"))
    if extensions:
        folder = Path(extensions).absolute()
        return [(folder, folder)]
    folders = [Path(resources).absolute()] if resources else find_blenders(blenders_path())
    return [(folder, folder / "extensions") for folder in folders]


def find_blenders(parent: Path) -> list[Path]:
    """The folders of Blenders in `parent` that the extension is for, oldest first."""
    found = [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    return sorted((path for path in found if _version_of(path) >= OLDEST), key=_version_of)


def put_there_by_blender(folder: Path) -> Installed | None:
    """What Install from Disk has put into `folder`: all of it, by the id in its manifest. None where it is not ours."""
    try:
        manifest = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if manifest.get("id") != NAME or (folder / ".git").exists():  # whoever has a checkout there works on it
        return None
    return Installed(str(manifest.get("version")), tuple(files_in(folder)))


def _checked(folder: Path) -> Path:
    """A folder that was named, which is to be the one that Blender has its `config` and `extensions` in."""
    version, inner = _version_of(folder), find_blenders(folder)
    if version and version < OLDEST:
        raise ValueError(
            f"{folder} is of a Blender before {_dotted(OLDEST)}, which LayerFlow needs; name a newer one's"
        )
    if inner:
        raise ValueError(f"{folder} holds the folders of several Blenders; name one of them, such as {inner[-1]}")
    if "extensions" in (folder.name, folder.parent.name):
        above = folder.parent if folder.name == "extensions" else folder.parent.parent
        raise ValueError(f"{folder} is inside the folder of a Blender; name that one, {above}")
    return folder


def _version_of(folder: Path) -> tuple[int, ...]:
    """Of the Blender that a folder is named after; empty where it is not named so."""
    found = re.fullmatch(r"(\d+)\.(\d+)", folder.name, re.ASCII)
    return tuple(map(int, found.groups())) if found else ()


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _folder_of(places: Sequence[Place]) -> Path:
    """The folder of the one Blender, or the one that those of all are in."""
    return places[0].folder if len(places) == 1 else blenders_path()


def _where_read(folder: Path | None) -> list[str]:
    """What is to be done for a folder that was named and that no Blender is known to read."""
    if folder is None or any(is_same(folder, known) for known, _ in own_folders()):
        return []
    return [f"have BLENDER_USER_RESOURCES name {folder}, unless it is the folder `portable` of a Blender"]


def _write_zip(path: Path, content: bytes) -> bool:
    """Whether the zip was another before. Raises ValueError where it cannot be written, as --folder would not help."""
    try:
        path = Path(os.path.realpath(path))
        if path.is_file() and path.read_bytes() == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with rewriting(path, content):
            return True
    except OSError as error:
        raise ValueError(
            f"{error.filename or path} could not be written ({error.strerror}); see to that, or have LAYERFLOW_HOSTS "
            "name another folder for it"
        ) from error


def _licence() -> bytes:
    """The text of LayerFlow's licence, as this install or its checkout has it. Raises ValueError where neither does."""
    installs = (found.read_text("licenses/LICENSE") for found in distributions(name="layerflow"))
    text = next(filter(None, installs), None)
    if text is not None:
        return text.encode()
    checkout = Path(__file__).parents[2] / "LICENSE"
    if not checkout.is_file():
        raise ValueError("LayerFlow's LICENSE, which is to go with the extension, is missing; install LayerFlow again")
    return checkout.read_bytes()


def _is_link(path: Path) -> bool:
    """Whether the last of it is one, in whichever way this system has them."""
    place = Path(os.path.realpath(path.parent)) / path.name
    return os.path.normcase(os.path.realpath(path)) != os.path.normcase(place)
