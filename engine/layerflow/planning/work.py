"""What there is to do for a shot, counted before anything is done: windows, steps, passes, pixels and bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from layerflow.edits import stages
from layerflow.files import output_pattern
from layerflow.frame_windows import windows
from layerflow.models.estimate import GUIDANCE_BATCH, SPATIAL, estimate
from layerflow.models.folder import ModelFolder
from layerflow.models.memory import GIB, fits, pick_plan
from layerflow.models.places import DTYPES
from layerflow.models.plans import plan_named
from layerflow.models.shelf import find_model
from layerflow.models.weights import weights_of
from layerflow.planning.figures import Rate
from layerflow.planning.rates import share_of_work
from layerflow.sampler import Sampler
from layerflow.seams import shared_frames
from layerflow.shot import Shot, layout_for
from layerflow.wire import Request

GB = 10**9
MEGA = 10**6
TERA = 10**12
_LINEAR, _ATTENTION = 24, 4  # operations of a block: times tokens x width^2, and tokens^2 x width


@dataclass(frozen=True, kw_only=True)
class Work:
    """One shot, or one of the two that an edit of a plate is."""

    task: str
    model: str
    sha256: str  # of the model
    quality: str
    frames: int
    windows: int
    window_frames: int  # that a window has
    shared_frames: int  # with the one before
    before: int  # frames that are there, and the first window goes on from
    passes: int  # of the model over a window
    steps: int  # of a pass
    share: float  # of a step's work that the quality does, on average
    width: int  # of the plate, overscan included
    height: int
    model_width: int
    model_height: int
    tokens: int  # text and video
    step_tflop: float  # of a step of a whole run, its guidance batch included
    codec: str  # "linear" or "cogvideox"
    encoded_mp: float  # megapixels of the layers that a window is given
    decoded_mp: float  # of all its layers
    weights_gb: float  # on disk
    disk_bytes: int  # of all frames at most, as if nothing could be compressed

    @property
    def plate_mp(self) -> float:
        """Megapixels of a frame."""
        return self.width * self.height / MEGA

    def of_length(self, frames: int) -> Work:
        """The same shot with another number of frames."""
        return replace(
            self,
            frames=frames,
            windows=num_windows(frames + self.before, self.window_frames, self.shared_frames),
            disk_bytes=self.disk_bytes // self.frames * frames,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def num_windows(frames: int, size: int, shared: int) -> int:
    """How many windows the engine makes `frames` in."""
    return len(windows(tuple(range(frames)), size, shared))


def prepared(request: Request) -> list[Shot]:
    """The shots that `request` is, checked as they are before they are made. Raises as `Shot.prepare` does.

    Of an edit of a plate the second one is of the first one's frames, which are not there yet.
    """
    first, *rest = stages(request)
    shots = [Shot.prepare(first, lambda event: None, lambda: False)]
    for each in rest:
        folder = find_model(each.model, each.task)
        layout = layout_for(each, folder)
        delivery = replace(shots[0].delivery, pattern=output_pattern(each.output), per_layer=each.per_layer)
        again = replace(shots[0], request=each, folder=folder, layout=layout, guides=None, delivery=delivery)
        shots.append(again)
    return shots


def work_of(shot: Shot) -> Work:
    """What there is to do for `shot`. Nothing but headers is read."""
    request, folder, layout, sampler, fit = shot.request, shot.folder, shot.layout, shot.sampler, shot.fit
    manifest = folder.manifest
    with folder.loading():
        config = weights_of(folder.path / "transformer").config
        size = sum(path.stat().st_size for path in folder.path.rglob("*.safetensors"))
    grid = (fit.rows // (SPATIAL * config["patch_size"])) * (fit.columns // (SPATIAL * config["patch_size"]))
    tokens = len(layout.prompts) * manifest.prompt_tokens + layout.num_latents * grid
    picture = fit.rows * fit.columns / MEGA * layout.num_frames
    given = sum(layout.is_given(name) for name in layout.layers)
    width, height = shot.delivery.format.working_window[2:]
    return Work(
        task=request.task,
        model=manifest.name,
        sha256=folder.sha256,
        quality=request.quality,
        frames=len(shot.frames),
        windows=len(shot.windows),
        window_frames=layout.num_frames,
        shared_frames=shared_frames(layout),
        before=len(shot.ending.tail) if shot.ending else 0,
        passes=shot.num_passes,
        steps=sampler.num_steps,
        share=share_of_work(request.quality, sampler.num_steps)[0],
        width=width,
        height=height,
        model_width=fit.columns,
        model_height=fit.rows,
        tokens=tokens,
        step_tflop=_row_tflop(config, tokens) * _mean_batch(sampler),
        codec=manifest.codec,
        encoded_mp=picture * given,
        decoded_mp=picture * len(layout.layers),
        weights_gb=size / GB,
        disk_bytes=shot.delivery.num_bytes,
    )


def _row_tflop(config: dict[str, Any], tokens: int) -> float:
    """Of one row of a batch through the blocks, 10^12 operations; what is outside them is left out."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return float(config["num_blocks"] * (_LINEAR * tokens * width**2 + _ATTENTION * tokens**2 * width) / TERA)


def _mean_batch(sampler: Sampler) -> float:
    """Rows of a step's batch, on average: two where prompts are weighed against none."""
    guidance = sampler.guidance
    weights = [guidance.weight(timestep, sampler.num_steps) for timestep in sampler.timesteps]
    guided = sum(abs(weight - 1.0) > guidance.skip_within for weight in weights)
    return 1.0 + (GUIDANCE_BATCH - 1) * guided / len(weights)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Where a shot finds room on a device."""

    plan: str
    decodes_aside: bool  # while the next window is sampled
    peak_gib: float  # an estimate
    free_gib: float
    fits: bool


def memory_of(folder: ModelFolder, request: Request, rate: Rate) -> Memory:
    """The memory plan that a shot would get on a device that is otherwise empty, and what it takes: an estimate."""
    device, free = torch.device("cuda" if rate.is_gpu else "cpu"), int(rate.memory_gb * GB)
    float8 = request.precision == "float8"
    name = {"auto": "bfloat16" if rate.is_gpu else "float32", "float8": "bfloat16"}.get(request.precision)
    dtype = DTYPES[name or request.precision]
    with folder.loading():
        plan, _ = pick_plan(folder, device, dtype, free, text_precision=request.text_precision, float8=float8)
        if request.memory != "auto":
            plan = plan_named(request.memory)
        peak = estimate(folder, plan, device, dtype, text_precision=request.text_precision, float8=float8).peak
    return Memory(
        plan=plan.name,
        decodes_aside=plan.decodes_aside,
        peak_gib=peak / GIB,
        free_gib=free / GIB,
        fits=fits(peak, free),
    )
