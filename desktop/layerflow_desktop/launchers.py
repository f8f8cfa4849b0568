"""What a system starts LayerFlow Studio by, as the content of files: of Linux, macOS and Windows."""

from __future__ import annotations

import json
import os
import plistlib
import shlex
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

NAME = "LayerFlow Studio"
ID = "layerflow-studio"  # of the .desktop file, and so of the window on Wayland
COMMENT = "Layered video for compositors"
MIME = "application/x-layerflow-studio"
SUFFIX = "lfstudio"
BUNDLE = "studio.layerflow.desktop"
ICONS = Path(__file__).parent / "icons"
PNG_SIZES = (16, 32, 48, 64, 128, 256, 512)  # pixels
MAC_PROGRAM = f"Contents/MacOS/{ID}"  # in the bundle

# The values come by the environment: whatever is in a path, PowerShell never reads it as code.
SHORTCUT_SCRIPT = "; ".join(
    (
        "$ErrorActionPreference = 'Stop'",
        "$shortcut = (New-Object -ComObject WScript.Shell).CreateShortcut($env:LAYERFLOW_LINK)",
        "$shortcut.TargetPath = $env:LAYERFLOW_TARGET",
        "$shortcut.Arguments = $env:LAYERFLOW_ARGUMENTS",
        "$shortcut.IconLocation = $env:LAYERFLOW_ICON",
        "$shortcut.Description = $env:LAYERFLOW_DESCRIPTION",
        "$shortcut.Save()",
    )
)


def own_command(platform: str = sys.platform) -> tuple[str, ...]:
    """What starts the app of this environment: its `layerflow-desktop`, else its Python with the package."""
    program = "layerflow-desktop.exe" if platform == "win32" else "layerflow-desktop"
    user = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), user):
        if (Path(folder) / program).is_file():
            return (str((Path(folder) / program).absolute()),)
    python = Path(sys.executable).absolute()
    windowless = python.with_name("pythonw.exe")
    return (str(windowless if platform == "win32" and windowless.exists() else python), "-m", "layerflow_desktop")


def linux_files(command: Sequence[str]) -> dict[str, bytes]:
    """What goes into a data folder such as ~/.local/share, path in it -> content."""
    icons = {f"{size}x{size}/apps/{ID}.png": f"{ID}-{size}.png" for size in PNG_SIZES}
    icons[f"scalable/apps/{ID}.svg"] = f"{ID}.svg"
    return {
        f"applications/{ID}.desktop": desktop_entry(command),
        f"mime/packages/{ID}.xml": mime_package(),
        **{f"icons/hicolor/{path}": (ICONS / name).read_bytes() for path, name in icons.items()},
    }


def desktop_entry(command: Sequence[str]) -> bytes:
    """The .desktop file, as the Desktop Entry Specification has it."""
    line = " ".join([*map(quoted_for_exec, command), "%f"])
    entries = {
        "Type": "Application",
        "Version": "1.0",  # of the specification; older systems know no later one
        "Name": NAME,
        "GenericName": "Layered video",
        "Comment": COMMENT,
        "Exec": line,
        "Icon": ID,
        "Terminal": "false",
        "Categories": "AudioVideo;Video;Graphics;",
        "MimeType": f"{MIME};",
        "StartupNotify": "true",
        "StartupWMClass": NAME,
    }
    return ("[Desktop Entry]\n" + "".join(f"{key}={value}\n" for key, value in entries.items())).encode()


def quoted_for_exec(argument: str) -> str:
    """An argument for the key Exec: quoted for its reader, then escaped as every text of such a file."""
    inner = "".join(f"\\{character}" if character in '"`$\\' else character for character in argument)
    text = f'"{inner}"'.replace("%", "%%").replace("\\", "\\\\")
    return text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def mime_package() -> bytes:
    """The type of *.lfstudio, as the Shared MIME-info specification has it."""
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MIME}">
    <comment>{escape(NAME)} project</comment>
    <icon name="{ID}"/>
    <sub-class-of type="application/json"/>
    <glob pattern="*.{SUFFIX}"/>
  </mime-type>
</mime-info>
""".encode()


def mac_files(command: Sequence[str], version: str) -> dict[str, bytes]:
    """What the bundle is of, path in it -> content. MAC_PROGRAM is to be made executable."""
    return {
        "Contents/Info.plist": info_plist(version),
        "Contents/PkgInfo": b"APPL????",
        MAC_PROGRAM: f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'.encode(),
        f"Contents/Resources/{ID}.icns": (ICONS / f"{ID}.icns").read_bytes(),
    }


def info_plist(version: str) -> bytes:
    """What macOS is told of the app and of the projects that it opens."""
    document = {
        "CFBundleTypeName": f"{NAME} project",
        "CFBundleTypeRole": "Editor",
        "CFBundleTypeExtensions": [SUFFIX],
        "CFBundleTypeIconFile": ID,
        "LSItemContentTypes": [f"{BUNDLE}.project"],
        "LSHandlerRank": "Owner",
    }
    kind = {
        "UTTypeIdentifier": f"{BUNDLE}.project",
        "UTTypeDescription": f"{NAME} project",
        "UTTypeConformsTo": ["public.json"],
        "UTTypeTagSpecification": {"public.filename-extension": [SUFFIX], "public.mime-type": [MIME]},
    }
    return plistlib.dumps(
        {
            "CFBundleName": NAME,
            "CFBundleDisplayName": NAME,
            "CFBundleIdentifier": BUNDLE,
            "CFBundleVersion": version,
            "CFBundleShortVersionString": version,
            "CFBundleInfoDictionaryVersion": "6.0",
            "CFBundlePackageType": "APPL",
            "CFBundleExecutable": Path(MAC_PROGRAM).name,
            "CFBundleIconFile": ID,
            "CFBundleDocumentTypes": [document],
            "UTExportedTypeDeclarations": [kind],
            "LSApplicationCategoryType": "public.app-category.video",
            "NSHighResolutionCapable": True,
        }
    )


def windows_files(values: Mapping[str, str]) -> dict[str, bytes]:
    """What stays beside the shortcut: its icon, and what it was made of, so that making it anew can be left out."""
    return {
        f"{ID}.ico": (ICONS / f"{ID}.ico").read_bytes(),
        "shortcut.json": (json.dumps(values, indent=1) + "\n").encode(),
    }


def shortcut_values(command: Sequence[str], icon: str, version: str) -> dict[str, str]:
    """What SHORTCUT_SCRIPT makes a shortcut of, but for LAYERFLOW_LINK, where it goes."""
    return {
        "LAYERFLOW_TARGET": command[0],
        "LAYERFLOW_ARGUMENTS": " ".join(command[1:]),  # a module's name at most
        "LAYERFLOW_ICON": f"{icon},0",
        "LAYERFLOW_DESCRIPTION": f"{COMMENT} (LayerFlow {version})",
    }


def powershell_command() -> list[str]:
    """The command line that runs SHORTCUT_SCRIPT: that of Windows itself, and not what PATH may say."""
    system = os.environ.get("SYSTEMROOT") or "C:\\Windows"
    program = f"{system}\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
    return [program, "-NoProfile", "-NonInteractive", "-Command", SHORTCUT_SCRIPT]
