"""A bench of a tiny model: what is measured, of whom, and what becomes of those that cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest

from layerflow.denoisers import OwnThreads
from layerflow.errors import RequestError
from layerflow.layout import TASKS
from layerflow.models.backends import Guarded
from layerflow.models.folder import open_model
from layerflow_export.bench import runner
from layerflow_export.bench.case import Case
from layerflow_export.bench.report import Report, read_report
from layerflow_export.bench.rounds import PARTS, Bench, Plan
from layerflow_export.bench.runner import Runner
from layerflow_export.bench.worker import working
from layerflow_export.cli.app import run

pytestmark = pytest.mark.usefixtures("one_thread")


def benched(model, **changes) -> Report:
    values = {"case": Case(model=str(model)), "backends": ("diffusers", "eager"), "rounds": 2}
    return Bench(Plan(**{**values, **changes}), "bench", lambda said: None, lambda report: None).run()


@pytest.mark.usefixtures("one_process")
def test_everything_is_measured(tiny_model):
    report = benched(tiny_model)
    assert [row.label for row in report.rows] == ["diffusers", "eager"]
    for row in report.rows:
        assert len(row.step.seconds) == 6 and len(row.shot.seconds) == 2
        assert row.shot.least == pytest.approx(row.text_s + row.sampling_s + row.decode_s)
        assert row.peak_bytes > 0 and row.precision == "float32"
        per_second = report.shot["flops_per_step"] / row.step.least
        assert row.flops_share == pytest.approx(per_second / report.ceilings[0]["flops_per_s"])
    eager = report.rows[1]
    assert eager.closeness.v_max == eager.closeness.layers_max == eager.closeness.matte_mae == 0
    assert eager.closeness.picture_psnr is None and eager.render_s > 0
    assert report.speedup(report.rows[0], "shot") == 1
    assert report.shot["flops_per_step"] == 2 * sum(report.shot["flops"].values())
    assert not report.refused


@pytest.mark.usefixtures("one_process")
def test_an_error_shows(tiny_model, monkeypatch):
    monkeypatch.setattr(runner, "peer_network", lambda transformer: lambda *inputs: 1.001 * transformer(*inputs))
    row = benched(tiny_model, backends=("diffusers",), parts=("errors",)).rows[0]
    assert row.closeness.v_parts == pytest.approx(1e-3, rel=1e-3)
    assert 0 < row.closeness.matte_mae < row.closeness.layers_max < 0.1
    assert 30 < row.closeness.picture_psnr < 100


@pytest.mark.usefixtures("one_process")
def test_fewer_steps_compared_than_made(tiny_model, monkeypatch):
    asked = []
    monkeypatch.setattr(Runner, "answer", lambda self, call: asked.append(call) or np.zeros((1, 8, 6, 4, 6)))
    qualities = ("exact", "high")
    report = benched(tiny_model, backends=("eager",), qualities=qualities, parts=("errors",), steps_compared=1)
    assert len(asked) == 1 and report.rows[0].closeness.v_parts == 1
    assert report.rows[0].closeness.layers_max is None and report.rows[1].closeness is None


@pytest.mark.usefixtures("one_process")
def test_a_row_keeps_what_was_measured_before_it_failed(tiny_model, monkeypatch):
    def no_memory(self):
        raise RequestError("there is not enough memory")

    monkeypatch.setattr(Runner, "warm_codec", no_memory)
    report = benched(tiny_model, qualities=("high", "exact"), parts=("steps", "shots"), rounds=1)
    assert [row.label for row in report.rows] == ["diffusers", "eager"]
    assert all(row.step and not row.shot for row in report.rows)
    assert set(report.refused) == {"diffusers", "eager", "eager, high"}


@pytest.mark.usefixtures("one_process")
def test_without_a_reference_there_are_no_errors(tiny_model, monkeypatch):
    def no_memory(self, steps):
        raise RequestError("there is not enough memory")

    monkeypatch.setattr(Runner, "record", no_memory)
    report = benched(tiny_model, parts=("errors",))
    assert report.refused == {"eager float32": "there is not enough memory"}


@pytest.mark.usefixtures("one_process")
def test_what_cannot_run_is_listed_with_its_sentence(tiny_model):
    report = benched(tiny_model, backends=("nonsense", "eager"), parts=("steps",))
    assert [row.label for row in report.rows] == ["eager"]
    assert "there is no backend 'nonsense'" in report.refused["nonsense"]


@pytest.mark.long
@pytest.mark.usefixtures("one_process")
def test_a_quality_that_a_backend_refuses():
    case = Case(model="mini", task="decompose", steps=2)
    backends, qualities = ("diffusers", "eager", "onnxruntime"), ("exact", "high")
    report = benched("mini", case=case, backends=backends, qualities=qualities, parts=("shots", "errors"), rounds=1)
    assert [row.label for row in report.rows] == ["diffusers", "eager", "eager, high", "onnxruntime"]
    assert "has no blocks to leave out" in report.refused["onnxruntime, high"]
    assert report.rows[2].closeness.v_max is None and report.rows[2].shot


@pytest.mark.parametrize("task", TASKS)
def test_every_task_from_a_plate_of_its_own_to_files(tiny_model, tmp_path, task):
    eager = Runner(Case(model=str(tiny_model), task=task), "eager", "auto", "full")
    made, layout = eager.make("exact", None), eager.clip.layout
    assert all(np.isfinite(pixels).all() for pixels in made.layers.values())
    assert set(made.layers) == {name for name in layout.layers if not layout.is_given(name)}
    assert eager.render(tmp_path) > 0
    assert len(list(tmp_path.glob("out/*.exr"))) == layout.num_frames


def test_what_a_case_changes(tiny_model):
    case = Case(model=str(tiny_model), steps=2, guidance=1.0, seed=3)
    sampler = case.sampler(open_model(tiny_model))
    assert (sampler.num_steps, sampler.guidance.weight(500, 2)) == (2, 1.0)
    assert case.clip(open_model(tiny_model)).seed == 3


@pytest.mark.usefixtures("one_process")
def test_from_the_command_line(tiny_model, tmp_path, capsys):
    command = ["bench", str(tiny_model), "--backend", "eager", "--rounds", "1", "--skip", "render", "--steps", "2"]
    assert run([*command, "-o", str(tmp_path / "out"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    saved = read_report(tmp_path / "out" / "bench.json")
    assert json.loads(json.dumps(saved.to_dict())) == printed
    assert printed["rows"][1]["speedup"]["shot"] > 0 and printed["shot"]["steps"] == 2
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert run([*command, "--against", "nobody"]) == 0
    out = capsys.readouterr().out
    assert "eager" in out and "diffusers" not in out


@pytest.mark.parametrize("text", ["", "{}", '{"rows": [{}]}'], ids=["nothing", "no report", "half a report"])
def test_a_file_that_is_no_report(tmp_path, text):
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(RequestError, match="is not what layerflow-export bench writes"):
        read_report(tmp_path / "bench.json")


def test_the_parts_of_the_option_are_those_of_a_bench():
    from layerflow_export.cli.bench import bench

    option = next(parameter for parameter in bench.params if parameter.name == "skip")
    assert tuple(option.type.choices) == PARTS


@pytest.mark.long
@pytest.mark.slow
def test_in_processes_of_their_own(tiny_model, monkeypatch):
    with working(Case(model=str(tiny_model)), "diffusers") as worker:
        assert len(worker.ask("step", 2)) == 2
        assert worker.ask("facts")["precision"] == "float32"
        worker._process.kill()
        with pytest.raises(RequestError, match="the process of diffusers ended with -9"):
            worker.ask("step", 1)
    with working(Case(model=str(tiny_model)), "nonsense") as worker:
        for _ in range(2):
            with pytest.raises(RequestError, match="there is no backend 'nonsense'"):
                worker.ask("step", 1)


def test_only_what_a_shot_checks_is_checked_in_a_timed_one():
    def guarded(network):
        return Guarded(name="near", network=network, eager=eager, tolerance=1e-4, warn=print)

    def eager(latents, *others):
        return latents

    at_load, in_shot = guarded(OwnThreads(eager, takes_any_size=True)), guarded(eager)
    assert runner._unchecked(at_load) is at_load and runner._unchecked(eager) is eager
    assert runner._unchecked(in_shot) is not in_shot and runner._unchecked(in_shot).network is eager
