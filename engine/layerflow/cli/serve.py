"""`layerflow serve`."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerflow.cli.options import json_option
from layerflow.cli.report import print_json
from layerflow.cli.serve_cluster import choose_cluster, cluster_options
from layerflow.cli.serve_roots import ROOTS, choose_roots, choose_spaces, remember
from layerflow.errors import RequestError

if TYPE_CHECKING:
    from layerflow.cluster.share import ClusterOptions
    from layerflow.server.settings import Settings
    from layerflow.wire.running import RunningServer

_WILDCARDS = ("0.0.0.0", "::")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 is any free one.  [8477, or any free one]")
@click.option(
    "--root",
    "roots",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FOLDER",
    help=f"Where jobs may read and write; may repeat.  [{ROOTS}, as last time, or your home and temporary folders]",
)
@click.option(
    "--spaces",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where users' files are.  [as last time, or in the server's folder]",
)
@click.option("--idle-exit", type=click.FloatRange(min=0.1), metavar="SECONDS", help="End when idle for so long.")
@click.option("--replace", "replaces", is_flag=True, help="First end the server that runs; its jobs go on here.")
@click.option("--max-waiting", type=click.IntRange(min=1), help="Jobs that may wait.  [1000]")
@click.option("--max-frames", type=click.IntRange(min=1), help="Frames that one job may have.  [100000]")
@click.option("--allow-remote", is_flag=True, help="Let other machines in, with --host and TLS.")
@click.option(
    "--name", "names", multiple=True, metavar="HOST", help="A name that other machines call it by; may repeat."
)
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Certificate, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key, PEM.")
@cluster_options
@json_option
def serve(
    host: str,
    port: int | None,
    roots: tuple[Path, ...],
    spaces: Path | None,
    idle_exit: float | None,
    replaces: bool,
    max_waiting: int | None,
    max_frames: int | None,
    allow_remote: bool,
    names: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    as_json: bool,
    **cluster: Any,
) -> None:
    """Run the server: one queue for Nuke, Blender, the desktop app and this command line."""
    from layerflow.server.folder import ServerFolder
    from layerflow.server.settings import Limits, Settings

    folder = ServerFolder.own()
    limits = {"waiting_jobs": max_waiting, "frames": max_frames}
    settings = Settings(
        host=host,
        port=port,
        names=names or _own_name(host),
        roots=choose_roots(roots, folder.roots),
        spaces=choose_spaces(spaces, folder.roots),
        limits=replace(Limits(), **{name: value for name, value in limits.items() if value is not None}),
        idle_exit_s=idle_exit,
        certificate=tls_cert,
        key=tls_key,
        cluster=choose_cluster(**cluster),
    )
    check_exposure(settings, allow_remote=allow_remote)
    if settings.cluster:
        _look_at_cluster(settings.cluster, as_json)
    from layerflow.server.serving import end_running
    from layerflow.server.serving import serve as run

    def ready(server: RunningServer) -> None:
        if roots:
            remember(folder.roots, roots=[*map(str, settings.roots)])
        if spaces:
            remember(folder.roots, spaces=str(settings.spaces))
        _say(server, as_json)

    if replaces:
        end_running()
    run(folder, settings, on_ready=ready)


def check_exposure(settings: Settings, *, allow_remote: bool) -> None:
    """Raises RequestError for settings that let others in by mistake, or their tokens be read on the way."""
    encrypted = settings.certificate is not None
    if encrypted != (settings.key is not None):
        raise RequestError("TLS takes a certificate and its key; give both --tls-cert and --tls-key")
    if is_loopback(settings.host):
        return
    if not allow_remote:
        raise RequestError(f"{settings.host} lets other machines in; add --allow-remote if that is meant")
    if not encrypted:
        raise RequestError("the token would cross the network in the clear; give --tls-cert and --tls-key as well")
    if not settings.names:
        raise RequestError(f"{settings.host} is no name to call; give --name with the one that other machines use")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_name(host: str) -> tuple[str, ...]:
    return () if host in _WILDCARDS else (host,)


def _look_at_cluster(options: ClusterOptions, as_json: bool) -> None:
    from layerflow.server.cluster_check import check_cluster

    found = check_cluster(options)
    if not as_json:
        nodes = "1 node" if found.nodes == 1 else f"{found.nodes} nodes"
        workers = "1 worker" if found.workers == 1 else f"{found.workers} workers"
        click.echo(f"Ray cluster of {nodes} with room for {workers} of {found.share}")


def _say(server: RunningServer, as_json: bool) -> None:
    if as_json:
        print_json({"url": server.url, "pid": server.pid})
    else:
        click.echo(f"LayerFlow server at {server.url}; Ctrl-C ends it, and jobs go on when it runs again")
