"""A shot's rates on this machine: one window of it made stage by stage, then a few as they are really made.

Nothing of the shot's own output is touched. What was measured is kept in the user's cache, by model, device and size.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch

from layerflow import shots
from layerflow.assemble import fronts, takes_apart
from layerflow.errors import LayerFlowError
from layerflow.files import atomic_path
from layerflow.frame_windows import Window
from layerflow.models.cache import cache_path
from layerflow.models.engines import Engines
from layerflow.models.load import Engine, LoadOptions
from layerflow.models.places import pick_device
from layerflow.pipeline import decode_clip
from layerflow.planning.figures import Figure, Rate
from layerflow.planning.timing import overlap_of
from layerflow.planning.work import GB, Work, work_of
from layerflow.shot import Shot
from layerflow.wire import Request

HERE = "here"  # what a fleet calls this machine
FEW_STEPS = 8  # up to which a shot's own number of steps is measured
STEPS = 3  # of a longer run
WINDOWS = 4  # made in a row
LONG_S = 3.0  # what is short is done again until so much time has passed: on a busy machine one look says little
KEEP_S = 3600.0

# As the command does: it ends without taking torch apart, which takes longer than some shots.
_START = "import layerflow.cli.app, layerflow.planning.trial; layerflow.cli.leave(0)"
_MAKE = "import layerflow.cli.app, layerflow.planning.trial; layerflow.cli.leave(layerflow.planning.trial.main())"


def measured_before(shot: Shot) -> Rate | None:
    """The rates that were once measured on this machine for a shot like this; None if there are none."""
    path = _place(shot)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _rate(shot.request, values["figures"], values["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def named_too(here: Rate, known: Mapping[str, Rate]) -> dict[str, Rate]:
    """The rates of this machine as `here`, and under the name of its GPU where a fleet may have more of them."""
    if not here.is_gpu:
        return {HERE: here}
    words = here.what.replace("-", " ").replace("RTX ", "RTX").split()
    return {HERE: here} | {name: replace(here, name=name) for name in known if name in words}


def measure(shot: Shot, say: Callable[[str], None] = lambda sentence: None) -> Rate:
    """The rates of this machine for shots like this one, measured now and kept. Raises as `shots.render` does."""
    with tempfile.TemporaryDirectory(prefix="layerflow-plan-") as folder:
        figures = _Trial(shot=shot, folder=Path(folder), say=say).figures()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    source = f"measured here on {datetime.now(UTC):%Y-%m-%d}, load {load}"
    path = _place(shot)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, durable=False) as aside:
        values = {"of": _key(shot), "figures": figures, "source": source}
        aside.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return _rate(shot.request, figures, source)


@dataclass(kw_only=True)
class _Trial:
    """A few windows of a shot, made elsewhere."""

    shot: Shot
    folder: Path
    say: Callable[[str], None]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    engines: Engines = field(default_factory=lambda: Engines(keep_s=KEEP_S))

    def figures(self) -> dict[str, float]:
        """Every figure of this very shot."""
        one, few = self.few(1), self.few(WINDOWS)
        self.say("starting a process")
        found = {"start_s": _process_s(_START)}
        self.say("one window, by a process of its own")
        whole = _process_s(_MAKE, one)  # before a model is loaded here, which may leave no room for another
        self.by_stages(one)
        found |= {name: statistics.fmean(values) for name, values in self.seconds.items()}
        self.say("one window, as it is made")
        work = work_of(self.prepared(one))
        first, second = _window_s(work, found)
        alone = self.rendered(one)
        found["load_s"] = max(0.0, whole - found["start_s"] - alone)
        found["shot_s"] = max(0.0, alone - first - second)
        made = work_of(self.prepared(few))
        found["overlap"] = 0.0
        if made.windows > 1:
            self.say(f"{made.windows} windows, as they are made")
            row = self.rendered(few) - found["shot_s"]
            frames_s = found["frame_s"] * made.frames / made.windows
            second += frames_s - found["frame_s"] * work.frames
            found["overlap"] = overlap_of(made.windows, row, first, second)
        self.engines.let_go()
        return found

    def few(self, count: int) -> Request:
        """The request for so many windows of the shot, or all where it has fewer."""
        request, shot = self.shot.request, self.shot
        window = shot.windows[min(count, len(shot.windows)) - 1]
        frames = shot.frames[: shot.frames.index(window.frames[-1]) + 1]
        steps = shot.sampler.num_steps
        changes: dict[str, Any] = {
            "output": str(self.folder / "trial.%04d.exr"),
            "steps": steps if steps <= FEW_STEPS else STEPS,
            "preview": False,
        }
        if shot.ending:
            return replace(request, extend=len(frames), first_frame=None, last_frame=None, **changes)
        if request.task == "generate":
            changes["num_frames"] = len(frames)
        return replace(request, first_frame=frames[0], last_frame=frames[-1], **changes)

    def prepared(self, request: Request) -> Shot:
        return Shot.prepare(request, lambda event: None, lambda: False)

    def rendered(self, request: Request) -> float:
        """Seconds of a shot whose model is loaded."""
        return _mean_s(lambda: shots.render(request, overwrite=True, engines=self.engines))

    def by_stages(self, request: Request) -> None:
        """One window, each stage by itself; the first round is for what comes only once."""
        shot = self.prepared(request)
        shot.open_output(overwrite=True, resume=False)
        options = LoadOptions.of(shot.request)
        if shot.folder.manifest.all_layers:
            options = replace(options, layers=shot.layout.layers)
        plan, _ = self.engines.choose_plan(shot.folder, options)
        self.say("loading the model")
        with self.engines.lent(shot.folder, options, plan, warn=lambda sentence: None) as engine:
            self.say("one window, stage by stage")
            self.window(shot, engine, shot.windows[0])
            self.seconds.clear()
            _mean_s(lambda: self.window(shot, engine, shot.windows[0]))
        shot.journal.close()

    def window(self, shot: Shot, engine: Engine, window: Window) -> None:
        """Makes one window as `overlap` does, with a look at the clock between two stages."""
        with self.timed("encode_s"):
            given, hint = shot.showing.given(window), shot.showing.hint(window)
            conditions = shot.continuing(engine, shot.showing.encode(engine, given, hint=hint), window, None)
        shot.journal.drop(window.index)
        with self.timed("step_s", shot.sampler.num_steps):
            sampled = shot.sample(engine, window, conditions, after_step=lambda state: None)
        with self.timed("decode_s"):
            made = decode_clip(engine, shot.layout, sampled.latents)
        parts = fronts(made) if takes_apart(shot.layout) else (made,)
        with self.timed("frame_s", len(window.new)):
            shot.finishing(lambda: False).write(window, (parts * shot.num_foregrounds), sampled.header)

    @contextmanager
    def timed(self, name: str, count: int = 1) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds.setdefault(name, []).append((time.perf_counter() - begun) / count)


def _window_s(work: Work, figures: Mapping[str, float]) -> tuple[float, float]:
    """Seconds of the two threads for the one window that `work` is."""
    first = work.passes * (figures["encode_s"] + work.steps * figures["step_s"])
    return first, work.passes * figures["decode_s"] + work.frames * figures["frame_s"]


def _process_s(code: str, request: Request | None = None) -> float:
    """Seconds of a process that runs `code`, from its start to its end. Raises LayerFlowError for one that fails."""

    def run() -> None:
        given = request.to_json() if request is not None else ""
        ended = subprocess.run(
            [sys.executable, "-P", "-c", code], input=given, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            said = ended.stderr.strip().splitlines()
            raise LayerFlowError(said[-1] if said else f"a process was gone with exit code {ended.returncode}")

    return _mean_s(run)


def _mean_s(work: Callable[[], object]) -> float:
    """Seconds that `work` takes on average, as often as goes into `LONG_S`, and once at least."""
    begun, count = time.perf_counter(), 0
    while not count or time.perf_counter() - begun < LONG_S:
        work()
        count += 1
    return (time.perf_counter() - begun) / count


def _place(shot: Shot) -> Path:
    text = json.dumps(_key(shot), sort_keys=True)
    return cache_path() / "plans" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


_SIZES = ("width", "height", "model_width", "model_height", "tokens", "passes")
_ASKED = (
    "precision",
    "text_precision",
    "memory",
    "backend",
    "quality",
    "fit",
    "refine",
    "closeup",
    "per_layer",
    "motion",
    "lora",
)


def _key(shot: Shot) -> dict[str, Any]:
    """What decides how long a window takes here."""
    work = work_of(shot)
    asked = {name: getattr(shot.request, name) for name in _ASKED}
    sizes = {name: getattr(work, name) for name in _SIZES}
    return {"device": _device(shot.request), "task": work.task, "model": work.sha256, **sizes, **asked}


def _device(request: Request) -> str:
    device = pick_device(request.device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {platform.system()} of {os.cpu_count()} cores, torch on {torch.get_num_threads()}"


def _rate(request: Request, figures: Mapping[str, float], source: str) -> Rate:
    """This machine, as a fleet's `here`."""
    device = pick_device(request.device)
    on_gpu = device.type == "cuda"
    memory = torch.cuda.get_device_properties(device).total_memory if on_gpu else psutil.virtual_memory().total
    return Rate(
        name=HERE,
        what=_device(request),
        is_gpu=on_gpu,
        memory_gb=memory / GB,
        figures={name: Figure(value=value, kind="measured", source=source) for name, value in figures.items()},
    )
