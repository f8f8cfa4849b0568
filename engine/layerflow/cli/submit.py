"""`layerflow submit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from layerflow.cli.options import json_option, overwrite_option
from layerflow.cli.report import print_json
from layerflow.cli.shot_file import read_shot_file
from layerflow.errors import OutputError, RequestError
from layerflow.files import atomic_path, make_folder
from layerflow.wire import Request

_TEMPLATE, _VALUES = "template.json", "parameter_values.json"  # as Deadline Cloud names the files of a job bundle
_RETRIES = "retries.json"


@click.command()
@click.argument("file", metavar="SHOT.json")
@click.option("--openjd", is_flag=True, help="As a job template of Open Job Description; there is no other way yet.")
@click.option("-o", "--output", metavar="FOLDER", help="Where the job's files go.  [SHOT.openjd beside SHOT.json]")
@click.option("--name", help="What the farm calls the job.  [the file's name]")
@click.option("--chunk", type=click.IntRange(1), default=4, show_default=True, help="Windows that a task samples.")
@click.option(
    "--command", default="layerflow", show_default=True, help="What starts LayerFlow on a machine of the farm."
)
@click.option("--gpus", type=click.IntRange(0), help="GPUs that a task needs.  [1; 0 with the device cpu]")
@click.option("--gpu-memory-gib", type=click.FloatRange(0), help="Memory that a task's GPU needs.  [not asked for]")
@click.option("--memory-gib", type=click.FloatRange(0), help="Memory that a task's machine needs.  [not asked for]")
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    default=24.0,
    show_default=True,
    help="After which a task is ended.",
)
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="How often a task that failed is tried again.",
)
@overwrite_option
@json_option
def submit(
    file: str,
    openjd: bool,
    output: str | None,
    name: str | None,
    gpus: int | None,
    retries: int,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a shot as a job for a render farm, which makes its windows on several machines.

    SHOT.json is a request as JSON. The plate, the model and the output folder have to be at the same paths here and on
    the farm.
    """
    from layerflow.farm_job import SHOT_FILE, FarmJob, job_template
    from layerflow.farm_retries import retries_environment
    from layerflow.parts import plan_parts

    if not openjd:
        raise RequestError("say --openjd: a job template of Open Job Description is what is written")
    request, source = read_shot_file(file), Path(file)
    folder = Path(output).absolute() if output else source.absolute().with_suffix(".openjd")
    plan = plan_parts(request)
    job = FarmJob(
        name=name or source.stem,
        request=request,
        windows=(plan.parts[0].window, plan.parts[-1].window),
        in_order=plan.in_order,
        gpus=(0 if request.device == "cpu" else 1) if gpus is None else gpus,
        **options,
    )
    values = {"parameterValues": [{"name": "deadline:maxRetriesPerTask", "value": retries}]}
    files = {
        SHOT_FILE: _as_values(request),
        _TEMPLATE: job_template(job),
        _VALUES: values,
        _RETRIES: retries_environment(retries),
    }
    paths = _written(folder, files, overwrite)
    if as_json:
        counts = {"windows": len(plan.parts), "chunks": job.num_chunks}
        print_json({"folder": folder, "template": paths[1], "shot": paths[0], "retries": paths[3], **counts})
    else:
        click.echo(f"job: {paths[1]}")
        click.echo(
            f"{len(plan.parts)} windows in {job.num_chunks} tasks; openjd run {paths[1]} --environment {paths[3]}, or"
        )
        click.echo(f"deadline bundle submit {folder}")


def _as_values(request: Request) -> dict[str, Any]:
    """The request without what is empty."""
    return {name: value for name, value in request.to_dict().items() if value not in (None, "", ())}


def _written(folder: Path, files: dict[str, dict[str, Any]], overwrite: bool) -> list[Path]:
    """The files, once they are there. Raises OutputError."""
    paths = [folder / name for name in files]
    if not overwrite and (there := next((path for path in paths if path.exists()), None)):
        raise OutputError(f"{there} is already there; pass --overwrite or choose another folder with -o")
    make_folder(folder)
    for path, values in zip(paths, files.values(), strict=True):
        with atomic_path(path) as part:
            part.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return paths
