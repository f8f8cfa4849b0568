"""Set-up and CI: what run.py installs and when, and that nothing is skipped in silence."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SKIPPED = """
import pytest
def test_skips():
    pytest.skip("no bpy here")
@pytest.mark.skip(reason="later")
def test_marked():
    pass
@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail():
    assert False
@pytest.mark.gpu
def test_on_gpu():
    import torch
    assert torch.cuda.is_available()
@pytest.mark.weights
def test_with_weights():
    pass
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run.py as a module on an empty project; `run.calls` holds the commands it would have started."""
    spec = importlib.util.spec_from_file_location("run_script", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "BIN", tmp_path / ".venv" / module.SCRIPTS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as it sets it, but for this test alone
    module.calls, module.exit_code = [], 0

    def call(*command):
        module.calls.append([str(part) for part in command])
        return module.exit_code

    monkeypatch.setattr(module, "call", call)
    return module


def test_a_second_run_installs_nothing(run):
    assert run.install_layerflow() == 0 and len(run.calls) == 2
    assert run.calls[1][1:] == ["-m", "pip", "install", "-c", "constraints.txt", "-e", "."]
    assert run.install_layerflow() == 0 and len(run.calls) == 2


def test_tests_need_more_than_the_demo_and_not_the_other_way_round(run):
    run.install_layerflow()
    assert run.install_layerflow("[dev]") == 0 and run.calls[-1][-1] == ".[dev]" and len(run.calls) == 4
    run.install_layerflow()
    run.install_layerflow("[dev]")
    assert len(run.calls) == 4


def test_a_new_pin_installs_again(run):
    run.install_layerflow()
    with (run.ROOT / "constraints.txt").open("a") as pins:
        pins.write("new==1\n")
    run.install_layerflow()
    assert len(run.calls) == 4


def test_a_failed_installation_is_told_and_tried_again(run, capsys):
    run.exit_code = 1
    assert run.main(["demo"]) == 1 and "installation failed" in capsys.readouterr().err
    run.exit_code = 0
    assert run.install_layerflow() == 0 and len(run.calls) == 3


@pytest.fixture
def blender(run, monkeypatch):
    """The project of `run` with one Blender to test with, on Python 3.11; the venv of that Blender."""
    venv = run.ROOT / ".venv-blender-5.0"
    venv.mkdir()
    (run.ROOT / "constraints-blender-5.0.txt").write_text("bpy==5.0.1\n")
    monkeypatch.setattr(run.sys, "version_info", (3, 11, 7))
    return venv


def test_every_blender_gets_a_venv_of_its_own_once(run, blender):
    run.install_blenders()
    python = str(blender / run.SCRIPTS / "python")
    assert run.calls[0] == [sys.executable, "-m", "venv", str(blender)]
    assert run.calls[1:] == [[python, "-m", "pip", "install", "-c", "constraints-blender-5.0.txt", "bpy"]]
    with (run.ROOT / "pyproject.toml").open("a") as needs:
        needs.write("# the project's needs are not Blender's\n")
    run.install_blenders()
    assert len(run.calls) == 2


def test_blender_is_left_alone_by_the_demo_and_by_other_pythons(run, blender, monkeypatch):
    run.main(["demo"])
    monkeypatch.setattr(run.sys, "version_info", (3, 12, 1))
    run.main(["test"])
    assert not any("bpy" in command for command in run.calls)


def test_a_blender_that_cannot_be_installed_keeps_no_other_test_from_running(run, blender, monkeypatch, capsys):
    monkeypatch.setattr(run, "call", lambda *command: run.calls.append(command) or int("bpy" in command))
    assert run.main(["test"]) == 0 and run.calls[-1][0].name == "pytest"
    assert "installation failed" in capsys.readouterr().err and not (blender / run.STAMP).exists()


def test_the_first_failing_check_counts_and_all_of_them_run(run, monkeypatch):
    codes = {"ruff": 0, "mypy": 1, "lint-imports": 0, "pytest": 5}
    run.install_layerflow("[dev]")
    started = []

    def call(program, *rest):
        started.append((program.name, *rest))
        return codes[program.name]

    monkeypatch.setattr(run, "call", call)
    assert run.test(["-k", "wire"]) == 1
    assert [name for name, *_ in started] == ["ruff", "ruff", "mypy", "lint-imports", "pytest"]
    assert started[-1] == ("pytest", "-n2", "--dist=loadfile", "-k", "wire")


def test_the_readme_s_first_commands_are_the_ones_ci_runs():
    first = re.search(r"```\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1].splitlines()
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert first == ["python3 run.py demo", "python3 run.py test"]
    assert all(command in ci for command in first)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def run_skipping_tests(folder: Path, **switches: str) -> str:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_skipped.py").write_text(SKIPPED)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu: x\n    weights: x\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAYERFLOW_")}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    return subprocess.run(
        command, cwd=folder, env={**kept, "COLUMNS": "200", **switches}, capture_output=True, text=True
    ).stdout


def test_a_skip_is_allowed_at_home(tmp_path):
    output = run_skipping_tests(tmp_path)
    assert "FAILED" not in output and "ERROR" not in output


def test_a_skip_fails_where_everything_is_required(tmp_path):
    output = run_skipping_tests(tmp_path, LAYERFLOW_REQUIRE_ALL="1")
    assert "FAILED test_skipped.py::test_skips - skipped, which LAYERFLOW_REQUIRE_ALL" in output
    assert "ERROR test_skipped.py::test_marked - skipped, which LAYERFLOW_REQUIRE_ALL" in output
    assert "1 failed" in output and "1 xfailed" in output and "1 error" in output


def test_a_module_that_skips_itself_fails_too(tmp_path):
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('layerflow_no_such_module')\n")
    output = run_skipping_tests(tmp_path, LAYERFLOW_REQUIRE_ALL="1")
    assert "ERROR test_module.py - skipped, which LAYERFLOW_REQUIRE_ALL" in output
