"""The planner: answers known on paper, the engine's own numbers, and sentences for what cannot be planned."""

from __future__ import annotations

import heapq
import json
import math
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendering import render, request, write_plate
from tiny import NUM_FRAMES, NUM_STEPS

from layerflow.cli.app import run
from layerflow.errors import LayerFlowError, RequestError
from layerflow.planning import measure as measuring
from layerflow.planning.figures import Figure, Rate
from layerflow.planning.fleet import Group, Price, parse_fleet, parse_prices
from layerflow.planning.lengths import Lengths, parse_lengths
from layerflow.planning.plan import Question, plan
from layerflow.planning.queueing import Job, Machine, arrivals, simulate
from layerflow.planning.rates import read_rates, share_of_work, shipped_rates
from layerflow.planning.timing import overlap_of, stages_of
from layerflow.planning.work import memory_of, prepared, work_of

RATES = shipped_rates()


def machine(count: int = 1, *, first_s: float = 0.0) -> list[Machine]:
    return [Machine(kind="gpu", first_s=first_s)] * count


def job(*seconds: float, at: float = 0.0) -> Job:
    return Job(arrives_s=at, windows_s={"gpu": seconds})


def paper_rate(**own: float) -> Rate:
    """A device of round numbers."""
    values = {"start_s": 1.0, "load_s": 2.0, "shot_s": 0.5, "encode_s": 0.25, "step_s": 1.0, "decode_s": 0.5}
    values |= {"frame_s": 0.125, "overlap": 0.0, **own}
    figures = {name: Figure(value=value, kind="measured", source="paper") for name, value in values.items()}
    return Rate(name="gpu", what="paper", is_gpu=False, memory_gb=100, figures=figures)


def fleet(count: int = 1, per_hour: float = 2.0, **own: float) -> tuple[Group, ...]:
    return (Group(count=count, rate=paper_rate(**own), price=Price(per_hour=per_hour, kind="yours")),)


@pytest.fixture
def parts(tiny_model, tmp_path):
    """A shot of 40 frames, in windows of 8 that share 4."""
    return prepared(request(tiny_model, tmp_path, task="generate", num_frames=40))


def test_the_windows_are_the_engine_s_own(parts):
    (shot,) = parts
    work = work_of(shot)
    assert (work.windows, work.frames, work.steps, work.passes) == (len(shot.windows), 40, NUM_STEPS, 1)
    assert work.windows == 9 and work.window_frames == NUM_FRAMES
    assert work.of_length(8).windows == 1 and work.of_length(41).windows == 10
    assert work.disk_bytes == shot.delivery.num_bytes and work.of_length(80).disk_bytes == 2 * work.disk_bytes


def test_a_plate_and_its_passes(tiny_model, tmp_path):
    plate = write_plate(tmp_path / "plate", count=11)
    asked = {"plate": plate, "foreground": "", "foregrounds": ("a dog", "red")}
    (shot,) = prepared(request(tiny_model, tmp_path / "out", **asked))
    work = work_of(shot)
    assert (work.frames, work.passes, work.width, work.height) == (11, 2, 24, 16)
    assert work.windows == len(shot.windows) and work.encoded_mp > 0
    assert not (tmp_path / "out").exists()  # nothing is written


def test_an_edit_of_a_plate_is_two_shots(tiny_model, tmp_path):
    plate = write_plate(tmp_path / "plate", count=11)
    parts = prepared(request(tiny_model, tmp_path / "out", task="edit", plate=plate, keep=("foreground",)))
    assert [work_of(each).task for each in parts] == ["decompose", "background"]
    assert {work_of(each).frames for each in parts} == {11}
    assert len(plan(parts, Question(fleet=fleet())).devices[0].stages) == 2


