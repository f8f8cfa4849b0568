"""`layerflow users`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json

if TYPE_CHECKING:
    from layerflow.server.users import User, Users

_GIB = 1 << 30
_name_argument = click.argument("name", metavar="NAME")


@click.group()
def users() -> None:
    """Let people on other machines use this one's server, each with a token, a space for files and a quota."""


@users.command()
@_name_argument
@click.option("--space-gib", type=click.FloatRange(min=0.001), default=200.0, show_default=True, help="Room for files.")
@click.option("--jobs", type=click.IntRange(min=1), default=50, show_default=True, help="Jobs that may wait.")
@json_option
def add(name: str, space_gib: float, jobs: int, as_json: bool) -> None:
    """Add a user, and print the token that is theirs; it is shown once."""
    from layerflow.server.users import User

    user = User(name=name, space_bytes=int(space_gib * _GIB), jobs=jobs)
    _say_token(name, _open().add(user), as_json)


@users.command()
@_name_argument
@json_option
def renew(name: str, as_json: bool) -> None:
    """Print a new token for a user; the old one opens nothing any more."""
    _say_token(name, _open().renew(name), as_json)


@users.command()
@_name_argument
@json_option
def remove(name: str, as_json: bool) -> None:
    """Take a user's token away; their jobs and files stay."""
    _open().remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{name} has no token any more")


@users.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List the users and what each may have."""
    found = [_values(each) for each in _open().all()]
    if as_json:
        print_json({"users": found})
        return
    for each in found:
        click.echo(f"{each['name']}: {each['space_gib']:g} GiB, {each['jobs']} jobs")
    if not found:
        click.echo("there are no users; layerflow users add NAME makes one")


def _values(user: User) -> dict[str, Any]:
    return {"name": user.name, "space_gib": user.space_bytes / _GIB, "jobs": user.jobs}


def _say_token(name: str, token: str, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "token": token})
    else:
        click.echo(f"token of {name}, shown this once: {token}")


def _open() -> Users:
    """Those of this user's server, whether it runs or not."""
    from layerflow.files import output_errors
    from layerflow.server.database import Database
    from layerflow.server.folder import ServerFolder
    from layerflow.server.users import Users

    folder = ServerFolder.own()
    with output_errors(folder.path):
        folder.make()
    return Users(Database(folder.queue))
