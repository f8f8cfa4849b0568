"""`layerflow-export inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json


@click.command()
@click.argument("engine", type=click.Path(path_type=Path))
@json_option
def inspect(engine: Path, as_json: bool) -> None:
    """Check that ENGINE is whole and that the TensorRT that is here made it, and print its report."""
    from layerflow_export.trt.flavour import installed
    from layerflow_export.trt.report import checked_engine

    values = checked_engine(engine, installed()).to_dict()
    if as_json:
        print_json({"path": engine, **values})
        return
    for name, value in values.items():
        click.echo(f"{name}: {_in_words(value)}")


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{name} {size}" for name, size in value.items()]
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