def test_the_network_is_counted_as_the_bench_counts_it(parts):
    flops = pytest.importorskip("layerflow_export.bench.flops")
    from layerflow.models.weights import weights_of

    (shot,) = parts
    work, config = work_of(shot), weights_of(shot.folder.path / "transformer").config
    latents = (shot.layout.num_latents, config["latent_channels"], work.model_height // 8, work.model_width // 8)
    counted = flops.core_flops(config, latents, len(shot.layout.prompts) * shot.folder.manifest.prompt_tokens)
    assert work.step_tflop * 1e12 == 2 * (counted.linear + counted.attention)  # the tiny model is guided in all steps


def test_one_shot_one_gpu_is_the_sum(parts):
    answer = plan(parts, Question(fleet=fleet()))
    # 9 windows of .25 + 3 + .5, 40 frames of .125, half a second once; a process of 1 and a model of 2
    assert answer.devices[0].made_s == pytest.approx(9 * 3.75 + 40 * 0.125 + 0.5)
    assert 3600 * answer.hours == pytest.approx(9 * 3.75 + 5.5 + 3)
    assert answer.cost == pytest.approx(2.0 * answer.hours) and answer.outcome is None


def test_what_runs_side_by_side(parts):
    work = work_of(parts[0])
    first, second = 3.25, 0.5 + 40 / 9 * 0.125
    whole = stages_of(work, paper_rate(overlap=1.0)).made
    assert whole == pytest.approx(0.5 + 9 * first + second)  # the last window's end alone is waited for
    assert overlap_of(9, whole - 0.5, first, second) == pytest.approx(1)
    half = stages_of(work, paper_rate(overlap=0.5)).made
    assert overlap_of(9, half - 0.5, first, second) == pytest.approx(0.5)
    turns = stages_of(work, paper_rate(overlap=1.0), decodes_aside=False).made  # the codec waits for its turn
    assert turns == pytest.approx(0.5 + 9 * 3.75 + 40 / 9 * 0.125)


def test_one_gpu_makes_its_shots_one_after_the_other(parts):
    answer = plan(parts, Question(fleet=fleet(), shots=5))
    assert answer.outcome.makespan_s == pytest.approx(3 + 5 * answer.devices[0].made_s)
    assert answer.outcome.utilisation == pytest.approx(1)


@pytest.mark.parametrize(("shots", "gpus"), [(10, 3), (9, 3), (2, 5)])
def test_equal_shots_on_many_gpus_come_in_rounds(parts, shots, gpus):
    answer = plan(parts, Question(fleet=fleet(gpus), shots=shots))
    rounds = math.ceil(shots / gpus)
    assert answer.outcome.makespan_s == pytest.approx(3 + rounds * answer.devices[0].made_s)
    assert answer.cost == pytest.approx(gpus * 2.0 * answer.hours)


SERVERS, LOAD = 5, 0.6


def drawn_jobs(seed: int, count: int) -> list[Job]:
    """Shots that come in at random, with lengths of a mean of one, for `SERVERS` GPUs."""
    generator, at, jobs = random.Random(seed), 0.0, []
    for _ in range(count):
        at += generator.expovariate(SERVERS * LOAD)
        jobs.append(job(generator.expovariate(1.0), at=at))
    return jobs


def waited(jobs: list[Job]) -> float:
    """The mean waiting of one row before `SERVERS`: each shot goes to the one that is free first."""
    free, total = [0.0] * SERVERS, 0.0
    for each in jobs:
        begins = max(heapq.heappop(free), each.arrives_s)
        total += begins - each.arrives_s
        heapq.heappush(free, begins + sum(each.windows_s["gpu"]))
    return total / len(jobs)


def test_waiting_is_what_a_plain_loop_finds():
    jobs = drawn_jobs(3, 5000)
    outcome = simulate(jobs, machine(SERVERS))
    assert outcome.waiting_s == pytest.approx(waited(jobs), rel=1e-9)
    assert outcome.utilisation == pytest.approx(LOAD, rel=0.05)


def test_waiting_is_what_queueing_theory_says():
    offered = SERVERS * LOAD
    tail = offered**SERVERS / math.factorial(SERVERS) / (1 - LOAD)
    erlang_c = tail / (sum(offered**k / math.factorial(k) for k in range(SERVERS)) + tail)
    found = [simulate(drawn_jobs(seed, 2000), machine(SERVERS)).waiting_s for seed in range(2)]
    loops = [waited(drawn_jobs(seed, 40_000)) for seed in range(20)]  # one run is 7 % off, as theory has it too
    assert sum(loops) / 20 == pytest.approx(erlang_c / (SERVERS * (1 - LOAD)), rel=0.05)
    assert found == pytest.approx([waited(drawn_jobs(seed, 2000)) for seed in range(2)], rel=1e-9)


def test_a_window_that_fails_is_made_again():
    # A window of d with failures at rate r takes (e^(rd) - 1) (1 / r + a new start) on average.
    rate, seconds, start, count = 1.0, 3600.0, 600.0, 4000
    outcome = simulate([job(seconds)] * count, machine(count, first_s=start), failures_per_hour=rate, seed=1)
    expected = (math.e - 1) * (3600 + start)
    assert outcome.turnaround_s - outcome.waiting_s == pytest.approx(expected, rel=0.05)
    assert outcome.failures == pytest.approx((math.e - 1) * count, rel=0.05)


def test_failures_and_chance_are_the_seed_s():
    jobs = [job(*[600.0] * 6)] * 20
    one, again, other = (simulate(jobs, machine(4), failures_per_hour=1, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert arrivals(5, 60, 1) == arrivals(5, 60, 1) != arrivals(5, 60, 2)
    assert arrivals(3, 0, 1) == [0.0] * 3


def test_windows_that_never_end_are_refused():
    with pytest.raises(RequestError, match="hardly ever"):
        simulate([job(36_000.0)], machine(), failures_per_hour=10)


def test_the_fastest_that_is_free_is_taken():
    machines = [Machine(kind="slow", speed=1), Machine(kind="fast", speed=2)]
    outcome = simulate([Job(arrives_s=0, windows_s={"slow": [2.0], "fast": [1.0]})], machines)
    assert outcome.makespan_s == 1.0 and outcome.busy_by_kind_s["slow"] == 0.0


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(0, 50), st.lists(st.floats(0.1, 20), min_size=1, max_size=4)), min_size=1, max_size=12
    ),
    st.integers(1, 6),
    st.floats(0, 30),
)
def test_more_gpus_are_never_slower(shots, gpus, first_s):
    jobs = [job(*seconds, at=at) for at, seconds in sorted(shots)]
    few, more = (simulate(jobs, machine(count, first_s=first_s), failures_per_hour=5) for count in (gpus, gpus + 1))
    assert more.makespan_s <= few.makespan_s + 1e-6
    assert more.waiting_s <= few.waiting_s + 1e-6


