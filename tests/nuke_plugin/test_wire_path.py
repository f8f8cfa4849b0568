"""Where the plug-in finds the wire: in processes of their own, without the packages of this one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_old_python import oldest_python

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "nuke_plugin"
FIND = """
import sys
sys.path[:0] = sys.argv[1:]
from layerflow_nuke.wire_path import find_wire
before = list(sys.path)
try:
    find_wire()
    find_wire()
except ImportError as error:
    print("ImportError:", error)
else:
    from layerflow.wire.client import Client
    print(sys.modules[Client.__module__].__file__)
print(sys.path[len(before):], sys.path[:len(before)] == before)
"""


@pytest.fixture(scope="module", params=["this", "oldest"])
def python(request: pytest.FixtureRequest) -> str:
    """A Python without any package: the one that runs, or the oldest that is here."""
    return sys.executable if request.param == "this" else oldest_python()


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The plug-in's folder with nothing beside it."""
    shutil.copytree(ROOM / "layerflow_nuke", tmp_path / "layerflow" / "layerflow_nuke")
    return tmp_path / "layerflow"


def put_wire(folder: Path) -> str:
    """The file of the client in a copy of the wire in `folder`."""
    engine = ROOT / "engine" / "layerflow"
    shutil.copytree(engine / "wire", folder / "layerflow" / "wire")
    shutil.copy(engine / "__init__.py", folder / "layerflow")
    return str(folder / "layerflow" / "wire" / "client.py")


def found(python: str, *path: Path, cwd: Path) -> list[str]:
    """What is found with those folders on Python's path, what was added to it, and whether the rest stayed."""
    command = [python, "-I", "-S", "-W", "error", "-c", FIND, *map(str, path)]
    said = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout.splitlines()


def test_beside_the_plugin(python: str, plugin: Path) -> None:
    client = put_wire(plugin / "vendor")
    assert found(python, plugin, cwd=plugin) == [client, f"{[str(plugin / 'vendor')]} True"]


def test_though_the_folder_above_has_one_of_that_name(python: str, plugin: Path) -> None:
    # Nuke has ~/.nuke on the path as well, where `layerflow` would be a package without a file
    client = put_wire(plugin / "vendor")
    assert found(python, plugin, plugin.parent, cwd=plugin)[0] == client


def test_in_the_repository(python: str, tmp_path: Path) -> None:
    engine = ROOT / "engine"
    assert found(python, ROOM, cwd=tmp_path) == [str(engine / "layerflow/wire/client.py"), f"{[str(engine)]} True"]


def test_through_a_link_to_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOM)
    assert found(sys.executable, tmp_path / "link", cwd=tmp_path)[0] == str(ROOT / "engine/layerflow/wire/client.py")


def test_nothing_is_done_where_it_is_there_already(python: str, plugin: Path, tmp_path: Path) -> None:
    put_wire(plugin / "vendor")
    client = put_wire(tmp_path / "host")
    assert found(python, plugin, tmp_path / "host", cwd=plugin) == [client, "[] True"]


def test_nowhere(python: str, plugin: Path) -> None:
    sentence = (
        f"LayerFlow's plug-in in {plugin} is not whole, layerflow.wire is missing; run layerflow install nuke once more"
    )
    assert found(python, plugin, cwd=plugin) == [f"ImportError: {sentence}", "[] True"]


def test_another_package_of_that_name_is_in_the_way(plugin: Path, tmp_path: Path) -> None:
    put_wire(plugin / "vendor")
    other = tmp_path / "other" / "layerflow" / "__init__.py"
    other.parent.mkdir(parents=True)
    other.touch()
    said = found(sys.executable, plugin, tmp_path / "other", cwd=plugin)[0]
    assert (
        said
        == f"ImportError: another package named layerflow is in the way ({other}); take its folder off Python's path"
    )
