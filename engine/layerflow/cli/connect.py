"""`layerflow connect` and `layerflow disconnect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.errors import RequestError
from layerflow.files import refused_as

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("url", metavar="https://HOST:PORT")
@click.option("--certificate", type=_FILE, help="Who vouches for the server's name.  [whom the system trusts]")
@click.option("--token-file", type=_FILE, help="Where the token is.  [asked for, or read from stdin]")
@json_option
def connect(url: str, certificate: Path | None, token_file: Path | None, as_json: bool) -> None:
    """Have the hosts on this machine ask a server on another one, which gave you a token."""
    from layerflow.wire.connecting import connect as connect_to

    with refused_as(RequestError):
        server, space = connect_to(url, _token(token_file), _text_of(certificate) if certificate else "")
    if as_json:
        print_json(space)
    else:
        click.echo(_sentence(server.url, space))


@click.command()
@json_option
def disconnect(as_json: bool) -> None:
    """Have the hosts on this machine ask the server on this machine again."""
    from layerflow.wire.connecting import disconnect as disconnect_from

    was_connected = disconnect_from()
    if as_json:
        print_json({"disconnected": was_connected})
    else:
        click.echo(
            "shots are made on this machine again" if was_connected else "shots were made on this machine already"
        )


def _token(file: Path | None) -> str:
    """The token, of which nothing is shown."""
    if file is not None:
        return _text_of(file).strip()
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return str(click.prompt("Token", hide_input=True)).strip()


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} cannot be read as text ({error}); give the file that you were sent") from error


def _sentence(url: str, space: dict[str, Any]) -> str:
    used, limit = (space[name] / 1e9 for name in ("used_bytes", "limit_bytes"))
    return f"shots are made at {url} now, as {space['user']}; {used:.1f} of {limit:.1f} GB there are taken"
