"""The house rules: who may import whom, what importing costs, and that the set-up script stays small and plain."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUN = ROOT / "run.py"


def imported_names(source: Path) -> set[str]:
    """Top-level names of every import in a file, those inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def names_of(requirements: list[str]) -> set[str]:
    """Names of the packages those requirements ask for, as package indexes compare them."""
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def declared(*extras: str) -> set[str]:
    """Packages that pyproject.toml asks for."""
    return names_of(sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"]))


def test_floors_and_rooms():
    check = subprocess.run(["lint-imports"], cwd=ROOT, env=venv_path(), capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


def venv_path() -> dict[str, str]:
    """An environment in which the tools beside this Python are found."""

    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    "module",
    [
        "layerflow",
        "layerflow.wire",
        "layerflow.errors",
        "layerflow.cli",
        "layerflow.server.acceptance",
        "layerflow.server.guard",
        "layerflow.server.supervisor",
        "layerflow_export",
        "layerflow_export.cli",
        "layerflow_desktop.app",
        "layerflow_desktop.installing",
    ],
)
def test_importing_is_light(module):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "diffusers", "transformers", "OpenImageIO", "av", "click", "PySide6"} & set(loaded)


@pytest.mark.parametrize(
    "room", ["nuke_plugin/layerflow_nuke", "blender_addon/layerflow_blender", "desktop/layerflow_desktop"]
)
def test_hosts_see_the_wire_only(room):
    sources = list((ROOT / room).rglob("*.py"))
    assert sources
    for source in sources:
        seen = re.findall(r"^\s*(?:from|import) +(layerflow\b[\w.]*)", source.read_text(encoding="utf-8"), re.MULTILINE)
        allowed = ("layerflow.wire", "layerflow.installing") if source.name == "installing.py" else ("layerflow.wire",)
        assert all(name.startswith(allowed) for name in seen), source


@pytest.mark.parametrize(
    ("room", "extras"),
    [
        ("engine", ("cluster", "fp8", "train")),
        ("export", ("bench", "export", "kernels")),
        ("desktop/layerflow_desktop", ("desktop",)),
    ],
)
def test_every_import_is_declared(room, extras):
    owners = packages_distributions()
    undeclared = {
        f"{source.relative_to(ROOT)}: {name}"
        for source in (ROOT / room).rglob("*.py")
        for name in imported_names(source)
        - set(sys.stdlib_module_names)
        - {"layerflow", "layerflow_export", "layerflow_desktop"}
        if not names_of(owners.get(name, [name])) & declared(*extras)
    }
    assert not undeclared


def test_everything_declared_is_pinned_exactly():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
    assert declared(
        "train", "export", "bench", "desktop", "fp8", "kernels", "tensorrt-rtx", "cluster", "dev"
    ) <= names_of(pins)


def test_every_blender_is_pinned_exactly():
    files = list(ROOT.glob("constraints-blender-*.txt"))
    assert files
    for path in files:
        pins = path.read_text(encoding="utf-8").splitlines()[1:]
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
        assert f"bpy=={path.stem.rpartition('-')[2]}." in "".join(pins)


def test_run_is_short_and_plain():
    assert len(RUN.read_text(encoding="utf-8").splitlines()) < 100
    assert imported_names(RUN) <= set(sys.stdlib_module_names)
    ast.parse(RUN.read_text(encoding="utf-8"), feature_version=(3, 7))  # so that an old Python can say that it is old


def test_run_without_a_command_says_what_there_is():
    answer = subprocess.run([sys.executable, RUN], capture_output=True, text=True)
    assert answer.returncode == 2 and "run.py demo" in answer.stdout and "run.py test" in answer.stdout
