"""Exports without a window, by a real engine: the files, the words, one after another, and stopping."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from exports_on_disk import FRAMES, HEIGHT, STATES, WIDTH, engine, slow_engine, stack_of, write_take
from pumping import Pump

from layerflow import exr
from layerflow.comp import Comp, Placement, comped
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.delivering import Exported
from layerflow_desktop.controllers.exporting import Exporter
from layerflow_desktop.models.compositing import compose
from layerflow_desktop.models.document import LayerState
from layerflow_desktop.models.exports import (
    KINDS,
    Export,
    Kind,
    comp_layers,
    comp_text,
    is_changed,
    layer_pattern,
    range_of,
    suggested_output,
)
from layerflow_desktop.models.layer_stack import visible_names
from layerflow_desktop.models.picture import Placed, Shown

NAMES = {
    "exr": "x.%04d.exr",
    "exr-layers": "x.%04d.exr",
    "png-layers": "x.%04d.png",
    "prores": "x.mov",
    "sheet": "x.png",
}


@dataclass
class Bench:
    """An exporter, and what it told."""

    pump: Pump
    exporter: Exporter
    told: list[object] = field(default_factory=list)

    def until(self, count: int) -> None:
        self.pump.until(lambda: len(self.ends) >= count)

    @property
    def ends(self) -> list[object]:
        return [each for each in self.told if not isinstance(each, tuple)]


def bench_of(command: list[str]) -> Iterator[Bench]:
    pump = Pump()
    background = Background(pump)
    bench = Bench(pump, Exporter(background, pump, lambda: command))
    for signal in (bench.exporter.done, bench.exporter.failed):
        signal.connect(bench.told.append)
    bench.exporter.cancelled.connect(lambda: bench.told.append("cancelled"))
    bench.exporter.progress.connect(lambda done, total: bench.told.append((done, total)))
    yield bench
    bench.exporter.close()
    background.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from bench_of(engine())


@pytest.fixture
def slow_bench() -> Iterator[Bench]:
    yield from bench_of(slow_engine("1003"))


@pytest.fixture
def take(tmp_path: Path) -> str:
    return write_take(tmp_path / "take")


def export_of(take: str, kind: Kind, folder: Path, **options: object) -> Export:
    values = {"frames": FRAMES, "layers": STATES, **options}
    return Export(kind, take, str(folder / NAMES[kind]), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [False, True])
def test_every_kind_becomes_the_files_that_were_foretold(bench, take, tmp_path, kind, changed) -> None:
    states = (STATES[0].with_(opacity=0.5), *STATES[1:]) if changed else STATES
    export = export_of(take, kind, tmp_path / "out", layers=states)
    bench.exporter.start(export)
    assert bench.exporter.running == export
    bench.until(1)
    (exported,) = bench.ends
    assert isinstance(exported, Exported) and exported.export == export
    assert set(exported.files) == set(export.files()) == {str(path) for path in (tmp_path / "out").iterdir()}
    assert bench.told[:-1] == [(1, 3), (2, 3), (3, 3)] and bench.exporter.running is None


def test_the_comp_is_in_it(bench, take, tmp_path) -> None:
    moved = STATES[0].with_(offset_x=2.5, offset_y=-1.0, opacity=0.75, locked=True)
    export = export_of(take, "exr", tmp_path, layers=(STATES[1], moved, STATES[2]), frames=(1002,))
    bench.exporter.start(export)
    bench.until(1)
    got = exr.read_stack([Path(export.files()[0])])
    places = (
        Placement(name="foreground2"),
        Placement(name="foreground1", offset_x=2.5, offset_y=-1, opacity=0.75),
    )
    expected = comped(exr.frame_of(stack_of(), 1), Comp(layers=places))
    np.testing.assert_allclose(got.layers["blended"], expected.layers["blended"], atol=1e-3)
    assert list(got.layers) == ["foreground2", "foreground1", "background", "blended"]


def test_the_viewer_shows_what_is_exported() -> None:
    states = (
        STATES[0].with_(offset_x=3.25, offset_y=-2.5, scale=0.7, opacity=0.6),
        STATES[1],
        STATES[2].with_(scale=1.3, offset_x=-4.0),
    )
    stack = exr.frame_of(stack_of(), 0)
    exported = comped(stack, Comp.from_dict(json.loads(comp_text(states)))).layers["blended"][0]
    placed = tuple(
        Placed(
            stack.layers[state.name][0].astype(np.float16), state.opacity, state.offset_x, state.offset_y, state.scale
        )
        for state in states
    )
    shown = compose(Shown(placed), HEIGHT, WIDTH)
    np.testing.assert_allclose(shown[..., :3], exported, atol=1e-6)


def test_what_is_there_is_told_and_not_replaced(bench, take, tmp_path) -> None:
    export = export_of(take, "exr-layers", tmp_path / "out")
    there = Path(export.files()[4])
    there.parent.mkdir()
    there.write_text("mine")
    found: list[tuple[str, ...]] = []
    bench.exporter.existing(export, found.append)
    bench.pump.until(lambda: found)
    assert found == [(str(there),)]
    bench.exporter.start(export)
    bench.until(1)
    assert bench.ends == [f"{there} is already there; tick Replace or choose another output"]
    assert there.read_text() == "mine" and len(list(there.parent.iterdir())) == 1
    bench.exporter.start(replace(export, replace=True))
    bench.until(2)
    assert isinstance(bench.ends[-1], Exported) and exr.verify_frame(there)


def test_several_in_a_row(bench, take, tmp_path) -> None:
    first, second = export_of(take, "sheet", tmp_path), export_of(take, "prores", tmp_path)
    bench.exporter.start(first)
    bench.exporter.start(second)
    assert (bench.exporter.running, bench.exporter.waiting) == (first, (second,))
    bench.until(2)
    assert [each.export for each in bench.ends] == [first, second]


def test_stopping_leaves_nothing_half_and_the_next_begins(slow_bench, take, tmp_path) -> None:
    bench = slow_bench
    bench.exporter.start(export_of(take, "prores", tmp_path / "a"))
    bench.exporter.start(export_of(take, "exr", tmp_path / "b", frames=FRAMES[:2]))
    bench.pump.until(lambda: (2, 3) in bench.told)
    bench.exporter.cancel()
    bench.until(2)
    assert bench.ends[0] == "cancelled" and isinstance(bench.ends[1], Exported)
    assert not list((tmp_path / "a").iterdir()) and len(list((tmp_path / "b").iterdir())) == 2


def test_stopping_before_it_has_begun(slow_bench, take, tmp_path) -> None:
    slow_bench.exporter.start(export_of(take, "prores", tmp_path / "a"))
    slow_bench.exporter.cancel()
    slow_bench.until(1)
    assert slow_bench.ends == ["cancelled"]


def test_closing_ends_the_process_and_tells_nothing(slow_bench, take, tmp_path) -> None:
    bench = slow_bench
    bench.exporter.start(export_of(take, "prores", tmp_path / "a"))
    bench.pump.until(lambda: (2, 3) in bench.told)
    delivery = bench.exporter._delivery
    bench.exporter.close()
    bench.pump.until(lambda: delivery._process.poll() is not None)
    assert not bench.ends and not list((tmp_path / "a").iterdir())


def test_an_engine_that_dies_or_is_not_there(take, tmp_path) -> None:
    for command, words in (
        ([sys.executable, "-c", "import sys; sys.exit('no room on the moon')"], "no room on the moon"),
        ([str(tmp_path / "nothing")], "cannot be run"),
    ):
        for bench in bench_of(command):
            bench.exporter.start(export_of(take, "sheet", tmp_path))
            bench.until(1)
            (sentence,) = bench.ends
            assert words in str(sentence) and "\n" not in str(sentence)


def test_warnings_are_kept(bench, take, tmp_path) -> None:
    stack = stack_of()
    bright = replace(stack, layers={name: pixels * 9 for name, pixels in stack.layers.items()})
    for index, frame in enumerate(FRAMES):
        exr.write_frame(Path(take % frame), bright, index, header={})
    bench.exporter.start(export_of(take, "prores", tmp_path, layer="background"))
    bench.until(1)
    (exported,) = bench.ends
    assert len(exported.warnings) == 1 and "brighter than white" in exported.warnings[0]


def test_a_solo_layer_hides_the_others() -> None:
    states = (STATES[0], STATES[1].with_(solo=True), STATES[2], LayerState(name="blended"))
    assert '"name": "foreground1", "visible": false' in comp_text(states)
    assert '"name": "foreground2", "visible": true' in comp_text(states) and "blended" not in comp_text(states)


def test_an_export_shows_what_the_panel_shows() -> None:
    """Solo goes before the eye, and says nothing of a residual, which no panel has."""
    eyes = itertools.product((False, True), repeat=4)
    for (eye, other_eye), (solo, other_solo) in ((flags[:2], flags[2:]) for flags in eyes):
        states = (STATES[0].with_(visible=eye, solo=solo), STATES[2].with_(visible=other_eye, solo=other_solo))
        exported = comp_layers((*states, LayerState(name="residual"), LayerState(name="blended")))
        assert tuple(state.name for state in exported if state.visible) == (*visible_names(states), "residual")
        assert not any(state.solo for state in exported)


@pytest.mark.parametrize(
    ("states", "changed"),
    [
        (STATES, False),
        ((STATES[1], STATES[0], STATES[2]), True),
        ((STATES[2], *STATES[:2]), True),
        ((STATES[0].with_(scale=2), *STATES[1:]), True),
        ((STATES[0].with_(locked=True), *STATES[1:]), False),
        ((*STATES, LayerState(name="blended", visible=False)), False),
    ],
)
def test_whether_a_comp_changes_the_picture(states, changed) -> None:
    assert is_changed(states) is changed


def test_names() -> None:
    assert layer_pattern("/a/dog.%04d.exr", "foreground") == "/a/dog.foreground.%04d.exr"
    assert layer_pattern("/a/dog_###.png", "background") == "/a/dog_background_%03d.png"
    assert suggested_output("exr", "/a/dog_v003.%04d.exr") == "/a/export/dog_v003_comp.%04d.exr"
    assert suggested_output("prores", "/a/dog_v003.%04d.exr") == "/a/export/dog_v003.mov"
    assert suggested_output("png-layers", "/a/dog_v003.%04d.exr") == "/a/export/dog_v003.%04d.png"
    assert suggested_output("sheet", "/a/dog_v003.%04d.exr") == "/a/export/dog_v003_sheet.png"
    assert range_of((1, 2, 3, 4), 2, 3) == (2, 3) and range_of((1, 2), None, None) == (1, 2)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frames": ()}, "no frames to export"),
        ({"layers": (STATES[0].with_(visible=False),)}, "every layer is hidden"),
        ({"output": " "}, "no place to export to"),
    ],
)
def test_an_export_that_cannot_be(values, words) -> None:
    good = {"kind": "exr", "source": "a.%04d.exr", "output": "b.%04d.exr", "frames": (1,), "layers": STATES}
    with pytest.raises(ValueError, match=words):
        Export(**{**good, **values})
