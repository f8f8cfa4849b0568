"""`layerflow space`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.filesize import decimal

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.errors import RequestError
from layerflow.files import refused_as
from layerflow.wire.errors import NotFound

if TYPE_CHECKING:
    from layerflow.wire.client import Client


@click.group()
def space() -> None:
    """See and clear your space for files on the server elsewhere that this machine is connected to."""


@space.command()
@json_option
def show(as_json: bool) -> None:
    """Show how much of the space is taken, and of your place in the queue."""
    found = _connect().space()
    if as_json:
        print_json(found)
        return
    click.echo(f"server: {found['url']}, as {found['user']}")
    click.echo(f"space: {decimal(found['used_bytes'])} of {decimal(found['limit_bytes'])}, {found['files']} files")
    click.echo(f"waiting jobs: {found['jobs_waiting']} of {found['jobs_limit']}")


@space.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(paths: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete from the space what it has of files or folders of this machine, where they stay.

    PATH is one of this machine's, which need not be there any more, or a name as the server tells it: space:NAME.
    """
    client = _connect()
    before = client.space()
    if not yes:
        asked = f"Delete {', '.join(paths)} from the space at {before['url']}, with all below? Jobs that need it fail."
        click.confirm(asked, abort=True, err=True)
    missing = [path for path in paths if not _deleted(client, path)]
    freed = max(0, before["used_bytes"] - client.space()["used_bytes"])
    if missing:
        raise RequestError(
            f"the space has nothing of {', '.join(missing)}, and of the rest {decimal(freed)} became free; "
            "layerflow jobs list --json has the paths of jobs"
        )
    if as_json:
        print_json({"deleted": paths, "bytes": freed})
    else:
        click.echo(f"{decimal(freed)} became free")


def _deleted(client: Client, path: str) -> bool:
    """Whether there was anything of it to delete."""
    try:
        with refused_as(RequestError):
            client.delete(path)
    except NotFound:
        return False
    return True


def _connect() -> Client:
    """A client of the server elsewhere. Raises RequestError where there is none."""
    from layerflow.wire.client import Client
    from layerflow.wire.remote import connected
    from layerflow.wire.space import NONE_HERE

    if connected() is None:
        raise RequestError(NONE_HERE)
    return Client.connect(start=False)
