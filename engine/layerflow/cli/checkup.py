"""What `layerflow doctor` looks at. Every check says what it found, and what to do where something is amiss."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement

from layerflow.errors import ModelError

if TYPE_CHECKING:
    import torch

    from layerflow.models.folder import ModelFolder
    from layerflow.wire.remote import RemoteServer

Status = Literal["ok", "warn", "fail"]

_GIB = 1024**3
_LOW_DISK_GIB, _NO_DISK_GIB = 5.0, 0.5
_MOVIE_DECODERS = ("prores", "dnxhd", "h264", "hevc")
_REINSTALL = "install LayerFlow again, as its README says"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the doctor's report."""

    name: str
    status: Status
    detail: str
    advice: str = ""


def examine() -> Iterator[Check]:
    """Every check in order. A check that cannot even import what it looks at is a failure, not a crash."""
    machine = (_python, _packages, _devices, _backends, _color, _movies)
    for look in (*machine, _bundled_model, _models_folder, _memory, _disks, _server):
        yield from _guarded(look)


def _guarded(look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except (ImportError, OSError) as error:
        yield Check(name=look.__name__.strip("_"), status="fail", detail=str(error), advice=_REINSTALL)


def _python() -> Iterator[Check]:
    yield Check(name="python", status="ok", detail=f"{platform.python_version()} on {platform.platform()}")


def _packages() -> Iterator[Check]:
    for text in requires("layerflow") or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement)


def _package(requirement: Requirement) -> Check:
    advice = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Check(name=requirement.name, status="fail", detail="not installed", advice=advice)
    if not requirement.specifier.contains(found, prereleases=True):
        detail = f"{found}, but {requirement.specifier} is needed"
        return Check(name=requirement.name, status="fail", detail=detail, advice=advice)
    return Check(name=requirement.name, status="ok", detail=found)


def _devices() -> Iterator[Check]:
    import torch

    yield Check(name="device cpu", status="ok", detail=f"{torch.get_num_threads()} threads")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        detail = f"{properties.name}, {properties.total_memory / _GIB:.0f} GiB"
        yield Check(name=f"device cuda:{index}", status="ok", detail=detail)
    if not torch.cuda.is_available():
        driver = shutil.which("nvidia-smi")
        yield Check(
            name="device cuda",
            status="warn",
            detail="a driver is there but PyTorch cannot use it" if driver else "no NVIDIA GPU found",
            advice="update the driver, or install the CUDA build of torch"
            if driver
            else "the bundled model runs without",
        )


def _backends() -> Iterator[Check]:
    from layerflow.models.backends import backends

    for name, backend in backends().items():
        if isinstance(backend, EntryPoint):
            yield _brought(name, backend)
        else:
            yield Check(name=f"backend {name}", status="ok", detail="built in")


def _brought(name: str, entry_point: EntryPoint) -> Check:
    maker = entry_point.dist.name if entry_point.dist else entry_point.module
    try:
        entry_point.load()
    except (ImportError, OSError) as error:
        own = "install its extra, which docs/export.md names, or do without"
        advice = own if maker == "layerflow" else f"reinstall {maker}, or choose another backend"
        detail = f"{maker}: {error}"
        return Check(name=f"backend {name}", status="warn", detail=detail, advice=advice)
    why_not = getattr(import_module(entry_point.module), "why_not", lambda: None)()
    return Check(name=f"backend {name}", status="ok", detail=f"{maker}: not here, {why_not}" if why_not else maker)


def _color() -> Iterator[Check]:
    import OpenImageIO as oiio

    config = oiio.ColorConfig()
    complaint, source = config.geterror(), os.environ.get("OCIO", "")
    if complaint:
        yield Check(name="OCIO", status="fail", detail=complaint, advice="correct or unset $OCIO")
    elif "ACEScg" not in config.getColorSpaceNames():
        advice = "name a space of your config with --output-colorspace"
        yield Check(name="OCIO", status="warn", detail=f"{config.configname()} has no ACEScg", advice=advice)
    else:
        detail = config.configname() + (f" from $OCIO {source}" if source else ", built in")
        yield Check(name="OCIO", status="ok", detail=detail)


