"""`layerflow doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say what works, and what to do about what does not. Exits with 1 on a failure."""
    from layerflow.cli.checkup import Check, examine

    checks: list[Check] = []
    for check in examine():
        checks.append(check)
        if not as_json:
            click.echo(f"{click.style(f'{check.status:4}', fg=_COLOURS[check.status])}  {check.name}: {check.detail}")
            if check.advice:
                click.echo(f"      {check.advice}")
    failed = any(check.status == "fail" for check in checks)
    if as_json:
        print_json({"checks": [asdict(check) for check in checks], "healthy": not failed})
    context.exit(1 if failed else 0)
