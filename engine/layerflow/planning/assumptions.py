"""What a plan takes for granted, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from layerflow.planning.rates import example_prices, share_of_work
from layerflow.planning.work import Work

if TYPE_CHECKING:
    from layerflow.planning.plan import OnDevice, Question


def assumptions(
    works: Sequence[Work], devices: Sequence[OnDevice], question: Question, is_simulated: bool
) -> tuple[str, ...]:
    """The sentences that go with a plan."""
    found = [*_of_rates(devices), *_of_the_shot(works, devices)]
    if is_simulated:
        found += _of_the_queue(question)
    if any(each.group.price is not None and each.group.price.kind == "example" for each in devices):
        found.append(f"Prices: {example_prices()[1]}.")
    return tuple(found)


def _of_rates(devices: Sequence[OnDevice]) -> Iterator[str]:
    for each in devices:
        rate = each.group.rate
        guessed = [name for name, figure in rate.figures.items() if figure.kind == "estimate"]
        if not guessed:
            yield f"{rate.name}: measured on {rate.what}."
        elif len(guessed) == len(rate.figures):
            yield f"{rate.name}: every figure is an estimate; nothing was measured on one."
        else:
            yield f"{rate.name}: estimates are {', '.join(guessed)}; the rest was measured on {rate.what}."
    yield "A step takes as long as its matrix products do at the device's rate, unless it was measured at this size."


def _of_the_shot(works: Sequence[Work], devices: Sequence[OnDevice]) -> Iterator[str]:
    yield "All windows of a shot take alike; previews and the network between machines are left out."
    yield "Memory is the engine's own estimate, of an otherwise empty device; disk is what frames take uncompressed."
    for work in works:
        if work.share < 1:
            source = share_of_work(work.quality, work.steps)[1]
            yield f"Quality {work.quality} does {work.share:.0%} of the work: an estimate from {source}."
    if len(works) > 1:
        yield "The edit is two shots, one after the other; its second one keeps the size and the frames of the first."
    for each in devices:
        under = {memory.plan for memory in each.memory} - {"full"}
        if under and each.group.rate.kind == "estimate":
            yield f"{each.group.rate.name} works under memory plan {min(under)}: moving networks about is left out."
        if not all(memory.fits for memory in each.memory):
            yield f"{each.group.rate.name} has not the memory for this shot by the estimate; it may run out."


def _of_the_queue(question: Question) -> Iterator[str]:
    lengths = f"Lengths are drawn from {question.lengths}" if question.lengths else "All shots are as long as this one"
    yield f"{lengths}; seed {question.seed}."
    yield "One row, first come, first served; a shot is made on one GPU, the fastest that is free, never on several."
    if question.over_h:
        yield f"Shots come in at random moments of {question.over_h:g} hours; every GPU is there from the first on."
    else:
        yield "All shots come in at once, when the GPUs are started."
    yield "Every GPU loads the model once, at the start; storage and network are as fast for all as for one."
    if question.failures_per_hour:
        yield (
            f"A GPU at work fails {question.failures_per_hour:g} times an hour, at random; it starts anew at once, "
            "loads, and makes the window at hand again from its first step."
        )
    else:
        yield "Nothing fails."
    yield "The whole fleet is paid for from the start to the last frame; at work only: the hours that GPUs were busy."
