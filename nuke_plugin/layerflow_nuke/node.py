"""What a LayerFlow node does: its buttons, and what happens by itself. Errors leave as exceptions of one sentence."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Sequence, Tuple, Type

from layerflow.wire import Job
from layerflow.wire.asking import new_seed
from layerflow.wire.client import Client
from layerflow.wire.farm_run import FarmRun
from layerflow.wire.labels import label_of
from layerflow.wire.run import HostError, Run, Shot
from layerflow.wire.status import WORKING, Status
from layerflow.wire.versions import Versions, with_version
from layerflow_nuke import host, inside, planning, showing, tree
from layerflow_nuke.asking import INPUTS, PLATE, Script
from layerflow_nuke.desk import FarmDesk, NodeDesk
from layerflow_nuke.panel import counting

if TYPE_CHECKING:
    import nuke

runs: Dict[str, Run] = {}  # those that go on, by the full name of their node


def place() -> nuke.Group:
    """A new LayerFlow node, connected to what is selected."""
    host.add_layers(inside.FIRST_LAYERS)
    above = host.selected()
    group = host.make_group()
    host.place_inside(group, inside.pieces())
    host.connect(group, INPUTS.index(PLATE), above)
    host.set_values(group, {"label": "[value status]"})
    fit_panel(group)
    return group


def generate(group: nuke.Group) -> Run:
    """The run that was started: it renders, asks and follows in a thread of its own."""
    _refuse_second(group)
    run, _ = _made(group)
    return _started(group, run)


def generate_and_wait(group: nuke.Group) -> Status:
    """How it ended, for `nuke -t` and farms: all of it in this thread."""
    run, desk = _made(group)
    run.work()
    return desk.status


def submit(group: nuke.Group) -> Run:
    """The run that was started: it renders, and writes the next version as jobs for a farm, in a thread of its own."""
    _refuse_second(group)
    run, _ = _for_farm(group)
    return _started(group, run)


def submit_and_wait(group: nuke.Group) -> Status:
    """How submitting ended, all of it in this thread."""
    run, desk = _for_farm(group)
    run.work()
    return desk.status


def cancel(group: nuke.Group) -> None:
    """Ends the node's run. ValueError where there is none."""
    run = runs.get(host.full_name(group))
    if run is None or run.is_over:
        raise ValueError("there is nothing to cancel; no job of this node is running")
    run.cancel()


def reload(group: nuke.Group) -> None:
    """Reads the frames of the version again, or watches the node's job again where it goes on."""
    if str(host.values(group)["state"]) == WORKING and not _is_running(group) and watch_again(group):
        return
    first, last = showing.show_version(group)
    host.set_values(group, {"status": f"frames {first}-{last}", "tile_color": host.NO_COLOR})


def seed_anew(group: nuke.Group) -> None:
    """Takes another seed."""
    host.set_values(group, {"seed": new_seed()})


def open_folder(group: nuke.Group) -> None:
    """Shows the frames' folder. ValueError where there is none yet."""
    script, text = host.script(), with_version(str(host.values(group)["output"]))
    folder = os.path.dirname(planning.versions_of(group, text, script.views[0]).pattern(1))
    if not os.path.isdir(folder):
        raise ValueError(f"the folder {folder} is not there yet; press Generate")
    host.open_folder(folder)


