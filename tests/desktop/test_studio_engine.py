"""The engine as the app sees it: started, named, lost and found again, and what its doctor says."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from pumping import Pump, desk, end_server, kill_server
from server_process import home  # noqa: F401 - a fixture

from layerflow.wire import starting
from layerflow.wire.errors import NotRunning, ServerError
from layerflow.wire.running import published
from layerflow_desktop.controllers import engine as engine_module
from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.doctor import Doctor, findings_of
from layerflow_desktop.controllers.engine import Engine, engine_command


class Stub:
    """A client of an engine that is there or not."""

    def __init__(self) -> None:
        self.is_there = True
        self.num_starts = 0

    def connect(self, start: bool) -> Stub:
        self.num_starts += start
        if not self.is_there:
            raise NotRunning("nobody is there; start one")
        return self

    def models(self):
        return [{"name": "mini", "tasks": ["generate"]}]

    def devices(self):
        return [{"name": "cpu", "product": "A computer", "memory_bytes": 2**31}]


@pytest.fixture
def no_install(home, monkeypatch) -> Path:  # noqa: F811
    """No engine on PATH, and none that is remembered."""
    monkeypatch.delenv("LAYERFLOW_COMMAND", raising=False)
    monkeypatch.setenv("PATH", str(home))
    return home


def stubbed(stub: Stub, pump: Pump) -> Engine:
    return Engine(Background(pump), pump, stub.connect, check_s=0.01, first_pause_s=0.01)


def test_it_says_what_it_has_and_that_it_is_away_and_comes_back(no_install) -> None:
    stub, pump, states = Stub(), Pump(), []
    engine = stubbed(stub, pump)
    engine.changed.connect(lambda: states.append(engine.state))
    assert (engine.state, engine.text) == ("starting", "The engine is starting.")
    engine.open()
    pump.until(lambda: engine.state == "ready")
    assert engine.text == "The engine is ready on A computer."
    assert [(model.name, model.tasks) for model in engine.models] == [("mini", ("generate",))]
    assert [(device.name, device.memory_gib) for device in engine.devices] == [("cpu", 2.0)]
    stub.is_there = False
    pump.until(lambda: engine.state == "away")
    assert engine.text == "The engine is away: nobody is there; start one"
    assert engine.models and not engine.wait_ready(0)
    stub.is_there = True
    pump.until(lambda: engine.state == "ready")
    engine.close()
    assert states[0] == "ready" and "starting" in states and states[-1] == "ready"
    assert not [thread for thread in threading.enumerate() if thread.name == "layerflow engine"]


def test_a_look_that_was_asked_for_is_told_even_where_nothing_changed(no_install) -> None:
    stub, pump, told = Stub(), Pump(), []
    engine = stubbed(stub, pump)
    engine.open()
    pump.until(lambda: engine.state == "ready")
    engine.changed.connect(lambda: told.append(engine.state))
    starts = stub.num_starts
    engine.check()
    pump.until(lambda: told)
    engine.close()
    assert told == ["ready"] and stub.num_starts == starts + 1


def test_without_an_install_the_engine_is_that_of_this_python(no_install) -> None:
    with pytest.raises(NotRunning):
        starting.find_command()
    command = [sys.executable, "-P", "-m", "layerflow.cli"]
    assert engine_command() == command == starting.find_command()


def test_a_wrong_command_is_not_papered_over(no_install, monkeypatch) -> None:
    monkeypatch.setenv("LAYERFLOW_COMMAND", "/no/such/layerflow")
    with pytest.raises(NotRunning, match="/no/such/layerflow"):
        engine_command()
    assert not (no_install / "server" / "install.json").exists()


def test_that_it_is_gone_is_told_before_it_is_started_again(no_install) -> None:
    """Also where somebody else has noticed first, and asked for a look."""
    stub, pump, states = Stub(), Pump(), []
    engine = Engine(Background(pump), pump, stub.connect, check_s=60.0, first_pause_s=0.01)
    engine.open()
    pump.until(lambda: engine.state == "ready")
    engine.changed.connect(lambda: states.append(engine.state))
    stub.is_there = False
    engine.check()
    pump.until(lambda: engine.state == "away")
    engine.close()
    assert states == ["starting", "away"]


@pytest.mark.slow
@pytest.mark.long
def test_a_server_is_started_and_another_once_it_was_killed(no_install) -> None:
    try:
        with desk(no_install) as found:
            found.pump.until(lambda: found.engine.state == "ready")
            assert "mini" in [model.name for model in found.engine.models]
            assert found.engine.client().list() == []
            first = published()
            kill_server()
            found.pump.until(lambda: found.engine.state == "starting")
            found.pump.until(lambda: found.engine.state == "ready")
            assert published() not in (None, first)
    finally:
        end_server()


def test_the_doctor_tells_findings(no_install, monkeypatch) -> None:
    pump, told = Pump(), []
    engine = stubbed(Stub(), pump)
    checks = [{"name": "mini", "status": "fail", "detail": "not there", "advice": "install it"}]
    program = f"print({json.dumps(json.dumps({'checks': checks, 'healthy': False}))}); raise SystemExit(1)"
    monkeypatch.setattr(engine_module, "engine_command", lambda: [sys.executable, "-c", program])
    engine.doctor(told.append, told.append)
    pump.until(lambda: told)
    (finding,) = told[0]
    assert (finding.name, finding.status, finding.detail, finding.advice) == ("mini", "fail", "not there", "install it")


@pytest.mark.slow
@pytest.mark.long
def test_the_engines_own_doctor_is_understood(no_install) -> None:
    findings = Doctor().examine([sys.executable, "-P", "-m", "layerflow.cli"])
    assert {"python", "torch"} <= {finding.name for finding in findings}
    assert all(finding.advice for finding in findings if finding.status == "fail")


@pytest.mark.parametrize("said", ["", "[]", '{"checks": [{}]}', "what?", '{"checks": 3}'])
def test_anything_else_is_one_sentence(said) -> None:
    with pytest.raises(ServerError, match=r"could not look through itself \(no module\); install LayerFlow again"):
        findings_of(said, "Traceback\nno module\n")


def test_a_doctor_that_takes_too_long_or_is_closed_is_ended(tmp_path) -> None:
    waits = [sys.executable, "-c", "import time; time.sleep(60)"]
    doctor = Doctor()
    with pytest.raises(ServerError, match="did not look through itself within 0 s"):
        doctor.examine(waits, timeout_s=0.2)
    failed = []

    def examine() -> None:
        try:
            doctor.examine(waits)
        except ServerError as error:
            failed.append(str(error))

    thread = threading.Thread(target=examine)
    thread.start()
    while doctor._process is None:
        thread.join(0.01)
    doctor.close()
    thread.join(20)
    assert failed and not thread.is_alive()
    with pytest.raises(ServerError):
        doctor.examine(waits)
