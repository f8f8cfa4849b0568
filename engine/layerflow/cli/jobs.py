"""`layerflow jobs`."""

from __future__ import annotations

import re
import webbrowser
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from layerflow.cli.carried import carried
from layerflow.cli.jobs_report import report_jobs
from layerflow.cli.jobs_watch import watch_jobs
from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.errors import RequestError
from layerflow.wire.jobs import STATES

if TYPE_CHECKING:
    from layerflow.wire.client import Client

_ID = re.compile("[0-9a-f]{32}")
_job_argument = click.argument("job", metavar="JOB")


@click.group()
def jobs() -> None:
    """See and steer the jobs of the server. JOB is an id, or how it begins."""


@jobs.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--label", help="Only jobs that a host gave this label.")
@json_option
def list_jobs(state: str | None, label: str | None, as_json: bool) -> None:
    """List the jobs in the order of the queue."""
    report_jobs(_connect().list(state, label), as_json)


@jobs.command()
@click.argument("job", metavar="[JOB]", default="")
@json_option
def watch(job: str, as_json: bool) -> int:
    """Show what happens to a job, or to all of them, until they are over. The exit code says whether all are done."""
    client = _connect()
    watched = watch_jobs(client, _find(client, [job])[0] if job else None)
    report_jobs(watched, as_json)
    return int(any(each.state != "done" for each in watched))


def _add(verb: str, says: str) -> None:
    """Adds a verb that is the client's method of the same name, for each of the jobs given."""

    @jobs.command(verb, help=says)
    @click.argument("job", metavar="JOB...", nargs=-1, required=True)
    @json_option
    def act(job: tuple[str, ...], as_json: bool) -> None:
        client = _connect()
        report_jobs([getattr(client, verb)(each) for each in _find(client, job)], as_json)


_add("cancel", "Make jobs no further; frames that are written stay.")
_add("retry", "Queue failed or cancelled jobs again; they go on from their last saved step.")
_add("pause", "Let jobs wait until they are resumed; what is done of them is kept.")
_add("resume", "Queue paused jobs again.")


@jobs.command()
@_job_argument
@click.option("--before", metavar="JOB", help="The job to be made after this one.  [the end of the queue]")
@json_option
def move(job: str, before: str | None, as_json: bool) -> None:
    """Move a queued job to another place in the queue."""
    client = _connect()
    moved, *others = _find(client, [job, before] if before else [job])
    report_jobs([client.move(moved, *others)], as_json)


@jobs.command()
@_job_argument
@json_option
def logs(job: str, as_json: bool) -> None:
    """Print what the engine wrote down while it made a job."""
    client = _connect()
    text = client.log(_find(client, [job])[0])
    if as_json:
        print_json({"log": text})
    else:
        click.echo(text, nl=False)


@jobs.command()
@click.argument("job", metavar="JOB...", nargs=-1, required=True)
@json_option
def fetch(job: tuple[str, ...], as_json: bool) -> None:
    """Bring what jobs made from a server elsewhere; what is here already stays."""
    client = _connect()
    if not client.is_remote:
        raise RequestError("the server is on this machine, where its frames are already; look for them at the output")
    with carried("the same command") as carry:
        files = [path for each in _find(client, job) for path in client.fetch(each, **carry)]
    if as_json:
        print_json({"files": files})
    else:
        click.echo("\n".join(files))


@jobs.command()
@click.option("--no-browser", is_flag=True, help="Only print the address and the token.")
@json_option
def page(no_browser: bool, as_json: bool) -> None:
    """Open the server's page in a browser, and print the token that it asks for."""
    from layerflow.wire.remote import connected
    from layerflow.wire.starting import find

    server = connected() or find()
    if not no_browser and not webbrowser.open(server.url):
        click.echo("no browser could be opened; open the address in one yourself", err=True)
    if as_json:
        print_json({"url": server.url, "token": server.token})
    else:
        click.echo(f"page: {server.url}\ntoken: {server.token}")


def _connect() -> Client:
    from layerflow.wire.client import Client

    return Client.connect(start=False)


def _find(client: Client, beginnings: Sequence[str]) -> list[str]:
    """The ids that begin like these. Raises RequestError unless each is the beginning of one."""
    if all(_ID.fullmatch(text) for text in beginnings):
        return list(beginnings)
    known = [job.id for job in client.list()]
    return [_only(text, [each for each in known if text and each.startswith(text.lower())]) for text in beginnings]


def _only(text: str, found: Sequence[str]) -> str:
    if len(found) != 1:
        many = f"{len(found)} jobs begin" if found else "no job begins"
        raise RequestError(f"{many} with {text!r}; layerflow jobs list shows them")
    return found[0]