@settings(max_examples=20)
@given(st.integers(1, 20), st.floats(0, 100), st.integers(2, 30))
def test_the_cost_is_hours_times_price(tiny_model, tmp_path_factory, gpus, per_hour, shots):
    parts = prepared(request(tiny_model, tmp_path_factory.getbasetemp() / "none", task="generate"))
    answer = plan(parts, Question(fleet=fleet(gpus, per_hour), shots=shots))
    assert answer.cost == pytest.approx(answer.outcome.makespan_s / 3600 * gpus * per_hour)
    assert answer.cost_at_work <= answer.cost + 1e-9


def test_a_missing_price_is_no_price(parts):
    group = Group(count=2, rate=paper_rate(), price=None)
    answer = plan(parts, Question(fleet=(group,), shots=3))
    assert answer.cost is None and answer.cost_at_work is None


def test_lengths_are_as_they_were_asked_for(parts):
    generator = random.Random(1)
    drawn = [parse_lengths("exponential:120").draw(generator) for _ in range(4000)]
    assert sum(drawn) / 4000 == pytest.approx(120, rel=0.05)
    middle = sorted(parse_lengths("lognormal:100,0.5").draw(generator) for _ in range(4001))[2000]
    assert middle == pytest.approx(100, rel=0.05)
    assert {parse_lengths("fixed:24").draw(generator) for _ in range(9)} == {24}
    assert all(10 <= parse_lengths("uniform:10,20").draw(generator) <= 20 for _ in range(99))
    answer = plan(parts, Question(fleet=fleet(), shots=50, lengths=Lengths(kind="uniform", numbers=(8, 80))))
    assert answer.frames != 50 * 40 and answer == plan(parts, answer.question)


@pytest.mark.parametrize(
    "text", ["", "120", "fixed", "fixed:0", "fixed:x", "uniform:9", "uniform:20,10", "lognormal:120,9", "gamma:1,2"]
)
def test_lengths_that_say_nothing(text):
    with pytest.raises(RequestError, match="; "):
        parse_lengths(text)