def _movies() -> Iterator[Check]:
    import av

    missing = [name for name in _MOVIE_DECODERS if name not in av.codecs_available]
    detail = f"PyAV {av.__version__} with ffmpeg's libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"
    if missing:
        advice = "use the av wheel from PyPI: pip install --force-reinstall --only-binary av av"
        yield Check(name="movies", status="warn", detail=f"{detail} cannot read {', '.join(missing)}", advice=advice)
    else:
        yield Check(name="movies", status="ok", detail=f"{detail} reads {', '.join(_MOVIE_DECODERS)}")


def _bundled_model() -> Iterator[Check]:
    from layerflow.models.shelf import find_model

    try:
        model = find_model("mini")
    except ModelError as error:
        yield Check(name="bundled model", status="fail", detail=str(error), advice=_REINSTALL)
        return
    if damaged := list(model.damaged()):
        detail = f"{', '.join(damaged)} in {model.path} differ from what was shipped"
        yield Check(name="bundled model", status="fail", detail=detail, advice=_REINSTALL)
    else:
        yield Check(
            name="bundled model", status="ok", detail=f"{model.path}, {len(model.manifest.sha256)} files intact"
        )


def _memory() -> Iterator[Check]:
    import torch

    from layerflow.models.shelf import list_models

    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    for model in list_models():
        for device in (*devices, torch.device("cpu")):
            yield _plan(model, device)


def _plan(model: ModelFolder, device: torch.device) -> Check:
    """The memory plan that `--memory auto` picks for a model on a device."""
    from layerflow.models.estimate import estimate
    from layerflow.models.memory import fits, free_bytes, pick_plan
    from layerflow.models.places import pick_dtype

    name, dtype, free = f"model {model.manifest.name}", pick_dtype("auto", device), free_bytes(device)
    try:
        with model.loading():
            plan, _ = pick_plan(model, device, dtype, free)
            needs = estimate(model, plan, device, dtype)
    except ModelError as error:
        advice = "see layerflow models verify"
        return Check(name=name, status="warn", detail=str(error), advice=advice)
    parts = ", ".join(f"{part} {size / _GIB:.1f}" for part, size in asdict(needs).items())
    detail = f"plan {plan.name}, about {needs.peak / _GIB:.1f} GiB of {free / _GIB:.1f} GiB free on {device} ({parts})"
    if fits(needs.peak, free):
        return Check(name=name, status="ok", detail=detail)
    advice = "it may run out of memory; close other programs, choose another --device or --precision bfloat16"
    return Check(name=name, status="warn", detail=detail, advice=advice)


def _disks() -> Iterator[Check]:
    for name, folder in (("disk here", Path.cwd()), ("disk for temporary files", Path(tempfile.gettempdir()))):
        free_gib = shutil.disk_usage(folder).free / _GIB
        status: Status = "fail" if free_gib < _NO_DISK_GIB else "warn" if free_gib < _LOW_DISK_GIB else "ok"
        advice = "" if status == "ok" else "make room: a second of 1080p layers takes about 0.3 GiB"
        yield Check(name=name, status=status, detail=f"{free_gib:.1f} GiB free in {folder}", advice=advice)


def _models_folder() -> Iterator[Check]:
    from layerflow.models.shelf import models_path

    folder = models_path()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        yield Check(name="model folder", status="ok", detail=str(folder))
    else:
        advice = f"make {nearest} writable, or name another folder in LAYERFLOW_MODELS"
        yield Check(name="model folder", status="warn", detail=f"cannot write {folder}", advice=advice)


def _server() -> Iterator[Check]:
    from layerflow.wire import errors, remote, starting

    elsewhere = remote.connected()
    if elsewhere is not None:
        yield _server_elsewhere(elsewhere)
        return
    try:
        yield Check(name="server", status="ok", detail=f"runs at {starting.find().url}")
    except errors.NotRunning:
        yield Check(name="server", status="ok", detail="does not run; hosts and --queue start it")
    except errors.ServerError as error:
        yield Check(name="server", status="warn", detail=str(error), advice="end it, and start it with layerflow serve")


def _server_elsewhere(server: RemoteServer) -> Check:
    from layerflow.wire import errors, starting

    try:
        starting.check_version(server)
    except errors.ServerError as error:
        return Check(name="server", status="warn", detail=str(error), advice=server.REMEDY)
    return Check(
        name="server", status="ok", detail=f"runs elsewhere, at {server.url}, which {server.user} is let in to"
    )
