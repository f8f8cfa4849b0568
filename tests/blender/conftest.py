"""Real Blenders and a real engine for the tests of the add-on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from blender_process import VERSIONS, Blender, started
from server_process import Served, serving


@dataclass(frozen=True)
class Desk:
    """A folder in which everything of a module's tests lies, and what runs there."""

    folder: Path
    served: Served | None = None


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A folder with an engine that serves it."""
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFLOW_RUNTIME", str(folder / "runtime"))
        patch.setenv("LAYERFLOW_SERVER", str(folder / "server"))
        with serving("--root", str(folder)) as served:
            yield Desk(folder, served)


@pytest.fixture(scope="module", params=VERSIONS)
def any_blender(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blender]:
    """A Blender of each version with the add-on, without an engine to be found."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERFLOW_RUNTIME", str(folder / "runtime"))
        patch.setenv("LAYERFLOW_SERVER", str(folder / "server"))
        patch.setenv("LAYERFLOW_COMMAND", str(folder / "no-engine"))
        with started(request.param, folder / "resources") as blender:
            yield blender


@pytest.fixture
def alone(any_blender: Blender) -> Blender:
    """Such a Blender with a new file."""
    any_blender.do("new_file")
    return any_blender


# The newest each time; in another one the whole way takes as long again.
EACH = [*(pytest.param(version, marks=pytest.mark.long) for version in VERSIONS[:-1]), VERSIONS[-1]]


@pytest.fixture(scope="module", params=EACH)
def served_blender(
    request: pytest.FixtureRequest, desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Blender]:
    """A Blender of each version with the add-on, and the engine running."""
    with started(request.param, tmp_path_factory.mktemp("resources")) as blender:
        yield blender


@pytest.fixture
def shot(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder that the engine may write in."""
    folder = desk.folder / tmp_path_factory.mktemp("shot").name
    folder.mkdir()
    return folder


@pytest.fixture
def blender(served_blender: Blender, shot: Path) -> Blender:
    """That Blender, with a new file saved in the folder of the shot, of 640x360 and at the example's size."""
    served_blender.do("new_file")
    served_blender.do("set_scene", resolution_x=480, resolution_y=320, frame_start=1, frame_end=30)
    served_blender.do("save", str(shot / "shot.blend"))
    return served_blender