def test_fleets_and_prices():
    prices = parse_prices(["l40s=1.25"], RATES)
    some, more = parse_fleet("40xL40S, 8 x h200", RATES, prices)
    assert (some.count, some.rate.name, some.price) == (40, "L40S", Price(per_hour=1.25, kind="yours"))
    assert (more.count, more.rate.name) == (8, "H200") and more.price.kind == "example"
    assert parse_fleet("L4,L4", RATES, prices)[0].count == 2


@pytest.mark.parametrize("text", ["", "40", "x", "0xL40S", "40xL40", "-1xL4", "4*L4", "999999999xL4"])
def test_fleets_that_are_none(text):
    with pytest.raises(RequestError, match=r"[;,] "):
        parse_fleet(text, RATES, {})


@pytest.mark.parametrize("text", ["L40S", "L40S=", "L40S=dear", "L40S=-1", "L40S=nan", "V100=1"])
def test_prices_that_are_none(text):
    with pytest.raises(RequestError, match=r"[;,] "):
        parse_prices([text], RATES)


def test_what_came_along_says_where_it_is_from():
    assert RATES["cpu"].kind == "measured" and all(RATES[name].kind == "estimate" for name in RATES if name != "cpu")
    documented = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for figure in RATES["cpu"].figures.values():
        section = figure.source.removeprefix("docs/benchmarks.md, ").split(":")[0]
        assert f"# {section}" in documented, figure.source
    assert all(figure.source.startswith("estimate: ") for figure in RATES["L40S"].figures.values())
    assert share_of_work("draft", 50)[0] == 0.39 and share_of_work("exact", 50)[0] == share_of_work("high", 6)[0] == 1


def test_rates_of_one_s_own(tmp_path):
    path = tmp_path / "rates.toml"
    path.write_text(
        '[L40S]\nstep_s = {value = 2.5, kind = "measured", source = "night 3"}\n'
        "[Tin]\nmemory_gb = 8\nstart_s = 1\nload_s = 1\nstep_s = 1\nframe_s = 1\noverlap = 1\n",
        encoding="utf-8",
    )
    rates = read_rates(path)
    assert rates["L40S"].the("step_s") == 2.5 and rates["L40S"].figures["step_s"].source == "night 3"
    assert rates["L40S"].the("overlap") == RATES["L40S"].the("overlap") and rates["L40S"].kind == "estimate"
    assert rates["Tin"].is_gpu and rates["Tin"].figures["step_s"].source == "rates.toml"


@pytest.mark.parametrize(
    "text",
    [
        "[L40S",
        "L40S = 1",
        "[Tin]\nmemory_gb = 8",
        "[L40S]\nstep = 1",
        "[L40S]\nstep_s = 'x'",
        "[L40S]\noverlap = 2",
        "[L40S]\nnetwork_tflops = 0",
        "[L40S]\nstep_s = {value = 1, kind = 'guess'}",
        "[L40S]\nstep_s = {kind = 'measured'}",
        "[L40S]\nkind = 'tpu'",
    ],
)
def test_rates_that_are_none(tmp_path, text):
    path = tmp_path / "rates.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=r"docs/plan\.md"):
        read_rates(path)


def test_a_rate_that_lacks_what_the_shot_needs(parts):
    with pytest.raises(RequestError, match="linear_mp_per_s"):
        values = {name: RATES["cpu"].figures[name] for name in RATES["cpu"].figures if name != "linear_mp_per_s"}
        stages_of(work_of(parts[0]), Rate(name="x", what="x", is_gpu=False, memory_gb=1, figures=values))


def test_memory_picks_the_engine_s_own_plan(parts):
    (shot,) = parts
    found = [memory_of(shot.folder, shot.request, RATES[name]) for name in ("L40S", "cpu")]
    assert [each.plan for each in found] == ["full", "full"] and all(each.fits for each in found)
    tight = Rate(name="x", what="x", is_gpu=True, memory_gb=0.1, figures=RATES["L40S"].figures)
    assert memory_of(shot.folder, shot.request, tight).plan == "low"
    assert not memory_of(shot.folder, shot.request, tight).fits


@pytest.mark.parametrize("wrong", [{"shots": 0}, {"shots": 10**6}, {"over_h": -1.0}, {"failures_per_hour": -1.0}])
def test_questions_without_an_answer(wrong):
    with pytest.raises(RequestError, match="; give"):
        Question(fleet=fleet(), **wrong)


