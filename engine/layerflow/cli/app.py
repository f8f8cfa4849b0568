"""All verbs in one group."""

from __future__ import annotations

from collections.abc import Sequence

import click

import layerflow
from layerflow.cli.background import background
from layerflow.cli.connect import connect, disconnect
from layerflow.cli.data import data
from layerflow.cli.decompose import decompose
from layerflow.cli.deliver import deliver
from layerflow.cli.doctor import doctor
from layerflow.cli.edit import edit
from layerflow.cli.evaluate import evaluate
from layerflow.cli.foreground import foreground
from layerflow.cli.generate import generate
from layerflow.cli.install import install
from layerflow.cli.jobs import jobs
from layerflow.cli.models import models
from layerflow.cli.part import part
from layerflow.cli.plan import plan
from layerflow.cli.recompose import recompose
from layerflow.cli.rerun import rerun
from layerflow.cli.running import run_command
from layerflow.cli.serve import serve
from layerflow.cli.space import space
from layerflow.cli.submit import submit
from layerflow.cli.train import train
from layerflow.cli.users import users


@click.group("layerflow", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(layerflow.__version__, prog_name="layerflow")
def layerflow_command() -> None:
    """Layered video for compositors: foreground, background and blended picture as scene-linear EXR."""


for verb in (
    generate,
    decompose,
    background,
    foreground,
    edit,
    recompose,
    deliver,
    rerun,
    plan,
    doctor,
    evaluate,
    serve,
    jobs,
    users,
    connect,
    disconnect,
    space,
    submit,
    part,
    models,
    install,
    data,
    train,
):
    layerflow_command.add_command(verb)


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line."""
    return run_command(layerflow_command, arguments)
