"""Where windows meet: what the later one knows of the one before, and how they are faded into each other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rendering import contents, frames, render, write_plate
from torch import Tensor

from layerflow import shot as shots
from layerflow.errors import Interrupted
from layerflow.frame_windows import windows
from layerflow.layout import VARIANTS, Layout, task_layouts
from layerflow.pipeline import Conditions
from layerflow.sampler import NoiseSchedule, Sampler
from layerflow.seams import CrossFade, continued, goes_on, shared_frames
from layerflow.wire import Event

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["sde", "ode"])
def test_what_is_known_stays_and_its_noise_falls_as_scheduled(kind: str) -> None:
    """Where the estimate never changes, what is left of x_t is noise at exactly the level of its step."""
    known, size = torch.tensor([3.0]).reshape(1, 1, 1, 1, 1), (1, 1, 1, 200, 200)
    sampler = Sampler(num_steps=6, kind=kind, schedule=NoiseSchedule())
    state = sampler.start(size, torch.Generator().manual_seed(1))
    for a in [*sampler._signal[1:].tolist(), 1.0]:
        state = sampler.step(state, lambda x, *_: torch.randn_like(x), settle=lambda x: known.expand_as(x))
        left = state.latents - a * known
        assert abs(float(left.mean())) < 0.02 and float(left.std()) == pytest.approx((1 - a * a) ** 0.5, abs=0.02)
    assert torch.equal(state.latents, known.expand(size))


def numbered(layout: Layout) -> Tensor:
    return torch.arange(layout.num_latents, dtype=torch.float32)[:, None, None, None].expand(-1, 2, 3, 4).clone()


@pytest.mark.parametrize(
    ("layout", "overlap", "expected"),
    [
        (task_layouts(8, 2)["generate"], 4, [1, None, 3, None, 5, None, 7, None]),
        (task_layouts(16, 4)["generate"], 12, [1, 2, 3, None, 5, 6, 7, None, 9, 10, 11, None, 13, 14, 15, None]),
        (task_layouts(8, 2)["foreground"], 4, [1, None, 3, None, 7, None]),
        (VARIANTS["fg2bg_rgba"].layout, 4, [12, None, None, None, 16, None, None, None]),
        (VARIANTS["bg2fg_rgba"].layout, 4, [None, 4, None, None, None, 8, None, None, None, 16, None, None, None]),
    ],
)
def test_a_layer_begins_with_the_end_of_the_one_before(
    layout: Layout, overlap: int, expected: list[int | None]
) -> None:
    known = continued(layout, numbered(layout), overlap)
    estimate = torch.full((2, layout.num_predicted, 2, 3, 4), -1.0)
    put = known.put(estimate)
    assert put.shape == estimate.shape and (put == put[:1, :, :1, :1, :1]).all()
    assert put[0, :, 0, 0, 0].tolist() == [-1 if number is None else number for number in expected]


def test_which_tasks_go_on() -> None:
    assert {task: goes_on(layout) for task, layout in task_layouts(8, 2).items()} == {
        "generate": True,
        "decompose": False,
        "background": True,
        "foreground": True,
    }
    assert not goes_on(VARIANTS["seg_rgb"].layout)
    assert [shared_frames(task_layouts(16, latents)["generate"]) for latents in (4, 2, 1)] == [4, 8, 0]


def test_a_crossfade() -> None:
    first, second = windows(tuple(range(9)), 6, 3)
    fade = CrossFade()
    zeros, ones = ({"alpha": torch.full((6, 3, 2, 2), value)} for value in (0.0, 1.0))
    assert torch.equal(fade.join(first, [zeros, ones])[0]["alpha"], zeros["alpha"])
    joined, same = fade.join(second, [ones, ones])
    assert joined["alpha"][:, 0, 0, 0].tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    assert torch.equal(same["alpha"], ones["alpha"]) and (zeros["alpha"] == 0).all() and (ones["alpha"] == 1).all()


def known_to(windows: list[Conditions], patch: pytest.MonkeyPatch) -> list[Tensor]:
    """Notes under which conditions every window is sampled, and returns the latents that come of them."""
    made: list[Tensor] = []
    sample = shots.sample_clip

    def noting(engine: object, conditions: Conditions, *args: object, **options: object) -> Tensor:
        windows.append(conditions)
        made.append(sample(engine, conditions, *args, **options))
        return made[-1]

    patch.setattr(shots, "sample_clip", noting)
    return made


@pytest.mark.parametrize("task", ["generate", "decompose"])
def test_a_window_knows_the_one_before(tiny_model, tmp_path, monkeypatch, task) -> None:
    under: list[Conditions] = []
    made = known_to(under, monkeypatch)
    plate = {} if task == "generate" else {"plate": write_plate(tmp_path / "plate", count=16)}
    render(tiny_model, tmp_path / "out", task=task, **(plate or {"num_frames": 16}))
    assert under[0].known is None and len(under) == 3
    for before, conditions in zip(made, under[1:], strict=False):
        assert (conditions.known is None) == (task == "decompose")
        if conditions.known is not None:
            assert torch.equal(conditions.known.latents[0, ::2], before[1::2])
            assert conditions.known.mask.tolist() == [True, False] * 4


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """20 generated frames in four windows, each of which goes on from the one before."""
    folder = tmp_path_factory.mktemp("undisturbed")
    generate(tiny_model, folder)
    return contents(folder)


def generate(model: Path, folder: Path, **options: object) -> None:
    render(model, folder, task="generate", num_frames=20, width=48, height=32, **options)


def stop_in_the_last_window(model: Path, folder: Path) -> None:
    steps: list[int] = []

    def on_event(event: Event) -> None:
        if event.kind == "step":
            steps.append(event.done)

    with pytest.raises(Interrupted):
        generate(model, folder, on_event=on_event, stopped=lambda: steps[-1:] == [11])


@pytest.mark.parametrize("lost", ["", "window-*", "window-0002*", "*"])
def test_going_on_after_a_stop(tiny_model, tmp_path, undisturbed, lost) -> None:
    """Whatever is left of the states; without that of the window before, all are made again."""
    stop_in_the_last_window(tiny_model, tmp_path)
    left = frames(tmp_path)
    assert len(left) < 20 and all(left[name] == undisturbed[name] for name in left)
    for path in tmp_path.glob(f".dog.layerflow/{lost}") if lost else ():
        path.unlink()
    generate(tiny_model, tmp_path, resume=True)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize("missing", [1, 6, 13, 20])
def test_a_frame_that_is_gone_is_made_again(tiny_model, tmp_path, undisturbed, missing) -> None:
    generate(tiny_model, tmp_path)
    (tmp_path / f"dog.{missing:04d}.exr").unlink()
    generate(tiny_model, tmp_path, resume=True)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize("task", ["generate", "decompose"])
def test_a_long_shot_keeps_the_states_of_few_windows(tiny_model, tmp_path, monkeypatch, task) -> None:
    monkeypatch.setattr("layerflow.journal.KEEP_EVERY_S", 0.0)
    kept: list[int] = []

    def on_event(event: Event) -> None:
        if event.kind == "step":
            kept.append(len(list((tmp_path / "out").glob(".dog.layerflow/window-*"))))

    plate = {"num_frames": 60} if task == "generate" else {"plate": write_plate(tmp_path / "plate", count=60)}
    render(tiny_model, tmp_path / "out", task=task, on_event=on_event, **plate)
    assert len(kept) == 3 * 14 and max(kept) <= 4