def test_without_simpy_one_shot_is_planned_and_many_say_what_to_install(parts, monkeypatch):
    monkeypatch.setitem(sys.modules, "simpy", None)
    assert plan(parts, Question(fleet=fleet())).hours > 0
    with pytest.raises(RequestError, match=r"layerflow\[cluster\]"):
        plan(parts, Question(fleet=fleet(), shots=2))


def test_measuring_touches_nothing_and_is_remembered(tiny_model, tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(measuring, "LONG_S", 0.0)
    process_s = measuring._process_s
    monkeypatch.setattr(measuring, "_process_s", lambda *what: process_s(*what) if what[1:] else 1.5)
    plate = write_plate(tmp_path / "plate", count=24)
    (shot,) = prepared(request(tiny_model, tmp_path / "out", plate=plate))
    assert measuring.measured_before(shot) is None
    rate = measuring.measure(shot)
    assert rate.kind == "measured" and rate.the("start_s") == 1.5 and 0 <= rate.the("overlap") <= 1
    assert all(rate.the(name) > 0 for name in ("load_s", "step_s", "encode_s", "decode_s", "frame_s"))
    assert measuring.measured_before(shot) == rate
    assert not (tmp_path / "out").exists()
    (longer,) = prepared(request(tiny_model, tmp_path / "out", plate=plate, last_frame=1008))
    assert measuring.measured_before(longer) == rate  # by model, device and size
    (other,) = prepared(request(tiny_model, tmp_path / "out", plate=plate, refine="off"))
    assert measuring.measured_before(other) is None


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import sys; print('a line'); sys.exit('no room; take less')", "no room; take less"),
        ("raise SystemExit(7)", "exit code 7"),
    ],
)
def test_a_process_that_fails_says_why(code, sentence):
    with pytest.raises(LayerFlowError, match=sentence):
        measuring._process_s(code)


def test_a_shot_that_goes_on_can_be_measured(tiny_model, tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(measuring, "_process_s", lambda *what: 1.5)
    monkeypatch.setattr(measuring, "LONG_S", 0.0)
    render(tiny_model, tmp_path / "first", task="generate", num_frames=8)
    asked = request(
        tiny_model, tmp_path / "out", task="edit", plate=str(tmp_path / "first" / "dog.%04d.exr"), extend=20
    )
    (shot,) = prepared(asked)
    assert work_of(shot).windows == len(shot.windows)
    assert work_of(shot).of_length(20) == work_of(shot)
    assert measuring.measure(shot).the("step_s") > 0


def shot_file(folder: Path, model: Path, **changes: object) -> str:
    path = folder / "shot.json"
    values = {"task": "generate", "foreground": "a dog", "background": "red", "model": str(model), **changes}
    path.write_text(json.dumps({"output": str(folder / "out.%04d.exr"), **values}), encoding="utf-8")
    return str(path)


def test_the_verb(tiny_model, tmp_path, capsys):
    path = shot_file(tmp_path, tiny_model, num_frames=40)
    asked = [
        path,
        "--gpus",
        "40xL40S",
        "--shots",
        "50",
        "--lengths",
        "exponential:48",
        "--over",
        "1",
        "--failures",
        "0.1",
    ]
    assert run(["plan", *asked, "--price", "L40S=2", "--seed", "3", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["shot"][0]["windows"] == 9 and answer["devices"][0]["rate"]["kind"] == "estimate"
    assert answer["cost"] == pytest.approx(80 * answer["hours"]) and answer["simulation"]["makespan_s"] > 0
    assert not answer["example_prices"] and any("estimate" in each for each in answer["assumptions"])
    assert run(["plan", *asked]) == 0
    text = capsys.readouterr().out
    for words in ("(example)", "estimate", "Assumed:", "example prices", "GPUs at work", "seed 0"):
        assert words in text


def test_the_verb_says_what_is_wrong(tiny_model, tmp_path, capsys):
    path = shot_file(tmp_path, tiny_model)
    for more, words in (
        (["--gpus", "4xV100"], "nothing is known of 'V100'"),
        (["--rates", str(tmp_path / "none.toml")], "docs/plan.md"),
        (["--shots", "0"], "give 1 to"),
    ):
        assert run(["plan", path, *more]) == 2
        assert words in capsys.readouterr().err
    assert run(["plan", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
