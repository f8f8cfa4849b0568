"""The first start: from an empty window to layers in the viewer by one click."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QWidget
from whole_window import app, home


@pytest.mark.slow
def test_from_nothing_to_the_layers_of_the_example_by_one_click(qapp, tmp_path: Path) -> None:
    seen: set[str] = set()
    with home(tmp_path), app() as studio:
        message = studio.find(QWidget, "viewer_message")
        assert message.isVisible() and not studio.window.layer_panel.rows
        studio.press("message_try")  # the engine is only just starting

        def has_come() -> bool:
            seen.update(type(each).__name__ for each in studio.dialogs())
            return studio.has_come("v001")

        studio.until(has_come)
        assert seen == set() and not message.isVisible()
        assert studio.window.engine_label.text().startswith("The engine is ready on ")

        take = studio.document.takes[0]
        assert [row.name for row in studio.window.layer_panel.rows] == ["foreground", "background"]
        assert [(row.state, row.title) for row in studio.studio.queue.rows] == [("done", "Studio: v001 of untitled")]
        assert any(text.startswith("v001 is done: 16 frames") for text in studio.said)
        assert Path(take.pattern).parent == tmp_path / "Documents" / "LayerFlow" / "parrot"
        assert [*tmp_path.glob("Documents/LayerFlow/parrot/*.exr")]

        screen = studio.window.screen_
        studio.until(lambda: studio.studio.stage.cached_frames() == set(studio.studio.stage.frames))
        screen._show_memory()
        assert screen.timeline.bounds == (1, 16) and len(screen.timeline._cached) == 16
        assert screen.transport.range.text() and "GiB" in screen.transport.cache.text()
        assert np.ptp(studio.picture()) > 100  # a picture, and no even grey
        assert studio.viewer.framing.width == studio.studio.stage.main.width
