"""All verbs of `layerflow-export` in one group."""

from __future__ import annotations

from collections.abc import Sequence

import click

import layerflow
from layerflow.cli.running import run_command
from layerflow_export.cli.bench import bench
from layerflow_export.cli.build import build
from layerflow_export.cli.inspect import inspect
from layerflow_export.cli.onnx import onnx
from layerflow_export.cli.refit import refit


@click.group("layerflow-export", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(layerflow.__version__, prog_name="layerflow-export")
def export_command() -> None:
    """Models for other runtimes: ONNX graphs, and what is built of them."""


for verb in (onnx, refit, build, inspect, bench):
    export_command.add_command(verb)


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line."""
    return run_command(export_command, arguments)
