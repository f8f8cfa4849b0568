"""`layerflow install`: LayerFlow into a host, and out again. How that is done for each one is brought by its room."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import click

import layerflow
from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.errors import OutputError, RequestError

GROUP = "layerflow.hosts"  # entry points: name -> function() -> Host


class Outcome(Protocol):
    """What has been done to a host."""

    @property
    def folder(self) -> Path:
        """The host's folder, in which LayerFlow is or was."""

    @property
    def version(self) -> str | None:
        """Of LayerFlow: the one that is there now, or was until now; None where there was none."""

    @property
    def changed(self) -> bool:
        """Whether any file is another now."""

    @property
    def said(self) -> Sequence[str]:
        """Lines for people: what was done, then the next step."""


class Host(Protocol):
    """How LayerFlow gets into a host. Both raise OSError, and ValueError with a sentence for what they leave alone."""

    def install(self, folder: Path | None, version: str) -> Outcome:
        """LayerFlow of `version` in `folder`, or where the host looks by itself."""

    def uninstall(self, folder: Path | None) -> Outcome:
        """LayerFlow gone from there."""


@click.command()
@click.argument("host")
@click.option("--folder", metavar="DIR", help="The host's folder, such as a studio's.  [the user's own]")
@click.option("--uninstall", "uninstalls", is_flag=True, help="Take LayerFlow out of the host again.")
@json_option
def install(host: str, folder: str | None, uninstalls: bool, as_json: bool) -> None:
    """Put LayerFlow into HOST, such as nuke, and have it start this engine."""
    from layerflow.server.install import remember_own_install

    chosen = _chosen(folder)
    installer = find_host(host)
    if not uninstalls:
        remember_own_install()
    with _in_a_sentence(host):
        outcome = installer.uninstall(chosen) if uninstalls else installer.install(chosen, layerflow.__version__)
    if as_json:
        print_json(_values(host, outcome, installed=not uninstalls))
    else:
        for line in outcome.said:
            click.echo(line)


def find_host(name: str) -> Host:
    """The installer of the host `name`. Raises RequestError where there is none, or it cannot be loaded."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        there = ", ".join(sorted(known)) or "none; install LayerFlow again"
        raise RequestError(f"there is no host {name!r}; here are: {there}")
    try:
        made: Host = known[name].load()()
    except ImportError as error:
        raise RequestError(f"the installer of {name} cannot be loaded ({error}); install LayerFlow again") from error
    return made


def _chosen(folder: str | None) -> Path | None:
    """The folder that was asked for, absolute. A shell's empty variable would be the working folder."""
    if folder == "":
        raise RequestError("--folder is empty; name a folder, or leave it out")
    try:
        return None if folder is None else Path(folder).expanduser().absolute()
    except RuntimeError as error:  # ~ of somebody who has no home here
        raise RequestError(f"{folder} begins with a home that is not known; write the folder out") from error


def _values(host: str, outcome: Outcome, *, installed: bool) -> dict[str, object]:
    return {
        "host": host,
        "folder": outcome.folder,
        "version": outcome.version,
        "installed": installed,
        "changed": outcome.changed,
    }


@contextlib.contextmanager
def _in_a_sentence(host: str) -> Iterator[None]:
    """Turns what an installer raises into an OutputError."""
    try:
        yield
    except ValueError as error:
        raise OutputError(str(error)) from error
    except OSError as error:
        raise OutputError(_sentence(host, error)) from error


def _sentence(host: str, error: OSError) -> str:
    place = error.filename or f"the folder of {host}"
    folder = Path(place).parent
    other = "or name another folder by --folder"
    if getattr(error, "winerror", None) == 32:  # open in another program
        return f"{place} is in use; end {host} and run this again"
    sentences = {
        errno.ENOSPC: f"the disk of {folder} is full; free some space and run this again, {other}",
        errno.EDQUOT: f"your quota on the disk of {folder} is used up; free some space and run this again, {other}",
        errno.EACCES: f"there is no permission to write {place}; ask for it, {other}",
        errno.EPERM: f"there is no permission to write {place}; ask for it, {other}",
        errno.EROFS: f"{place} is on a read-only disk; have it made writable, {other}",
        errno.ENOENT: f"{place} is not there, or a link to what is not there; mend that, {other}",
        errno.EEXIST: f"{place} is no folder, nor a link to one; move it away, {other}",
        errno.ENOTDIR: f"part of {place} is a file and no folder; move it away, {other}",
        errno.EISDIR: f"{place} is a folder and no file; move it away, {other}",
        errno.ELOOP: f"the links in {place} lead in a circle; mend that, {other}",
    }
    reason = error.strerror or error
    return sentences.get(error.errno or 0, f"{place} could not be written ({reason}); see to that, {other}")
