"""The training loop: one for the bundled model and for the paper's three stages, resumable to the bit.

Devices, mixed precision, several processes and FSDP are accelerate's; a batch follows from its step, see `batches.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from layerflow.errors import Interrupted, ModelError
from layerflow.training.average import Average, trained_weights
from layerflow.training.batches import Feed, Objective, numbers
from layerflow.training.checkpoints import Checkpoints
from layerflow.training.optimizers import Optimizers
from layerflow.training.schedule import Progress, Schedule
from layerflow.training.sharding import load_whole_state, spread, whole, whole_state

NUM_LOSSES = 1000  # the last ones are kept


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a training goes, whatever it trains."""

    schedule: Schedule
    accumulation: int = 1  # batches of a step
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    save_steps: int | None = None
    save_seconds: float | None = None
    keep: int = 3  # checkpoints


class Watcher(Protocol):
    """What looks on: curves, sheets, losses on clips that are held out."""

    def __call__(self, trainer: Trainer, step: Step) -> None:
        """Called after every step, in every process."""
        ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step came to."""

    loss: float  # the mean of all processes
    grad_norm: float  # before it was clipped
    lr: float  # of the first optimiser
    samples: int  # of all processes
    seconds: float


@dataclass(kw_only=True)
class Trainer:
    """Trains what of `objective` requires gradients on `feed`, keeping checkpoints in `folder`."""

    objective: Objective
    feed: Feed
    plan: Plan
    optimizers: Optimizers
    folder: Path
    accelerator: Accelerator
    seed: int = 0
    decides: Mapping[str, Any] = field(default_factory=dict)  # what a run that goes on may not change
    report: Callable[[Progress], None] = lambda progress: None
    warn: Callable[[str], None] = lambda sentence: None
    stopped: Callable[[], bool] = lambda: False  # asked after every step
    watchers: Sequence[Watcher] = ()

    def __post_init__(self) -> None:
        made = self.optimizers.made(self.objective)
        self.peaks = [optimizer.param_groups[0]["lr"] for optimizer in made]
        self.wrapped, *self.stepping = self.accelerator.prepare(self.objective, *made)
        self.objective = self.accelerator.unwrap_model(self.wrapped)
        self.average = Average(self.objective, self.plan.ema_decay)
        self.progress = Progress()
        self.checkpoints = Checkpoints(folder=self.folder, keep=self.plan.keep, warn=self.warn)

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def is_main(self) -> bool:
        """Whether this process writes."""
        return bool(self.accelerator.is_main_process)

    def run(self) -> None:
        """Trains to the end of the schedule, over all runs together; the averaged weights are the network's then.

        Raises Interrupted, its state kept, when it is to stop.
        """
        started, saved = time.monotonic() - self.progress.seconds, self.progress.seconds
        while self.progress.share < 1.0:
            self.advance(started)
            if self._is_due(saved):
                self.save()
                saved = self.progress.seconds
            if self._any(self.stopped()):
                self.save()
                raise Interrupted(
                    f"stopped after step {self.progress.step}; the same command with --resume goes on from there"
                )
        self.save()
        self.average.put()

    def advance(self, started: float | None = None) -> Step:
        """One step more, watched and reported; `started` is when the training would have begun in one go."""
        begun = time.monotonic()
        started = begun - self.progress.seconds if started is None else started
        step = self._step(begun)
        progress = self.progress
        progress.step += 1
        progress.losses = [*progress.losses[1 - NUM_LOSSES :], step.loss]
        progress.seconds = self._agreed(time.monotonic() - started)
        progress.share = self.plan.schedule.share(progress.step, progress.seconds)
        for watch in self.watchers:
            watch(self, step)
        self.report(progress)
        return step

    def _step(self, begun: float) -> Step:
        step, scale = self.progress.step, self.plan.schedule.lr_scale(self.progress.step, self.progress.seconds)
        for optimizer, peak in zip(self.stepping, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * scale
        losses, norm, samples = [], torch.zeros(()), 0
        for micro in range(self.plan.accumulation):
            batch = self.feed.batch(step, micro)
            samples += len(batch.clean) * self.accelerator.num_processes
            torch.manual_seed(int(numbers(self.seed, step, micro, self.accelerator.process_index).integers(2**63)))
            with self.accelerator.accumulate(self.wrapped):
                loss = self.wrapped(batch)
                self.accelerator.backward(loss)
                losses.append(loss.detach())
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(list(self.average.live.values()), self.plan.max_grad_norm)
                for optimizer in self.stepping:
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
        self.average.update()
        return Step(
            loss=float(self.accelerator.reduce(torch.stack(losses).mean(), reduction="mean")),
            grad_norm=float(norm),
            lr=self.peaks[0] * scale,
            samples=samples,
            seconds=time.monotonic() - begun,
        )

    def _agreed(self, seconds: float) -> float:
        """The main process's clock, where several would end at different steps by their own."""
        if self.accelerator.num_processes == 1:
            return seconds
        clock: Tensor = broadcast(torch.tensor(seconds, device=self.device, dtype=torch.float64))
        return float(clock)

    def _any(self, asked: bool) -> bool:
        """Whether any process was asked."""
        if self.accelerator.num_processes == 1:
            return asked
        votes: Tensor = self.accelerator.reduce(torch.tensor(float(asked), device=self.device), reduction="sum")
        return float(votes) > 0

    def _is_due(self, saved: float) -> bool:
        """Whether a checkpoint is, the last one being from `saved` seconds on."""
        steps, seconds = self.plan.save_steps, self.plan.save_seconds
        by_steps = steps is not None and self.progress.step % steps == 0
        return by_steps or (seconds is not None and self.progress.seconds - saved > seconds)

    def save(self) -> None:
        """Writes a checkpoint. Every process has to take part; the main one writes. Raises OutputError."""
        state = {
            "trained": {name: whole(weight) for name, weight in trained_weights(self.objective)},
            "average": self.average.state_dict(),
            "num_updates": self.average.num_updates,
            "optimizers": [whole_state(optimizer.optimizer) for optimizer in self.stepping],
            "progress": json.dumps(asdict(self.progress)),
            "decides": json.dumps(self.decides, sort_keys=True),
        }
        if self.is_main:
            self.checkpoints.write(self.progress.step, state)
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Takes up from the newest whole checkpoint. Raises ModelError when there is none, or it is of other settings.

        The feed has to give the batches of that step on; `step_of` says which it is beforehand.
        """
        state = self.checkpoints.newest()
        self._refuse_other(json.loads(state["decides"]))
        weights = dict(trained_weights(self.objective))
        if weights.keys() != state["trained"].keys():
            raise ModelError(f"the checkpoints in {self.folder} are of other weights; train without --resume elsewhere")
        with torch.no_grad():
            for name, value in state["trained"].items():
                weights[name].copy_(spread(value, weights[name]))
        self.average.load_state_dict(state["average"], state["num_updates"])
        for optimizer, saved in zip(self.stepping, state["optimizers"], strict=True):
            load_whole_state(optimizer.optimizer, saved)
        self.progress = Progress(**json.loads(state["progress"]))
        self.progress.share = self.plan.schedule.share(self.progress.step, self.progress.seconds)

    def _refuse_other(self, decides: Mapping[str, Any]) -> None:
        own = json.loads(json.dumps(self.decides))
        if changed := sorted(name for name in {*own, *decides} if own.get(name) != decides.get(name)):
            raise ModelError(
                f"the training in {self.folder} was begun with {changed[0]} {decides.get(changed[0])!r}, now it is "
                f"{own.get(changed[0])!r}; put that back, or train without --resume in another -o"
            )


def step_of(folder: Path) -> int:
    """How far the training in `folder` is at the newest whole checkpoint. Raises ModelError when there is none."""
    return int(json.loads(Checkpoints(folder=folder).newest()["progress"])["step"])


def frozen_but(module: nn.Module, names: Callable[[str], bool]) -> None:
    """Lets the optimiser move those weights of `module` whose names are chosen, and no others."""
    for name, weight in module.named_parameters():
        weight.requires_grad_(names(name))
