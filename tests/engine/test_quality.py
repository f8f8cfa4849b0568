"""What each quality leaves out, that explicit options win, and whole shots: stopped, resumed and rerun."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rendering import channels, contents, frames, header, render, write_plate

from layerflow import shots
from layerflow.errors import Interrupted, OutputError, RequestError
from layerflow.models import engines
from layerflow.quality import QUALITIES, Quality
from layerflow.step_cache import Reuse
from layerflow.wire import Event, Request
from layerflow.wire.request import QUALITY_NAMES

pytestmark = pytest.mark.usefixtures("one_thread")
COARSE = Quality(reuse=Reuse(limit=1e9, alpha_limit=1e9, every=3))
STEPS = 8


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_plate(tmp_path_factory.mktemp("plate"))


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draft reuses whatever it may, which random weights would not make it do."""
    monkeypatch.setitem(QUALITIES, "draft", COARSE)


def test_the_wire_knows_every_quality() -> None:
    assert tuple(QUALITIES) == QUALITY_NAMES and Request("decompose", plate="dog.mov").quality == "exact"


def test_exact_leaves_nothing_out() -> None:
    assert QUALITIES["exact"].reuse is None


def test_draft_allows_more_than_high_and_the_alpha_less_than_the_rest() -> None:
    high, draft = QUALITIES["high"].reuse, QUALITIES["draft"].reuse
    assert high and draft and high.limit < draft.limit and high.alpha_limit < draft.alpha_limit
    assert high.alpha_limit < high.limit and draft.alpha_limit < draft.limit


@pytest.mark.parametrize("quality", ["high", "draft"])
def test_faithful_and_less_work_exclude_each_other(quality: str) -> None:
    with pytest.raises(ValueError, match=f"faithful is exactly as released, which quality {quality} is not; leave one"):
        Request("decompose", plate="dog.mov", faithful=True, quality=quality)
    assert Request("decompose", plate="dog.mov", faithful=True, quality="exact").faithful


def test_exact_is_what_a_request_without_a_quality_makes(tiny_model: Path, tmp_path: Path, plate: str) -> None:
    render(tiny_model, tmp_path / "one", plate=plate, last_frame=1002)
    render(tiny_model, tmp_path / "other", plate=plate, last_frame=1002, quality="exact")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("quality", ["exact", "high", "draft"])
def test_a_stopped_shot_goes_on_to_the_same_bytes(tiny_model: Path, tmp_path: Path, plate: str, quality: str) -> None:
    """Stopped after step 5 of 8 in the second window; draft goes on from step 3, whose successor begins anew."""
    asked = {"plate": plate, "quality": quality, "steps": STEPS}
    render(tiny_model, tmp_path / "undisturbed", **asked)
    seen: list[Event] = []

    def on_event(event: Event) -> None:
        seen.append(event)
        while event.kind == "step" and event.done > STEPS and len([*(tmp_path / "out").glob("dog.*.exr")]) < 4:
            time.sleep(0.01)  # the other thread writes the first window; by name, for parts are renamed meanwhile

    with pytest.raises(Interrupted):
        render(
            tiny_model,
            tmp_path / "out",
            **asked,
            on_event=on_event,
            stopped=lambda: any(event.kind == "step" and event.done == STEPS + 5 for event in seen),
        )
    assert len(frames(tmp_path / "out")) == 4
    again: list[Event] = []
    render(tiny_model, tmp_path / "out", **asked, resume=True, on_event=again.append)
    kept = {"exact": 5, "high": 5, "draft": 3}[quality]
    assert next(event.done for event in again if event.kind == "step") == STEPS + kept + 1
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.usefixtures("coarse")
def test_no_window_sees_another_s_steps(tiny_model: Path, tmp_path: Path, plate: str) -> None:
    render(tiny_model, tmp_path / "both", plate=plate, quality="draft", steps=STEPS)
    for name in frames(tmp_path / "both"):
        if name >= "dog.1005.exr":
            (tmp_path / "both" / name).unlink()
    left = contents(tmp_path / "both")
    render(tiny_model, tmp_path / "both", plate=plate, quality="draft", steps=STEPS, resume=True)  # that window alone
    render(tiny_model, tmp_path / "fresh", plate=plate, quality="draft", steps=STEPS)
    assert len(left) == 4 and contents(tmp_path / "both") == contents(tmp_path / "fresh")


@pytest.mark.usefixtures("coarse")
def test_the_header_says_the_quality_and_rerun_keeps_it(tiny_model: Path, tmp_path: Path, plate: str) -> None:
    asked = {"plate": plate, "last_frame": 1002, "steps": STEPS}
    render(tiny_model, tmp_path / "exact", **asked)
    render(tiny_model, tmp_path / "draft", **asked, quality="draft")
    frame = tmp_path / "draft" / "dog.1001.exr"
    assert '"quality": "draft"' in header(frame)["layerflow:request"]
    exact, draft = channels(tmp_path / "exact" / "dog.1001.exr"), channels(frame)
    assert not np.array_equal(exact["background.R"], draft["background.R"])
    shots.rerun(str(frame), output=str(tmp_path / "again" / "dog.%04d.exr"))
    assert contents(tmp_path / "again") == contents(tmp_path / "draft")
    with pytest.raises(OutputError, match="was made with other options"):
        render(tiny_model, tmp_path / "draft", **asked, quality="exact", resume=True)


def test_a_backend_without_blocks_refuses_to_leave_any_out(
    tiny_model: Path, tmp_path: Path, plate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engines.load_engine

    def loading(*told: Any, **others: Any) -> Any:
        return replace(real(*told, **others), network=lambda latents, *inputs: latents)

    monkeypatch.setattr(engines, "load_engine", loading)
    with pytest.raises(RequestError, match="has no blocks to leave out; take --quality exact, or --backend eager"):
        render(tiny_model, tmp_path / "draft", plate=plate, last_frame=1001, quality="draft")
    assert not frames(tmp_path / "draft")
    render(tiny_model, tmp_path / "exact", plate=plate, last_frame=1001)