def recomp_check(group: nuke.Group) -> float:
    """The largest difference of the layers put together from the plate, scene-linear, on three frames."""
    if PLATE not in host.connected(group, INPUTS):
        raise ValueError("the check needs the plate; connect it to the Plate input")
    first, last = showing.show_version(group)
    frames = sorted({first, (first + last) // 2, last})
    found = max(host.largest(group, inside.CHECK, frame) for frame in frames)
    where = ", ".join(map(str, frames))
    host.set_values(group, {"status": f"the layers put the plate back within {found:.2g} (frames {where})"})
    return found


def build_tree(group: nuke.Group) -> List[nuke.Node]:
    """The usual nodes beside the node."""
    plate = group.input(INPUTS.index(PLATE))
    pieces = tree.pieces(group.name(), showing.layers_of(group), None if plate is None else plate.name())
    return host.place_beside(group, pieces)


def fit_panel(group: nuke.Group) -> None:
    """Greys out the knobs that do not count for the task at hand."""
    values = host.values(group)
    enabled = dict(counting(str(values["task"])))
    custom = values["frame_range"] == "custom"
    host.enable(group, {**enabled, "first_frame": custom, "last_frame": custom, "status": False}.items())


def knob_changed(group: nuke.Group, knob: str) -> None:
    """What follows from a change by hand."""
    if knob in ("task", "frame_range", "showPanel"):
        fit_panel(group)
    elif knob == "version" and host.inside(group, inside.RESULT_READ)["file"].value():
        showing.show_version(group)


def watch_again(group: nuke.Group) -> bool:
    """Whether the node's last jobs are followed from now on."""
    values, script = host.values(group), host.script()
    jobs = str(values["jobs"]).split()
    if not jobs or _is_running(group):
        return False
    run, _ = _run(group, values, script, jobs=jobs)
    _started(group, run)
    return True


def look_for_jobs(group: nuke.Group) -> None:
    """Follows jobs of the node that go on, where an engine runs and has some."""
    values, script = host.values(group), host.script()
    run, _ = _run(group, values, script, start_engine=False)
    _started(group, run)


def script_loaded() -> None:
    """Watches the jobs that were going on when the script was saved, or were asked for after that."""
    for group in host.nodes():
        with contextlib.suppress(ValueError, HostError):  # an output that can be nowhere has no jobs
            if str(host.values(group)["state"]) != WORKING or not watch_again(group):
                look_for_jobs(group)


def script_closes() -> None:
    """Leaves every job to the queue."""
    for run in runs.values():
        run.leave()
    runs.clear()


def _is_running(group: nuke.Group) -> bool:
    run = runs.get(host.full_name(group))
    return run is not None and not run.is_over


def _refuse_second(group: nuke.Group) -> None:
    if _is_running(group):
        raise ValueError("a job of this node is running; wait for it, or press Cancel first")


def _started(group: nuke.Group, run: Run) -> Run:
    runs[host.full_name(group)] = run
    run.thread.start()
    return run


def _made(group: nuke.Group) -> Tuple[Run, NodeDesk]:
    values, script = host.values(group), host.script()
    return _run(group, values, script, shots=_planned(group, values, script))


def _for_farm(group: nuke.Group) -> Tuple[Run, NodeDesk]:
    values, script = host.values(group), host.script()
    farms = planning.farms(group, values, script)
    shots = _planned(group, values, script)
    host.set_values(group, {"jobs": ""})  # those of before are not what the node is at now
    desk = _desk(FarmDesk, group, script, _versions(group, values, script))
    return FarmRun(desk, host.in_main_thread, shots, farms), desk


def _planned(group: nuke.Group, values: Mapping[str, Any], script: Script) -> List[Shot]:
    shots = planning.plan(group, values, script)
    channel = f"rgba.{values['guide_channel']}"
    host.set_values(host.inside(group, "Guide_matte"), {"from0": channel})
    return shots


def _run(
    group: nuke.Group,
    values: Mapping[str, Any],
    script: Script,
    shots: Sequence[Shot] = (),
    jobs: Sequence[str] = (),
    start_engine: bool = True,
) -> Tuple[Run, NodeDesk]:
    versions = _versions(group, values, script)
    desk = _desk(NodeDesk, group, script, versions)
    connect = _connector(str(values["server"]).strip(), start_engine)
    label = label_of("nuke", script.path, host.full_name(group))
    layer = str(values["preview_layer"]) if host.is_interactive() else "off"

    def is_mine(job: Job) -> bool:
        return versions.has(job.request.output)

    return Run(desk, host.in_main_thread, connect, shots, jobs, label, layer, is_mine), desk


def _desk(kind: Type[NodeDesk], group: nuke.Group, script: Script, versions: Versions) -> NodeDesk:
    name = host.full_name(group)

    def over() -> None:
        runs.pop(name, None)

    return kind(group, script, versions.inputs_folder(), over)


def _versions(group: nuke.Group, values: Mapping[str, Any], script: Script) -> Versions:
    return planning.versions_of(group, str(values["output"]), script.views[0])


def _connector(server: str, start: bool) -> Callable[[], Client]:
    if not server:
        return lambda: Client.connect(start=start)
    if not os.path.isabs(server):
        raise HostError(
            f"the server {server!r} is no folder; leave it empty, or give the whole path of a runtime folder"
        )
    return lambda: Client.connect(start=False, runtime=Path(server))
