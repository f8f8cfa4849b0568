"""What is dropped on a well is known by one text, and told in one line."""

from __future__ import annotations

import pytest
from pumping import Pump
from rendering import write_plate

from layerflow_desktop.controllers.background import Background
from layerflow_desktop.controllers.inputs import Inputs, described
from layerflow_desktop.models.picture import ClipError


@pytest.fixture
def plate(tmp_path) -> str:
    return write_plate(tmp_path, count=3, size=(20, 30))


def test_a_frame_stands_for_its_sequence_and_is_described(tmp_path, plate) -> None:
    pump, texts, said = Pump(), [], []
    background = Background(pump)
    inputs = Inputs(background, said.append)
    frame = sorted(tmp_path.glob("*.exr"))[0]
    inputs.resolve([str(frame)], texts.append)
    pump.until(lambda: texts)
    assert "#" in texts[0] and texts[0].startswith(str(tmp_path))
    inputs.describe(texts[0], texts.append)
    pump.until(lambda: len(texts) == 2)
    assert texts[1].startswith("3 frames 1001-1003, 30 x 20, ")
    inputs.describe(str(tmp_path / "gone.####.exr"), texts.append)
    pump.until(lambda: len(texts) == 3)
    assert "gone" in texts[2] and not said
    inputs.resolve([str(tmp_path / "gone.exr")], texts.append)
    pump.until(lambda: said)
    assert "gone.exr" in said[0] and len(texts) == 3
    background.close()


def test_a_channel_of_a_matte_is_told(plate) -> None:
    assert described(f"{plate}:mask.A") == "3 frames 1001-1003, 30 x 20, channel mask.A"


def test_a_project_is_no_picture(tmp_path) -> None:
    pump, said = Pump(), []
    project = tmp_path / "park.lfproj"
    from layerflow_desktop.models.project_file import SUFFIX

    project = project.with_suffix(SUFFIX)
    project.write_text("{}")
    background = Background(pump)
    Inputs(background, said.append).resolve([str(project)], said.append)
    pump.until(lambda: said)
    assert "is a project; drop it on the viewer" in said[0]
    background.close()


def test_nothing_there_is_a_sentence(tmp_path) -> None:
    with pytest.raises(ClipError):
        described(str(tmp_path / "no.####.exr"))
