"""A layer that is moved in the picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt

from layerflow_desktop.controllers.moving import Moving, _own_point
from layerflow_desktop.controllers.session import Session
from layerflow_desktop.models.document import Document, LayerState, Take
from layerflow_desktop.models.picture import Placed, Scene, Shown
from layerflow_desktop.views.software_canvas import SoftwareCanvas
from layerflow_desktop.views.viewer import Viewer

SIZE = (40, 30)


def layer(left, right):
    """A foreground that is solid between two columns."""
    pixels = np.zeros((SIZE[1], SIZE[0], 4), np.float16)
    pixels[:, left:right] = 1
    return pixels


@pytest.fixture
def session():
    layers = (LayerState(name="foreground1"), LayerState(name="foreground2"), LayerState(name="background"))
    return Session(Document(takes=(Take(name="v001", pattern="/x.%04d.exr"),), take="v001", layers=layers))


@pytest.fixture
def moving(session):
    files = {"foreground1": layer(0, 10), "foreground2": layer(5, 20), "background": np.ones((30, 40, 3), np.float16)}
    stage = SimpleNamespace(scene=SimpleNamespace(width=SIZE[0], height=SIZE[1]), layers_at=lambda frame: files)
    return Moving(session, stage)


@pytest.mark.parametrize(
    ("x", "name"), [(2, "foreground1"), (7, "foreground1"), (15, "foreground2"), (30, ""), (-1, ""), (40, "")]
)
def test_the_frontmost_layer_under_the_pointer_is_taken_hold_of(moving, x, name):
    assert moving.grab(x, 10) == name


def test_a_layer_that_is_hidden_faded_or_shown_alone_is_not(moving, session):
    document = session.document
    session.amend(document.with_layer(document.layer("foreground1").with_(visible=False)))
    assert moving.grab(7, 10) == "foreground2"
    session.amend(document.with_layer(document.layer("foreground1").with_(opacity=0.0)))
    assert moving.grab(7, 10) == "foreground2"
    session.look(view=session.document.view.with_(a="plate"))
    assert moving.grab(7, 10) == ""


def test_a_drag_is_one_step_and_goes_on_from_where_the_layer_was(moving, session):
    for _ in range(2):
        moving.grab(2 if not session.document.layer("foreground1").offset_x else 14, 10)
        for right in (1, 5, 12):
            moving.drag(right, -3)
        moving.drop()
    moved = session.document.layer("foreground1")
    assert (moved.offset_x, moved.offset_y) == (24, -6)
    assert session.history.undo_name == "Move foreground 1"
    session.undo()
    assert session.document.layer("foreground1").offset_x == 12
    session.undo()
    assert session.document.layer("foreground1").offset_x == 0


def test_a_drag_of_nothing_changes_nothing(moving, session):
    before = session.document
    moving.grab(30, 10)
    moving.drag(5, 5)
    moving.drop()
    assert session.document is before


@given(st.floats(0.1, 8), st.floats(-100, 100), st.floats(-100, 100), st.integers(0, 39), st.integers(0, 29))
def test_a_pixel_is_found_where_the_comp_draws_it(scale, right, down, column, row):
    state = LayerState(name="f", scale=scale, offset_x=right, offset_y=down)
    x = (column + 0.5 - 20) * scale + 20 + right
    y = (row + 0.5 - 15) * scale + 15 + down
    assert _own_point(state, x, y, SIZE) == (column, row)


def test_ctrl_and_drag_in_the_viewer_tells_picture_pixels(qtbot):
    viewer = Viewer(make=SoftwareCanvas)
    qtbot.addWidget(viewer)
    viewer.resize(400, 300)
    viewer.show()
    viewer.set_scene(Scene(width=SIZE[0], height=SIZE[1], a=Shown((Placed(layer(0, 20)),))))
    viewer.set_zoom(4.0)
    told = []
    viewer.layer_grabbed.connect(lambda x, y: told.append("grabbed"))
    viewer.layer_dragged.connect(lambda right, down: told.append((round(right), round(down))))
    viewer.layer_dropped.connect(lambda: told.append("dropped"))
    begin, button = QPoint(200, 150), Qt.MouseButton.LeftButton
    qtbot.mousePress(viewer, button, Qt.KeyboardModifier.ControlModifier, begin)
    qtbot.mouseMove(viewer, begin + QPoint(20, 8))
    qtbot.mouseRelease(viewer, button, Qt.KeyboardModifier.ControlModifier, begin + QPoint(20, 8))
    viewer.release()
    assert told[0] == "grabbed" and told[-1] == "dropped"
    assert told[-2] == (5, 2)
